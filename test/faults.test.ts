/**
 * What goes wrong inside a process: in the user's code, in what it is given, and in the clock.
 * docs/reliability.md has them all.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  type Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Metric,
  Option,
  Schedule,
  ScheduleDecision,
  ScheduleInterval,
  Scope,
  Stream,
  TestClock
} from "effect"
import { Herd, HerdMetrics } from "gofherd"
import * as HerdProgress from "gofherd/HerdProgress"
import { vi } from "vitest"
import { Monitor } from "../src/internal/monitor.ts"
import { eventsIn } from "./utils/http.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretty } from "./utils/pretty.ts"
import { makeStage, turns } from "./utils/stage.ts"

/** The herd still does what it is for. */
const works = <Out, E>(herd: Herd.Herd<number, Out, E>) =>
  Effect.gen(function*() {
    for (const n of [1, 2, 3]) yield* herd.run(n)
    const { accepted, failed, interrupted, queued, retrying, running, succeeded } = yield* herd.state
    assert.strictEqual(accepted, queued + running + retrying + succeeded + failed + interrupted)
    assert.deepStrictEqual([queued, running, retrying], [0, 0, 0])
  })

/** A value that does something of its own whatever is done to it. */
const booby = new Proxy(function() {}, {
  get: () => {
    throw new Error("get")
  },
  has: () => {
    throw new Error("has")
  },
  getPrototypeOf: () => {
    throw new Error("getPrototypeOf")
  },
  ownKeys: () => {
    throw new Error("ownKeys")
  },
  getOwnPropertyDescriptor: () => {
    throw new Error("getOwnPropertyDescriptor")
  }
})

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const cyclic = () => {
  const error: Error & { self?: unknown } = new Error("cyclic")
  error.cause = error
  error.self = error
  return error
}

const hostile: Record<string, () => unknown> = {
  "undefined": () => undefined,
  "null": () => null,
  "a bigint": () => 1n,
  "a symbol": () => Symbol("symbol"),
  "a frozen object": () => Object.freeze({ frozen: true }),
  "an object without a prototype": () => Object.create(null),
  "an error that is its own cause": cyclic,
  "an error whose message throws": () =>
    Object.defineProperty(new Error("x"), "message", {
      get() {
        throw new Error("message")
      }
    }),
  "an error whose stack throws": () =>
    Object.defineProperty(new Error("x"), "stack", {
      get() {
        throw new Error("stack")
      }
    }),
  "an object whose toString throws": () => ({
    toString() {
      throw new Error("toString")
    },
    toJSON() {
      throw new Error("toJSON")
    }
  }),
  "a Proxy that throws at every touch": () => booby,
  "a revoked Proxy": revoked,
  "an Exit": () => Exit.succeed(1),
  "a Cause": () => Cause.interrupt(Effect.runSync(Effect.fiberId))
}

describe("a process", () => {
  for (const [name, make] of Object.entries(hostile)) {
    // Effect's run loop asks what was thrown whether it is an interruption, and ends with what the
    // traps throw then.
    const isTrap = name.includes("Proxy")
    const ways: Record<string, () => Effect.Effect<number, unknown>> = {
      ...(isTrap ? {} : {
        "throws": () => {
          throw make()
        }
      }),
      "dies of": () => Effect.die(make()),
      "fails with": () => Effect.fail(make()),
      "returns": () => make() as Effect.Effect<number>
    }
    for (const [how, process] of Object.entries(ways)) {
      it.scoped(`that ${how} ${name} settles its unit, can be logged, traced, retried and watched, and the herd goes on (G7)`, () =>
        makeLogs(LogLevel.Trace).collect(Effect.gen(function*() {
          const herd = yield* Herd.make({
            process: (n: number): Effect.Effect<number, unknown> => n === 0 ? process() : Effect.succeed(n),
            tracing: true,
            retry: Schedule.recurs(1),
            // They fail with the same, which is logged.
            onRetry: ({ cause }) => Effect.failCause(cause) as Effect.Effect<never>,
            onFailure: ({ exit }) => Effect.asVoid(exit) as Effect.Effect<void>
          })
          const monitor = yield* Monitor.make(herd)
          yield* herd.send(0)
          yield* herd.awaitIdle
          const outcome = yield* Effect.flatten(Stream.runHead(herd.outcomes))
          const succeeds = how === "returns" && name === "an Exit"
          assert.strictEqual(outcome.status, succeeds ? "success" : "failure")
          if (!isTrap) assert.strictEqual(outcome.attempts, how === "fails with" ? 2 : 1)
          yield* works(herd)
          assert.strictEqual((yield* monitor.state).failures.length, succeeds ? 0 : 1)
          const event = yield* Effect.flatten(Stream.runHead(monitor.events(false)))
          assert.strictEqual(eventsIn(new TextDecoder().decode(event)).length, 1)
        })))
    }
  }

  it.scoped("that never returns holds its slot and nothing else, until it is interrupted by who ran it or by a shrink", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 2 })
      const stuck = yield* Effect.fork(herd.run(0))
      yield* turns
      const other = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* stage.succeed(1)
      assert.strictEqual(yield* Fiber.join(other), 10)
      yield* herd.resize(1)
      yield* herd.settled
      yield* herd.send(2)
      yield* turns
      assert.deepStrictEqual(stage.running, [0])
      yield* Fiber.interrupt(stuck)
      yield* turns
      assert.deepStrictEqual([stage.interrupted, stage.running], [[0], [2]])
      yield* herd.resize(0, { mode: "interrupt" })
      yield* herd.settled
      const { live, queued, running } = yield* herd.state
      assert.deepStrictEqual({ live, queued, running }, { live: 0, queued: 1, running: 0 })
    }))

  it.effect("that ignores interruption is waited for, by a shrink's settled and by the scope, and holds up nobody else", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const gate = yield* Deferred.make<void>()
      const herd = yield* Scope.extend(
        Herd.make({
          process: (n: number) =>
            n === 0 ? Effect.uninterruptible(Effect.as(Deferred.await(gate), n)) : Effect.succeed(n),
          size: 2
        }),
        scope
      )
      const caller = yield* Effect.fork(herd.run(0))
      yield* turns
      assert.strictEqual(yield* herd.run(1), 1)
      yield* herd.resize(0, { mode: "interrupt" })
      const settled = yield* Effect.fork(herd.settled)
      yield* turns
      assert.isTrue(Option.isNone(yield* Fiber.poll(settled)))
      yield* herd.resize(1)
      assert.strictEqual((yield* herd.state).size, 1)
      const giving = yield* Effect.fork(Fiber.interrupt(caller))
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* turns
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      assert.strictEqual((yield* herd.state).running, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)
      yield* Fiber.join(giving)
      const { live, running } = yield* herd.state
      assert.deepStrictEqual({ live, running }, { live: 0, running: 0 })
    }))

  it.scoped("whose finalizers die fails with what they died of, too, and the herd goes on", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) =>
          n === 0
            ? Effect.scoped(Effect.zipRight(Effect.addFinalizer(() => Effect.dieMessage("no end")), Effect.fail("no")))
            : Effect.succeed(n)
      })
      const exit = yield* Effect.exit(herd.run(0))
      assert.include(pretty(exit), "no end")
      assert.isTrue(Exit.isFailure(exit) && Chunk.contains(Cause.failures(exit.cause), "no"))
      yield* works(herd)
    }))

  it.scoped("may close its own herd, pause it, and set its size to 0: it finishes, and what waits does as it is told", () =>
    Effect.gen(function*() {
      let herd: Herd.Herd<number, number, unknown> | undefined
      const process = (n: number): Effect.Effect<number, unknown> => {
        if (herd === undefined) return Effect.fail("no herd")
        if (n === 0) return Effect.as(Effect.all([herd.pause, herd.resize(0), herd.close]), n)
        return Effect.succeed(n)
      }
      herd = yield* Herd.make({ process })
      yield* herd.sendAll([0, 1])
      yield* turns
      const { closed, paused, queued, size, succeeded } = yield* herd.state
      assert.deepStrictEqual({ closed, paused, queued, size, succeeded }, {
        closed: true,
        paused: true,
        queued: 1,
        size: 0,
        succeeded: 1
      })
      yield* herd.resume
      yield* herd.resize(1)
      yield* herd.awaitDrained
    }))
})

describe("a callback", () => {
  const bad: Record<string, () => Effect.Effect<void>> = {
    "returns undefined": () => undefined as unknown as Effect.Effect<void>,
    "returns a Promise": () => Promise.resolve() as unknown as Effect.Effect<void>,
    "throws undefined": () => {
      throw undefined
    },
    "interrupts itself": () => Effect.interrupt
  }
  for (const [name, callback] of Object.entries(bad)) {
    it.scoped(`that ${name} changes nothing for its unit (G14)`, () =>
      makeLogs().collect(Effect.gen(function*() {
        const herd = yield* Herd.make({
          process: (n: number) => n === 0 ? Effect.fail("zero") : Effect.succeed(n),
          retry: Schedule.recurs(1),
          onSuccess: callback,
          onRetry: callback,
          onFailure: callback
        })
        yield* herd.sendAll([0, 1, 0, 2])
        yield* herd.awaitIdle
        const outcomes = yield* Stream.runCollect(Stream.take(herd.outcomes, 4))
        assert.deepStrictEqual(
          Chunk.toReadonlyArray(outcomes).map(({ attempts, status, work }) => [work.body, status, attempts]).toSorted(),
          [[0, "failure", 2], [0, "failure", 2], [1, "success", 1], [2, "success", 1]]
        )
        yield* works(herd)
      })))
  }

  it.scoped("that never returns holds its slot; whoever interrupts it leaves the unit its result", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) => Effect.succeed(n),
        onSuccess: ({ work }) => work.body === 0 ? Effect.never : Effect.void,
        size: 2
      })
      const { running, succeeded } = yield* Effect.zipRight(Effect.zipRight(herd.send(0), turns), herd.state)
      assert.deepStrictEqual({ running, succeeded }, { running: 1, succeeded: 0 })
      for (const n of [1, 2]) yield* herd.run(n)
      yield* herd.resize(1)
      yield* herd.resize(0, { mode: "interrupt" })
      yield* herd.settled
      const outcome = yield* Effect.flatten(Stream.runHead(herd.outcomes))
      assert.deepStrictEqual([outcome.work.body, outcome.status], [0, "success"])
    }))
})

describe("a reader", () => {
  it.scoped("of outcomes that dies takes what it has read with it, and nothing else: the next reader goes on", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n) })
      yield* herd.send(1)
      yield* herd.awaitIdle
      const exit = yield* Effect.exit(Stream.runForEach(herd.outcomes, () => Effect.dieMessage("reader")))
      assert.include(pretty(exit), "reader")
      yield* herd.sendAll([2, 3])
      yield* herd.close
      const rest = yield* Stream.runCollect(herd.outcomes)
      assert.deepStrictEqual(Chunk.toReadonlyArray(rest).map(({ work }) => work.body), [2, 3])
    }))

  it.scoped("of a stream that dies cancels what that stream still has in the herd, and nothing else (G11)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 2 })
      const reader = yield* herd.stream(Stream.make(1, 2, 3)).pipe(
        Stream.runForEach(() => Effect.dieMessage("reader")),
        Effect.fork
      )
      yield* turns
      yield* herd.send(4)
      yield* stage.succeed(1)
      assert.include(pretty(yield* Fiber.await(reader)), "reader")
      yield* turns
      assert.deepStrictEqual(stage.running, [4])
      yield* stage.finish
      const { interrupted, succeeded } = yield* herd.state
      assert.deepStrictEqual({ interrupted, succeeded }, { interrupted: 2, succeeded: 2 })
    }))

  it.scoped("of changes that dies is nobody's concern", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n) })
      const exit = yield* Effect.exit(Stream.runForEach(herd.changes, () => Effect.dieMessage("reader")))
      assert.include(pretty(exit), "reader")
      yield* works(herd)
    }))
})

describe("a Schedule of retry", () => {
  const stepping = (interval: () => ScheduleInterval.Interval) =>
    Schedule.intersect(
      Schedule.recurs(2),
      Schedule.makeWithState(undefined, () =>
        Effect.sync(() => [undefined, undefined, ScheduleDecision.continueWith(interval())] as const))
    )
  const odd: Record<string, Schedule.Schedule<unknown, unknown>> = {
    "a delay of -1 s": Schedule.addDelay(Schedule.recurs(2), () => Duration.seconds(-1)),
    "a delay of NaN": Schedule.addDelay(Schedule.recurs(2), () => NaN),
    "an instant that has passed": stepping(() => ScheduleInterval.after(-1e15)),
    "an instant that is NaN": stepping(() => ScheduleInterval.after(NaN))
  }
  for (const [name, retry] of Object.entries(odd)) {
    it.scoped(`with ${name} retries at once, as often as it says, and delays no other unit (G8)`, () =>
      Effect.gen(function*() {
        const started: Array<number> = []
        const herd = yield* Herd.make({
          process: (n: number) => Effect.zipRight(Effect.sync(() => started.push(n)), Effect.fail(n)),
          retry: Schedule.whileInput(retry, (n: unknown) => n === 0).pipe(
            Schedule.union(Schedule.whileInput(Schedule.fromDelays("1 second"), (n: unknown) => n !== 0))
          )
        })
        yield* herd.sendAll([1, 0, 2])
        yield* turns
        yield* TestClock.adjust("999 millis")
        yield* turns
        assert.deepStrictEqual(started, [1, 0, 2, 0, 0])
        yield* TestClock.adjust("1 millis")
        yield* herd.awaitIdle
        assert.deepStrictEqual(started, [1, 0, 2, 0, 0, 1, 2])
      }))
  }

  it.scoped("with a delay without end keeps its unit until that is cancelled, and delays no other unit", () =>
    Effect.gen(function*() {
      const started: Array<number> = []
      const herd = yield* Herd.make({
        process: (n: number) => Effect.zipRight(Effect.sync(() => started.push(n)), Effect.fail(n)),
        retry: Schedule.recurs(1).pipe(
          Schedule.delayed(() => started.at(-1) === 0 ? Duration.infinity : Duration.seconds(1))
        )
      })
      const endless = yield* Effect.fork(herd.run(0))
      yield* turns
      yield* herd.send(1)
      yield* turns
      assert.strictEqual((yield* herd.state).retrying, 2)
      yield* TestClock.adjust("365 days")
      yield* turns
      assert.deepStrictEqual(started, [0, 1, 1])
      assert.strictEqual((yield* herd.state).retrying, 1)
      yield* Fiber.interrupt(endless)
      yield* herd.awaitIdle
    }))
})

describe("a gopher's resource", () => {
  it.effect("that is acquired for ever is given up when the scope closes, and its units are interrupted", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const herd = yield* Scope.extend(
        Herd.make({ gopher: Effect.as(Effect.never, (n: number) => Effect.succeed(n)), size: 3 }),
        scope
      )
      const caller = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(caller)))
      const { interrupted, live } = yield* herd.state
      assert.deepStrictEqual({ interrupted, live }, { interrupted: 1, live: 0 })
    }))

  it.scoped("whose release takes for ever holds its own gopher, and neither the herd's work nor its size", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        gopher: Effect.acquireRelease(Effect.succeed((n: number) => Effect.succeed(n)), () => Deferred.await(gate)),
        size: 2
      })
      yield* turns
      yield* herd.resize(1)
      yield* turns
      assert.strictEqual((yield* herd.state).live, 2)
      yield* works(herd)
      yield* herd.resize(2)
      yield* works(herd)
      yield* Deferred.succeed(gate, undefined)
      yield* herd.settled
      assert.strictEqual((yield* herd.state).live, 2)
    }))

  it.scoped("whose release dies is logged, and another gopher takes its place", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      let acquired = 0
      const herd = yield* Herd.make({
        name: "stubborn",
        gopher: Effect.acquireRelease(
          Effect.sync(() => {
            acquired++
            return (n: number) => n === 0 ? Effect.dieMessage("unit") : Effect.succeed(n)
          }),
          () => Effect.dieMessage("no release")
        )
      })
      assert.include(pretty(yield* Effect.exit(herd.run(0))), "unit")
      yield* works(herd)
      assert.strictEqual(acquired, 2)
      yield* herd.resize(0)
      yield* turns
      assert.strictEqual((yield* herd.state).live, 0)
      assert.deepStrictEqual(logs.lines, [
        "INFO [stubborn] a gopher is replaced, since its unit 1 died RuntimeException: unit",
        "WARN [stubborn] a gopher failed to release its resource RuntimeException: no release",
        "WARN [stubborn] a gopher failed to release its resource RuntimeException: no release"
      ])
    }))
  })

  it.scoped("that is acquired in part, and whose parts can't be released, is tried again with the same growing delay", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      let attempts = 0
      yield* Herd.make({
        name: "half",
        gopher: Effect.zipRight(
          Effect.addFinalizer(() => Effect.dieMessage("no release")),
          Effect.suspend((): Effect.Effect<(n: number) => Effect.Effect<number>> => {
            // Enough to tell that nobody waits.
            if (++attempts > 50) return Effect.never
            return Effect.dieMessage("no luck")
          })
        )
      })
      const seen: Array<number> = []
      for (const millis of [0, 99, 1, 199, 1]) {
        yield* TestClock.adjust(millis)
        yield* turns
        seen.push(attempts)
      }
      assert.deepStrictEqual(seen, [1, 1, 2, 2, 3])
      assert.deepStrictEqual(logs.lines.slice(0, 2), [
        "WARN [half] a gopher failed to release its resource RuntimeException: no release",
        "WARN [half] a gopher failed to acquire its resource, 1 in a row, next attempt in 100ms RuntimeException: no luck"
      ])
    }))
  })
})

describe("a logger", () => {
  const broken = Logger.make<unknown, void>(() => {
    throw new Error("no log")
  })

  it.effect("that throws changes nothing: of the making, the steering, the work and the end of a herd", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const herd = yield* Scope.extend(
        Herd.make({
          name: "unlogged",
          process: (n: number) => n === 0 ? Effect.fail("zero") : n < 0 ? Effect.never : Effect.succeed(n),
          onFailure: () => Effect.dieMessage("callback"),
          size: 2
        }),
        scope
      )
      yield* herd.resize(3)
      yield* herd.pause
      yield* herd.resume
      assert.strictEqual(yield* Effect.flip(herd.run(0)), "zero")
      yield* works(herd)
      yield* herd.sendAll([-1, -1])
      const last = yield* Effect.fork(Stream.runLast(herd.changes))
      yield* herd.close
      yield* turns
      yield* Scope.close(scope, Exit.void)
      const { drained, interrupted, running, size } = Option.getOrThrow(yield* Fiber.join(last))
      assert.deepStrictEqual({ drained, interrupted, running, size }, {
        drained: true,
        interrupted: 2,
        running: 0,
        size: 0
      })
      const next = yield* Effect.scoped(
        Effect.map(Herd.make({ name: "unlogged", process: Effect.succeed }), ({ name }) => name)
      )
      assert.strictEqual(next, "unlogged")
    }).pipe(
      Effect.provide(Layer.merge(Logger.replace(Logger.defaultLogger, broken), Logger.minimumLogLevel(LogLevel.Trace)))
    ))

  it.effect("that throws replaces no gopher for ever, and stops none of its retries", () =>
    Effect.gen(function*() {
      let acquired = 0
      const herd = yield* Herd.make({
        gopher: Effect.suspend(() =>
          ++acquired === 1
            ? Effect.dieMessage("no luck")
            : Effect.succeed((n: number) => n === 0 ? Effect.die(n) : Effect.succeed(n))
        )
      })
      yield* turns
      assert.strictEqual(acquired, 1)
      yield* TestClock.adjust("100 millis")
      yield* turns
      assert.isTrue(Exit.isFailure(yield* Effect.exit(herd.run(0))))
      yield* works(herd)
      assert.strictEqual(acquired, 3)
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(Logger.replace(Logger.defaultLogger, broken), Logger.minimumLogLevel(LogLevel.Trace)))
    ))
})

describe("a clock", () => {
  const HOUR = 3_600_000

  /** The clock of the test, as long as nobody makes it jump. */
  const jumpingClock = Effect.clockWith((clock) =>
    Effect.sync(() => {
      let ahead = 0
      const unsafeCurrentTimeMillis = () => clock.unsafeCurrentTimeMillis() + ahead
      const unsafeCurrentTimeNanos = () => clock.unsafeCurrentTimeNanos() + BigInt(ahead * 1_000_000)
      const jumping: Clock.Clock = Object.create(clock, {
        unsafeCurrentTimeMillis: { value: unsafeCurrentTimeMillis },
        unsafeCurrentTimeNanos: { value: unsafeCurrentTimeNanos },
        currentTimeMillis: { value: Effect.sync(unsafeCurrentTimeMillis) },
        currentTimeNanos: { value: Effect.sync(unsafeCurrentTimeNanos) }
      })
      return {
        on: Effect.withClock(jumping),
        jump: (millis: number) =>
          Effect.sync(() => {
            ahead += millis
          })
      }
    })
  )

  /** Units are retried once, after so many milliseconds. */
  const failingOnce = (name: string) =>
    Effect.suspend(() => {
      const started: Array<number> = []
      const process = (millis: number) =>
        Effect.suspend(() => {
          started.push(millis)
          return started.filter((other) => other === millis).length > 1 ? Effect.succeed(millis) : Effect.fail(millis)
        })
      const retry: Schedule.Schedule<unknown, number> = Schedule.recurs(1).pipe(
        Schedule.zipRight(Schedule.identity<number>()),
        Schedule.addDelay((millis) => millis)
      )
      return Effect.map(Herd.make({ name, process, retry, outcomes: "discard" }), (herd) => ({ herd, started }))
    })

  /** All times that a herd has measured. */
  const measured = (herd: string) =>
    Effect.map(
      Effect.all(
        [HerdMetrics.attemptDuration, HerdMetrics.wait].map((metric) =>
          Metric.value(Metric.tagged(metric, "herd", herd))
        )
      ),
      (histograms) => histograms.flatMap(({ count, max, min, sum }) => count === 0 ? [] : [min, max, sum])
    )

  for (const [name, millis] of [["back an hour", -HOUR], ["forward a day", 24 * HOUR]] as const) {
    it.scoped(`of one's own that jumps ${name} leaves every retry its turn, at its time at the latest (G8)`, () =>
      Effect.gen(function*() {
        const { jump, on } = yield* jumpingClock
        const { herd, started } = yield* on(failingOnce(`own clock ${name}`))
        yield* herd.sendAll([1_000, 2_000, 4_000])
        yield* turns
        yield* jump(millis)
        yield* herd.send(3_000)
        yield* turns
        for (const [i, seconds] of [1, 2, 3, 4].entries()) {
          yield* TestClock.adjust("1 second")
          yield* turns
          const retried = [1_000, 2_000, 3_000, 4_000].filter((n) => started.lastIndexOf(n) > started.indexOf(n))
          assert.includeMembers(retried, [1_000, 2_000, 3_000, 4_000].slice(0, i + 1), `after ${seconds} s`)
          yield* jump(millis)
        }
        yield* herd.awaitIdle
        assert.strictEqual((yield* herd.state).succeeded, 4)
      }))

    it.scopedLive(`of the machine that is set ${name} moves no retry, and no time that is measured (G8)`, () =>
      Effect.gen(function*() {
        const { herd, started } = yield* failingOnce(`clock of the machine ${name}`)
        const monitor = yield* Monitor.make(herd)
        yield* Effect.acquireRelease(
          Effect.sync(() => vi.useFakeTimers({ toFake: ["Date"] })),
          () => Effect.sync(() => vi.useRealTimers())
        )
        const began = performance.now()
        const slow = yield* Effect.fork(herd.run(1_000))
        const quick = yield* Effect.fork(herd.run(50))
        yield* turns
        assert.strictEqual((yield* herd.state).retrying, 2)
        vi.setSystemTime(Date.now() + millis)
        assert.strictEqual(yield* Fiber.join(quick), 50)
        vi.setSystemTime(Date.now() + millis)
        assert.deepStrictEqual(started, [1_000, 50, 50])
        assert.strictEqual(yield* Fiber.join(slow), 1_000)
        assert.isAtLeast(performance.now() - began, 999)
        yield* turns
        for (const value of yield* measured(herd.name)) assert.isTrue(value >= 0 && value < 10, String(value))
        const { p50, p95 } = (yield* monitor.state).attemptSeconds
        assert.isTrue((p50 ?? -1) >= 0 && (p95 ?? -1) >= 0, `${p50} ${p95}`)
      }))
  }

  it.scoped("that jumps leaves the progress its rate and its time", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      const { jump, on } = yield* jumpingClock
      const herd = yield* Herd.make({
        name: "jumping",
        process: (n: number) => Effect.as(Effect.sleep("1 second"), n),
        outcomes: "discard"
      })
      yield* herd.sendAll([1, 2, 3, 4, 5, 6])
      const progress = HerdProgress.layer(Effect.succeed(herd), { total: 6, interval: "1 second" })
      yield* Effect.gen(function*() {
        for (let n = 0; n < 6; n++) {
          yield* TestClock.adjust("1 second")
          yield* turns
          if (n === 2) yield* jump(-HOUR)
        }
      }).pipe(Effect.provide(progress), on)
      // It stands still for as long as the jump hides.
      assert.match(logs.lines.at(-1) ?? "", /^INFO \[jumping\] 6 in 5\.0 s, 1\.2\/s$/)
      for (const line of logs.lines) assert.notInclude(line, "-")
    }))
  })
})
