import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Layer, Option, Schedule, Stream } from "effect"
import { Herd, HerdError } from "gofherd"
import { pretty } from "./utils/pretty.ts"

const process = (n: number) => Effect.succeed(n)

const MOST = 9_007_199_254_740_991
const integerFrom0 = `expected capacity to be an integer from 0 to ${MOST} or "unbounded", got`

const bad: ReadonlyArray<readonly [options: Record<string, unknown>, message: string]> = [
  ...[NaN, -1, 1.5, "3", null, Infinity, 2 ** 53, 3n, {}].map((size) =>
    [{ size }, "expected size to be an integer from 0 to 10000, got"] as const
  ),
  [{ size: 10_001 }, "expected size to be an integer from 0 to 10000, got 10001"],
  [{ size: 6, maxSize: 5 }, "expected size to be an integer from 0 to 5, got 6"],
  ...[NaN, 0, -1, 1.5, "3", null, Infinity].map((maxSize) =>
    [{ maxSize }, "expected maxSize to be an integer from 1, got"] as const
  ),
  ...[NaN, -1, 1.5, "3", null, Infinity, 2 ** 53, "Unbounded"].map((capacity) => [{ capacity }, integerFrom0] as const),
  ...["", ".", "..", "\ud800", 7, null, {}].map((name) =>
    [
      { name },
      `expected name to be a string that is not empty, ".", ".." or malformed Unicode, got`
    ] as const
  ),
  ...["keep", 7].map((outcomes) => [{ outcomes }, "expected outcomes to be \"discard\" or { capacity }, got"] as const),
  ...[0, -1, 1.5, NaN, "3", Infinity].map((capacity) =>
    [
      { outcomes: { capacity } },
      `expected outcomes.capacity to be an integer from 1 to ${MOST} or "unbounded", got`
    ] as const
  ),
  ...["soon", "3 fortnights", "-5 millis", "-0.5 seconds", -1n, [0, -1], {}, null].map((gracePeriod) =>
    [{ gracePeriod }, "expected gracePeriod to be a duration, got"] as const
  ),
  [{ retry: 3 }, "expected retry to be a Schedule, got 3"],
  [{ onSuccess: 3 }, "expected onSuccess to be a function, got 3"],
  [{ onRetry: "x" }, "expected onRetry to be a function, got \"x\""],
  [{ onFailure: {} }, "expected onFailure to be a function, got {}"],
  [{ tracing: "yes" }, "expected tracing to be a boolean, got \"yes\""],
  [{ process: undefined }, "expected process to be a function (or else gopher an Effect of one), got undefined"],
  [{ process: 7 }, "expected process to be a function (or else gopher an Effect of one), got 7"],
  [
    { gopher: Effect.succeed(process) },
    "expected process to be a function (or else gopher an Effect of one), got a function beside gopher {"
  ],
  [{ process: undefined, gopher: 7 }, "expected gopher to be an Effect of a function, got 7"]
]

const show = (options: Record<string, unknown>) =>
  JSON.stringify(
    options,
    (_, value: unknown) =>
      typeof value === "bigint"
        ? `${value}n`
        : typeof value === "number" && !Number.isFinite(value)
        ? String(value)
        : typeof value === "function"
        ? "a function"
        : value
  )

const defect = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit)
    ? Option.getOrThrow(Cause.dieOption(exit.cause))
    : assert.fail("expected a defect, got a success")

describe("make", () => {
  for (const [options, message] of bad) {
    it.scoped(`dies at once of ${show(options)}`, () =>
      Effect.gen(function*() {
        const error = defect(yield* Effect.exit(Herd.make({ process, ...options } as never)))
        assert.instanceOf(error, HerdError.InvalidOption)
        assert.include(String(error), message)
      }))
  }

  it.scoped("takes \"unbounded\" for a capacity: no sender suspends, and unread outcomes hold nothing up", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process, size: 0, capacity: "unbounded", outcomes: { capacity: "unbounded" } })
      yield* herd.sendAll(Array.from({ length: 5_000 }, (_, n) => n))
      assert.isTrue(yield* herd.trySend(0))
      assert.strictEqual((yield* herd.state).queued, 5_001)
      yield* herd.resize(1)
      yield* herd.awaitIdle
      yield* herd.close
      assert.strictEqual((yield* Stream.runCollect(herd.outcomes)).length, 5_001)
    }))

  it.scoped("says nothing of a gopher where none is given", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Herd.make({ process: undefined as never }))
      const expected = "a function (or else gopher an Effect of one)"
      const given = { option: "process", expected, given: "undefined" }
      assert.deepStrictEqual(exit, Exit.die(new HerdError.InvalidOption(given)))
    }))

  it.scoped("tells no more than 80 characters of what it was given", () =>
    Effect.gen(function*() {
      const size = "7".repeat(200)
      const exit = yield* Effect.exit(Herd.make({ process: Effect.succeed<number>, size: size as never }))
      assert.include(pretty(exit), `got "${size.slice(0, 76)}...`)
      assert.notInclude(pretty(exit), size.slice(0, 77))
    }))

  it.scoped("takes no name from the herds that it refuses to make", () =>
    Effect.gen(function*() {
      yield* Effect.exit(Herd.make({ process, name: "refused", size: -1 }))
      assert.strictEqual((yield* Herd.make({ process, name: "refused" })).name, "refused")
    }))

  it.scoped("takes options that are there but undefined for the default", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process,
        name: undefined,
        size: undefined,
        maxSize: undefined,
        capacity: undefined,
        retry: undefined,
        outcomes: undefined,
        gracePeriod: undefined,
        tracing: undefined
      })
      assert.match(herd.name, /^herd/)
      assert.strictEqual(yield* herd.size, 1)
    }))

  it.scoped("takes every form of a duration for the grace period", () =>
    Effect.gen(function*() {
      const second = Duration.seconds(1)
      const forms: ReadonlyArray<Duration.DurationInput> = [
        second,
        "1 second",
        "-0 millis",
        1_000,
        1n,
        [1, 0],
        Infinity
      ]
      for (const gracePeriod of forms) {
        assert.strictEqual(yield* (yield* Herd.make({ process, gracePeriod })).run(5), 5)
      }
    }))

  it.scoped("takes every bound itself", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process,
        size: 0,
        maxSize: 1,
        capacity: 0,
        outcomes: { capacity: 1 },
        gracePeriod: "0 millis",
        retry: Schedule.recurs(0)
      })
      yield* herd.resize(1)
      assert.strictEqual(yield* herd.run(5), 5)
    }))
})

describe("layer", () => {
  class Numbers extends Context.Tag("test/Numbers")<Numbers, Herd.Herd<number, number>>() {}

  it.effect("dies of the same", () =>
    Effect.gen(function*() {
      const build = (options: Herd.Options<number, number>) =>
        Effect.exit(Effect.scoped(Layer.build(Herd.layer(Numbers, options))))
      assert.include(
        String(defect(yield* build({ process, size: -1 }))),
        "expected size to be an integer from 0 to 10000, got -1"
      )
      assert.include(
        String(defect(yield* build({ process, name: "" }))),
        "expected name to be a string that is not empty"
      )
    }))
})
