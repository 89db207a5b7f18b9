import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Exit, Fiber, Logger, LogLevel, Metric, Stream, TestClock } from "effect"
import { Herd, HerdMetrics } from "gofherd"
import { makeLogs } from "./utils/logs.ts"
import { pretendNow } from "./utils/now.ts"
import { pretty } from "./utils/pretty.ts"
import { turns } from "./utils/stage.ts"

/** A resource that numbers itself, and notes its birth and its end. */
const makeResource = () => {
  const events: Array<string> = []
  let born = 0
  return {
    events,
    acquire: Effect.acquireRelease(
      Effect.sync(() => {
        events.push(`+${++born}`)
        return born
      }),
      (id, exit) =>
        Effect.sync(() => events.push(`-${id}${Exit.isFailure(exit) && !Exit.isInterrupted(exit) ? "!" : ""}`))
    )
  }
}

describe("a gopher that owns a resource", () => {
  it.scoped("acquires it when the gopher is born, at once up to the size, and uses it for all of its units", () =>
    Effect.gen(function*() {
      const { acquire, events } = makeResource()
      const herd = yield* Herd.make({
        gopher: Effect.map(acquire, (id) => (n: number) => Effect.succeed(`${n} by ${id}`)),
        size: 3
      })
      yield* turns
      assert.deepStrictEqual(events, ["+1", "+2", "+3"])
      assert.strictEqual((yield* herd.state).live, 3)
      for (let n = 0; n < 9; n++) assert.match(yield* herd.run(n), new RegExp(`^${n} by [123]$`))
      assert.deepStrictEqual(events, ["+1", "+2", "+3"])
    }))

  it.scoped(
    "is made with many others over several turns of the event loop, so that a large herd does not hold it up (G13)",
    () =>
      Effect.gen(function*() {
        const { acquire, events } = makeResource()
        const herd = yield* Herd.make({ gopher: Effect.as(acquire, (n: number) => Effect.succeed(n)), size: 0 })
        yield* turns
        yield* herd.resize(10_000)
        assert.isBelow((yield* herd.state).live, 10_000)
        yield* Effect.repeat(turns, { until: () => events.length === 10_000 })
        assert.strictEqual((yield* herd.state).live, 10_000)
        yield* herd.resize(0)
        yield* herd.settled
        yield* herd.resize(10_000)
        yield* herd.resize(70)
        yield* turns
        yield* herd.settled
        assert.strictEqual((yield* herd.state).live, 70)
      }),
    30_000
  )

  it.scoped("is made at once with as many as 4 ms allow, and with the others in the turns after that (G13)", () =>
    Effect.gen(function*() {
      let now = 0
      // A millisecond from one look at the clock to the next.
      yield* pretendNow(() => now++)
      const herd = yield* Herd.make({ gopher: Effect.succeed((n: number) => Effect.succeed(n)), size: 0 })
      yield* turns
      const { live } = yield* Effect.zipRight(herd.resize(15), herd.state)
      assert.strictEqual(live, 4)
      yield* Effect.repeatN(turns, 4)
      assert.strictEqual((yield* herd.state).live, 15)
    }))

  it.scoped("stays when it is idle, however many they are", () =>
    Effect.gen(function*() {
      const { acquire, events } = makeResource()
      const herd = yield* Herd.make({ gopher: Effect.as(acquire, (n: number) => Effect.as(turns, n)), size: 100 })
      yield* Effect.repeat(turns, { until: () => events.length === 100 })
      yield* Effect.forEach(events, (_, n) => herd.run(n), { concurrency: "unbounded" })
      yield* turns
      assert.strictEqual(events.length, 100)
      assert.strictEqual((yield* herd.state).live, 100)
    }))

  it.scoped("is not replaced by a resize that leaves it its place, not even on its way to a unit (G5)", () =>
    Effect.gen(function*() {
      const { acquire, events } = makeResource()
      const herd = yield* Herd.make({ gopher: Effect.as(acquire, (n: number) => Effect.succeed(n)), size: 2 })
      yield* turns
      yield* herd.send(1)
      yield* herd.resize(3)
      yield* herd.send(2)
      yield* herd.resize(3, { mode: "interrupt" })
      yield* herd.awaitIdle
      yield* turns
      assert.deepStrictEqual(events, ["+1", "+2", "+3"])
    }))

  it.scoped("releases it when the gopher retires, and acquires another when the herd grows (G5)", () =>
    Effect.gen(function*() {
      const { acquire, events } = makeResource()
      const herd = yield* Herd.make({
        gopher: Effect.map(acquire, (id) => (_: void) => Effect.succeed(id)),
        size: 2
      })
      yield* turns
      yield* herd.resize(0)
      yield* herd.settled
      assert.sameMembers(events.slice(2), ["-1", "-2"])
      assert.strictEqual((yield* herd.state).live, 0)
      yield* herd.resize(1)
      assert.strictEqual(yield* herd.run(), 3)
    }))

  it.scoped("keeps it until a busy gopher's unit has ended, and counts as live until it is released", () =>
    Effect.gen(function*() {
      const unit = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        gopher: Effect.as(
          Effect.acquireRelease(Effect.void, () => Deferred.await(release)),
          (_: void) => Deferred.await(unit)
        )
      })
      const caller = yield* Effect.fork(herd.run())
      yield* turns
      yield* herd.resize(0)
      const settled = yield* Effect.fork(herd.settled)
      yield* Deferred.succeed(unit, undefined)
      yield* Fiber.join(caller)
      yield* turns
      assert.isNull(settled.unsafePoll())
      assert.strictEqual((yield* herd.state).live, 1)
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(settled)
    }))

  it.scoped("is replaced by a fresh one when a unit dies of a defect, but not when it fails (G7)", () =>
    Effect.gen(function*() {
      const { acquire, events } = makeResource()
      const herd = yield* Herd.make({
        gopher: Effect.map(
          acquire,
          (id) => (n: number) => n === 0 ? Effect.die("broken") : n < 0 ? Effect.fail("no") : Effect.succeed(id)
        )
      })
      assert.strictEqual(yield* herd.run(1), 1)
      assert.strictEqual(yield* Effect.flip(herd.run(-1)), "no")
      assert.strictEqual(yield* herd.run(1), 1)
      assert.deepStrictEqual(yield* Effect.exit(herd.run(0)), Exit.die("broken"))
      assert.strictEqual(yield* herd.run(1), 2)
      assert.deepStrictEqual(events, ["+1", "-1!", "+2"])
    }))

  it.effect("says in the log that a gopher is replaced (G16)", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(
      Effect.gen(function*() {
        const herd = yield* Herd.make({
          gopher: Effect.succeed((_: void) => Effect.die(new Error("broken"))),
          name: "fragile"
        })
        yield* Effect.exit(herd.run())
        yield* turns
        assert.deepStrictEqual(logs.lines, ["INFO [fragile] a gopher is replaced, since its unit 1 died Error: broken"])
      }).pipe(Effect.scoped)
    )
  })

  it.scoped("is tried again with a growing delay when acquiring dies; that is logged and counted", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      let attempts = 0
      const herd = yield* Herd.make({
        name: "unlucky",
        gopher: Effect.suspend(() =>
          ++attempts < 5 ? Effect.dieMessage(`no luck ${attempts}`) : Effect.succeed((n: number) => Effect.succeed(n))
        )
      })
      const caller = yield* Effect.fork(herd.run(7))
      yield* turns
      const seen = [attempts]
      for (const millis of [99, 1, 199, 1, 399, 1, 799, 1]) {
        yield* TestClock.adjust(millis)
        yield* turns
        seen.push(attempts)
      }
      assert.deepStrictEqual(seen, [1, 1, 2, 2, 3, 3, 4, 4, 5])
      assert.strictEqual(yield* Fiber.join(caller), 7)
      assert.deepStrictEqual(logs.lines.slice(0, 2), [
        "WARN [unlucky] a gopher failed to acquire its resource, 1 in a row, next attempt in 100ms RuntimeException: no luck 1",
        "WARN [unlucky] a gopher failed to acquire its resource, 2 in a row, next attempt in 200ms RuntimeException: no luck 2"
      ])
      const { count } = yield* Metric.value(Metric.tagged(HerdMetrics.acquireFailures, "herd", herd.name))
      assert.strictEqual(count, 4)
    }))
  })

  it.scoped("is warned of once for each cause, of all gophers and attempts until one succeeds, and counted each time (G16)", () => {
    const logs = makeLogs(LogLevel.Debug)
    return logs.collect(Effect.gen(function*() {
      let reason: string | undefined = "no luck"
      const acquire = Effect.suspend(() =>
        reason === undefined ? Effect.succeed((n: number) => Effect.succeed(n)) : Effect.dieMessage(reason)
      )
      const herd = yield* Herd.make({ name: "quiet", gopher: acquire, size: 3 })
      const told = (level: string) =>
        logs.lines.filter((line) => line.startsWith(level) && line.includes("failed to")).length
      const after = (millis: number) => Effect.zipRight(TestClock.adjust(millis), turns)
      yield* turns
      yield* after(100)
      assert.deepStrictEqual([told("WARN"), told("DEBUG")], [1, 5])
      reason = "another reason"
      yield* after(200)
      assert.deepStrictEqual([told("WARN"), told("DEBUG")], [2, 7])
      reason = undefined
      yield* after(400)
      reason = "another reason"
      yield* herd.resize(4)
      yield* turns
      assert.deepStrictEqual([told("WARN"), told("DEBUG")], [3, 7])
      const { count } = yield* Metric.value(Metric.tagged(HerdMetrics.acquireFailures, "herd", herd.name))
      assert.strictEqual(count, 10)
    }))
  })

  it.scoped("is tried again after 30 s at the most, however often it has failed", () =>
    Effect.gen(function*() {
      let attempts = 0
      yield* Herd.make({
        gopher: Effect.suspend(() => {
          attempts++
          return Effect.dieMessage("no luck")
        })
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
      yield* turns
      for (let millis = 100; millis < 30_000; millis *= 2) {
        yield* TestClock.adjust(millis)
        yield* turns
      }
      const before = attempts
      for (let n = 1; n <= 3; n++) {
        yield* TestClock.adjust("29 seconds")
        yield* turns
        assert.strictEqual(attempts, before + n - 1)
        yield* TestClock.adjust("1 second")
        yield* turns
        assert.strictEqual(attempts, before + n)
      }
    }))

  it.scoped("takes nothing from trySend by hand-off before it has its resource (G4)", () =>
    Effect.gen(function*() {
      const acquired = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        gopher: Effect.as(Deferred.await(acquired), (n: number) => Effect.as(Effect.never, n)),
        size: 2,
        capacity: 0,
        outcomes: "discard"
      })
      yield* turns
      assert.isFalse(yield* herd.trySend(1))
      yield* Deferred.succeed(acquired, undefined)
      yield* turns
      const answers = [yield* herd.trySend(1), yield* herd.trySend(2), yield* herd.trySend(3)]
      assert.deepStrictEqual(answers, [true, true, false])
    }))

  it.scoped("retires at once while it acquires or waits to try again", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const slow = yield* Herd.make({
        gopher: Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)),
        size: 2
      })
      const broken = yield* Herd.make({ gopher: Effect.dieMessage("broken"), size: 2 })
      yield* turns
      yield* slow.resize(1)
      yield* slow.settled
      assert.strictEqual(interrupted, 1)
      yield* broken.resize(0)
      yield* broken.settled
      assert.strictEqual((yield* broken.state).live, 0)
    }))

  it.effect("is released when the scope closes, also in the middle of a unit, after the unit's own finalizers (G10)", () =>
    Effect.gen(function*() {
      const { acquire, events } = makeResource()
      yield* Effect.scoped(Effect.gen(function*() {
        const herd = yield* Herd.make({
          gopher: Effect.as(
            acquire,
            (_: void) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => events.push("unit")))
          ),
          size: 2
        })
        yield* Effect.fork(herd.run())
        yield* turns
      }))
      assert.sameMembers(events, ["+1", "+2", "unit", "-1", "-2"])
      assert.isBelow(events.indexOf("unit"), events.findLastIndex((event) => event.startsWith("-")))
    }))

  it.effect("is not replaced while the scope closes, however long another one takes to be released (G10)", () =>
    Effect.gen(function*() {
      const { acquire, events } = makeResource()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Herd.make({
          gopher: Effect.map(
            Effect.tap(acquire, (id) => Effect.addFinalizer(() => id === 1 ? Effect.void : turns)),
            () => Effect.succeed<number>
          ),
          size: 2
        })
        yield* turns
      }))
      assert.deepStrictEqual(events, ["+1", "+2", "-1", "-2"])
    }))

  it.scoped("that yields no function is told so", () => {
    const logs = makeLogs(LogLevel.Warning)
    return logs.collect(Effect.gen(function*() {
      yield* Herd.make({ gopher: Effect.succeed(7) as never })
      yield* turns
      assert.match(logs.lines.join(), /expected gopher to yield a function, got 7/)
    }))
  })

  it.scoped("keeps the fibers that its resource forked when a unit's own are interrupted (G12)", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const child = (name: string) =>
        Effect.fork(Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended.push(name))))
      const heartbeat = yield* Deferred.make<Fiber.RuntimeFiber<never>>()
      const herd = yield* Herd.make({
        gopher: Effect.as(
          Effect.tap(child("heartbeat"), (fiber) => Deferred.succeed(heartbeat, fiber)),
          (_: void) => Effect.zipRight(child("unit"), Effect.yieldNow())
        )
      })
      yield* herd.run()
      yield* herd.run()
      yield* turns
      assert.deepStrictEqual(ended, ["unit", "unit"])
      // It may be interrupted before it has begun, too.
      assert.isNull((yield* Deferred.await(heartbeat)).unsafePoll())
    }))

  it.scoped("starts the FiberRefs of its units from what acquiring set", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        gopher: Effect.as(Effect.annotateLogsScoped("page", 7), (_: void) => Effect.logAnnotations)
      })
      assert.match(String(yield* herd.run()), /page/)
      assert.match(String(yield* herd.run()), /page/)
    }))

  it.scoped("works through a queue like any other", () =>
    Effect.gen(function*() {
      const { acquire } = makeResource()
      const herd = yield* Herd.make({
        gopher: Effect.map(acquire, (id) => (n: number) => n % 10 === 0 ? Effect.die(n) : Effect.as(turns, id)),
        size: 4
      })
      yield* Effect.fork(Effect.zipRight(herd.sendAll(Array.from({ length: 100 }, (_, i) => i)), herd.close))
      const outcomes = yield* Stream.runCollect(herd.outcomes)
      assert.strictEqual(outcomes.length, 100)
      assert.strictEqual(Chunk.filter(outcomes, ({ status }) => status === "failure").length, 10)
      assert.isTrue(pretty(Chunk.unsafeHead(Chunk.filter(outcomes, ({ work }) => work.body === 0)).exit).includes("0"))
    }))
})
