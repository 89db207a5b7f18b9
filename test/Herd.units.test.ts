import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberId,
  FiberRef,
  FiberRefs,
  HashMap,
  Layer,
  Logger,
  LogLevel,
  ManagedRuntime,
  Option,
  Schedule,
  Stream,
  type Tracer
} from "effect"
import { Herd } from "gofherd"
import { living } from "./utils/garbage.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretendNow } from "./utils/now.ts"
import { pretty } from "./utils/pretty.ts"
import { spin } from "./utils/spin.ts"
import { makeStage, turns } from "./utils/stage.ts"

describe("process (G7)", () => {
  const faults: Record<string, () => Effect.Effect<number, string>> = {
    "fails": () => Effect.fail("failed"),
    "dies": () => Effect.die(new Error("died")),
    "throws": () => {
      throw new Error("threw")
    },
    "throws inside an Effect": () =>
      Effect.sync((): number => {
        throw new Error("threw inside")
      }),
    "interrupts itself": () => Effect.interrupt,
    "returns undefined": () => undefined as unknown as Effect.Effect<number>,
    "returns a number": () => 7 as unknown as Effect.Effect<number>,
    "returns a Promise": () => Promise.resolve(7) as unknown as Effect.Effect<number>,
    "interrupts its own fiber": () =>
      Effect.flatMap(Effect.fiberId, (id) =>
        Effect.withFiberRuntime((fiber) => {
          fiber.unsafeInterruptAsFork(id)
          return Effect.never
        }))
  }

  for (const [fault, attempt] of Object.entries(faults)) {
    it.scoped(`that ${fault} settles its unit, and the herd goes on`, () =>
      Effect.gen(function*() {
        const herd = yield* Herd.make({ process: (n: number) => n === 0 ? attempt() : Effect.succeed(n) })
        yield* herd.sendAll([1, 0, 2, 0, 3])
        yield* herd.close
        const outcomes = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
        assert.deepStrictEqual(outcomes.map(({ work }) => work.body).toSorted(), [0, 0, 1, 2, 3])
        const { accepted, failed, interrupted, succeeded } = yield* herd.state
        assert.deepStrictEqual({ accepted, succeeded, unsuccessful: failed + interrupted }, {
          accepted: 5,
          succeeded: 3,
          unsuccessful: 2
        })
        assert.strictEqual(interrupted, fault.startsWith("interrupts") ? 2 : 0)
      }))
  }

  it.scoped("that returns no Effect is told what it returned", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => 7 as unknown as Effect.Effect<number> })
      assert.match(pretty(yield* Effect.exit(herd.run(1))), /expected process to return an Effect, got 7/)
    }))

  it.scoped("that throws or dies settles its unit with just what it threw or died of", () =>
    Effect.gen(function*() {
      const broken = new Error("broken")
      const herd = yield* Herd.make({
        process: (throws: boolean) => {
          if (throws) throw broken
          return Effect.die(broken)
        }
      })
      for (const throws of [true, false]) {
        assert.deepStrictEqual(yield* Effect.exit(herd.run(throws)), Exit.die(broken))
      }
    }))

  it.scoped("keeps the whole cause of a failure", () =>
    Effect.gen(function*() {
      const cause = Cause.parallel(Cause.fail("left"), Cause.die("right"))
      const herd = yield* Herd.make({ process: () => Effect.failCause(cause) })
      const exit = yield* Effect.exit(herd.run(1))
      assert.deepStrictEqual(exit, Exit.failCause(cause))
    }))

  it.scoped("a hundred thousand failures in a row need no more stack than one", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.fail(n), outcomes: "discard" })
      yield* herd.sendAll(Array.from({ length: 100_000 }, (_, i) => i))
      yield* herd.awaitIdle
      assert.strictEqual((yield* herd.state).failed, 100_000)
    }))
})

describe("isolation (G12)", () => {
  const ref = FiberRef.unsafeMake("initial")

  it.scoped("resets the FiberRefs that a unit sets, whether it succeeds or fails", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (value: string) =>
          Effect.flatMap(FiberRef.getAndSet(ref, value), (before) =>
            value === "fail" ? Effect.fail(before) : Effect.succeed(before))
      })
      assert.strictEqual(yield* herd.run("one"), "initial")
      assert.strictEqual(yield* Effect.flip(herd.run("fail")), "initial")
      assert.strictEqual(yield* herd.run("two"), "initial")
      assert.strictEqual((yield* herd.state).live, 1)
    }))

  const other = ManagedRuntime.make(Layer.scopedDiscard(Effect.locallyScoped(ref, "of another runtime")))

  const ways: Record<string, Effect.Effect<unknown, unknown>> = {
    "FiberRef.set": FiberRef.set(ref, "set"),
    "Effect.updateFiberRefs": Effect.updateFiberRefs((fiberId, refs) =>
      FiberRefs.updateAs(refs, { fiberId, fiberRef: ref, value: "updated" })
    ),
    "Effect.setFiberRefs": Effect.flatMap(
      Effect.fiberId,
      (fiberId) =>
        FiberId.isRuntime(fiberId)
          ? Effect.setFiberRefs(FiberRefs.updateAs(FiberRefs.empty(), { fiberId, fiberRef: ref, value: "replaced" }))
          : Effect.dieMessage("expected the id of a fiber")
    ),
    "Effect.patchFiberRefs": Effect.flatMap(
      Effect.diffFiberRefs(Effect.locally(Effect.getFiberRefs, ref, "patched")),
      ([, patched]) => Effect.inheritFiberRefs(patched)
    ),
    "Fiber.inheritAll": Effect.flatMap(
      Effect.fork(FiberRef.set(ref, "inherited")),
      (fiber) => Effect.zipRight(Fiber.await(fiber), Fiber.inheritAll(fiber))
    ),
    "Fiber.join": Effect.flatMap(Effect.fork(FiberRef.set(ref, "joined")), Fiber.join),
    "FiberRef.set, once resumed": Effect.async((resume) => {
      setImmediate(() => resume(FiberRef.set(ref, "set once resumed")))
    }),
    "FiberRef.set, in a finalizer": Effect.ensuring(Effect.void, FiberRef.set(ref, "set in a finalizer")),
    "FiberRef.set, and a failure": Effect.zipRight(FiberRef.set(ref, "set before a failure"), Effect.fail("failed")),
    "FiberRef.set, and a defect": Effect.zipRight(FiberRef.set(ref, "set before a defect"), Effect.die("died")),
    "Effect.locallyScoped": Effect.scoped(Effect.locallyScoped(ref, "set for a scope")),
    "Effect.provide of another runtime": Effect.provide(Effect.void, other),
    "Effect.provide of a layer": Effect.provide(
      Effect.void,
      Layer.scopedDiscard(Effect.locallyScoped(ref, "of a layer"))
    ),
    "Logger.withMinimumLogLevel": Effect.zipRight(
      Logger.withMinimumLogLevel(Effect.void, LogLevel.None),
      FiberRef.set(FiberRef.currentMinimumLogLevel, LogLevel.None)
    ),
    "nothing": Effect.void
  }

  for (const [name, way] of Object.entries(ways)) {
    it.scoped(`leaves nothing to the next unit on the fiber: ${name}`, () =>
      Effect.gen(function*() {
        const fibers = new Set<string>()
        const refs: Array<unknown> = []
        const herd = yield* Herd.make({
          process: (way: Effect.Effect<unknown, unknown>) =>
            Effect.flatMap(Effect.all([Effect.fiberId, Effect.getFiberRefs, FiberRef.get(ref)]), ([id, all, value]) => {
              fibers.add(FiberId.threadName(id))
              refs.push([value, Array.from(all.locals, ([ref, [[, value]]]) => [ref, value])])
              return way
            })
        })
        for (const unit of [Effect.void, way, Effect.void, way, way, Effect.void]) yield* Effect.exit(herd.run(unit))
        assert.strictEqual(fibers.size, 1)
        for (const found of refs) assert.deepStrictEqual(found, refs[0])
      }))
  }

  it.scoped("resets the FiberRefs that callbacks set", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) => n === 0 ? Effect.succeed("done") : FiberRef.get(ref),
        onSuccess: () => FiberRef.set(ref, "set on success")
      })
      yield* herd.run(0)
      assert.strictEqual(yield* herd.run(1), "initial")
      const other = yield* Herd.make({
        process: (n: number) => n < 0 ? Effect.fail("failed") : FiberRef.get(ref),
        onFailure: () => FiberRef.set(ref, "set on failure")
      })
      yield* Effect.flip(other.run(-1))
      assert.strictEqual(yield* other.run(1), "initial")
    }))

  it.scoped("gives units the FiberRefs as they were where the herd was made", () =>
    Effect.gen(function*() {
      const herd = yield* Effect.locally(Herd.make({ process: () => FiberRef.get(ref) }), ref, "made here")
      assert.strictEqual(yield* Effect.locally(herd.run(1), ref, "called here"), "made here")
    }))

  it.scoped("interrupts what a unit forks before the next unit starts, and waits for it; daemons live on", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const child = (name: string) =>
        Effect.onInterrupt(
          Effect.never,
          () => Effect.zipRight(turns, Effect.sync(() => events.push(`${name} interrupted`)))
        )
      const stop = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        process: (n: number) =>
          Effect.gen(function*() {
            events.push(`unit ${n}`)
            if (n === 1) {
              yield* Effect.fork(child("child"))
              yield* Effect.forkDaemon(
                Effect.zipRight(Deferred.await(stop), Effect.sync(() => events.push("daemon ends")))
              )
              yield* Effect.yieldNow()
            }
          }),
        outcomes: "discard"
      })
      yield* herd.sendAll([1, 2])
      yield* herd.awaitIdle
      yield* Deferred.succeed(stop, undefined)
      yield* turns
      assert.deepStrictEqual(events, ["unit 1", "child interrupted", "unit 2", "daemon ends"])
    }))

  it.effect("lets the herd go when its scope has closed, though a daemon of a unit lives on", () =>
    Effect.gen(function*() {
      const daemons: Array<Fiber.RuntimeFiber<never>> = []
      const unread = yield* Effect.scoped(Effect.gen(function*() {
        const body = { large: true }
        const herd = yield* Herd.make({
          process: (_: object) => Effect.map(Effect.forkDaemon(Effect.never), (daemon) => daemons.push(daemon))
        })
        yield* herd.send(body)
        yield* herd.awaitIdle
        return new WeakRef(body)
      }))
      assert.strictEqual(yield* living([unread], 0), 0)
      assert.isNull(daemons[0]?.unsafePoll())
      yield* Fiber.interruptAll(daemons)
    }))

  it.scoped("interrupts what a unit forks also when no unit follows", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const herd = yield* Herd.make({
        process: () =>
          Effect.zipRight(
            Effect.fork(Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))),
            Effect.yieldNow()
          )
      })
      yield* herd.run(1)
      yield* turns
      assert.strictEqual(interrupted, 1)
    }))

  it.scoped("has finalizers of a unit's scope run before its outcome is delivered", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const herd = yield* Herd.make({
        process: (n: number) =>
          Effect.scoped(Effect.acquireRelease(Effect.succeed(n), () => Effect.sync(() => events.push(`released ${n}`))))
      })
      yield* herd.run(1)
      events.push("delivered")
      assert.deepStrictEqual(events, ["released 1", "delivered"])
    }))
})

describe("event loop (G13)", () => {
  it.scoped("is handed over after each callback that takes long", () =>
    Effect.gen(function*() {
      let turn = 0
      const count = () => {
        turn++
        if (turn < 1_000) setImmediate(count)
      }
      const at: Array<number> = []
      const herd = yield* Herd.make({
        process: (n: number) => Effect.succeed(n),
        outcomes: "discard",
        onSuccess: () =>
          Effect.sync(() => {
            at.push(turn)
            spin(12)
          })
      })
      count()
      yield* herd.sendAll([1, 2, 3, 4, 5])
      yield* herd.close
      yield* herd.awaitDrained
      turn = 1_000
      assert.strictEqual(new Set(at).size, 5)
    }))

  it.scoped("brings a reader the outcomes of each turn in which the herd has used up its share", () =>
    Effect.gen(function*() {
      const chunks: Array<number> = []
      const herd = yield* Herd.make({
        process: (n: number) =>
          Effect.sync(() => {
            spin(0.9)
            return n
          })
      })
      yield* herd.sendAll(Array.from({ length: 60 }, (_, n) => n))
      yield* herd.close
      yield* Stream.runForEachChunk(herd.outcomes, (chunk) => Effect.sync(() => chunks.push(chunk.length)))
      // 8 ms are 9 units or fewer.
      assert.isAtMost(Math.max(...chunks), 20)
    }))

  /**
   * The most that happens between two turns of the event loop while 30,000 units go through, by a
   * clock that it moves on.
   */
  const mostPerTurn = (capacity: number, size: number) =>
    Effect.gen(function*() {
      let now = performance.now()
      yield* pretendNow(() => now)
      let since = 0
      let most = 0
      const happens = () => {
        now += 0.01
        most = Math.max(most, ++since)
      }
      const herd = yield* Herd.make({
        process: (n: number) => {
          happens()
          return Effect.succeed(n)
        },
        outcomes: "discard",
        size,
        capacity
      })
      const bodies = function*() {
        for (let n = 0; n < 30_000; n++) {
          happens()
          yield n
        }
      }
      let open = true
      const beat = () => {
        since = 0
        if (open) setImmediate(beat)
      }
      beat()
      yield* herd.sendAll(bodies())
      if (size > 0) yield* herd.awaitIdle
      open = false
      return most
    })

  for (const [capacity, size] of [[1024, 4], [1_000_000, 4], [1_000_000, 0]] as const) {
    it.scopedLive(`is handed over after 8 ms of synchronous units or of entering them, with capacity ${capacity} and size ${size}`, () =>
      Effect.gen(function*() {
        // 8 ms are 800, and a batch of 1024 may be entered beyond them; without slices it is tens
        // of thousands.
        assert.isAtMost(yield* mostPerTurn(capacity, size), 800 + 1024 + 100)
      }))
  }
})

describe("callbacks (G14)", () => {
  it.scoped("are called for each success, retry and failure, on the gopher, before the outcome is delivered", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const gophers = new Set<string>()
      const note = (name: string, id: string) =>
        Effect.map(Effect.fiberId, (fiber) => {
          calls.push(`${name} ${id}`)
          gophers.add(String(fiber))
        })
      const herd = yield* Herd.make({
        process: (n: number, { attempt }) =>
          Effect.zipRight(
            Effect.map(Effect.fiberId, (fiber) => gophers.add(String(fiber))),
            n === 2 || (n === 3 && attempt === 1) ? Effect.fail("no") : Effect.succeed(n)
          ),
        retry: Schedule.recurs(1),
        onSuccess: ({ attempts, status, work }) => note(`${status} after ${attempts}`, work.id),
        onRetry: ({ cause, status, work }) => note(`${status} of ${Cause.squash(cause)} at ${work.attempt}`, work.id),
        onFailure: ({ attempts, status, work }) => note(`${status} after ${attempts}`, work.id)
      })
      yield* herd.sendAll([1, 2, 3])
      yield* herd.close
      yield* Stream.runForEach(herd.outcomes, ({ work }) => Effect.sync(() => calls.push(`outcome ${work.id}`)))
      assert.sameMembers(calls.filter((call) => !call.startsWith("outcome")), [
        "success after 1 1",
        "retry of no at 1 2",
        "retry of no at 1 3",
        "failure after 2 2",
        "success after 2 3"
      ])
      for (const id of ["1", "2", "3"]) {
        assert.isBelow(calls.findIndex((call) => call.endsWith(` ${id}`)), calls.indexOf(`outcome ${id}`))
      }
      assert.strictEqual(gophers.size, 1)
    }))

  it.scoped("are not called for a unit that is interrupted", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const note = (name: string) => () => Effect.sync(() => calls.push(name))
      const herd = yield* Herd.make({
        process: () => Effect.interrupt,
        retry: Schedule.recurs(1),
        onSuccess: note("success"),
        onRetry: note("retry"),
        onFailure: note("failure"),
        outcomes: "discard"
      })
      yield* herd.send(1)
      yield* herd.awaitIdle
      assert.strictEqual((yield* herd.state).interrupted, 1)
      assert.deepStrictEqual(calls, [])
    }))

  it.scoped("that fail or die change nothing and are logged as a warning", () => {
    const logged: Array<string> = []
    const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message }) => {
      logged.push(
        `${logLevel.label} ${String(message)} ${Option.getOrElse(HashMap.get(annotations, "herd"), () => "")} ${
          Cause.pretty(cause).split("\n")[0]
        }`
      )
    })
    return Effect.gen(function*() {
      const herd = yield* Herd.make({
        name: "callbacks",
        process: (n: number) => n === 0 ? Effect.fail("zero") : Effect.succeed(n),
        retry: Schedule.recurs(1),
        onSuccess: () => Effect.die(new Error("bad success")),
        onRetry: () => Effect.die(new Error("bad retry")),
        onFailure: () => {
          throw new Error("bad failure")
        }
      })
      assert.strictEqual(yield* herd.run(1), 1)
      assert.strictEqual(yield* Effect.flip(herd.run(0)), "zero")
      assert.strictEqual(yield* herd.run(2), 2)
      assert.deepStrictEqual(logged, [
        "WARN onSuccess failed, which changes nothing for the unit callbacks Error: bad success",
        "WARN onRetry failed, which changes nothing for the unit callbacks Error: bad retry",
        "WARN onFailure failed, which changes nothing for the unit callbacks Error: bad failure",
        "WARN onSuccess failed, which changes nothing for the unit callbacks Error: bad success"
      ])
    }).pipe(Effect.provide(Logger.add(logger)))
  })

  it.scoped("interrupted in the middle, leave the unit the result it had", () =>
    Effect.gen(function*() {
      const calling = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        process: (n: number) => Effect.succeed(n),
        onSuccess: () => Effect.zipRight(Deferred.succeed(calling, undefined), Effect.never)
      })
      yield* herd.send(1)
      yield* Deferred.await(calling)
      assert.strictEqual((yield* herd.state).running, 1)
      yield* herd.resize(0, { mode: "interrupt" })
      yield* herd.settled
      const { queued, succeeded } = yield* herd.state
      assert.deepStrictEqual({ queued, succeeded }, { queued: 0, succeeded: 1 })
    }))

  it.scoped("may use services of their own", () =>
    Effect.gen(function*() {
      class Ledger extends Context.Tag("test/Ledger")<Ledger, Array<string>>() {}
      const note = ({ status }: { readonly status: string }) =>
        Effect.asVoid(Effect.map(Ledger, (ledger) => ledger.push(status)))
      const ledger: Array<string> = []
      const herd = yield* Herd.make({
        process: (n: number, { attempt }) => n === 1 || attempt > 1 && n === 2 ? Effect.succeed(n) : Effect.fail("no"),
        retry: Schedule.recurs(1),
        onSuccess: note,
        onRetry: note,
        onFailure: note
      }).pipe(Effect.provideService(Ledger, ledger))
      for (const n of [1, 2, 3]) yield* Effect.exit(herd.run(n))
      assert.deepStrictEqual(ledger, ["success", "retry", "success", "retry", "failure"])
    }))
})

describe("tracing", () => {
  it.scoped("makes one span per attempt, a child of the sender's span, whether the unit has an id or not", () =>
    Effect.gen(function*() {
      const spans: Array<unknown> = []
      const herd = yield* Herd.make({
        name: "traced",
        process: (_: string, { attempt }) =>
          Effect.flatMap(Effect.currentSpan, (span) => {
            spans.push([
              span.name,
              Option.map(span.parent, (parent) => parent._tag === "Span" ? parent.name : ""),
              Object.fromEntries(span.attributes)
            ])
            return attempt === 1 ? Effect.fail("again") : Effect.void
          }),
        retry: Schedule.recurs(1),
        tracing: true,
        outcomes: "discard"
      })
      const span = (request: string, id: string, attempt: number) => [
        "gofherd.attempt",
        Option.some(request),
        { "gofherd.herd": "traced", "gofherd.work.id": id, "gofherd.work.attempt": attempt }
      ]
      yield* Effect.withSpan(herd.send("x", { id: "u" }), "one")
      yield* herd.awaitIdle
      yield* Effect.withSpan(herd.send("y"), "two")
      yield* herd.awaitIdle
      assert.deepStrictEqual(spans, [
        span("one", "u", 1),
        span("one", "u", 2),
        span("two", "1", 1),
        span("two", "1", 2)
      ])
    }))

  it.scoped("makes a span of its own where the sender has none, wherever the herd was made, and logs nothing", () => {
    const logs = makeLogs(LogLevel.Warning)
    return Effect.gen(function*() {
      const spans: Array<Option.Option<Tracer.AnySpan>> = []
      const herd = yield* Effect.withSpan(
        Herd.make({
          process: () => Effect.map(Effect.orDie(Effect.currentSpan), ({ parent }) => spans.push(parent)),
          tracing: true
        }),
        "maker"
      )
      yield* herd.run(1)
      yield* herd.run(2, { id: "u" })
      assert.deepStrictEqual(spans, [Option.none(), Option.none()])
      assert.deepStrictEqual(logs.lines, [])
    }).pipe(logs.collect)
  })

  it.scoped("makes none unless it is asked for, whatever else is: a unit of run is in its caller's", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: () => Effect.option(Effect.currentSpan),
        onSuccess: () => Effect.void
      })
      assert.deepStrictEqual(yield* herd.run(1), Option.none())
      const span = yield* Effect.withSpan(Effect.zip(herd.run(2), Effect.currentSpan), "request")
      assert.deepStrictEqual(span[0], Option.some(span[1]))
    }))
})

describe("a unit that blocks its gopher", () => {
  it.scoped("and waits for another one of the same herd goes on when the size is raised", () =>
    Effect.gen(function*() {
      const herd: Herd.Herd<number, number> = yield* Herd.make({
        process: (n: number): Effect.Effect<number> => n === 0 ? Effect.succeed(0) : Effect.orDie(herd.run(n - 1))
      })
      const caller = yield* Effect.fork(herd.run(3))
      yield* turns
      assert.isNull(caller.unsafePoll())
      yield* herd.resize(4)
      assert.strictEqual(yield* Fiber.join(caller), 0)
    }))
})

describe("outcomes", () => {
  for (const units of [1, 7, 8, 20, 64, 100]) {
    it.scoped(`reach a waiting reader, all ${units} of a turn, though nothing happens afterwards`, () =>
      Effect.gen(function*() {
        const latch = yield* Deferred.make<void>()
        const herd = yield* Herd.make({ process: (n: number) => Effect.as(Deferred.await(latch), n), size: units })
        yield* herd.sendAll(Array.from({ length: units }, (_, n) => n))
        const through = yield* Herd.make({ process: (n: number) => Effect.as(Deferred.await(latch), n), size: units })
        const input = Stream.concat(Stream.range(1, units), Stream.never)
        const reader = yield* Effect.fork(Stream.runDrain(Stream.take(herd.outcomes, units)))
        const other = yield* Effect.fork(Stream.runDrain(Stream.take(through.stream(input), units)))
        yield* turns
        yield* Deferred.succeed(latch, undefined)
        yield* Effect.repeatN(turns, 2)
        assert.isNotNull(reader.unsafePoll())
        assert.isNotNull(other.unsafePoll())
      }))
  }

  it.scoped("unread, stop the gophers at their capacity plus the size, and go on when somebody reads (G4)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) => Effect.succeed(n),
        size: 3,
        capacity: 100,
        outcomes: { capacity: 5 }
      })
      yield* herd.sendAll(Array.from({ length: 50 }, (_, i) => i))
      yield* herd.close
      yield* turns
      const { queued, succeeded } = yield* herd.state
      assert.isAtLeast(succeeded, 5)
      assert.isAtMost(succeeded, 8)
      assert.strictEqual(queued, 50 - succeeded)
      assert.strictEqual((yield* Stream.runCollect(herd.outcomes)).length, 50)
    }))

  it.scoped("are delivered once each, however many read them", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n), size: 4, outcomes: { capacity: 7 } })
      const readers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Stream.runCollect(herd.outcomes)))
      yield* herd.sendAll(Array.from({ length: 1_000 }, (_, i) => i))
      yield* herd.close
      const all = Chunk.flatten(Chunk.fromIterable(yield* Effect.forEach(readers, Fiber.join)))
      assert.strictEqual(new Set(Chunk.map(all, ({ work }) => work.body)).size, 1_000)
      assert.strictEqual(all.length, 1_000)
    }))

  it.scoped("set to discard, are an empty stream that ends when drained", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, outcomes: "discard" })
      yield* herd.send(1)
      yield* herd.close
      const reader = yield* Effect.fork(Stream.runCollect(herd.outcomes))
      yield* turns
      assert.isNull(reader.unsafePoll())
      yield* stage.finish
      assert.strictEqual((yield* Fiber.join(reader)).length, 0)
    }))
})
