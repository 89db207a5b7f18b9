import { assert, describe, it } from "@effect/vitest"
import { Cause, Chunk, Effect, Exit, Fiber, Option } from "effect"
import { Outcomes } from "../src/internal/outcomes.ts"

const make = (capacity = 1_000) => {
  let taken = 0
  const outcomes = new Outcomes<number, string>({ capacity, onTaken: () => taken++ })
  return { outcomes, taken: () => taken, push: (count: number) => range(count).forEach((n) => outcomes.push(n)) }
}

const range = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Somebody who waits for what comes. */
const reader = (outcomes: Outcomes<number, string>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.map(outcomes.take, Chunk.toReadonlyArray))
    yield* Effect.yieldNow()
    assert.isNull(fiber.unsafePoll())
    return Effect.as(Effect.yieldNow(), fiber).pipe(Effect.map((fiber) => fiber.unsafePoll()))
  })

describe("Outcomes", () => {
  it.effect("hands all that is there to who reads, and makes room", () =>
    Effect.gen(function*() {
      const { outcomes, push, taken } = make(3)
      push(2)
      assert.deepStrictEqual([outcomes.length, outcomes.full], [2, false])
      push(1)
      assert.deepStrictEqual([outcomes.length, outcomes.full, taken()], [3, true, 0])
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* outcomes.take), [0, 1, 0])
      assert.deepStrictEqual([outcomes.length, outcomes.full, taken(), outcomes.reads], [0, false, 1, 1])
    }))

  for (const [batch, capacity] of [[64, 1_000], [5, 5]] as const) {
    it.effect(`wakes a reader as soon as ${batch} are there with a capacity of ${capacity}, not before`, () =>
      Effect.gen(function*() {
        const { outcomes, push } = make(capacity)
        const exit = yield* reader(outcomes)
        push(batch - 1)
        assert.isNull(yield* exit)
        push(1)
        assert.deepStrictEqual(yield* exit, Exit.succeed([...range(batch - 1), 0]))
      }))
  }

  it.effect("wakes a reader of a few at the end of the turn", () =>
    Effect.gen(function*() {
      const { outcomes, push } = make()
      const exit = yield* reader(outcomes)
      push(7)
      assert.isFalse(outcomes.flush(false))
      assert.deepStrictEqual(yield* exit, Exit.succeed(range(7)))
    }))

  it.effect("wakes a reader of some more at the end of the fourth turn, or of a long one", () =>
    Effect.gen(function*() {
      const { outcomes, push } = make()
      for (let time = 0; time < 2; time++) {
        const exit = yield* reader(outcomes)
        push(8)
        for (let turn = 1; turn < 4; turn++) {
          assert.isTrue(outcomes.flush(false))
          assert.isNull(yield* exit)
        }
        assert.isFalse(outcomes.flush(false))
        assert.deepStrictEqual(yield* exit, Exit.succeed(range(8)))
      }
      const exit = yield* reader(outcomes)
      push(8)
      assert.isFalse(outcomes.flush(true))
      assert.deepStrictEqual(yield* exit, Exit.succeed(range(8)))
    }))

  it.effect("asks for no further turn where nobody waits, or for nothing", () =>
    Effect.gen(function*() {
      const { outcomes, push } = make()
      push(8)
      assert.isFalse(outcomes.flush(false))
      yield* outcomes.take
      const exit = yield* reader(outcomes)
      assert.isFalse(outcomes.flush(false))
      assert.isNull(yield* exit)
    }))

  it.effect("gives what is left after its end, then what is made only when it is read, a capacity at a time", () =>
    Effect.gen(function*() {
      const { outcomes, push } = make(2)
      let made = 0
      const rest = function*() {
        while (made < 5) yield made++
      }
      push(1)
      outcomes.end(Exit.void, rest())
      // It has one end.
      outcomes.end(Exit.fail("late"), [9].values())
      const chunks: Array<ReadonlyArray<number>> = []
      for (let n = 0; n < 4; n++) chunks.push(Chunk.toReadonlyArray(yield* outcomes.take))
      assert.deepStrictEqual(chunks, [[0], [0, 1], [2, 3], [4]])
      assert.deepStrictEqual(yield* Effect.exit(outcomes.take), Exit.fail(Option.none()))
      assert.deepStrictEqual(yield* Effect.exit(outcomes.take), Exit.fail(Option.none()))
    }))

  it.effect("ends with what it is ended with, which wakes who waits", () =>
    Effect.gen(function*() {
      const { outcomes } = make()
      const waiting = yield* Effect.fork(outcomes.take)
      yield* Effect.yieldNow()
      outcomes.end(Exit.fail("broken"))
      assert.deepStrictEqual(yield* Fiber.await(waiting), Exit.failCause(Cause.fail(Option.some("broken"))))
    }))
})
