/**
 * A gopher's fiber may be suspended between any two of its steps, also after it has taken a unit
 * and before it has begun it. Here something happens at each of these instants, one after the
 * other.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler, Scope, Stream } from "effect"
import { Herd } from "gofherd"
import { turns } from "./utils/stage.ts"

/** More steps than the gophers of a test take. */
const STEPS = 120

/** Suspends, once, the fiber that makes the n-th step, and calls at that instant. */
class Instant implements Scheduler.Scheduler {
  private left = 0
  private call: (fiber: Fiber.RuntimeFiber<unknown, unknown>) => void = () => {}

  after(steps: number, call: (fiber: Fiber.RuntimeFiber<unknown, unknown>) => void): void {
    this.left = steps
    this.call = call
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    if (this.left === 0 || --this.left > 0) return Scheduler.defaultScheduler.shouldYield(fiber)
    this.call(fiber)
    return 0
  }

  scheduleTask(task: Scheduler.Task, priority: number, fiber?: Fiber.RuntimeFiber<unknown, unknown>): void {
    Scheduler.defaultScheduler.scheduleTask(task, priority, fiber)
  }
}

/**
 * Runs the test once for each step that a gopher may be suspended at; `at` takes what is to be done
 * then.
 */
const atEveryInstant = (
  name: string,
  test: (options: {
    readonly make: (options?: { readonly capacity?: number; readonly size?: number }) => Effect.Effect<
      {
        readonly herd: Herd.Herd<number, number>
        readonly started: Array<number>
      },
      never,
      Scope.Scope
    >
    readonly at: (act: (gopher: Fiber.RuntimeFiber<unknown, unknown>) => void) => void
    /** It is not going to be that instant any more. */
    readonly over: Effect.Effect<void>
  }) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  it.effect(name, () =>
    Effect.forEach(Array.from({ length: STEPS }, (_, n) => n + 1), (step) => {
      const instant = new Instant()
      const make = (options = {}) => {
        const started: Array<number> = []
        const process = (n: number) => {
          started.push(n)
          return Effect.as(Effect.yieldNow(), n)
        }
        const herd = Herd.make({ process, outcomes: "discard", ...options })
        return Effect.map(Effect.withScheduler(herd, instant), (herd) => ({ herd, started }))
      }
      return Effect.scoped(test({
        make,
        at: (act) => instant.after(step, act),
        over: Effect.zipRight(turns, Effect.sync(() => instant.after(0, () => {})))
      }))
    }, { discard: true }))

const balanced = (herd: Herd.Herd<number, number>) =>
  Effect.map(herd.state, (s) => {
    assert.strictEqual(s.accepted, s.queued + s.running + s.retrying + s.succeeded + s.failed + s.interrupted)
    return s
  })

describe("at any instant", () => {
  atEveryInstant("the state balances (G3)", ({ at, make, over }) =>
    Effect.gen(function*() {
      const { herd } = yield* make({ size: 2 })
      at(() => Effect.runSync(balanced(herd)))
      yield* herd.sendAll([1, 2, 3])
      yield* over
      yield* herd.awaitIdle
    }))

  atEveryInstant("a pause starts nothing more and loses nothing (G6)", ({ at, make, over }) =>
    Effect.gen(function*() {
      const { herd, started } = yield* make({ size: 2 })
      let before: number | undefined
      at(() => {
        Effect.runSync(herd.pause)
        before = started.length
      })
      yield* herd.sendAll([1, 2, 3])
      yield* over
      assert.strictEqual(started.length, before ?? 3)
      const { queued, succeeded } = yield* balanced(herd)
      assert.strictEqual(queued, 3 - succeeded)
      yield* herd.resume
      yield* herd.awaitIdle
      assert.deepStrictEqual(started, [1, 2, 3])
    }))

  for (const mode of ["graceful", "interrupt"] as const) {
    atEveryInstant(
      `a shrink to 0, ${mode}, starts nothing more and loses nothing (G5, G6)`,
      ({ at, make, over }) =>
        Effect.gen(function*() {
          const { herd, started } = yield* make({ size: 2 })
          let before: number | undefined
          at(() => {
            Effect.runSync(Effect.orDie(herd.resize(0, { mode })))
            before = started.length
          })
          yield* herd.sendAll([1, 2, 3])
          yield* over
          yield* herd.settled
          if (before !== undefined) {
            assert.strictEqual(started.length, before)
            const { live, queued, running, succeeded } = yield* balanced(herd)
            assert.deepStrictEqual([live, running, queued], [0, 0, 3 - succeeded])
          }
          yield* herd.resize(1)
          yield* herd.awaitIdle
          assert.strictEqual((yield* balanced(herd)).succeeded, 3)
          if (mode === "graceful") assert.deepStrictEqual(started, [1, 2, 3])
        })
    )
  }

  atEveryInstant(
    "a caller of run may be interrupted: its unit does not start afterwards, the others go on (G11)",
    ({ at, make, over }) =>
      Effect.gen(function*() {
        const { herd, started } = yield* make()
        const callers = yield* Effect.forEach([1, 2], (n) => Effect.fork(herd.run(n)))
        const second = callers[1]
        let before: number | undefined
        second?.addObserver(() => before = started.filter((n) => n === 2).length)
        at(() => second?.unsafeInterruptAsFork(second.id()))
        yield* over
        yield* herd.awaitIdle
        const { accepted, interrupted, succeeded } = yield* balanced(herd)
        assert.deepStrictEqual([accepted, interrupted + succeeded], [2, 2])
        assert.strictEqual(started.filter((n) => n === 2).length, before)
        assert.strictEqual(yield* herd.run(3), 3)
        assert.include(started, 1)
      })
  )

  atEveryInstant(
    "a caller of run may be interrupted who hands its unit over, with capacity 0 (G11)",
    ({ at, make, over }) =>
      Effect.gen(function*() {
        const { herd, started } = yield* make({ capacity: 0 })
        const caller = yield* Effect.fork(herd.run(1))
        let before: number | undefined
        caller.addObserver(() => before = started.length)
        at(() => caller.unsafeInterruptAsFork(caller.id()))
        yield* over
        yield* herd.awaitIdle
        assert.strictEqual(started.length, before)
        const { accepted, interrupted, succeeded } = yield* balanced(herd)
        assert.strictEqual(accepted, interrupted + succeeded)
        assert.strictEqual(yield* herd.run(2), 2)
      })
  )

  for (const capacity of [0, 1, 1024]) {
    atEveryInstant(
      `another unit may enter, and is processed without further ado, with capacity ${capacity}`,
      ({ at, make, over }) =>
        Effect.gen(function*() {
          const { herd, started } = yield* make({ capacity })
          let entered = 1
          at(() => {
            Effect.runFork(herd.send(2))
            entered++
          })
          yield* herd.send(1)
          yield* over
          assert.strictEqual(started.length, entered)
          assert.strictEqual((yield* balanced(herd)).succeeded, entered)
        })
    )
  }

  atEveryInstant(
    "the scope may close: everything settles, and nothing starts afterwards (G2, G10)",
    ({ at, make, over }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { herd, started } = yield* Scope.extend(make({ size: 2 }), scope)
        let before: number | undefined
        at(() => {
          Effect.runFork(Scope.close(scope, Exit.void))
          before = started.length
        })
        const sender = yield* Effect.fork(Effect.exit(herd.sendAll([1, 2, 3])))
        const caller = yield* Effect.fork(Effect.exit(herd.run(4)))
        yield* over
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(started.length, before ?? 4)
        const { drained, live } = yield* balanced(herd)
        assert.deepStrictEqual([drained, live], [true, 0])
        yield* Fiber.join(sender)
        yield* Fiber.join(caller)
      })
  )

  atEveryInstant("a stream may be ended (G11)", ({ at, make, over }) =>
    Effect.gen(function*() {
      const { herd } = yield* make({ size: 2 })
      const reader = yield* Effect.fork(Stream.runDrain(herd.stream(Stream.make(1, 2, 3))))
      at(() => reader.unsafeInterruptAsFork(reader.id()))
      yield* over
      yield* Fiber.await(reader)
      yield* herd.awaitIdle
      yield* balanced(herd)
      assert.strictEqual(yield* herd.run(9), 9)
    }))

  for (const capacity of [0, 1, 1024]) {
    atEveryInstant(
      `a gopher's fiber may be interrupted by a stranger: another one goes on, and every unit settles, with capacity ${capacity} (G2, G7)`,
      ({ at, make, over }) =>
        Effect.gen(function*() {
          const { herd, started } = yield* make({ capacity })
          at((gopher) => gopher.unsafeInterruptAsFork(gopher.id()))
          yield* Effect.fork(herd.sendAll([1, 2, 3]))
          yield* over
          yield* herd.awaitIdle
          const { accepted, interrupted, succeeded } = yield* balanced(herd)
          assert.deepStrictEqual([accepted, interrupted + succeeded], [3, 3])
          assert.isAtMost(interrupted, 1)
          assert.deepStrictEqual(started.toSorted(), Array.from(new Set(started)).toSorted(), "none starts twice")
          assert.strictEqual(yield* herd.run(4), 4)
        })
    )
  }

  it.scoped("an idle gopher's fiber may be interrupted by a stranger: another one takes its place (G7)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => Effect.fiberId, size: 2 })
      const id = yield* herd.run(1)
      yield* turns
      for (const fiber of yield* Fiber.roots) if (fiber.id() === id) fiber.unsafeInterruptAsFork(id)
      yield* turns
      assert.notStrictEqual(yield* herd.run(2), id)
      assert.notStrictEqual(yield* herd.run(3), id)
    }))
})
