import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Metric, Schedule, Schema, Scope, Stream } from "effect"
import { Herd, HerdMetrics } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"
import { readFileSync } from "node:fs"
import { scrape } from "../src/internal/prometheus.ts"
import { makeStage, turns } from "./utils/stage.ts"

const {
  acquireFailures,
  replacements,
  attemptDuration,
  failure,
  interrupted,
  paused,
  queued,
  resizes,
  retry,
  retrying,
  running,
  senders,
  size,
  success,
  wait
} = HerdMetrics

const counters = { success, retry, failure, interrupted, resizes, acquireFailures, replacements }
const gauges = { size, running, queued, retrying, senders, paused }

const read = (herd: string) =>
  Effect.all({
    ...Object.fromEntries(
      Object.entries(counters).map((
        [name, metric]
      ) => [name, Effect.map(Metric.value(Metric.tagged(metric, "herd", herd)), ({ count }) => count)])
    ),
    ...Object.fromEntries(
      Object.entries(gauges).map((
        [name, metric]
      ) => [name, Effect.map(Metric.value(Metric.tagged(metric, "herd", herd)), ({ value }) => value)])
    )
  })

const zero = {
  success: 0,
  retry: 0,
  failure: 0,
  interrupted: 0,
  resizes: 0,
  acquireFailures: 0,
  replacements: 0,
  size: 0,
  running: 0,
  queued: 0,
  retrying: 0,
  senders: 0,
  paused: 0
}

describe("HerdMetrics", () => {
  it.scoped("sorts times into buckets from 100 µs to 5 min", () =>
    Effect.gen(function*() {
      yield* Herd.make({ process: Effect.succeed<number>, name: "buckets" })
      const bounds = (metric: string) =>
        Array.from(
          scrape().matchAll(new RegExp(`^${metric}_bucket\\{herd="buckets",le="(.+)"\\}`, "gm")),
          ([, le]) => le
        )
      const seconds = "0.0001 0.0005 0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 60 300 +Inf".split(" ")
      assert.deepStrictEqual(bounds("gofherd_attempt_duration_seconds"), seconds)
      assert.deepStrictEqual(bounds("gofherd_wait_seconds"), seconds)
    }))

  it.scoped("are all there, at zero, with a description, from the moment a herd is made", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, name: "zero", size: 0 })
      assert.deepStrictEqual<unknown>(yield* read(herd.name), zero)
      const registered = Metric.unsafeSnapshot().filter(({ metricKey }) =>
        metricKey.tags.some(({ value }) => value === herd.name)
      )
      assert.strictEqual(registered.length, 15)
      for (const { metricKey } of registered) {
        assert.match(metricKey.name, /^gofherd_[a-z_]+$/)
        assert.strictEqual(metricKey.description._tag, "Some")
        assert.deepStrictEqual(metricKey.tags.map(({ key }) => key), ["herd"])
      }
    }))

  it.scoped("are those of the README, each of that kind, with a HELP", () =>
    Effect.gen(function*() {
      const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")
      const listed = Array.from(readme.matchAll(/^\| (`gofherd_.+) \| (\w+) \|/gm), ([, names = "", kind]) =>
        Array.from(names.matchAll(/`(\w+)`/g), ([, name]) => `${name} ${kind}`)).flat()
      // It has those of every herd, and some more.
      const herd = yield* DurableHerd.make({
        schema: Schema.Number,
        process: Effect.succeed<number>,
        name: "of the README",
        size: 0
      }).pipe(Effect.provide(HerdSource.layerMemory()))
      const told = scrape().split(/^(?=# HELP )/m).filter((family) =>
        family.includes(`{herd="${herd.name}"`)
      ).map(
        (family) => {
          const [, name, type] = /^# HELP (\w+) \S.*\n# TYPE \1 (\w+)\n/.exec(family) ?? assert.fail(family)
          return `${name} ${type}`
        }
      )
      assert.sameMembers(told, listed)
    }))

  it.scoped("count every status, and equal the state", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number, { attempt }) =>
          n === 1 || (n === 2 && attempt === 1) ? Effect.fail("no") : Effect.succeed(n),
        retry: Schedule.recurs(1),
        name: "counts"
      })
      yield* herd.sendAll([1, 2, 3, 4])
      yield* herd.close
      yield* Stream.runDrain(herd.outcomes)
      assert.deepStrictEqual<unknown>(yield* read(herd.name), { ...zero, success: 3, retry: 2, failure: 1, size: 1 })
      const { failed, retried, succeeded } = yield* herd.state
      assert.deepStrictEqual({ failed, retried, succeeded }, { failed: 1, retried: 2, succeeded: 3 })
    }))

  it.scoped("show what waits, runs and backs off, and every change of the size", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({
        process: stage.process,
        retry: Schedule.spaced("1 hour"),
        size: 3,
        name: "gauges"
      })
      yield* herd.sendAll([1, 2, 3, 4, 5])
      yield* herd.resize(2)
      yield* herd.resize(2)
      yield* turns
      yield* stage.fail(1, "later")
      yield* turns
      assert.deepStrictEqual<unknown>(yield* read(herd.name), {
        ...zero,
        retry: 1,
        resizes: 1,
        size: 2,
        running: 2,
        queued: 2,
        retrying: 1
      })
    }))

  it.scoped("say whether the herd is paused", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, name: "pausing" })
      yield* herd.pause
      yield* turns
      assert.deepInclude(yield* read(herd.name), { paused: 1 })
      yield* herd.resume
      yield* turns
      assert.deepInclude(yield* read(herd.name), { paused: 0 })
    }))

  it.scoped("are up to date when run has returned, when idle, and when outcomes were read", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, name: "fresh" })
      const count = Effect.map(Metric.value(Metric.tagged(success, "herd", herd.name)), ({ count }) => count)
      yield* herd.run(1)
      assert.strictEqual(yield* count, 1)
      yield* herd.send(2)
      yield* herd.awaitIdle
      assert.strictEqual(yield* count, 2)
      yield* herd.send(3)
      yield* Stream.runDrain(Stream.take(herd.outcomes, 2))
      assert.strictEqual(yield* count, 3)
    }))

  it.scoped("of two herds never mix, also if they were given the same name", () =>
    Effect.gen(function*() {
      const make = Herd.make({ process: (n: number) => n < 0 ? Effect.fail("no") : Effect.succeed(n), name: "same" })
      const [one, two] = [yield* make, yield* make]
      yield* one.run(1)
      yield* Effect.flip(two.run(-1))
      yield* two.run(1)
      yield* two.run(1)
      assert.deepInclude(yield* read(one.name), { success: 1, failure: 0 })
      assert.deepInclude(yield* read(two.name), { success: 2, failure: 1 })
    }))

  it.scoped("measure each attempt and each wait, in seconds", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (_: number, { attempt }) =>
          Effect.zipRight(
            Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 30))),
            attempt === 1 ? Effect.fail("again") : Effect.void
          ),
        retry: Schedule.recurs(1),
        name: "timed"
      })
      yield* Fiber.join(yield* Effect.fork(Effect.all([herd.run(1), herd.run(2)], { concurrency: 2 })))
      const attempts = yield* Metric.value(Metric.tagged(attemptDuration, "herd", herd.name))
      const waits = yield* Metric.value(Metric.tagged(wait, "herd", herd.name))
      assert.deepStrictEqual([attempts.count, waits.count], [4, 4])
      assert.isAtLeast(attempts.min, 0.025)
      assert.isBelow(attempts.sum, 2)
      // The second of the two waited for the first one's attempt, and each retry for the other
      // unit.
      assert.isAtLeast(waits.sum, 0.08)
      assert.isBelow(waits.sum, 2)
    }))

  it.scoped("measure the wait of a unit that was put back, also when its queue had run empty meanwhile", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 2, outcomes: "discard", name: "putback" })
      yield* herd.send(1, { priority: 5 })
      yield* herd.send(2)
      yield* turns
      yield* herd.resize(0, { mode: "interrupt" })
      yield* herd.settled
      yield* herd.resize(1)
      yield* turns
      yield* stage.finish
      const { count, sum } = yield* Metric.value(Metric.tagged(wait, "herd", herd.name))
      assert.strictEqual(count, 4)
      assert.isFalse(Number.isNaN(sum))
    }))

  it.scoped("follow, and changes does too, when a backoff begins, a unit is put back late, or a gopher ends late", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        process: (n: number) =>
          n === 1 ? Effect.fail("later") : Effect.onInterrupt(Effect.never, () => Deferred.await(release)),
        retry: Schedule.spaced("1 hour"),
        outcomes: "discard",
        name: "late"
      })
      let latest: Herd.HerdState | undefined
      yield* Effect.forkScoped(Stream.runForEach(herd.changes, (state) => Effect.sync(() => latest = state)))
      const follow = Effect.gen(function*() {
        yield* turns
        const state = yield* herd.state
        assert.deepStrictEqual(latest, state)
        const { queued, retrying, running, size } = state
        assert.deepInclude(yield* read(herd.name), { queued, retrying, running, size })
      })
      yield* herd.send(1)
      yield* follow
      assert.strictEqual((yield* herd.state).retrying, 1)
      yield* herd.send(2)
      yield* follow
      yield* herd.resize(0, { mode: "interrupt" })
      yield* follow
      assert.strictEqual((yield* herd.state).running, 1)
      yield* Deferred.succeed(release, undefined)
      yield* follow
      const { live, queued } = yield* herd.state
      assert.deepStrictEqual([live, queued], [0, 1])
    }))

  it.effect("return to zero, the gauges, when the herd's scope has closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const herd = yield* Scope.extend(Herd.make({ process: () => Effect.never, size: 2, name: "gone" }), scope)
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual<unknown>(yield* read(herd.name), { ...zero, interrupted: 3 })
      yield* turns
      assert.deepStrictEqual<unknown>(yield* read(herd.name), { ...zero, interrupted: 3 })
    }))

  it.effect("of a herd that was paused to its end are not those of the next one of its name", () =>
    Effect.gen(function*() {
      const make = Herd.make({ process: () => Effect.void, name: "successive" })
      yield* Effect.scoped(Effect.flatMap(make, (herd) => herd.pause))
      yield* Effect.scoped(Effect.gen(function*() {
        const herd = yield* make
        assert.strictEqual(herd.name, "successive")
        assert.deepStrictEqual<unknown>(yield* read(herd.name), { ...zero, size: 1 })
      }))
    }))

  it.effect("of a herd that has stopped never change again, whatever is done with it: its name may be another one's", () =>
    Effect.gen(function*() {
      const make = Herd.make({ process: () => Effect.void, name: "reused" })
      const stopped = yield* Effect.scoped(make)
      yield* Effect.scoped(Effect.gen(function*() {
        const herd = yield* make
        assert.strictEqual(herd.name, "reused")
        yield* stopped.resize(7)
        yield* stopped.pause
        yield* turns
        assert.strictEqual(yield* stopped.size, 7)
        assert.deepStrictEqual<unknown>(yield* read("reused"), { ...zero, size: 1 })
      }))
    }))
})
