import { assert, describe, it } from "@effect/vitest"
import { Chunk, Context, Deferred, Effect, Exit, Fiber, Layer, LogLevel, Schedule, Stream, TestClock } from "effect"
import { Herd, HerdError } from "gofherd"
import { makeLogs } from "./utils/logs.ts"
import { countingSleeps } from "./utils/sleeps.ts"
import { makeStage, scoped, turns } from "./utils/stage.ts"

/** A herd in a scope that the test closes. */
describe("close (G9)", () => {
  it.scoped("lets what was accepted go on, and then ends outcomes", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process })
      yield* herd.sendAll([1, 2])
      yield* herd.close
      const reader = yield* Effect.fork(Stream.runCollect(herd.outcomes))
      yield* turns
      assert.isFalse((yield* herd.state).drained)
      yield* stage.finish
      assert.strictEqual((yield* Fiber.join(reader)).length, 2)
      assert.isTrue((yield* herd.state).drained)
    }))

  it.scoped("is idempotent", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number> })
      yield* herd.close
      yield* herd.close
      yield* herd.awaitDrained
      assert.isTrue((yield* herd.state).closed)
    }))

  it.scoped("makes every later way of giving work fail with HerdClosed", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, name: "shut" })
      yield* herd.close
      const errors = yield* Effect.all([
        Effect.flip(herd.send(1)),
        Effect.flip(herd.sendAll([1])),
        Effect.flip(herd.trySend(1)),
        Effect.flip(herd.run(1))
      ])
      for (const error of errors) {
        assert.instanceOf(error, HerdError.HerdClosed)
        assert.match(String(error), /expected herd "shut.*" to be open, got closed/)
      }
      assert.strictEqual((yield* herd.state).accepted, 0)
    }))

  it.scoped("makes suspended senders and callers that wait for room fail with HerdClosed", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 0, capacity: 1 })
      yield* herd.send(0)
      const fibers = yield* Effect.all([
        Effect.fork(Effect.flip(herd.send(1))),
        Effect.fork(Effect.flip(herd.sendAll([1, 2]))),
        Effect.fork(Effect.flip(Effect.asVoid(herd.run(1))))
      ])
      yield* turns
      yield* herd.close
      for (const fiber of fibers) assert.instanceOf(yield* Fiber.join(fiber), HerdError.HerdClosed)
      assert.strictEqual((yield* herd.state).accepted, 1)
    }))

  it.scoped("waits for units in their backoff before it ends outcomes", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (_: number, { attempt }) => attempt === 1 ? Effect.fail("again") : Effect.succeed(attempt),
        retry: Schedule.spaced("1 minute")
      })
      yield* herd.send(1)
      yield* herd.close
      const drained = yield* Effect.fork(herd.awaitDrained)
      yield* turns
      assert.isNull(drained.unsafePoll())
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(drained)
      assert.strictEqual((yield* herd.state).succeeded, 1)
    }))
})

describe("the closing of the scope (G10)", () => {
  it.effect("interrupts what is left, waits for its finalizers, settles it as interrupted and logs which it was", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      const finalized: Array<number> = []
      const { close, herd } = yield* scoped(Herd.make({
        name: "left",
        process: (n: number, { attempt }) =>
          n === 1 && attempt === 1 ?
            Effect.fail("again") :
            Effect.onInterrupt(Effect.never, () => Effect.zipRight(turns, Effect.sync(() => finalized.push(n)))),
        retry: Schedule.spaced("1 hour"),
        size: 2
      }))
      // Alone, so that it is the same gopher that has 2 then, and not a race.
      yield* herd.send(1)
      yield* turns
      yield* herd.sendAll([2, 3])
      yield* herd.sendAll(Array.from({ length: 20 }, (_, i) => 4 + i))
      yield* turns
      yield* close
      // They are interrupted together: which one has finished first is nobody's promise.
      assert.sameMembers(finalized, [2, 3])
      const { accepted, closed, drained, interrupted, live } = yield* herd.state
      assert.deepStrictEqual(
        { accepted, closed, drained, interrupted, live },
        { accepted: 23, closed: true, drained: true, interrupted: 23, live: 0 }
      )
      const outcomes = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
      assert.strictEqual(outcomes.length, 23)
      assert.isTrue(outcomes.every(({ status }) => status === "interrupted"))
      assert.strictEqual(new Set(outcomes.map(({ work }) => work.id)).size, 23)
      assert.deepStrictEqual(outcomes.filter(({ attempts }) => attempts === 0).length, 20)
      assert.deepStrictEqual(logs.lines, [
        "WARN [left] stopped with 23 units left over, now interrupted: 2, 3, 1, 4, 5, 6, 7, 8, 9, 10, …"
      ])
    }))
  })

  for (
    const [left, ids] of [[10, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"], [11, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …"]] as const
  ) {
    it.effect(`logs the first ten ids of ${left} units, and says if there are more`, () => {
      const logs = makeLogs(LogLevel.Info)
      return logs.collect(Effect.gen(function*() {
        const { close, herd } = yield* scoped(Herd.make({ process: Effect.succeed<number>, size: 0, name: "left" }))
        yield* herd.sendAll(Array.from({ length: left }, (_, i) => i))
        yield* close
        assert.deepStrictEqual(logs.lines, [
          `WARN [left] stopped with ${left} units left over, now interrupted: ${ids}`
        ])
      }))
    })
  }

  it.effect("logs no more than 100 characters of an id", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      const { close, herd } = yield* scoped(Herd.make({ process: Effect.succeed<number>, size: 0, name: "left" }))
      yield* herd.send(1, { id: "x".repeat(100) })
      yield* herd.send(2, { id: "y".repeat(101) })
      yield* close
      const ids = `${"x".repeat(100)}, ${"y".repeat(99)}…`
      assert.deepStrictEqual(logs.lines, [`WARN [left] stopped with 2 units left over, now interrupted: ${ids}`])
    }))
  })

  it.effect("logs nothing of gophers that are idle", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      const stage = makeStage()
      const { close, herd } = yield* scoped(Herd.make({ process: stage.process, size: 3, name: "left" }))
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      yield* stage.succeed(1)
      yield* stage.succeed(2)
      yield* close
      assert.deepStrictEqual(logs.lines, ["WARN [left] stopped with 1 units left over, now interrupted: 3"])
    }))
  })

  it.effect("gives out the outcomes of what was left a capacity at a time, not a million at once (G4)", () =>
    Effect.gen(function*() {
      const { close, herd } = yield* scoped(
        Herd.make({ process: Effect.succeed<number>, size: 0, outcomes: { capacity: 10 } })
      )
      yield* herd.sendAll(Array.from({ length: 95 }, (_, i) => i))
      yield* close
      const chunks = yield* Stream.runCollect(Stream.chunks(herd.outcomes))
      assert.deepStrictEqual(Chunk.toReadonlyArray(Chunk.map(chunks, Chunk.size)), [
        10,
        10,
        10,
        10,
        10,
        10,
        10,
        10,
        10,
        5
      ])
    }))

  it.effect("settles a unit in its backoff with the attempts it had, and a queued one with none", () =>
    Effect.gen(function*() {
      const { close, herd } = yield* scoped(Herd.make({
        process: (_: string, { attempt }) => Effect.fail(attempt),
        retry: Schedule.union(Schedule.recurs(1), Schedule.spaced("1 hour"))
      }))
      yield* herd.send("retried", { id: "a", priority: 3 })
      yield* turns
      yield* TestClock.adjust("1 minute")
      yield* herd.pause
      yield* herd.send("queued")
      yield* close
      const outcomes = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
      assert.deepStrictEqual(outcomes.map(({ attempts, status, work }) => ({ attempts, status, work })), [
        { attempts: 2, status: "interrupted", work: { id: "a", body: "retried", attempt: 2, priority: 3 } },
        { attempts: 0, status: "interrupted", work: { id: "1", body: "queued", attempt: 1, priority: 0 } }
      ])
    }))

  it.effect("lets units finish for the grace period", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const { close, herd } = yield* scoped(Herd.make({ process: stage.process, gracePeriod: "10 seconds" }))
      yield* herd.sendAll([1, 2])
      yield* turns
      const closing = yield* Effect.fork(close)
      yield* turns
      assert.instanceOf(yield* Effect.flip(herd.send(3)), HerdError.HerdClosed)
      yield* stage.finish
      yield* Fiber.join(closing)
      assert.strictEqual((yield* herd.state).succeeded, 2)
    }))

  it.effect("interrupts what the grace period was too short for", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const { close, herd } = yield* scoped(Herd.make({ process: stage.process, gracePeriod: "10 seconds" }))
      yield* herd.sendAll([1, 2])
      yield* turns
      const closing = yield* Effect.fork(close)
      yield* turns
      yield* stage.succeed(1)
      yield* TestClock.adjust("9999 millis")
      assert.isNull(closing.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(stage.interrupted, [2])
      const { interrupted, succeeded } = yield* herd.state
      assert.deepStrictEqual({ interrupted, succeeded }, { interrupted: 1, succeeded: 1 })
    }))

  it.effect("drain is the grace period before the scope closes, which then waits only for what is left of it", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const { close, herd } = yield* scoped(Herd.make({ process: stage.process, gracePeriod: "10 seconds" }))
      yield* herd.sendAll([1, 2])
      yield* turns
      const draining = yield* Effect.fork(herd.drain)
      yield* turns
      assert.instanceOf(yield* Effect.flip(herd.send(3)), HerdError.HerdClosed)
      yield* TestClock.adjust("9 seconds")
      yield* stage.succeed(1)
      assert.isNull(draining.unsafePoll())
      const closing = yield* Effect.fork(close)
      const again = yield* Effect.fork(herd.drain)
      yield* TestClock.adjust("999 millis")
      assert.isNull(closing.unsafePoll())
      assert.deepStrictEqual(stage.interrupted, [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.joinAll([draining, again, closing])
      assert.deepStrictEqual(stage.interrupted, [2])
    }))

  it.effect("drain ends as soon as the herd is drained; without a grace period at once; and interrupting it changes nothing", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const { herd } = yield* scoped(Herd.make({ process: stage.process, gracePeriod: "10 seconds" }))
      yield* herd.send(1)
      yield* turns
      yield* Effect.forkDaemon(herd.drain).pipe(
        Effect.flatMap((fiber) => Effect.zipRight(turns, Fiber.interrupt(fiber)))
      )
      const draining = yield* Effect.fork(herd.drain)
      yield* turns
      assert.isNull(draining.unsafePoll())
      yield* stage.finish
      yield* Fiber.join(draining)
      assert.isTrue((yield* herd.state).drained)
      const hasty = yield* scoped(Herd.make({ process: stage.process }))
      yield* hasty.herd.send(2)
      yield* turns
      yield* hasty.herd.drain
      const { closed, drained, running } = yield* hasty.herd.state
      assert.deepStrictEqual({ closed, drained, running }, { closed: true, drained: false, running: 1 })
    }))

  it.effect("also works when the fiber that closes it was interrupted", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const made = yield* Deferred.make<Herd.Herd<number, number, string>>()
      const app = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
        const herd = yield* Herd.make({ process: stage.process, gracePeriod: "1 second" })
        yield* Deferred.succeed(made, herd)
        yield* herd.send(1)
        return yield* Effect.never
      })))
      const herd = yield* Deferred.await(made)
      yield* turns
      const stopping = yield* Effect.fork(Fiber.interrupt(app))
      yield* turns
      assert.isNull(stopping.unsafePoll())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(stage.interrupted, [1])
      assert.isTrue((yield* herd.state).drained)
    }))

  it.effect("interrupts callers of run and ends streams", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const { close, herd } = yield* scoped(Herd.make({ process: stage.process }))
      const running = yield* Effect.fork(herd.run(1))
      const queued = yield* Effect.fork(herd.run(2))
      const stream = yield* Effect.fork(Stream.runCollect(herd.stream(Stream.make(3, 4))))
      yield* turns
      yield* close
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(running)))
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(queued)))
      const outcomes = yield* Fiber.join(stream)
      assert.deepStrictEqual(Chunk.toReadonlyArray(outcomes).map(({ status }) => status), [
        "interrupted",
        "interrupted"
      ])
      assert.instanceOf(yield* Effect.flip(herd.run(5)), HerdError.HerdClosed)
    }))

  for (const [name, size, paused] of [["of size 0", 0, false], ["that is paused", 2, true]] as const) {
    it.effect(`of a herd ${name} loses no unit's settlement`, () =>
      Effect.gen(function*() {
        const { close, herd } = yield* scoped(Herd.make({ process: Effect.succeed<number>, size }))
        if (paused) yield* herd.pause
        yield* herd.sendAll([1, 2, 3])
        yield* close
        assert.strictEqual((yield* herd.state).interrupted, 3)
        yield* herd.awaitDrained
        yield* herd.resize(5)
        yield* herd.resume
        yield* turns
        assert.include(yield* herd.state, { live: 0, succeeded: 0 })
      }))
  }
})

describe("state", () => {
  it.scoped("balances at every instant: accepted = queued + running + retrying + succeeded + failed + interrupted (G3)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number, { attempt }): Effect.Effect<void, string> => {
          if (n % 7 === 0) throw new Error("thrown")
          if (n % 5 === 0 && attempt < 3) return Effect.fail("again")
          return n % 3 === 0 ? turns : n % 11 === 0 ? Effect.interrupt : Effect.void
        },
        retry: Schedule.addDelay(Schedule.recurs(3), () => "1 millis"),
        size: 4,
        capacity: 32,
        outcomes: "discard"
      })
      const check = Effect.map(herd.state, (s) => {
        assert.strictEqual(s.accepted, s.queued + s.running + s.retrying + s.succeeded + s.failed + s.interrupted)
        assert.isAtMost(s.running, 8)
        assert.isAtMost(s.queued + s.retrying, 32 + s.live)
      })
      const feeder = yield* Effect.fork(herd.sendAll(Array.from({ length: 1_000 }, (_, i) => i)))
      const cancelled = yield* Effect.fork(Effect.forEach(
        Array.from({ length: 200 }, (_, i) => i),
        (i) => Effect.raceFirst(Effect.exit(herd.run(i)), Effect.yieldNow()),
        { concurrency: 5, discard: true }
      ))
      let rounds = 0
      while (feeder.unsafePoll() === null || cancelled.unsafePoll() === null) {
        rounds++
        yield* check
        if (rounds % 50 === 0) yield* herd.resize(rounds % 9, { mode: rounds % 100 === 0 ? "interrupt" : "graceful" })
        if (rounds % 20 === 0) yield* TestClock.adjust("1 millis")
        yield* Effect.yieldNow()
      }
      yield* herd.resize(4)
      const idle = yield* Effect.fork(herd.awaitIdle)
      while (idle.unsafePoll() === null) {
        yield* check
        yield* TestClock.adjust("1 millis")
      }
      yield* check
      assert.isAtLeast(rounds, 100)
    }))
})

describe("changes", () => {
  it.scoped("gives the state at once and after each turn that changed it, only ever the latest", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 0 })
      yield* turns
      const watcher = yield* Effect.fork(
        Stream.runForEach(herd.changes, ({ queued }) => Effect.sync(() => seen.push(queued)))
      )
      yield* turns
      assert.deepStrictEqual(seen, [0])
      yield* herd.send(1)
      yield* herd.send(2)
      yield* turns
      yield* herd.send(3)
      yield* turns
      assert.deepStrictEqual(seen, [0, 2, 3])
      yield* turns
      assert.deepStrictEqual(seen, [0, 2, 3])
      yield* Fiber.interrupt(watcher)
    }))

  it.scoped("never slows the herd: a reader that is stuck misses states", () =>
    Effect.gen(function*() {
      const stuck = yield* Deferred.make<void>()
      const seen: Array<number> = []
      const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: "discard" })
      const watcher = yield* Effect.fork(
        Stream.runForEach(Stream.take(herd.changes, 2), ({ succeeded }) =>
          Effect.zipRight(Effect.sync(() => seen.push(succeeded)), Deferred.await(stuck)))
      )
      yield* turns
      for (let n = 0; n < 50; n++) {
        yield* herd.send(n)
        yield* turns
      }
      assert.strictEqual((yield* herd.state).succeeded, 50)
      yield* Deferred.succeed(stuck, undefined)
      yield* Fiber.join(watcher)
      assert.deepStrictEqual(seen, [0, 50])
    }))

  it.effect("ends with the scope, after the last state", () =>
    Effect.gen(function*() {
      const { close, herd } = yield* scoped(Herd.make({ process: Effect.succeed<number>, size: 0 }))
      const watcher = yield* Effect.fork(Stream.runLast(herd.changes))
      yield* herd.sendAll([1, 2])
      yield* turns
      yield* close
      const last = yield* Fiber.join(watcher)
      assert.strictEqual(last._tag === "Some" && last.value.interrupted, 2)
    }))
})

describe("awaitIdle", () => {
  it.scoped("waits until nothing is queued, running or retrying, and returns at once if so", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, retry: Schedule.spaced("1 second"), outcomes: "discard" })
      yield* herd.awaitIdle
      yield* herd.sendAll([1, 2])
      const idle = yield* Effect.fork(herd.awaitIdle)
      yield* turns
      yield* stage.fail(1, "again")
      yield* stage.succeed(2)
      assert.isNull(idle.unsafePoll())
      yield* TestClock.adjust("1 second")
      yield* turns
      assert.isNull(idle.unsafePoll())
      yield* stage.finish
      yield* Fiber.join(idle)
    }))
})

describe("awaitIdle of an open herd", () => {
  it.scoped("ends nothing: more work may come, and its outcomes", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process })
      const reader = yield* Effect.fork(Stream.runCollect(herd.outcomes))
      for (const n of [1, 2]) {
        yield* herd.send(n)
        const idle = yield* Effect.fork(herd.awaitIdle)
        yield* turns
        yield* stage.succeed(n)
        yield* Fiber.join(idle)
        assert.include(yield* herd.state, { closed: false, drained: false })
      }
      assert.isNull(reader.unsafePoll())
      yield* herd.close
      assert.deepStrictEqual(Array.from(yield* Fiber.join(reader), ({ work }) => work.body), [1, 2])
    }))
})

describe("name", () => {
  it.scoped("is unique among the herds that live, and free again afterwards", () =>
    Effect.gen(function*() {
      const make = Herd.make({ process: Effect.succeed<number>, name: "twin" })
      const first = yield* make
      const second = yield* make
      assert.deepStrictEqual([first.name, second.name], ["twin", "twin-2"])
      const third = yield* Effect.scoped(Effect.map(make, ({ name }) => name))
      const fourth = yield* Effect.scoped(Effect.map(make, ({ name }) => name))
      assert.deepStrictEqual([third, fourth], ["twin-3", "twin-3"])
    }))
})

describe("layer", () => {
  class Squares extends Context.Tag("test/Squares")<Squares, Herd.Herd<number, number, string>>() {}

  it.effect("provides a herd that is named by the tag's key, and stops it with its scope", () =>
    Effect.gen(function*() {
      const live = Herd.layer(Squares, {
        process: (n) => n < 0 ? Effect.fail("negative") : Effect.succeed(n * n),
        size: 3
      })
      const herd = yield* Effect.provide(
        Effect.gen(function*() {
          const herd = yield* Squares
          assert.strictEqual(herd.name, "test/Squares")
          assert.strictEqual(yield* herd.size, 3)
          assert.strictEqual(yield* herd.run(4), 16)
          return herd
        }),
        live
      )
      assert.isTrue((yield* herd.state).closed)
    }))

  it.effect("takes its options from an Effect, and fails with what that fails with", () =>
    Effect.gen(function*() {
      const options = (size: Effect.Effect<number, string>) =>
        Effect.map(size, (size) => ({ process: (n: number) => Effect.succeed(n), size, name: "configured" }))
      const herd = yield* Effect.provide(Squares, Herd.layer(Squares, options(Effect.succeed(5))))
      assert.strictEqual(herd.name, "configured")
      const error = yield* Effect.flip(Effect.provide(Squares, Herd.layer(Squares, options(Effect.fail("no size")))))
      assert.strictEqual(error, "no size")
    }))

  it.effect("gives process what it requires from the layer's own requirements", () =>
    Effect.gen(function*() {
      class Factor extends Context.Tag("test/Factor")<Factor, number>() {}
      const live = Herd.layer(Squares, { process: (n) => Effect.map(Factor, (factor) => factor * n) })
      const result = yield* Effect.provide(
        Effect.flatMap(Squares, (herd) => herd.run(7)),
        Layer.provide(live, Layer.succeed(Factor, 6))
      )
      assert.strictEqual(result, 42)
    }))
})

describe("logs (G16)", () => {
  it.effect("say at Debug what becomes of the herd, and nothing of its units", () => {
    const logs = makeLogs()
    return logs.collect(Effect.gen(function*() {
      const { close, herd } = yield* scoped(
        Herd.make({ process: Effect.succeed<number>, name: "logged", outcomes: "discard" })
      )
      yield* herd.resize(4)
      yield* herd.resize(4)
      yield* herd.resume
      yield* herd.pause
      yield* herd.pause
      yield* herd.resume
      yield* herd.send(1)
      yield* herd.close
      yield* turns
      yield* close
      assert.deepStrictEqual(logs.lines, [
        "DEBUG [logged] made, with size 1",
        "DEBUG [logged] resized from 1 to 4",
        "DEBUG [logged] paused",
        "DEBUG [logged] resumed",
        "DEBUG [logged] closed",
        "DEBUG [logged] drained"
      ])
    }))
  })

  it.effect("say at Trace when attempts start and end", () => {
    const logs = makeLogs(LogLevel.Trace)
    return logs.collect(
      Effect.gen(function*() {
        const herd = yield* Herd.make({
          process: (_: number, { attempt }) => attempt === 1 ? Effect.fail("no") : Effect.void,
          name: "traced",
          retry: Schedule.recurs(1)
        })
        yield* herd.run(1, { id: "x" })
        assert.deepStrictEqual(logs.lines.filter((line) => line.startsWith("TRACE")), [
          "TRACE [traced] attempt 1 at unit x starts",
          "TRACE [traced] attempt 1 at unit x ends: Failure",
          "TRACE [traced] attempt 2 at unit x starts",
          "TRACE [traced] attempt 2 at unit x ends: Success"
        ])
      }).pipe(Effect.scoped)
    )
  })
})

describe("unread outcomes (G17)", () => {
  it.effect("are warned of once, after holding up gophers for a second, with how to fix it", () => {
    const logs = makeLogs(LogLevel.Warning)
    return logs.collect(
      Effect.gen(function*() {
        const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: { capacity: 3 }, name: "unread" })
        yield* herd.sendAll([1, 2, 3, 4, 5])
        yield* turns
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual(logs.lines, [])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(logs.lines, [
          "WARN [unread] nothing starts, because 3 outcomes are unread: read `outcomes`, or set outcomes: \"discard\""
        ])
        yield* TestClock.adjust("1 minute")
        yield* Stream.runDrain(Stream.take(herd.outcomes, 4))
        yield* herd.sendAll([6, 7, 8, 9])
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(logs.lines.length, 1)
      }).pipe(Effect.scoped)
    )
  })

  it.effect("are waited for no longer than the herd's scope is open", () =>
    countingSleeps((sleeps) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: { capacity: 1 } })
          yield* herd.sendAll([1, 2, 3])
          yield* turns
          assert.strictEqual(sleeps(), 1)
        }))
        yield* turns
        assert.strictEqual(sleeps(), 0)
      })
    ))

  it.effect("are not warned of while somebody reads them, however slowly", () => {
    const logs = makeLogs(LogLevel.Warning)
    return logs.collect(
      Effect.gen(function*() {
        const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: { capacity: 1 } })
        const reader = yield* Effect.fork(Stream.runForEach(herd.outcomes, () => Effect.sleep("900 millis")))
        yield* herd.sendAll([1, 2, 3, 4, 5, 6])
        yield* herd.close
        for (let n = 0; n < 60; n++) yield* TestClock.adjust("100 millis")
        yield* Fiber.join(reader)
        assert.deepStrictEqual(logs.lines, [])
      }).pipe(Effect.scoped)
    )
  })

  it.effect("of a full buffer with nothing more to start are not warned of", () => {
    const logs = makeLogs(LogLevel.Warning)
    return logs.collect(
      Effect.gen(function*() {
        const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: { capacity: 2 } })
        yield* herd.sendAll([1, 2])
        yield* turns
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(logs.lines, [])
      }).pipe(Effect.scoped)
    )
  })
})

describe("maxSize", () => {
  it.scoped("is the option's, or 10,000", () =>
    Effect.gen(function*() {
      const process = (n: number) => Effect.succeed(n)
      assert.strictEqual((yield* Herd.make({ process })).maxSize, 10_000)
      const herd = yield* Herd.make({ process, maxSize: 3 })
      assert.strictEqual(herd.maxSize, 3)
      yield* herd.resize(3)
      assert.strictEqual((yield* Effect.flip(herd.resize(4))).maxSize, 3)
    }))
})
