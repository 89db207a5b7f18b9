import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FiberId, FiberSet, Stream } from "effect"
import { Herd } from "gofherd"
import { makeStage, turns } from "./utils/stage.ts"

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Starts it and interrupts it, with nothing in between. */
const hasty = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.sync(() => {
    const fiber = Effect.runFork(effect)
    fiber.unsafeInterruptAsFork(FiberId.none)
    return fiber
  })

/** Ways to have fibers between the one that is interrupted and the caller of `run`. */
const ways: Readonly<Record<string, <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<unknown, unknown>>> = {
  "Effect.fork": (effect) => Effect.flatMap(Effect.fork(effect), Fiber.join),
  "Effect.all": (effect) => Effect.all([effect, Effect.never], { concurrency: "unbounded" }),
  "Effect.race": (effect) => Effect.race(effect, Effect.never),
  "Effect.timeout": (effect) => Effect.timeout(effect, "1 hour"),
  "Effect.disconnect": (effect) => Effect.disconnect(effect),
  "a scope": (effect) => Effect.scoped(Effect.flatMap(Effect.forkScoped(effect), Fiber.join)),
  "a FiberSet": (effect) =>
    Effect.scoped(
      Effect.flatMap(FiberSet.make(), (fibers) => Effect.flatMap(FiberSet.run(fibers, effect), Fiber.join))
    ),
  "a Stream": (effect) => Stream.runDrain(Stream.mapEffect(Stream.make(1), () => effect, { concurrency: 2 }))
}

const nested = (
  way: string,
  levels: number,
  effect: Effect.Effect<unknown, unknown>
): Effect.Effect<unknown, unknown> => levels === 0 ? effect : nested(way, levels - 1, ways[way]?.(effect) ?? effect)

const gophers = {
  "a process": (process: (n: number) => Effect.Effect<number, string>) => ({ process }),
  "gophers that own a resource": (process: (n: number) => Effect.Effect<number, string>) => ({
    gopher: Effect.succeed(process)
  })
}

describe("a unit that is cancelled in the instant in which it came is not begun (G11)", () => {
  for (const [name, worker] of Object.entries(gophers)) {
    describe(`by a herd of ${name}`, () => {
      const make = (options: { readonly size?: number; readonly capacity?: number } = {}) =>
        Effect.gen(function*() {
          const stage = makeStage()
          const herd: Herd.Herd<number, number, string> = yield* Herd.make({ ...worker(stage.process), ...options })
          yield* turns
          return { herd, stage }
        })

      it.scoped("by the interruption of run: it is accepted, and settles as interrupted", () =>
        Effect.gen(function*() {
          const { herd, stage } = yield* make()
          const exit = yield* Effect.flatMap(hasty(herd.run(1)), Fiber.await)
          yield* turns
          assert.isTrue(Exit.isInterrupted(exit))
          assert.deepStrictEqual(stage.started, [])
          const { accepted, interrupted } = yield* herd.state
          assert.deepStrictEqual({ accepted, interrupted }, { accepted: 1, interrupted: 1 })
        }))

      it.scoped("by the interruption of run, with an idle gopher", () =>
        Effect.gen(function*() {
          const { herd, stage } = yield* make()
          yield* herd.send(1)
          yield* turns
          yield* stage.succeed(1)
          yield* Effect.flatMap(hasty(herd.run(2)), Fiber.await)
          yield* turns
          assert.deepStrictEqual(stage.started, [1])
        }))

      it.scoped("by an AbortSignal", () =>
        Effect.gen(function*() {
          const { herd, stage } = yield* make()
          const controller = new AbortController()
          const running = Effect.runPromiseExit(herd.run(1), { signal: controller.signal })
          controller.abort()
          assert.isTrue(Exit.isInterrupted(yield* Effect.promise(() => running)))
          yield* turns
          assert.deepStrictEqual(stage.started, [])
        }))

      it.scoped("by the interruption of run, with many others, while units run", () =>
        Effect.gen(function*() {
          const { herd, stage } = yield* make({ size: 4 })
          const running = yield* Effect.forEach([1, 2], (n) => Effect.fork(herd.run(n)))
          yield* turns
          const callers = upTo(100).map((n) => Effect.runFork(herd.run(100 + n)))
          for (const caller of callers) caller.unsafeInterruptAsFork(FiberId.none)
          yield* Fiber.awaitAll(callers)
          yield* turns
          assert.deepStrictEqual(stage.started, [1, 2])
          yield* stage.finish
          assert.deepStrictEqual(yield* Effect.forEach(running, Fiber.join), [10, 20])
          assert.strictEqual((yield* herd.state).interrupted, 100)
        }))

      it.scoped("by the interruption of run, where a gopher has become free before", () =>
        Effect.gen(function*() {
          const gate = yield* Deferred.make<number, string>()
          const started: Array<number> = []
          const herd: Herd.Herd<number, number, string> = yield* Herd.make(worker((n) => {
            started.push(n)
            return Deferred.await(gate)
          }))
          const first = yield* Effect.fork(herd.run(1))
          yield* turns
          Deferred.unsafeDone(gate, Exit.succeed(7))
          yield* Effect.flatMap(hasty(herd.run(2)), Fiber.await)
          assert.strictEqual(yield* Fiber.join(first), 7)
          yield* turns
          assert.deepStrictEqual(started, [1])
          assert.strictEqual(yield* herd.run(3), 7)
        }))

      it.scoped("by the interruption of run, where its priority brings it before others", () =>
        Effect.gen(function*() {
          const gate = yield* Deferred.make<number, string>()
          const started: Array<number> = []
          const herd: Herd.Herd<number, number, string> = yield* Herd.make(worker((n) => {
            started.push(n)
            return Deferred.await(gate)
          }))
          yield* herd.sendAll([1, 2, 3])
          yield* turns
          Deferred.unsafeDone(gate, Exit.succeed(7))
          yield* Effect.flatMap(hasty(herd.run(9, { priority: 1 })), Fiber.await)
          yield* turns
          assert.deepStrictEqual(started, [1, 2, 3])
        }))

      it.scoped("by the interruption of run in the next step of another fiber", () =>
        Effect.gen(function*() {
          const { herd, stage } = yield* make()
          const caller = yield* Effect.fork(herd.run(1))
          yield* Effect.yieldNow()
          yield* Fiber.interrupt(caller)
          yield* turns
          assert.strictEqual((yield* herd.state).accepted, 1)
          assert.deepStrictEqual(stage.started, [])
        }))

      for (const way of Object.keys(ways)) {
        for (const capacity of [0, 8]) {
          it.scoped(`by the interruption of fibers above run, by ${way}, however many, with capacity ${capacity}`, () =>
            Effect.forEach([1, 2, 3, 5, 10, 50], (levels) =>
              Effect.gen(function*() {
                const { herd, stage } = yield* make({ size: 4, capacity })
                const outermost = Effect.runFork(nested(way, levels, herd.run(1)))
                while (true) {
                  const { accepted, senders } = yield* herd.state
                  if (accepted + senders > 0) break
                  yield* Effect.yieldNow()
                }
                outermost.unsafeInterruptAsFork(FiberId.none)
                yield* Fiber.await(outermost)
                yield* turns
                assert.deepStrictEqual(stage.started, [], `${levels} levels`)
                const { accepted, interrupted, senders } = yield* herd.state
                assert.deepStrictEqual([interrupted, senders], [accepted, 0])
              })))
        }
      }

      it.scoped("by the interruption of run that hands over with capacity 0: it is not accepted", () =>
        Effect.gen(function*() {
          const { herd, stage } = yield* make({ capacity: 0 })
          yield* Effect.flatMap(hasty(herd.run(1)), Fiber.await)
          yield* turns
          assert.deepStrictEqual(stage.started, [])
          assert.strictEqual((yield* herd.state).accepted, 0)
        }))

      it.scoped("by the interruption of run that finds room after it has waited", () =>
        Effect.gen(function*() {
          const { herd, stage } = yield* make({ capacity: 1 })
          yield* herd.send(1)
          yield* turns
          const waiting = yield* Effect.fork(herd.run(2))
          const later = yield* Effect.fork(herd.run(3))
          yield* turns
          later.unsafeInterruptAsFork(FiberId.none)
          yield* stage.succeed(1)
          assert.deepStrictEqual(stage.started, [1, 2])
          yield* stage.finish
          assert.strictEqual(yield* Fiber.join(waiting), 20)
          assert.deepStrictEqual(stage.started, [1, 2])
          assert.strictEqual((yield* herd.state).accepted, 2)
        }))

      it.scoped("by the end of its stream", () =>
        Effect.gen(function*() {
          const { herd, stage } = yield* make({ size: 2 })
          // What comes last interrupts the reader, in the instant in which all others entered.
          const leaves: Stream.Stream<never> = Stream.execute(
            Effect.sync(() => reader.unsafeInterruptAsFork(FiberId.none))
          )
          const reader = Effect.runFork(
            Stream.runDrain(herd.stream(Stream.concat(Stream.fromIterable(upTo(10)), leaves)))
          )
          yield* Fiber.await(reader)
          yield* turns
          assert.deepStrictEqual(stage.started, [])
          const { accepted, interrupted } = yield* herd.state
          assert.deepStrictEqual({ accepted, interrupted }, { accepted: 10, interrupted: 10 })
        }))
    })
  }

  it.scoped("while what is sent begins at once", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process })
      yield* Effect.flatMap(hasty(herd.send(1)), Fiber.await)
      yield* turns
      assert.deepStrictEqual(stage.started, [1])
    }))
})
