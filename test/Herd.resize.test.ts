import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, TestClock } from "effect"
import { Herd, HerdError } from "gofherd"
import { pretendNow } from "./utils/now.ts"
import { pretty } from "./utils/pretty.ts"
import { makeStage, turns } from "./utils/stage.ts"

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

describe("size", () => {
  it.scoped("is 1 by default, and what resize set last", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number> })
      assert.strictEqual(yield* herd.size, 1)
      yield* herd.resize(7)
      yield* herd.grow(3)
      yield* herd.shrink(6)
      assert.strictEqual(yield* herd.size, 4)
      assert.strictEqual((yield* herd.state).size, 4)
    }))

  it.scoped("is never exceeded by running units (G1)", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const herd = yield* Herd.make({
        process: (n: number) =>
          Effect.acquireUseRelease(
            Effect.sync(() => most = Math.max(most, ++running)),
            () => n % 3 === 0 ? Effect.yieldNow() : n % 3 === 1 ? turns : Effect.void,
            () => Effect.sync(() => running--)
          ),
        size: 5,
        outcomes: "discard"
      })
      yield* herd.sendAll(range(1, 500))
      yield* herd.awaitIdle
      assert.strictEqual(most, 5)
    }))
})

describe("resize up", () => {
  it.scoped("starts queued work in the same turn of the event loop (G5)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 0, outcomes: "discard" })
      yield* herd.sendAll(range(1, 20))
      yield* turns
      assert.deepStrictEqual(stage.started, [])
      let nextTurn = false
      setImmediate(() => nextTurn = true)
      yield* herd.resize(8)
      while (stage.started.length === 0 && !nextTurn) yield* Effect.yieldNow()
      assert.isFalse(nextTurn)
      while (stage.started.length < 8) yield* turns
      assert.deepStrictEqual(stage.running, range(1, 8))
    }))

  it.scoped("starts all of the queued work that the size allows in that turn, unless it takes more than 8 ms (G5, G13)", () =>
    Effect.gen(function*() {
      const now = performance.now()
      yield* pretendNow(() => now)
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 0, outcomes: "discard" })
      yield* herd.sendAll(range(1, 300))
      yield* turns
      let nextTurn = false
      setImmediate(() => nextTurn = true)
      yield* herd.resize(200)
      while (stage.started.length < 200 && !nextTurn) yield* Effect.yieldNow()
      assert.strictEqual(stage.started.length, 200)
      assert.isFalse(nextTurn)
    }))

  it.scoped("to ten thousand returns at once and makes no gopher without work (G5)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: "discard" })
      yield* herd.resize(10_000)
      assert.strictEqual((yield* herd.state).live, 0)
      yield* herd.send(1)
      yield* herd.awaitIdle
      assert.strictEqual((yield* herd.state).live, 1)
    }))

  it.scoped("keeps 64 idle gophers for what comes next, and no more (G5)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 100, outcomes: "discard" })
      yield* herd.sendAll(range(1, 100))
      yield* turns
      assert.strictEqual((yield* herd.state).live, 100)
      yield* stage.finish
      assert.include(yield* herd.state, { live: 64, running: 0, succeeded: 100 })
    }))

  it.scoped("runs ten thousand units at once if they are there (G1, G5)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 20_000, outcomes: "discard" })
      yield* herd.sendAll(range(1, 10_001))
      yield* herd.resize(10_000)
      while (stage.running.length < 10_000) yield* turns
      yield* turns
      const { live, queued, running } = yield* herd.state
      assert.deepStrictEqual({ live, queued, running }, { live: 10_000, queued: 1, running: 10_000 })
      yield* stage.finish
      yield* herd.awaitIdle
      assert.isAtMost((yield* herd.state).live, 64)
    }))
})

describe("resize down", () => {
  it.scoped("returns at once and lets the surplus finish its unit (G5)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 4, outcomes: "discard" })
      yield* herd.sendAll(range(1, 10))
      yield* turns
      yield* herd.resize(1)
      const settled = yield* Effect.fork(herd.settled)
      yield* turns
      assert.deepStrictEqual(stage.running, [1, 2, 3, 4])
      assert.strictEqual((yield* herd.state).live, 4)
      assert.isNull(settled.unsafePoll())
      yield* stage.succeed(2)
      yield* stage.succeed(4)
      assert.isNull(settled.unsafePoll())
      yield* stage.succeed(1)
      yield* Fiber.join(settled)
      assert.deepStrictEqual(stage.running, [3])
      assert.strictEqual((yield* herd.state).live, 1)
      yield* stage.succeed(3)
      assert.deepStrictEqual(stage.running, [5])
      yield* stage.finish
      assert.strictEqual((yield* herd.state).succeeded, 10)
    }))

  it.scoped("retires idle gophers at once (G5)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 4, outcomes: "discard" })
      yield* herd.sendAll(range(1, 4))
      yield* turns
      yield* stage.finish
      assert.strictEqual((yield* herd.state).live, 4)
      yield* herd.resize(1)
      yield* herd.settled
      assert.strictEqual((yield* herd.state).live, 1)
    }))

  it.scoped("and up again before they have finished, keeps them (G5)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 3, outcomes: "discard" })
      yield* herd.sendAll(range(1, 6))
      yield* turns
      yield* herd.resize(0)
      yield* herd.resize(3)
      yield* herd.settled
      yield* stage.succeed(1)
      assert.deepStrictEqual(stage.running, [2, 3, 4])
    }))

  it.scoped("with mode interrupt puts the units back, latest start first, at the head and with no attempt spent (G5)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const attempts: Array<number> = []
      const herd = yield* Herd.make({
        process: (n: number, { attempt }) => {
          attempts.push(attempt)
          return stage.process(n)
        },
        size: 3,
        outcomes: "discard"
      })
      yield* herd.sendAll(range(1, 5))
      yield* turns
      yield* herd.resize(1, { mode: "interrupt" })
      yield* herd.settled
      assert.deepStrictEqual(stage.running, [1])
      const { accepted, interrupted, live, queued, running } = yield* herd.state
      assert.deepStrictEqual(
        { accepted, interrupted, live, queued, running },
        { accepted: 5, interrupted: 0, live: 1, queued: 4, running: 1 }
      )
      yield* stage.finish
      assert.deepStrictEqual(stage.started.toSorted(), [1, 2, 2, 3, 3, 4, 5])
      assert.deepStrictEqual(stage.started.slice(3, 5).toSorted(), [2, 3])
      assert.isTrue(attempts.every((attempt) => attempt === 1))
      assert.strictEqual((yield* herd.state).succeeded, 5)
    }))

  it.scoped("with mode interrupt waits, in settled, for the finalizers of what it interrupted (G5, G11)", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        process: () => Effect.onInterrupt(Effect.never, () => Deferred.await(release)),
        outcomes: "discard"
      })
      yield* herd.send(1)
      yield* turns
      yield* herd.resize(0, { mode: "interrupt" })
      const settled = yield* Effect.fork(herd.settled)
      yield* turns
      assert.isNull(settled.unsafePoll())
      assert.strictEqual((yield* herd.state).running, 1)
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(settled)
      const { queued, running } = yield* herd.state
      assert.deepStrictEqual({ queued, running }, { queued: 1, running: 0 })
    }))

  it.scoped("with mode interrupt does not put a unit back whose caller gives up meanwhile (G11)", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const herd = yield* Herd.make({ process: () => Effect.onInterrupt(Effect.never, () => Deferred.await(release)) })
      const caller = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* herd.resize(0, { mode: "interrupt" })
      const giving = yield* Effect.fork(Fiber.interrupt(caller))
      yield* turns
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(giving)
      const { interrupted, queued, running } = yield* herd.state
      assert.deepStrictEqual({ interrupted, queued, running }, { interrupted: 1, queued: 0, running: 0 })
    }))

  it.scoped("with mode interrupt puts a unit back that can be cancelled then, like any other (G11)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process })
      const caller = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* herd.resize(0, { mode: "interrupt" })
      yield* herd.settled
      assert.include(yield* herd.state, { queued: 1, running: 0 })
      yield* Fiber.interrupt(caller)
      assert.include(yield* herd.state, { interrupted: 1, queued: 0, running: 0 })
      yield* herd.resize(1)
      yield* turns
      assert.deepStrictEqual(stage.started, [1])
    }))

  it.scoped("with mode interrupt also ends the surplus that an earlier graceful shrink left", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 3, outcomes: "discard" })
      yield* herd.sendAll(range(1, 3))
      yield* turns
      yield* herd.resize(1)
      yield* turns
      assert.strictEqual(stage.running.length, 3)
      yield* herd.resize(1, { mode: "interrupt" })
      yield* herd.settled
      assert.strictEqual(stage.running.length, 1)
    }))

  it.scoped("from inside a unit, interrupting itself, loses nothing", () =>
    Effect.gen(function*() {
      let attempts = 0
      const herd: Herd.Herd<number, void> = yield* Herd.make({
        process: (_: number): Effect.Effect<void> =>
          Effect.suspend(() => ++attempts === 1 ? Effect.orDie(herd.resize(0, { mode: "interrupt" })) : Effect.void),
        outcomes: "discard"
      })
      yield* herd.send(1)
      yield* turns
      assert.strictEqual((yield* herd.state).queued + (yield* herd.state).succeeded, 1)
      yield* herd.resize(1)
      yield* herd.awaitIdle
      assert.strictEqual((yield* herd.state).succeeded, 1)
    }))
})

describe("resize down with an idle gopher on its way to a unit", () => {
  it.scoped("retires that one and interrupts nobody (G5)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 2, outcomes: "discard" })
      yield* herd.sendAll([1, 2])
      yield* turns
      yield* stage.succeed(1)
      // Both in one go: the gopher that was idle has been called, and has not come.
      yield* Effect.zipRight(herd.trySend(3), herd.resize(1, { mode: "interrupt" }))
      yield* turns
      assert.deepStrictEqual([stage.interrupted, stage.running], [[], [2]])
      assert.deepInclude(yield* herd.state, { live: 1, queued: 1 })
      yield* stage.succeed(2)
      assert.deepStrictEqual(stage.running, [3])
    }))
})

describe("resize", () => {
  it.scoped("to the same size changes nothing", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 2, outcomes: "discard" })
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      yield* herd.resize(2)
      yield* herd.settled
      yield* turns
      assert.deepStrictEqual(stage.running, [1, 2])
    }))

  for (const bad of [NaN, 1.5, "3", -1, Infinity, -Infinity, 101, 2 ** 53, null, undefined, {}, [], 3n, true]) {
    it.scoped(`refuses ${typeof bad === "bigint" ? "3n" : JSON.stringify(bad) ?? String(bad)} (${typeof bad}) and changes nothing (G5)`, () =>
      Effect.gen(function*() {
        const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 3, maxSize: 100 })
        const error = yield* Effect.flip(herd.resize(bad as number))
        assert.instanceOf(error, HerdError.InvalidSize)
        assert.strictEqual(error.size, 3)
        assert.match(error.message, /^expected the size of herd "herd.*" to be an integer from 0 to 100, got .+$/)
        assert.strictEqual(yield* herd.size, 3)
      }))
  }

  it.scoped("takes -0 for 0", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number> })
      yield* herd.resize(-0)
      assert.isTrue(Object.is(yield* herd.size, 0))
    }))

  it.scoped("refuses a mode that does not exist, with a defect", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 3 })
      const exit = yield* Effect.exit(herd.resize(1, { mode: "brutal" as "graceful" }))
      assert.match(pretty(exit), /expected mode to be "graceful" or "interrupt", got "brutal"/)
      assert.strictEqual(yield* herd.size, 3)
    }))

  it.scoped("many times at once ends with the last size, and loses no unit (G5)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => turns, size: 3, outcomes: "discard" })
      const sender = yield* Effect.fork(herd.sendAll(range(1, 2_000)))
      yield* Effect.forEach(
        range(1, 200),
        (n) =>
          Effect.zipRight(Effect.yieldNow(), herd.resize(n % 17, { mode: n % 2 === 0 ? "interrupt" : "graceful" })),
        { concurrency: 20, discard: true }
      )
      yield* herd.resize(50)
      yield* Fiber.join(sender)
      yield* herd.awaitIdle
      const { accepted, size, succeeded } = yield* herd.state
      assert.deepStrictEqual({ accepted, size, succeeded }, { accepted: 2_000, size: 50, succeeded: 2_000 })
    }))

  it.scoped("of a drained herd returns at once (G5)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: "discard", size: 3 })
      yield* herd.send(1)
      yield* herd.close
      yield* herd.awaitDrained
      yield* herd.resize(10)
      yield* herd.resize(0)
      yield* herd.settled
      assert.strictEqual(yield* herd.size, 0)
    }))
})

describe("grow and shrink", () => {
  it.scoped("refuse what would leave the bounds, and what is no number of gophers", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 3, maxSize: 10 })
      assert.match((yield* Effect.flip(herd.grow(8))).message, /got 11$/)
      assert.match((yield* Effect.flip(herd.shrink(4))).message, /got -1$/)
      assert.match((yield* Effect.flip(herd.grow(0.5))).message, /got 3 \+ 0.5$/)
      assert.match((yield* Effect.flip(herd.shrink(-2))).message, /got 3 - -2$/)
      assert.strictEqual(yield* herd.size, 3)
    }))
})

describe("size 0", () => {
  it.scoped("starts nothing and loses nothing, also after close; a later resize goes on (G6)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 0, outcomes: "discard" })
      yield* herd.sendAll([1, 2, 3])
      yield* herd.close
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(stage.started, [])
      assert.isFalse((yield* herd.state).drained)
      yield* herd.resize(3)
      yield* turns
      yield* stage.finish
      yield* herd.awaitDrained
      assert.strictEqual((yield* herd.state).succeeded, 3)
    }))
})

describe("pause", () => {
  it.scoped("starts nothing, lets running units end, keeps the size and takes more work (G6)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 2, outcomes: "discard" })
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      yield* herd.pause
      yield* herd.pause
      yield* stage.succeed(1)
      yield* herd.send(4)
      yield* turns
      assert.deepStrictEqual(stage.running, [2])
      assert.strictEqual(yield* herd.size, 2)
      assert.isTrue((yield* herd.state).paused)
      yield* herd.resize(3)
      yield* turns
      assert.deepStrictEqual(stage.running, [2])
      yield* herd.resume
      yield* turns
      assert.deepStrictEqual(stage.running, [2, 3, 4])
      assert.isFalse((yield* herd.state).paused)
    }))

  it.scoped("on the way to a start holds that start back", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, outcomes: "discard" })
      yield* herd.send(1)
      yield* herd.pause
      yield* turns
      assert.deepStrictEqual(stage.started, [])
      assert.strictEqual((yield* herd.state).queued, 1)
      yield* herd.resume
      yield* turns
      assert.deepStrictEqual(stage.started, [1])
    }))
})
