import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Random,
  Schedule,
  Stream,
  TestClock
} from "effect"
import { Herd } from "gofherd"
import { living } from "./utils/garbage.ts"
import { pretendNow } from "./utils/now.ts"
import { pretty } from "./utils/pretty.ts"
import { countingSleeps } from "./utils/sleeps.ts"
import { makeStage, scoped, turns } from "./utils/stage.ts"

class Flaky extends Error {
  readonly _tag = "Flaky"
  readonly attempt: number
  constructor(attempt: number) {
    super(`attempt ${attempt}`)
    this.attempt = attempt
  }
}

/**
 * An effect that fails `failures` times, and the times, in milliseconds, at which it was attempted.
 */
const flaky = (failures: number) => {
  const times: Array<number> = []
  return {
    times,
    attempt: Effect.flatMap(Clock.currentTimeMillis, (now) => {
      times.push(now)
      return times.length <= failures ? Effect.fail(new Flaky(times.length)) : Effect.succeed(times.length)
    })
  }
}

/** Lets time pass from one end of a sleep to the next, until nobody sleeps any more. */
const letTimePass: Effect.Effect<void> = Effect.gen(function*() {
  yield* turns
  const ends = yield* TestClock.sleeps()
  if (Chunk.isEmpty(ends)) return
  yield* TestClock.setTime(Math.min(...ends))
  yield* letTimePass
})

const schedules: Record<string, { readonly failures: number; readonly schedule: Schedule.Schedule<unknown, Flaky> }> = {
  "recurs": { failures: 10, schedule: Schedule.recurs(3) },
  "recurs, enough": { failures: 2, schedule: Schedule.recurs(3) },
  "spaced and recurs": {
    failures: 10,
    schedule: Schedule.intersect(Schedule.spaced("250 millis"), Schedule.recurs(4))
  },
  "exponential and recurs": {
    failures: 10,
    schedule: Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(5))
  },
  "exponential, capped by a union": {
    failures: 8,
    schedule: Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced("500 millis"))
  },
  "exponential, jittered": {
    failures: 6,
    schedule: Schedule.intersect(Schedule.jittered(Schedule.exponential("100 millis")), Schedule.recurs(5))
  },
  "fibonacci": { failures: 6, schedule: Schedule.fibonacci("50 millis") },
  "whileInput": {
    failures: 10,
    schedule: Schedule.whileInput(Schedule.spaced("20 millis"), (e: Flaky) => e.attempt < 4)
  },
  "upTo": { failures: 1_000, schedule: Schedule.upTo(Schedule.spaced("300 millis"), "2 seconds") },
  "fixed": { failures: 4, schedule: Schedule.fixed("130 millis") },
  "windowed": { failures: 4, schedule: Schedule.windowed("170 millis") },
  "andThen": {
    failures: 9,
    schedule: Schedule.andThen(Schedule.recurs(2), Schedule.intersect(Schedule.spaced("1 second"), Schedule.recurs(3)))
  },
  "delayed and modified": {
    failures: 5,
    schedule: Schedule.modifyDelay(Schedule.recurs(4), (n) => Duration.millis(Number(n) * 70))
  },
  "never": { failures: 3, schedule: Schedule.stop }
}

describe("retry (G8)", () => {
  for (const [name, { failures, schedule }] of Object.entries(schedules)) {
    it.scoped(`attempts a unit when Effect.retry would: ${name}`, () =>
      Effect.gen(function*() {
        const seeded = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.withRandom(effect, Random.make("seed"))
        const expected = flaky(failures)
        const actual = flaky(failures)
        const herd = yield* seeded(Herd.make({ process: () => actual.attempt, retry: schedule }))
        const alone = yield* Effect.fork(seeded(Effect.either(Effect.retry(expected.attempt, schedule))))
        const caller = yield* Effect.fork(Effect.either(herd.run(undefined)))
        yield* letTimePass
        assert.deepStrictEqual(actual.times, expected.times)
        assert.deepStrictEqual<unknown>(yield* Fiber.join(caller), yield* Fiber.join(alone))
        assert.strictEqual((yield* herd.state).retried, actual.times.length - 1)
      }))
  }

  it.scoped("keeps the state of the Schedule per unit", () =>
    Effect.gen(function*() {
      const retry = Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(2))
      const attempts: Array<string> = []
      const herd = yield* Herd.make({
        process: (name: string, { attempt }) => {
          attempts.push(`${name}${attempt}`)
          return Effect.fail(name)
        },
        retry,
        outcomes: "discard"
      })
      yield* herd.send("a")
      yield* turns
      yield* TestClock.adjust("100 millis")
      yield* herd.send("b")
      yield* turns
      assert.deepStrictEqual(attempts, ["a1", "a2", "b1"])
      yield* TestClock.adjust("100 millis")
      yield* turns
      assert.deepStrictEqual(attempts, ["a1", "a2", "b1", "b2"])
      yield* TestClock.adjust("100 millis")
      yield* turns
      assert.deepStrictEqual(attempts, ["a1", "a2", "b1", "b2", "a3"])
      yield* TestClock.adjust("1 second")
      yield* herd.awaitIdle
      assert.strictEqual((yield* herd.state).failed, 2)
    }))

  it.scoped("holds no gopher during a backoff, and a due unit enters the queue at its tail", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, retry: Schedule.spaced("1 second"), outcomes: "discard" })
      yield* herd.sendAll([1, 2])
      yield* turns
      yield* stage.fail(1, "once")
      assert.deepStrictEqual(stage.running, [2])
      const { queued, retrying, running } = yield* herd.state
      assert.deepStrictEqual({ queued, retrying, running }, { queued: 0, retrying: 1, running: 1 })
      yield* herd.send(3)
      yield* TestClock.adjust("1 second")
      yield* herd.send(4)
      yield* turns
      assert.strictEqual((yield* herd.state).queued, 3)
      yield* stage.finish
      assert.deepStrictEqual(stage.started, [1, 2, 3, 1, 4])
    }))

  it.scoped("wakes for the earliest of many backoffs, whatever the order they began in", () =>
    Effect.gen(function*() {
      const done: Array<number> = []
      const herd = yield* Herd.make({
        process: (millis: number, { attempt }) =>
          attempt === 1 ? Effect.fail(millis) : Effect.sync(() => done.push(millis)),
        retry: Schedule.identity<number>().pipe(Schedule.addDelay((millis) => Duration.millis(millis))),
        outcomes: "discard"
      })
      yield* herd.sendAll([500, 100, 300, 100, 400, 200])
      yield* turns
      assert.strictEqual((yield* herd.state).retrying, 6)
      for (let n = 0; n < 5; n++) {
        yield* TestClock.adjust("100 millis")
        yield* turns
      }
      assert.deepStrictEqual(done, [100, 100, 200, 300, 400, 500])
    }))

  it.scoped("brings back units that are due at the same time in the order they failed in", () =>
    Effect.gen(function*() {
      const again: Array<number> = []
      const bodies = Array.from({ length: 20 }, (_, n) => n)
      const herd = yield* Herd.make({
        process: (n: number, { attempt }) => attempt === 1 ? Effect.fail("again") : Effect.sync(() => again.push(n)),
        retry: Schedule.spaced("1 second"),
        outcomes: "discard"
      })
      yield* herd.sendAll(bodies)
      yield* turns
      yield* TestClock.adjust("1 second")
      yield* herd.awaitIdle
      assert.deepStrictEqual(again, bodies)
    }))

  it.effect("sleeps once for all units that wait, however many, and no more when the scope has closed", () =>
    countingSleeps((sleeps) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const herd = yield* Herd.make({
            process: (minutes: number) => Effect.fail(minutes),
            retry: Schedule.identity<number>().pipe(Schedule.addDelay((minutes) => Duration.minutes(minutes))),
            outcomes: "discard"
          })
          yield* herd.sendAll([50, 20, 40, 10, 30])
          yield* turns
          assert.strictEqual((yield* herd.state).retrying, 5)
          assert.strictEqual(sleeps(), 1)
          yield* TestClock.adjust("10 minutes")
          yield* turns
          assert.strictEqual(sleeps(), 1)
        }))
        yield* turns
        assert.strictEqual(sleeps(), 0)
      })
    ))

  it.scoped("counts units in their backoff as waiting: senders suspend, but a retry is never refused (G4)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({
        process: stage.process,
        retry: Schedule.spaced("1 second"),
        size: 4,
        capacity: 4,
        outcomes: "discard"
      })
      yield* herd.sendAll([1, 2, 3, 4])
      yield* turns
      for (const n of [1, 2, 3, 4]) yield* stage.fail(n, "again")
      assert.strictEqual((yield* herd.state).retrying, 4)
      assert.isFalse(yield* herd.trySend(5))
      const sender = yield* Effect.fork(herd.send(5))
      yield* turns
      assert.isNull(sender.unsafePoll())
      yield* TestClock.adjust("1 second")
      yield* turns
      yield* stage.finish
      yield* Fiber.join(sender)
      yield* stage.finish
      assert.strictEqual((yield* herd.state).succeeded, 5)
    }))

  it.scoped("lets senders on when only units in a long backoff wait and there is room", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({
        process: stage.process,
        retry: Schedule.spaced("1 day"),
        size: 3,
        capacity: 4,
        outcomes: "discard"
      })
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      for (const n of [1, 2, 3]) yield* stage.fail(n, "again")
      const sender = yield* Effect.fork(herd.sendAll([4, 5, 6, 7, 8]))
      yield* turns
      yield* stage.finish
      yield* Fiber.join(sender)
      yield* stage.finish
      assert.deepStrictEqual(stage.started.slice(3), [4, 5, 6, 7, 8])
    }))

  it.scoped("does not retry defects, throws and interruptions", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (kind: string): Effect.Effect<void, string> => {
          if (kind === "throw") throw new Error("thrown")
          return kind === "die" ? Effect.die("dead") : Effect.interrupt
        },
        retry: Schedule.forever
      })
      yield* herd.sendAll(["throw", "die", "interrupt"])
      yield* herd.close
      const outcomes = yield* Stream.runCollect(herd.outcomes)
      assert.deepStrictEqual(Chunk.toReadonlyArray(outcomes).map(({ attempts, status }) => [attempts, status]), [
        [1, "failure"],
        [1, "failure"],
        [1, "interrupted"]
      ])
      assert.strictEqual((yield* herd.state).retried, 0)
    }))

  it.scoped("fails a unit whose Schedule dies, with both causes, and goes on", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) => n === 0 ? Effect.fail("flaky") : Effect.succeed(n),
        retry: Schedule.recurWhile(() => {
          throw new Error("bad predicate")
        })
      })
      const exit = yield* Effect.exit(herd.run(0))
      assert.isTrue(Exit.isFailure(exit) && Chunk.contains(Cause.failures(exit.cause), "flaky"))
      assert.match(pretty(exit), /bad predicate/)
      assert.strictEqual(yield* herd.run(1), 1)
    }))

  it.scoped("uses services that the Schedule requires", () =>
    Effect.gen(function*() {
      const retry = Schedule.whileInputEffect(Schedule.recurs(5), (error: number) =>
        Effect.map(Random.nextIntBetween(0, 1), (zero) => error > zero))
      const herd = yield* Herd.make({
        process: (_: void, { attempt }) =>
          Effect.fail(3 - attempt),
        retry
      })
      const error = yield* Effect.flip(herd.run())
      assert.strictEqual(error, 0)
    }))

  it.scoped("counts the time of onRetry into the backoff, and keeps nobody else's waiting", () =>
    Effect.gen(function*() {
      const attempts: Array<string> = []
      const herd = yield* Herd.make({
        process: (name: string) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            attempts.push(`${name} ${now / 60_000}`)
            return Effect.fail(name)
          }),
        retry: Schedule.intersect(Schedule.spaced("60 minutes"), Schedule.recurs(1)),
        onRetry: ({ work }) => work.body === "A" ? Effect.sleep("30 minutes") : Effect.void,
        size: 2,
        outcomes: "discard"
      })
      yield* herd.send("A")
      yield* turns
      yield* TestClock.adjust("20 minutes")
      yield* herd.send("B")
      for (let n = 0; n < 20; n++) {
        yield* turns
        yield* TestClock.adjust("5 minutes")
      }
      assert.deepStrictEqual(attempts, ["A 0", "B 20", "A 60", "B 80"])
    }))

  it.scoped("does not retry a unit that is cancelled while onRetry runs (G11)", () =>
    Effect.gen(function*() {
      let attempts = 0
      const calling = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        process: () => Effect.suspend(() => Effect.fail(++attempts)),
        retry: Schedule.spaced("1 hour"),
        onRetry: () => Effect.zipRight(Deferred.succeed(calling, undefined), Effect.never)
      })
      const caller = yield* Effect.fork(herd.run(1))
      yield* Deferred.await(calling)
      yield* Fiber.interrupt(caller)
      yield* herd.awaitIdle
      yield* turns
      assert.strictEqual(attempts, 1)
      assert.strictEqual((yield* herd.state).interrupted, 1)
    }))

  it.scoped("makes room for a waiting sender when a unit in its backoff is cancelled", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({
        process: stage.process,
        retry: Schedule.spaced("1 hour"),
        capacity: 1,
        outcomes: "discard"
      })
      const caller = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* stage.fail(1, "again")
      const sender = yield* Effect.fork(herd.send(2))
      yield* turns
      assert.isNull(sender.unsafePoll())
      yield* Fiber.interrupt(caller)
      yield* Fiber.join(sender)
      yield* turns
      assert.deepStrictEqual(stage.running, [2])
    }))

  it.scoped("cancels a unit in its backoff (G11)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, retry: Schedule.spaced("1 second") })
      const caller = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* stage.fail(1, "again")
      yield* Fiber.interrupt(caller)
      const { interrupted, retrying } = yield* herd.state
      assert.deepStrictEqual({ interrupted, retrying }, { interrupted: 1, retrying: 0 })
      yield* TestClock.adjust("2 seconds")
      yield* turns
      assert.deepStrictEqual(stage.started, [1])
    }))

  it.effect("keeps the units that wait, however many are cancelled around them, and lets go of these (G8, G11)", () =>
    Effect.gen(function*() {
      const { close, herd } = yield* scoped(
        Herd.make({
          process: (body: { readonly n: number }, { attempt }) =>
            attempt === 1 ? Effect.fail("later") : Effect.succeed(body.n),
          retry: Schedule.spaced("1 hour"),
          size: 10
        })
      )
      const bodies = yield* Effect.gen(function*() {
        const bodies = Array.from({ length: 300 }, (_, n) => ({ n }))
        const callers = yield* Effect.forEach(bodies, (body) => Effect.fork(herd.run(body)))
        yield* Effect.repeat(turns, { until: () => Effect.map(herd.state, ({ retrying }) => retrying === 300) })
        yield* Fiber.interruptAll(callers.filter((_, n) => n % 100 !== 50))
        return bodies.map((body) => new WeakRef(body))
      })
      assert.include(yield* herd.state, { interrupted: 297, retrying: 3 })
      assert.isAtMost(yield* living(bodies, 3 + 64 + 3), 3 + 64 + 3)

      yield* TestClock.adjust("1 hour")
      yield* turns
      assert.include(yield* herd.state, { retrying: 0, succeeded: 3 })
      yield* close
      assert.include(yield* herd.state, { accepted: 300, interrupted: 297, succeeded: 3 })
    }))

  it.effect("of a unit that was cancelled is not settled again when the scope closes (G2)", () =>
    Effect.gen(function*() {
      const retry = Schedule.spaced("1 hour")
      const { close, herd } = yield* scoped(Herd.make({ process: () => Effect.fail("later"), retry, size: 2 }))
      const callers = yield* Effect.forEach([1, 2], () => Effect.fork(herd.run(0)))
      yield* turns
      yield* Effect.forEach(callers.slice(1), Fiber.interrupt)
      yield* close
      assert.include(yield* herd.state, { accepted: 2, interrupted: 2, drained: true })
    }))

  it.scoped("sums the attempts in the outcome, and gives each attempt a work of its own", () =>
    Effect.gen(function*() {
      const works: Array<unknown> = []
      const herd = yield* Herd.make({
        process: (_: string, work) => {
          works.push(work)
          return work.attempt < 3 ? Effect.fail("not yet") : Effect.succeed("done")
        },
        retry: Schedule.recurs(5)
      })
      yield* herd.send("x", { id: "job", priority: 2 })
      yield* herd.close
      const [outcome] = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
      assert.strictEqual(outcome?.attempts, 3)
      assert.deepStrictEqual(works, [1, 2, 3].map((attempt) => ({ id: "job", body: "x", attempt, priority: 2 })))
      assert.isTrue(Duration.isDuration(outcome?.duration))
    }))

  it.scopedLive("counts the time of all attempts, and not that of the waiting between them, as the outcome's duration", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (_: string, { attempt }) =>
          Effect.zipRight(Effect.sleep("30 millis"), attempt < 3 ? Effect.fail("not yet") : Effect.void),
        retry: Schedule.intersect(Schedule.recurs(2), Schedule.spaced("300 millis"))
      })
      const began = performance.now()
      yield* herd.send("x")
      yield* herd.close
      const [outcome] = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
      const millis = Duration.toMillis(outcome?.duration ?? 0)
      // A timer may be early by one.
      assert.isAtLeast(millis, 3 * 29)
      assert.isAtMost(millis, performance.now() - began - 2 * 299)
    }))

  it.effect("counts it also for a unit that is interrupted while it waits", () =>
    Effect.gen(function*() {
      let now = 0
      yield* pretendNow(() => now)
      const { close, herd } = yield* scoped(
        Herd.make({ process: () => Effect.failSync(() => now += 30), retry: Schedule.spaced("1 hour") })
      )
      yield* herd.send("x")
      yield* turns
      now += 100
      yield* close
      const [outcome] = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
      assert.deepStrictEqual([outcome?.status, outcome?.duration], ["interrupted", Duration.millis(30)])
    }).pipe(Effect.scoped))

  it.scoped("tells onRetry how long the unit is going to wait", () =>
    Effect.gen(function*() {
      const delays: Array<number> = []
      const herd = yield* Herd.make({
        process: () => Effect.fail("no"),
        retry: Schedule.intersect(Schedule.recurs(3), Schedule.exponential("100 millis")),
        onRetry: ({ delay }) => Effect.sync(() => delays.push(Duration.toMillis(delay))),
        outcomes: "discard"
      })
      yield* herd.send(1)
      yield* turns
      for (let n = 0; n < 3; n++) {
        yield* TestClock.adjust("1 second")
        yield* turns
      }
      assert.deepStrictEqual(delays, [100, 200, 400])
    }))
})
