import { Effect, Exit } from "effect"
import { ofNumbers, resultOf, type Work, type Works } from "../work.ts"

type Callback = NonNullable<Work["callback"]>

const ofCallback = (size: number, callback: Callback, effect: Work["effect"] = fromCallback(callback)): Works =>
  ofNumbers({ size, callback, effect, promise: (n) => new Promise((resolve) => callback(n, resolve)) })

const fromCallback = (callback: Callback): Work["effect"] => (n) =>
  Effect.async((resume) => {
    callback(n, (result) => resume(Exit.succeed(result)))
  })

const afterTimeout: Callback = (n, done) => {
  setTimeout(() => done(resultOf(n)), 1)
}

/** One turn of the event loop. */
export const immediate = ofCallback(16, (n, done) => {
  setImmediate(() => done(resultOf(n)))
})

/** A millisecond, of the same raw timer for all. */
export const rawTimer = ofCallback(1_000, afterTimeout)

/**
 * A millisecond, as Effect's users wait for it: by its Clock, and so that it can be interrupted.
 */
export const timer = ofCallback(1_000, afterTimeout, (n) => Effect.as(Effect.sleep("1 millis"), resultOf(n)))
