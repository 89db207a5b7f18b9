import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Queue } from "effect"
import { Backlog } from "../src/internal/backlog.ts"
import { Job } from "../src/internal/job.ts"
import { living } from "./utils/garbage.ts"

describe("Backlog", () => {
  const make = <In = number>(capacity: number, retrying = 0) => {
    let now = 0
    let signals = 0
    const backlog = new Backlog<In, never, never>({
      capacity,
      retrying: () => retrying,
      places: () => Infinity,
      now: () => now,
      onSenders: () => {},
      onWork: () => signals++
    })
    return { backlog, tick: () => now++, signals: () => signals }
  }

  it.effect("is the backing and the strategy of an Effect Queue: units come out in order", () =>
    Effect.gen(function*() {
      const { backlog } = make(3)
      const queue = yield* Queue.make(backlog, backlog)
      assert.isTrue(Queue.unsafeOffer(queue, 1))
      assert.isTrue(yield* Queue.offer(queue, 2))
      assert.isTrue(yield* Queue.offerAll(queue, [3]))
      assert.isFalse(Queue.unsafeOffer(queue, 4))
      assert.isTrue(yield* Queue.isFull(queue))
      const putter = yield* Effect.fork(Queue.offerAll(queue, [4, 5]))
      yield* Effect.yieldNow()
      assert.deepStrictEqual([backlog.waiting, backlog.surplusSize()], [3, 1])
      const taken = yield* Effect.all([
        Queue.take(queue),
        Queue.take(queue),
        Queue.take(queue),
        Queue.take(queue),
        Queue.take(queue)
      ])
      assert.deepStrictEqual(taken, [1, 2, 3, 4, 5])
      assert.isTrue(yield* Fiber.join(putter))
      assert.deepStrictEqual([backlog.available, backlog.accepted], [0, 5])
    }))

  it("lets waiting senders in when half of the capacity is free, not before", () => {
    const { backlog } = make(4)
    for (const n of [1, 2, 3, 4]) backlog.offer(n)
    let accepted: boolean | undefined
    backlog.wait([5], (yes) => accepted = yes)
    backlog.poll(undefined)
    backlog.refill()
    assert.isUndefined(accepted)
    backlog.poll(undefined)
    backlog.refill()
    assert.isTrue(accepted)
    assert.strictEqual(backlog.waiting, 3)
  })

  it("knows when a unit entered, at the precision of a turn, without a word per unit", () => {
    const { backlog, tick } = make(10)
    backlog.offer(1)
    tick()
    backlog.offer(2)
    backlog.offer(3)
    tick()
    const entered = [1, 2, 3].map(() => {
      backlog.poll(undefined)
      return backlog.entered
    })
    assert.deepStrictEqual(entered, [0, 1, 1])
    backlog.putBack(3)
    tick()
    backlog.poll(undefined)
    assert.strictEqual(backlog.entered, 1)
  })

  it("passes over what was discarded, and lets go of it before a gopher gets there", () => {
    const { backlog } = make(10_000)
    const jobs = Array.from(
      { length: 1_000 },
      (_, i) => new Job<number, never, never>(i, { id: undefined, priority: i % 3 })
    )
    for (const job of jobs) backlog.offer(job)
    for (const job of jobs.slice(0, 999)) backlog.discard(job)
    assert.deepStrictEqual([backlog.waiting, backlog.length()], [1, 1])
    assert.strictEqual(backlog.poll(undefined), jobs[999])
    assert.isUndefined(backlog.poll(undefined))
  })

  it("puts a unit back at the head, ahead of its own priority only", () => {
    const { backlog } = make(10)
    const urgent = new Job<number, never, never>(9, { id: undefined, priority: 1 })
    backlog.offer(1)
    backlog.offer(2)
    backlog.poll(undefined)
    backlog.putBack(1)
    backlog.offer(urgent)
    assert.deepStrictEqual([backlog.poll(undefined), backlog.poll(undefined), backlog.poll(undefined)], [urgent, 1, 2])
  })

  it("takes back the units of a sender that withdraws, and tells the others of the close", () => {
    const { backlog } = make(1)
    backlog.offer(0)
    const answers: Array<string> = []
    const withdraw = backlog.wait([1], (yes) => answers.push(`1 ${yes}`))
    backlog.wait([2], (yes) => answers.push(`2 ${yes}`))
    withdraw()
    withdraw()
    assert.strictEqual(backlog.surplusSize(), 1)
    backlog.close()
    assert.deepStrictEqual(answers, ["2 false"])
    backlog.wait([3], (yes) => answers.push(`3 ${yes}`))
    assert.deepStrictEqual(answers, ["2 false", "3 false"])
    assert.isFalse(backlog.offer(4))
    assert.deepStrictEqual(Chunk.toReadonlyArray(backlog.pollUpTo(Infinity)), [0])
  })

  const jobOf = <In>(body: In, priority = 0) => new Job<In, never, never>(body, { id: undefined, priority })

  it.effect("gives as many at a time as are asked for", () =>
    Effect.gen(function*() {
      const { backlog } = make(5)
      const queue = yield* Queue.make(backlog, backlog)
      yield* Queue.offerAll(queue, [1, 2, 3])
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Queue.takeUpTo(queue, 2)), [1, 2])
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Queue.takeUpTo(queue, 2)), [3])
    }))

  it("has nothing for a gopher while units in their backoff take up the capacity, though a sender waits", () => {
    const { backlog } = make(2, 2)
    backlog.wait([1], () => {})
    assert.deepStrictEqual([backlog.available, backlog.length(), backlog.surplusSize()], [0, 0, 1])
    assert.isUndefined(backlog.poll(undefined))
  })

  it("knows in which phase a job is that is put back", () => {
    const { backlog } = make(0)
    const job = jobOf(1)
    backlog.wait([job], () => {})
    assert.strictEqual(job.phase, "new")
    assert.strictEqual(backlog.take(), job)
    backlog.putBack(job)
    assert.strictEqual(job.phase, "queued")
    assert.strictEqual(backlog.take(), job)
  })

  describe("that is rid of cancelled units before their turn", () => {
    /** Discards so many of priority 0 that they do not stay. */
    const discarded = (backlog: Backlog<number, never, never>, count = 70) => {
      const jobs = Array.from({ length: count }, () => jobOf(-1))
      return {
        enter: () => jobs.forEach((job) => backlog.offer(job)),
        discard: () => jobs.forEach((job) => backlog.discard(job))
      }
    }

    const rest = (backlog: Backlog<number, never, never>) => {
      const units: Array<readonly [unit: unknown, entered: number]> = []
      while (backlog.waiting > 0) {
        const unit = backlog.poll(undefined)
        if (unit === undefined) return assert.fail(`expected ${backlog.waiting} more, got none`)
        units.push([Job.is(unit) ? unit.body : unit, backlog.entered])
      }
      return units
    }

    it("keeps the order of the others, and when each has entered", () => {
      const { backlog, tick } = make(1_000)
      const dead = discarded(backlog)
      backlog.offer(1)
      tick()
      dead.enter()
      tick()
      backlog.offer(2)
      backlog.offer(3)
      tick()
      backlog.offer(4)
      dead.discard()
      backlog.offer(5)
      tick()
      backlog.offer(6)
      assert.deepStrictEqual(rest(backlog), [[1, 0], [2, 2], [3, 2], [4, 3], [5, 3], [6, 4]])
    })

    it("knows when a unit has entered that comes in the turn in which all before it went", () => {
      const { backlog, tick } = make(1_000)
      tick()
      const dead = discarded(backlog, 65)
      dead.enter()
      dead.discard()
      backlog.offer(1)
      assert.deepStrictEqual(rest(backlog), [[1, 1]])
    })

    it("loses none that comes to the highest priority, or to one that is gone, afterwards", () => {
      const { backlog } = make(1_000)
      const urgent = Array.from({ length: 70 }, () => jobOf(-1, 1))
      for (const job of urgent) backlog.offer(job)
      for (const job of urgent) backlog.discard(job)
      backlog.offer(3)
      backlog.offer(jobOf(1, 1))
      backlog.offer(jobOf(2, 0.5))
      assert.deepStrictEqual(rest(backlog).map(([body]) => body), [1, 2, 3])

      const other = Array.from({ length: 70 }, () => jobOf(-1, -1))
      for (const job of other) backlog.offer(job)
      for (const job of other) backlog.discard(job)
      backlog.offer(jobOf(2, -1))
      backlog.offer(1)
      assert.deepStrictEqual(rest(backlog).map(([body]) => body), [1, 2])
    })

    it.live("lets go of them, whatever their priority", () =>
      Effect.gen(function*() {
        const { backlog } = make<object>(10_000)
        const bodies = yield* Effect.sync(() => {
          const jobs = Array.from({ length: 1_000 }, (_, n) => jobOf<object>({ n }, n % 5))
          for (const job of jobs) backlog.offer(job)
          for (const job of jobs.slice(1)) backlog.discard(job)
          return jobs.map(({ body }) => new WeakRef(body))
        })
        const kept = yield* living(bodies, 1 + 64 + 1)
        assert.isAtMost(kept, 1 + 64 + 1)
        assert.isAtLeast(kept, 1)
        assert.strictEqual(backlog.waiting, 1)
      }))
  })
})
