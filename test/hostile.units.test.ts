/**
 * Units that end in hostile ways: whatever `process` and the callbacks return, fail with, die of or
 * throw, the unit settles, the herd goes on, and what tells of it can be read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Option, Schedule } from "effect"
import { Herd } from "gofherd"
import { forEachKind, unharmed } from "./utils/hostile.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretty } from "./utils/pretty.ts"
import { unhandledRejections } from "./utils/rejections.ts"

/** A herd whose units of 1 come out as 2, and all others end in a hostile way. */
const herdOf = (end: () => unknown, options: object = {}) =>
  Herd.make<unknown, unknown, unknown>({
    process: (body) => body === 1 ? Effect.succeed(2) : end() as Effect.Effect<unknown, unknown>,
    ...options
  })

const variants: Record<string, object> = {
  "plain": {},
  "with spans": { tracing: true },
  "with retries": { retry: Schedule.recurs(1) },
  "with callbacks": { onSuccess: () => Effect.void, onRetry: () => Effect.void, onFailure: () => Effect.void }
}

const quiet = Logger.replace(Logger.defaultLogger, Logger.none)

for (const [variant, options] of Object.entries(variants)) {
  describe(`a herd ${variant}, whose process`, () => {
    it.scoped("succeeds with hostile values, gives them untouched", () =>
      forEachKind((value, kind) =>
        Effect.scoped(Effect.gen(function*() {
          const herd = yield* herdOf(() => Effect.succeed(value), options)
          assert.isTrue(Object.is(yield* herd.run(0), value), kind)
          yield* unharmed(herd, kind)
        }))
      ))

    it.scoped("fails with hostile values, gives them untouched, and the history can be read (G7)", () =>
      forEachKind((value, kind) =>
        Effect.scoped(Effect.gen(function*() {
          // `Effect.fail` itself looks at its value, and within a span wraps it.
          const herd = yield* herdOf(() => Effect.failCause(Cause.fail(value)), options)
          const exit = yield* Effect.exit(herd.run(0))
          const error = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
          assert.isTrue(Option.isSome(error) && Object.is(error.value, value), kind)
          const [failed] = (yield* herd.history).failures
          assert.strictEqual(typeof failed?.message, "string", kind)
          assert.isAtMost(failed?.message.length ?? 0, 300, kind)
          yield* unharmed(herd, kind)
        }))
      ).pipe(Effect.provide(quiet)))

    it.scoped("dies of or throws hostile values, or gives them, settles the unit (G2, G7)", () =>
      forEachKind((value, kind) =>
        Effect.scoped(Effect.gen(function*() {
          const ends = [
            () => Effect.die(value),
            () => {
              throw value
            },
            () => value
          ]
          for (const end of ends) {
            const herd = yield* herdOf(end, options)
            assert.isTrue(Exit.isFailure(yield* Effect.exit(herd.run(0))), kind)
            assert.include(yield* herd.state, { failed: 1, running: 0 }, kind)
            assert.strictEqual(typeof (yield* herd.history).failures[0]?.message, "string", kind)
            yield* unharmed(herd, kind)
          }
        }))
      ).pipe(Effect.provide(quiet)))
  })
}

describe("callbacks", () => {
  it.scoped("that give no Effect, throw or die of hostile values change nothing and are logged (G14)", () => {
    const logs = makeLogs()
    return forEachKind((value, kind) =>
      Effect.scoped(Effect.gen(function*() {
        const calls = [
          () => value,
          () => Effect.die(value),
          () => {
            throw value
          }
        ]
        for (const call of calls) {
          const callbacks = { onSuccess: call, onRetry: call, onFailure: call, retry: Schedule.recurs(1) }
          const herd = yield* herdOf(() => Effect.fail("no"), callbacks)
          assert.strictEqual(yield* Effect.flip(herd.run(0)), "no", kind)
          assert.include(yield* herd.state, { failed: 1, retried: 1, running: 0 }, kind)
          yield* unharmed(herd, kind)
        }
      }))
    ).pipe(logs.collect)
  })

  it.scoped("that give nothing, as a JavaScript caller's may, are told what they should have given", () => {
    const logs = makeLogs()
    return Effect.gen(function*() {
      const herd = yield* herdOf(() => Effect.fail("no"), { onSuccess: () => undefined, onFailure: async () => 1 })
      yield* Effect.exit(herd.run(0))
      yield* unharmed(herd, "callbacks that give nothing")
      assert.include(logs.lines.join("\n"), "expected onSuccess to return an Effect, got undefined")
      assert.include(logs.lines.join("\n"), "expected onFailure to return an Effect, got an instance of Promise")
    }).pipe(logs.collect)
  })
})

describe("a Promise that is rejected", () => {
  it.scoped("and that process gives is the end of its unit, not of the program", () =>
    Effect.gen(function*() {
      const unhandled = yield* unhandledRejections
      const herd = yield* herdOf(async () => {
        throw new Error("boom")
      }, {
        onFailure: async () => {
          throw new Error("boom")
        }
      })
      const exit = yield* Effect.exit(herd.run(0))
      assert.include(pretty(exit), "expected process to return an Effect, got an instance of Promise")
      yield* Effect.async<void>((resume) => {
        setTimeout(() => resume(Effect.void), 0)
      })
      assert.deepStrictEqual(unhandled, [])
      yield* unharmed(herd, "a rejected Promise")
    }).pipe(Effect.provide(quiet)))
})
