/**
 * What the routes know of a herd's past: samples, quantiles, and the pace of an event stream.
 */
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Fiber, MetricLabel, Schema, Scope, Stream, TestClock } from "effect"
import { Herd, HerdApi, HerdMetrics } from "gofherd"
import { afterEach, beforeEach, vi } from "vitest"
import { Monitor } from "../src/internal/monitor.ts"
import { quantile } from "../src/internal/quantile.ts"
import { eventsIn } from "./utils/http.ts"
import { turns } from "./utils/stage.ts"

describe("quantile", () => {
  const none = { bounds: [1, 2, 4], counts: [0, 0, 0, 0] }
  const of = (...counts: ReadonlyArray<number>) => ({ bounds: [1, 2, 4], counts })

  it("is null where nothing was observed", () => {
    assert.isNull(quantile(0.5, none, none))
    assert.isNull(quantile(0.95, of(1, 2, 3, 4), of(1, 2, 3, 4)))
  })

  it("goes linearly from one bound of its bucket to the next; the first bucket begins at 0", () => {
    assert.strictEqual(quantile(0.5, none, of(4, 0, 0, 0)), 0.5)
    assert.strictEqual(quantile(0.25, none, of(0, 4, 0, 0)), 1.25)
    assert.strictEqual(quantile(0.5, none, of(2, 2, 0, 0)), 1)
    assert.strictEqual(quantile(0.75, none, of(2, 0, 2, 0)), 3)
    assert.strictEqual(quantile(1, none, of(1, 1, 1, 0)), 4)
  })

  it("is at most the last bound, since nothing is known beyond", () => {
    assert.strictEqual(quantile(0.5, none, of(0, 0, 0, 5)), 4)
    assert.strictEqual(quantile(0.95, none, of(9, 0, 0, 1)), 4)
    assert.strictEqual(quantile(0.5, none, { bounds: [1, 2, 4, Infinity], counts: [0, 0, 0, 5] }), 4)
  })

  it("is of what came between the two readings", () => {
    assert.strictEqual(quantile(0.5, of(100, 0, 0, 7), of(100, 4, 0, 7)), 1.5)
  })

  it("is what Prometheus' own tests expect of histogram_quantile", () => {
    // promql/promqltest/testdata/histograms.test: 5 up to 0.1, 7 up to 0.2, 11 up to 1, 12 in all.
    const zero = { bounds: [0.1, 0.2, 1], counts: [0, 0, 0, 0] }
    const given = { bounds: [0.1, 0.2, 1], counts: [5, 2, 4, 1] }
    for (const [q, expected] of [[0.2, 0.048], [0.5, 0.15], [0.8, 0.72], [1, 1]] as const) {
      assert.closeTo(quantile(q, zero, given) ?? NaN, expected, 1e-12)
    }
  })
})

describe("Monitor", () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 }))
  afterEach(() => vi.useRealTimers())

  /** Lets so many milliseconds go by, on the clock of sleeps and on that of dates. */
  const pass = (millis: number, step = 250): Effect.Effect<void> =>
    Effect.gen(function*() {
      for (let left = millis; left > 0; left -= step) {
        vi.setSystemTime(Date.now() + Math.min(left, step))
        yield* TestClock.adjust(Math.min(left, step))
        yield* turns
      }
    })

  const resting = Herd.make({ name: "monitored", process: (n: number) => Effect.succeed(n), maxSize: 10_000, size: 0 })

  const dataOf = (event: Uint8Array) => eventsIn(new TextDecoder().decode(event))[0]?.data

  /** What it would tell an event stream of the past. */
  const samplesOf = (monitor: Monitor) =>
    Effect.map(
      Effect.flatten(Stream.runHead(monitor.events(true))),
      (event) => Schema.decodeUnknownSync(Schema.Array(HerdApi.HerdSample))(dataOf(event))
    )

  it.scoped("takes a sample a second while the herd changes, and none while it rests", () =>
    Effect.gen(function*() {
      const herd = yield* resting
      const watched = yield* Monitor.make(herd)
      yield* pass(10_000)
      assert.strictEqual((yield* samplesOf(watched)).length, 1)
      for (let n = 1; n <= 40; n++) {
        yield* Effect.orDie(herd.resize(n))
        yield* turns
        yield* pass(250)
      }
      yield* pass(60_000, 1_000)
      const samples = yield* samplesOf(watched)
      const ats = samples.map(({ at }) => at.getTime())
      assert.strictEqual(samples.length, 1 + 10 + 1)
      assert.deepStrictEqual(
        ats.slice(2).map((at, i) => at - (ats[i + 1] ?? 0)),
        Array.from({ length: 10 }, () => 1_000)
      )
      // The last one is of the state that stays.
      assert.strictEqual(samples.at(-1)?.size, 40)
    }))

  it.scoped("keeps the last 300 samples", () =>
    Effect.gen(function*() {
      const herd = yield* resting
      const watched = yield* Monitor.make(herd)
      for (let n = 1; n <= 310; n++) {
        yield* Effect.orDie(herd.resize(n))
        yield* pass(1_000, 1_000)
      }
      const samples = yield* samplesOf(watched)
      assert.strictEqual(samples.length, 300)
      assert.strictEqual(samples.at(-1)?.size, 310)
      assert.strictEqual(samples[0]?.size, 11)
    }), 20_000)

  it.scoped("ends its sampling and its event streams with its scope", () =>
    Effect.gen(function*() {
      const herd = yield* resting
      const scope = yield* Scope.make()
      const watched = yield* Scope.extend(Monitor.make(herd), scope)
      const reading = yield* Effect.fork(Stream.runDrain(watched.events(true)))
      yield* pass(1_000)
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(reading)
      const { length } = yield* samplesOf(watched)
      yield* Effect.orDie(herd.resize(3))
      yield* pass(5_000)
      assert.strictEqual((yield* samplesOf(watched)).length, length)
    }))

  it.scoped("ends its event streams with the herd", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const watched = yield* Effect.flatMap(Scope.extend(resting, scope), Monitor.make)
      const reading = yield* Effect.fork(Stream.runDrain(watched.events(false)))
      yield* pass(1_000)
      yield* Scope.close(scope, Exit.void)
      yield* pass(1_000)
      yield* Fiber.join(reading)
    }))

  it.scoped("tells the quantiles of the last minute, also to who asks soon after the start, and null after a minute at rest", () =>
    Effect.gen(function*() {
      const herd = yield* resting
      const labels = [MetricLabel.make("herd", herd.name)]
      const observe = (seconds: number, count: number) =>
        Effect.gen(function*() {
          for (let n = 0; n < count; n++) HerdMetrics.attemptDuration.unsafeUpdate(seconds, labels)
          // Attempts change the state.
          yield* Effect.orDie(herd.resize(yield* Effect.map(herd.size, (size) => size + 1)))
          yield* turns
        })
      // What was before is another's.
      yield* observe(100, 1_000)
      const watched = yield* Monitor.make(herd)
      const told = Effect.map(watched.state, ({ attemptSeconds }) => attemptSeconds)
      yield* pass(1_000)
      assert.deepStrictEqual(yield* told, { p50: null, p95: null })
      yield* observe(0.003, 100)
      // Buckets from 1 ms to 5 ms.
      assert.closeTo((yield* told).p50 ?? NaN, 0.003, 1e-12)
      assert.closeTo((yield* told).p95 ?? NaN, 0.0048, 1e-12)
      yield* pass(30_000, 1_000)
      yield* observe(0.04, 300)
      // From 25 ms to 50 ms, where the middle of 400 is the 100th of 300.
      assert.closeTo((yield* told).p50 ?? NaN, 0.025 + 0.025 / 3, 1e-12)
      yield* pass(32_000, 1_000)
      // The first hundred are more than a minute ago.
      assert.closeTo((yield* told).p50 ?? NaN, 0.0375, 1e-12)
      yield* pass(32_000, 1_000)
      assert.deepStrictEqual(yield* told, { p50: null, p95: null })
      yield* observe(0.003, 1)
      assert.closeTo((yield* told).p50 ?? NaN, 0.003, 1e-12)
    }))

  const stateOf = (event: Uint8Array) => Schema.decodeUnknownSync(HerdApi.HerdState)(dataOf(event))

  it.scoped("tells an event stream the state at once, after changes 250 ms apart, and as a heartbeat every 10 s", () =>
    Effect.gen(function*() {
      const herd = yield* resting
      const seen: Array<readonly [at: number, size: number]> = []
      const start = Date.now()
      yield* (yield* Monitor.make(herd)).events(false).pipe(
        Stream.map(stateOf),
        Stream.runForEach(({ at, size }) => Effect.sync(() => seen.push([at.getTime() - start, size]))),
        Effect.forkScoped
      )
      yield* turns
      assert.deepStrictEqual(seen, [[0, 0]])
      for (let n = 1; n <= 20; n++) {
        yield* Effect.orDie(herd.resize(n))
        yield* pass(50)
      }
      assert.deepStrictEqual(seen.map(([at]) => at), [0, 250, 500, 750, 1_000])
      assert.deepStrictEqual(seen.map(([, size]) => size), [0, 5, 10, 15, 20])
      yield* pass(31_000)
      const heartbeats = seen.slice(5).map(([at]) => at)
      assert.deepStrictEqual(heartbeats, [10_000, 20_000, 30_000])
    }))

  it.scoped("holds one or two events for a reader that doesn't read, and tells it the latest then", () =>
    Effect.gen(function*() {
      const herd = yield* resting
      const pull = yield* Stream.toPull((yield* Monitor.make(herd)).events(false))
      const next = Effect.map(pull, (events) => stateOf(Chunk.unsafeHead(events)).size)
      assert.strictEqual(yield* next, 0)
      for (let n = 1; n <= 50; n++) {
        yield* Effect.orDie(herd.resize(n))
        yield* pass(1_000, 1_000)
      }
      const late: Array<number> = []
      const catchUp = Effect.forever(Effect.map(next, (size) => late.push(size)))
      yield* Effect.forkScoped(Effect.ignore(catchUp))
      yield* turns
      yield* pass(250)
      assert.deepStrictEqual(new Set(late), new Set([50]))
      assert.isAtMost(late.length, 3)
    }))
})
