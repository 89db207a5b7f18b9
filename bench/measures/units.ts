/**
 * Units of little work, a herd with everything on to send them through, and what their results add
 * up to.
 */
import { Effect, Exit, Stream } from "effect"
import { Herd } from "gofherd"
import { resultOf, withBackoff } from "../work.ts"

type Process = (n: number) => Effect.Effect<number>

export const synchronous: Process = (n) => Effect.succeed(resultOf(n))

export const immediate: Process = (n) =>
  Effect.async((resume) => {
    setImmediate(() => resume(Exit.succeed(resultOf(n))))
  })

/** Nothing of the herds here is ever retried; that it could be is part of what is measured. */
export const retry = withBackoff.schedule

/** One at a time, so that a measurement has no array of them to pay for. */
export function* naturals(count: number): Generator<number> {
  for (let n = 0; n < count; n++) yield n
}

export const check = (name: string, units: number, sum: number): void => {
  const expected = units * (units - 1) / 2 + 10 * units
  if (sum !== expected) throw new Error(`expected ${name} to sum to ${expected}, got ${sum}`)
}

/** Makes a herd, feeds it, and reads all of its outcomes: the sum of the results. */
export const throughHerd = (
  options: { readonly process: Process; readonly size: number },
  feed: (herd: Herd.Herd<number, number>) => Effect.Effect<void, unknown>
): Promise<number> =>
  Effect.gen(function*() {
    const herd = yield* Herd.make({ ...options, retry })
    yield* Effect.forkScoped(Effect.zipRight(feed(herd), herd.close))
    return yield* Stream.runFold(herd.outcomes, 0, (sum, { exit }) => Exit.isSuccess(exit) ? sum + exit.value : sum)
  }).pipe(Effect.scoped, Effect.runPromise)
