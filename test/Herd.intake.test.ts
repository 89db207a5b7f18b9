import { assert, describe, it } from "@effect/vitest"
import { Cause, Chunk, Deferred, Effect, Exit, Fiber, Option, Schedule, Scope, Stream, TestClock } from "effect"
import { Herd, HerdError } from "gofherd"
import { pretty } from "./utils/pretty.ts"
import { makeStage, turns } from "./utils/stage.ts"

const bodies = <In>(outcomes: Iterable<{ readonly work: { readonly body: In } }>) =>
  Array.from(outcomes, ({ work }) => work.body)

const take = <In, Out, E>(herd: Herd.Herd<In, Out, E>, n: number) =>
  Effect.map(Stream.runCollect(Stream.take(herd.outcomes, n)), Chunk.toReadonlyArray)

describe("send", () => {
  it.scoped("brings a unit's outcome, with its work, exit, attempts and status, to outcomes", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n * 2) })
      yield* herd.send(21, { id: "answer", priority: 3 })
      const [outcome] = yield* take(herd, 1)
      assert.deepStrictEqual(outcome?.work, { id: "answer", body: 21, attempt: 1, priority: 3 })
      assert.deepStrictEqual(outcome?.exit, Exit.succeed(42))
      assert.strictEqual(outcome?.attempts, 1)
      assert.strictEqual(outcome?.status, "success")
    }))

  it.scoped("numbers units without an id in the order of their first attempt", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (s: string) => Effect.succeed(s) })
      yield* herd.sendAll(["a", "b", "c"])
      const outcomes = yield* take(herd, 3)
      assert.deepStrictEqual(outcomes.map(({ work }) => [work.id, work.body]), [["1", "a"], ["2", "b"], ["3", "c"]])
    }))

  it.scoped("accepts undefined and null as bodies", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (u: undefined | null) => Effect.succeed(String(u)) })
      yield* herd.sendAll([undefined, null])
      yield* herd.send(undefined)
      assert.deepStrictEqual(bodies(yield* take(herd, 3)), [undefined, null, undefined])
    }))

  it.scoped("suspends while capacity units wait, and goes on once half of them are gone (G4)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 4, outcomes: "discard" })
      yield* herd.send(1)
      yield* turns
      const sender = yield* Effect.fork(Effect.forEach([2, 3, 4, 5, 6, 7], (n) => herd.send(n), { discard: true }))
      yield* turns
      assert.strictEqual((yield* herd.state).queued, 4)
      assert.strictEqual((yield* herd.state).accepted, 5)
      yield* stage.succeed(1)
      assert.strictEqual((yield* herd.state).accepted, 5)
      yield* stage.succeed(2)
      assert.strictEqual((yield* herd.state).accepted, 7)
      assert.strictEqual((yield* herd.state).queued, 4)
      yield* Fiber.join(sender)
      yield* stage.finish
      assert.deepStrictEqual(stage.started, [1, 2, 3, 4, 5, 6, 7])
    }))

  it.scoped("takes a unit back when it is interrupted before there was room", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 1, outcomes: "discard" })
      yield* herd.send(1)
      yield* turns
      yield* herd.send(2)
      const waiting = yield* Effect.fork(herd.send(3))
      const behind = yield* Effect.fork(herd.send(4))
      yield* turns
      yield* Fiber.interrupt(waiting)
      yield* stage.finish
      yield* Fiber.join(behind)
      yield* stage.finish
      assert.deepStrictEqual(stage.started, [1, 2, 4])
      assert.strictEqual((yield* herd.state).accepted, 3)
    }))

  it.scoped("dies of an id that is no string and of a priority that is no finite number, and nothing enters", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 0 })
      for (const priority of [NaN, Infinity, "1"]) {
        const exit = yield* Effect.exit(herd.send(1, { priority: priority as number }))
        const defect = Exit.isFailure(exit) ? Option.getOrThrow(Cause.dieOption(exit.cause)) : undefined
        assert.instanceOf(defect, HerdError.InvalidOption)
        assert.match(String(defect), /expected priority to be a finite number, got/)
      }
      const exit = yield* Effect.exit(herd.run(1, { id: 7 as unknown as string }))
      assert.match(pretty(exit), /expected id to be a string, got 7/)
      assert.strictEqual((yield* herd.state).accepted, 0)
    }))
})

describe("sendAll", () => {
  it.scoped("asks for the next body only when there is room, so that an endless iterable works", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      let asked = 0
      const naturals = function*() {
        while (true) yield ++asked
      }
      const herd = yield* Herd.make({ process: stage.process, capacity: 4, outcomes: "discard" })
      const sender = yield* Effect.fork(herd.sendAll(naturals()))
      yield* turns
      assert.isAtMost(asked, 6)
      yield* stage.succeed(1)
      yield* stage.succeed(2)
      yield* stage.succeed(3)
      assert.isAtLeast((yield* herd.state).accepted, 6)
      assert.isAtMost((yield* herd.state).queued, 4)
      yield* Fiber.interrupt(sender)
    }))

  it.scoped("suspends its fiber once per refill, not once per unit", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n), capacity: 100, outcomes: "discard" })
      let resumptions = 0
      const count = function*() {
        for (let n = 0; n < 1_000; n++) {
          yield n
        }
      }
      const sender = yield* Effect.fork(herd.sendAll(count()))
      let before = (yield* herd.state).accepted
      while (sender.unsafePoll() === null) {
        yield* Effect.yieldNow()
        const { accepted } = yield* herd.state
        if (accepted !== before) resumptions++
        before = accepted
      }
      yield* herd.awaitIdle
      assert.isAtMost(resumptions, 45)
      assert.strictEqual((yield* herd.state).succeeded, 1_000)
    }))

  it.scoped("says in HerdClosed how many it had entered when the herd closed (G9)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 3, outcomes: "discard" })
      yield* herd.send(1)
      yield* turns
      const sender = yield* Effect.fork(Effect.flip(herd.sendAll([2, 3, 4, 5, 6])))
      yield* turns
      yield* herd.close
      const error = yield* Fiber.join(sender)
      assert.instanceOf(error, HerdError.HerdClosed)
      assert.strictEqual(error.accepted, 3)
      assert.strictEqual((yield* herd.state).accepted, 4)
      yield* stage.finish
      assert.deepStrictEqual(stage.started, [1, 2, 3, 4])
    }))

  it.scoped("counts exactly, and is never interrupted, wherever the close or the end of the scope catches it (G9)", () =>
    Effect.gen(function*() {
      // A fiber yields after 2048 steps: the padding moves that point over the steps of sendAll.
      for (let pad = 2_015; pad < 2_050; pad++) {
        for (const ending of ["close", "scope"]) {
          const scope = yield* Scope.make()
          const herd = yield* Scope.extend(Herd.make({ process: Effect.succeed<number>, size: 0, capacity: 8 }), scope)
          const padding = Effect.forEach(Array.from({ length: pad }), () => Effect.void, { discard: true })
          const send = Effect.exit(Effect.zipRight(padding, herd.sendAll([1, 2, 3, 4, 5, 6])))
          const senders = [yield* Effect.fork(send), yield* Effect.fork(send)]
          yield* Effect.yieldNow()
          yield* ending === "close" ? herd.close : Scope.close(scope, Exit.void)
          let entered = 0
          for (const sender of senders) {
            const exit = yield* Fiber.join(sender)
            if (Exit.isSuccess(exit)) entered += 6
            else if (exit.cause._tag === "Fail") entered += exit.cause.error.accepted
            else assert.fail(`expected HerdClosed, got ${exit.cause}`)
          }
          assert.strictEqual(entered, (yield* herd.state).accepted)
          yield* Scope.close(scope, Exit.void)
        }
      }
    }))

  it.scoped("ends the iterator when it does not get to its end", () =>
    Effect.gen(function*() {
      let ended = 0
      const naturals = function*() {
        try {
          for (let n = 1;; n++) yield n
        } finally {
          ended++
        }
      }
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 0, capacity: 2 })
      const sender = yield* Effect.fork(herd.sendAll(naturals()))
      yield* turns
      yield* Fiber.interrupt(sender)
      assert.strictEqual(ended, 1)
    }))

  it.scoped("ends an iterator that it has not begun, in a closed herd", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: "discard" })
      yield* herd.close
      const calls: Array<string> = []
      const call = (name: string) => () => {
        calls.push(name)
        return { done: true as const, value: 0 }
      }
      const late = { [Symbol.iterator]: () => ({ next: call("next"), return: call("return") }) }
      assert.strictEqual((yield* Effect.flip(herd.sendAll(late))).accepted, 0)
      assert.deepStrictEqual(calls, ["return"])
    }))

  it.scoped("dies with what an iterable throws; what had entered goes on", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, outcomes: "discard" })
      const broken = function*() {
        yield 1
        throw new Error("out of numbers")
      }
      const exit = yield* Effect.exit(herd.sendAll(broken()))
      assert.match(pretty(exit), /out of numbers/)
      yield* herd.send(2)
      yield* herd.awaitIdle
      const { accepted, succeeded } = yield* herd.state
      assert.strictEqual(accepted, succeeded)
    }))
})

describe("trySend", () => {
  it.scoped("answers false when the queue is full, and never suspends", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 0, capacity: 2 })
      assert.deepStrictEqual([yield* herd.trySend(1), yield* herd.trySend(2), yield* herd.trySend(3)], [
        true,
        true,
        false
      ])
      assert.strictEqual((yield* herd.state).queued, 2)
    }))

  it.scoped("does not get ahead of senders that wait", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 4, outcomes: "discard" })
      yield* herd.send(1)
      yield* turns
      const sender = yield* Effect.fork(herd.sendAll([2, 3, 4, 5, 6]))
      yield* turns
      yield* stage.succeed(1)
      assert.strictEqual((yield* herd.state).queued, 3)
      assert.strictEqual(yield* herd.trySend(99), false)
      yield* stage.finish
      yield* Fiber.join(sender)
      assert.deepStrictEqual(stage.started, [1, 2, 3, 4, 5, 6])
    }))
})

describe("capacity 0", () => {
  it.scoped("is an exact hand-off: send goes on when a gopher has taken the unit", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 0, outcomes: "discard" })
      yield* herd.send(1)
      const second = yield* Effect.fork(herd.send(2))
      yield* turns
      assert.isNull(second.unsafePoll())
      assert.deepStrictEqual([(yield* herd.state).accepted, (yield* herd.state).queued], [1, 0])
      yield* stage.succeed(1)
      yield* Fiber.join(second)
      assert.deepStrictEqual(stage.running, [2])
      assert.strictEqual((yield* herd.state).queued, 0)
    }))

  it.scoped("hands over in the order of arrival, also from sendAll and run", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 0, size: 0, outcomes: "discard" })
      const fibers = yield* Effect.all([
        Effect.fork(herd.send(1)),
        Effect.fork(herd.sendAll([2, 3])),
        Effect.fork(Effect.asVoid(herd.run(4)))
      ])
      yield* turns
      assert.strictEqual((yield* herd.state).accepted, 0)
      yield* herd.resize(1)
      yield* turns
      yield* stage.finish
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(stage.started, [1, 2, 4, 3])
    }))

  it.scoped("lets trySend in only while a gopher is free", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 0, size: 2, outcomes: "discard" })
      const answers = [yield* herd.trySend(1), yield* herd.trySend(2), yield* herd.trySend(3)]
      assert.deepStrictEqual(answers, [true, true, false])
      yield* turns
      assert.deepStrictEqual(stage.running, [1, 2])
      assert.strictEqual(yield* herd.trySend(3), false)
      yield* stage.succeed(1)
      assert.deepStrictEqual([yield* herd.trySend(3), yield* herd.trySend(4)], [true, false])
      yield* herd.resize(0)
      assert.strictEqual(yield* herd.trySend(4), false)
    }))

  it.scoped("lets trySend in neither while the herd is paused nor while unread outcomes hold it up", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: Effect.succeed<number>,
        capacity: 0,
        size: 2,
        outcomes: { capacity: 1 }
      })
      yield* herd.pause
      assert.isFalse(yield* herd.trySend(1))
      yield* herd.resume
      assert.isTrue(yield* herd.trySend(1))
      yield* turns
      assert.isFalse(yield* herd.trySend(2))
      yield* Stream.runDrain(Stream.take(herd.outcomes, 1))
      assert.isTrue(yield* herd.trySend(2))
    }))

  it.scoped("makes room for the trySend that found a free gopher, and for nobody after it", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 0, outcomes: "discard" })
      assert.isTrue(yield* herd.trySend(1))
      yield* turns
      const sender = yield* Effect.fork(herd.send(2))
      yield* turns
      assert.isNull(sender.unsafePoll())
      assert.strictEqual((yield* herd.state).accepted, 1)
      yield* stage.succeed(1)
      yield* Fiber.join(sender)
    }))

  it.scoped("hands over no unit while as many as the size run or wait for their backoff (G4)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({
        process: stage.process,
        capacity: 0,
        size: 2,
        retry: Schedule.spaced("1 minute").pipe(Schedule.intersect(Schedule.recurs(1))),
        outcomes: "discard"
      })
      const sender = yield* Effect.fork(herd.sendAll([1, 2, 3, 4, 5]))
      yield* turns
      yield* stage.fail(1, "later")
      assert.deepStrictEqual(stage.started, [1, 2])
      yield* stage.fail(2, "later")
      assert.deepStrictEqual([(yield* herd.state).retrying, (yield* herd.state).accepted], [2, 2])
      assert.strictEqual(yield* herd.trySend(6), false)

      yield* herd.resize(3)
      yield* turns
      assert.deepStrictEqual(stage.started, [1, 2, 3])
      yield* stage.succeed(3)
      yield* stage.fail(4, "later")
      assert.deepStrictEqual([(yield* herd.state).retrying, (yield* herd.state).accepted], [3, 4])

      yield* TestClock.adjust("1 minute")
      yield* turns
      assert.deepStrictEqual(stage.running, [1, 2, 4])
      yield* stage.fail(1, "for good")
      assert.deepStrictEqual(stage.running, [2, 4, 5])
      yield* Fiber.join(sender)
      yield* stage.finish
      assert.strictEqual(yield* herd.trySend(6), true)
    }))

  it.scoped("lets trySend in while one gopher is free, though another's unit waits for its backoff, and not else (G4)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const retry = Schedule.spaced("1 minute")
      const herd = yield* Herd.make({ process: stage.process, capacity: 0, size: 2, retry, outcomes: "discard" })
      yield* herd.send(1)
      yield* turns
      yield* stage.fail(1, "later")
      assert.isTrue(yield* herd.trySend(2))
      yield* turns
      assert.deepStrictEqual(stage.running, [2])
      assert.isFalse(yield* herd.trySend(3))
      yield* stage.succeed(2)
      yield* herd.resize(1)
      assert.isFalse(yield* herd.trySend(3))
      assert.include(yield* herd.state, { accepted: 2, queued: 0, retrying: 1 })
    }))

  it.scoped("hands over the next unit when one that waits for its backoff is cancelled (G4, G11)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 0, retry: Schedule.spaced("1 minute") })
      const caller = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* stage.fail(1, "later")
      const sender = yield* Effect.fork(herd.send(2))
      yield* turns
      assert.deepStrictEqual(stage.running, [])
      yield* Fiber.interrupt(caller)
      yield* Fiber.join(sender)
      assert.deepStrictEqual(stage.running, [2])
    }))
})

describe("run", () => {
  it.scoped("gives the result to its caller and not to outcomes", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) => n < 0 ? Effect.fail("negative") : Effect.succeed(n + 1),
        size: 2
      })
      assert.strictEqual(yield* herd.run(1), 2)
      assert.strictEqual(yield* Effect.flip(herd.run(-1)), "negative")
      yield* herd.send(5)
      yield* herd.close
      assert.deepStrictEqual(bodies(yield* Stream.runCollect(herd.outcomes)), [5])
    }))

  it.scoped("goes back to the caller with a defect, and the next unit is processed (G7)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => n === 0 ? Effect.die("zero") : Effect.succeed(n) })
      const exit = yield* Effect.exit(herd.run(0))
      assert.deepStrictEqual(exit, Exit.die("zero"))
      assert.strictEqual(yield* herd.run(1), 1)
    }))

  it.scoped("interrupted while queued, is taken out of the queue (G11)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 2 })
      const first = yield* Effect.fork(herd.run(1))
      const second = yield* Effect.fork(herd.run(2))
      const third = yield* Effect.fork(herd.run(3))
      yield* turns
      yield* Fiber.interrupt(second)
      const { interrupted, queued } = yield* herd.state
      assert.deepStrictEqual([queued, interrupted], [1, 1])
      assert.strictEqual(yield* herd.trySend(4), true)
      yield* stage.finish
      assert.strictEqual(yield* Fiber.join(first), 10)
      assert.strictEqual(yield* Fiber.join(third), 30)
      assert.deepStrictEqual(stage.started, [1, 3, 4])
    }))

  it.scoped("can be cancelled also in a herd that was made where nothing can be interrupted (G11)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Effect.uninterruptible(Herd.make({ process: stage.process }))
      const caller = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* Fiber.interrupt(caller)
      assert.deepStrictEqual(stage.interrupted, [1])
    }))

  it.scoped("interrupted while it waits for room, never enters (G11)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 0, capacity: 1 })
      yield* herd.send(1)
      const waiting = yield* Effect.fork(herd.run(2))
      yield* turns
      yield* Fiber.interrupt(waiting)
      yield* herd.resize(1)
      yield* herd.awaitIdle
      assert.strictEqual((yield* herd.state).accepted, 1)
    }))

  it.scoped("interrupted while running, interrupts the attempt and frees the slot when it has ended, not before (G11)", () =>
    Effect.gen(function*() {
      const closing = yield* Deferred.make<void>()
      const started: Array<number> = []
      const herd = yield* Herd.make({
        process: (n: number) =>
          Effect.zipRight(
            Effect.sync(() => started.push(n)),
            n === 1 ? Effect.onInterrupt(Effect.never, () => Deferred.await(closing)) : Effect.succeed(n)
          )
      })
      const first = yield* Effect.fork(herd.run(1))
      const second = yield* Effect.fork(herd.run(2))
      yield* turns
      const interruption = yield* Effect.fork(Fiber.interrupt(first))
      yield* turns
      assert.deepStrictEqual(started, [1])
      assert.strictEqual((yield* herd.state).running, 1)
      assert.isNull(interruption.unsafePoll())
      yield* Deferred.succeed(closing, undefined)
      yield* Fiber.join(interruption)
      assert.strictEqual(yield* Fiber.join(second), 2)
      assert.strictEqual((yield* herd.state).interrupted, 1)
    }))

  it.scoped("cancelled thousands of times while the herd starts nothing, leaves the queue usable and in order", () =>
    Effect.gen(function*() {
      const started: Array<number> = []
      const process = (n: number) => Effect.sync(() => started.push(n))
      const herd = yield* Herd.make({ process, size: 0, capacity: 1_000, outcomes: "discard" })
      for (let round = 0; round < 10; round++) {
        yield* herd.send(round)
        const callers = yield* Effect.forEach(Array.from({ length: 500 }), () => Effect.fork(herd.run(-1)))
        yield* turns
        yield* Fiber.interruptAll(callers)
      }
      assert.strictEqual((yield* herd.state).queued, 10)
      yield* herd.resize(1)
      yield* herd.awaitIdle
      assert.deepStrictEqual(started, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      assert.strictEqual((yield* herd.state).interrupted, 5_000)
    }))
})

describe("stream", () => {
  it.scoped("gives the outcomes of its input, and ends with it; outcomes sees none of them", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n * n), size: 8 })
      yield* herd.send(-1)
      const outcomes = yield* Stream.runCollect(herd.stream(Stream.range(1, 5_000)))
      assert.strictEqual(outcomes.length, 5_000)
      assert.deepStrictEqual(bodies(outcomes).toSorted((a, b) => a - b), Array.from({ length: 5_000 }, (_, i) => i + 1))
      yield* herd.close
      assert.deepStrictEqual(bodies(yield* Stream.runCollect(herd.outcomes)), [-1])
    }))

  it.scoped("of an empty input ends at once", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number> })
      assert.strictEqual((yield* Stream.runCollect(herd.stream(Stream.empty))).length, 0)
    }))

  it.scoped("delivers what was accepted before it fails with the failure of its input", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n) })
      const seen: Array<number> = []
      const input = Stream.concat(Stream.make(1, 2, 3), Stream.fail("no more"))
      const error = yield* Effect.flip(
        Stream.runForEach(herd.stream(input), ({ work }) => Effect.sync(() => seen.push(work.body)))
      )
      assert.strictEqual(error, "no more")
      assert.deepStrictEqual(seen, [1, 2, 3])
    }))

  it.scoped("ended early, cancels what it still has in the herd: queued, running and retrying (G11)", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 2, retry: Schedule.spaced("1 hour") })
      const first = yield* Effect.fork(Stream.runHead(herd.stream(Stream.range(1, 100))))
      yield* turns
      yield* stage.fail(2, "later")
      assert.strictEqual((yield* herd.state).retrying, 1)
      yield* stage.succeed(1)
      const head = yield* Fiber.join(first)
      assert.strictEqual(Option.getOrThrow(head).work.body, 1)
      yield* turns
      const { interrupted, queued, retrying, running, succeeded } = yield* herd.state
      assert.deepStrictEqual({ interrupted, queued, retrying, running, succeeded }, {
        interrupted: 99,
        queued: 0,
        retrying: 0,
        running: 0,
        succeeded: 1
      })
      assert.deepStrictEqual(stage.interrupted.toSorted(), [3, 4])
    }))

  it.scoped("has at most 1024 units in the herd or unread (G4)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n), size: 0, capacity: 10_000 })
      yield* Effect.fork(Stream.runForEachChunk(herd.stream(Stream.range(1, 5_000)), () => Effect.never))
      yield* turns
      assert.strictEqual((yield* herd.state).accepted, 1_024)
      yield* herd.resize(1)
      yield* Effect.repeatN(turns, 50)
      const { accepted, succeeded } = yield* herd.state
      assert.strictEqual(succeeded, accepted)
      // The reader has taken a first chunk, and is stuck with it.
      assert.isAtMost(accepted, 2 * 1_024)
    }))

  it.scoped("takes no more of its input while its reader is behind (G4), and holds up nobody else", () =>
    Effect.gen(function*() {
      let taken = 0
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n) })
      const input = Stream.rechunk(Stream.tap(Stream.range(1, 10_000), () => Effect.sync(() => taken++)), 1)
      const reading = yield* Deferred.make<void>()
      const slow = yield* Effect.fork(
        Stream.runForEachChunk(herd.stream(input), () => Deferred.await(reading))
      )
      yield* turns
      yield* Effect.repeatN(turns, 50)
      assert.isAtMost(taken, 3_000)
      assert.strictEqual(yield* herd.run(7), 7)
      yield* Deferred.succeed(reading, undefined)
      yield* Fiber.join(slow)
      assert.strictEqual(taken, 10_000)
    }))

  it.scoped("dies with HerdClosed when the herd closes before all of its input is in", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 2 })
      const seen: Array<number> = []
      const reader = yield* Effect.fork(
        Stream.runForEach(herd.stream(Stream.range(1, 10)), ({ work }) => Effect.sync(() => seen.push(work.body)))
      )
      yield* turns
      yield* herd.close
      yield* turns
      yield* stage.finish
      const exit = yield* Fiber.await(reader)
      assert.match(pretty(exit), /expected herd "herd.*" to be open, got closed/)
      assert.deepStrictEqual(seen, [1, 2, 3])
    }))
})

describe("priority (G15)", () => {
  it.scoped("starts higher priorities first, and first in, first out within one", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, outcomes: "discard", size: 0 })
      yield* herd.send(1)
      yield* herd.send(2, { priority: -1 })
      yield* herd.send(3, { priority: 5 })
      yield* herd.send(4)
      yield* herd.send(5, { priority: 5 })
      yield* herd.sendAll([6, 7], { priority: 0.5 })
      yield* herd.resize(1)
      yield* turns
      yield* stage.finish
      assert.deepStrictEqual(stage.started, [3, 5, 6, 7, 1, 4, 2])
    }))

  it.scoped("orders also the senders that wait for room", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, outcomes: "discard", capacity: 1, size: 0 })
      yield* herd.send(1)
      const senders = [
        yield* Effect.fork(herd.send(2)),
        yield* Effect.fork(herd.send(3, { priority: 1 })),
        yield* Effect.fork(herd.send(4, { priority: 1 }))
      ]
      yield* turns
      yield* herd.resize(1)
      yield* turns
      yield* stage.finish
      yield* Fiber.joinAll(senders)
      assert.deepStrictEqual(stage.started, [1, 3, 4, 2])
    }))

  const givings = {
    run: (herd: Herd.Herd<number, number, string>, n: number) => herd.run(n, { priority: 1 }),
    send: (herd: Herd.Herd<number, number, string>, n: number) => herd.send(n, { priority: 1 }),
    sendAll: (herd: Herd.Herd<number, number, string>, n: number) => herd.sendAll([n], { priority: 1 })
  }

  for (const [name, give] of Object.entries(givings)) {
    it.scoped(`gives the next free place of a full queue to a sender above all that wait, by ${name}`, () =>
      Effect.gen(function*() {
        const stage = makeStage()
        const herd = yield* Herd.make({ process: stage.process, size: 1, outcomes: "discard" })
        yield* herd.send(0)
        yield* turns
        const callers = yield* Effect.forEach(
          Array.from({ length: 1_100 }, (_, n) => n + 1),
          (n) => Effect.fork(herd.run(n))
        )
        yield* turns
        assert.strictEqual((yield* herd.state).queued, 1024)
        const urgent = yield* Effect.forEach([2_001, 2_002], (n) => Effect.fork(give(herd, n)))
        yield* turns
        for (const n of [0, 1, 2_001, 2_002]) yield* stage.succeed(n)
        assert.deepStrictEqual(stage.started, [0, 1, 2_001, 2_002, 2])
        yield* Fiber.joinAll(urgent)
        // Among equals senders go on once half of the capacity is free.
        assert.deepStrictEqual((yield* herd.state).accepted, 1_025 + 2)
        yield* Fiber.interruptAll(callers)
      }))
  }

  it.scoped("lets a unit above all that wait enter at once where there is room, though senders wait", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 4, outcomes: "discard" })
      yield* herd.send(1)
      yield* turns
      const sending = yield* Effect.fork(herd.sendAll([2, 3, 4, 5, 6, 7]))
      yield* turns
      const above = yield* Effect.fork(herd.send(8, { priority: 2 }))
      yield* turns
      for (const n of [1, 2]) yield* stage.succeed(n)
      yield* Fiber.join(above)
      assert.deepStrictEqual([(yield* herd.state).queued, (yield* herd.state).accepted], [3, 6])
      assert.isFalse(yield* herd.trySend(10, { priority: 0 }))
      assert.isTrue(yield* herd.trySend(11, { priority: 1 }))
      assert.isFalse(yield* herd.trySend(12, { priority: 2 }))
      yield* stage.finish
      yield* Fiber.join(sending)
      assert.deepStrictEqual(stage.started, [1, 2, 8, 11, 3, 4, 5, 6, 7])
    }))

  it.scoped("keeps a sender waiting that is not above the next unit", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, capacity: 4, outcomes: "discard" })
      yield* herd.send(1)
      yield* turns
      yield* herd.sendAll([2, 3, 4, 5], { priority: 3 })
      const below = yield* Effect.fork(herd.send(6, { priority: 2 }))
      const equal = yield* Effect.fork(herd.send(7, { priority: 3 }))
      yield* turns
      yield* stage.succeed(1)
      assert.strictEqual((yield* herd.state).queued, 3)
      assert.isFalse(yield* herd.trySend(8, { priority: 3 }))
      yield* stage.finish
      yield* Fiber.joinAll([below, equal])
      assert.deepStrictEqual(stage.started, [1, 2, 3, 4, 5, 7, 6])
    }))

  it.scoped("copes with a priority of its own for each of ten thousand units", () =>
    Effect.gen(function*() {
      const started: Array<number> = []
      const herd = yield* Herd.make({
        process: (n: number) => Effect.sync(() => started.push(n)),
        size: 0,
        capacity: 10_000,
        outcomes: "discard"
      })
      const numbers = Array.from({ length: 10_000 }, (_, i) => (i * 7919) % 10_007)
      yield* Effect.forEach(numbers, (n) => herd.send(n, { priority: n }), { discard: true })
      yield* herd.resize(1)
      yield* herd.awaitIdle
      assert.deepStrictEqual(started, numbers.toSorted((a, b) => b - a))
    }))
})
