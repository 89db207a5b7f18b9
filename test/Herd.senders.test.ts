import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric, Stream } from "effect"
import { Herd, HerdMetrics } from "gofherd"
import { makeStage, turns } from "./utils/stage.ts"

const gauge = (herd: string) =>
  Effect.map(Metric.value(Metric.tagged(HerdMetrics.senders, "herd", herd)), ({ value }) => value)

type Give = (herd: Herd.Herd<number, number, string>) => Effect.Effect<unknown, unknown>

/** Each way to give work that may wait for room. */
const ways: Readonly<Record<string, Give>> = {
  send: (herd) => herd.send(1),
  sendAll: (herd) => herd.sendAll([1, 2, 3]),
  run: (herd) => herd.run(1),
  stream: (herd) => Stream.runDrain(herd.stream(Stream.range(1, 3)))
}

/** The fiber has not ended. */
const waits = (fiber: Fiber.RuntimeFiber<unknown, unknown>) => fiber.unsafePoll() === null

/** Gives work to a herd without room, and waits there until it is idle. */
const waiting = (give: Give) =>
  Effect.gen(function*() {
    const herd = yield* Herd.make({ process: makeStage().process, size: 0, capacity: 0, outcomes: "discard" })
    const giving = yield* Effect.fork(give(herd))
    yield* turns
    const idle = yield* Effect.fork(herd.awaitIdle)
    yield* turns
    return { herd, giving, idle }
  })

describe("senders", () => {
  for (const [way, give] of Object.entries(ways)) {
    it.scoped(`are counted while ${way} waits for room, in state, changes and metrics, and awaitIdle waits for them`, () =>
      Effect.gen(function*() {
        const stage = makeStage()
        const herd = yield* Herd.make({
          process: stage.process,
          size: 0,
          capacity: 0,
          outcomes: "discard"
        })
        let latest: Herd.HerdState | undefined
        yield* Effect.fork(Stream.runForEach(herd.changes, (state) => Effect.sync(() => (latest = state))))
        yield* turns
        const giving = yield* Effect.fork(give(herd))
        yield* turns
        const idle = yield* Effect.fork(herd.awaitIdle)
        yield* turns
        assert.include(yield* herd.state, { senders: 1, accepted: 0, queued: 0 })
        assert.include(latest, { senders: 1 })
        assert.strictEqual(yield* gauge(herd.name), 1)
        assert.isTrue(waits(idle))
        yield* herd.resize(3)
        yield* turns
        yield* stage.finish
        yield* Fiber.join(giving)
        yield* Fiber.join(idle)
        assert.include(yield* herd.state, { senders: 0, queued: 0, running: 0 })
        yield* turns
        assert.include(latest, { senders: 0 })
        assert.strictEqual(yield* gauge(herd.name), 0)
      }))

    it.scoped(`are counted no more once ${way} is interrupted (G11), and awaitIdle goes on`, () =>
      Effect.gen(function*() {
        const { giving, herd, idle } = yield* waiting(give)
        assert.isTrue(waits(idle))
        yield* Fiber.interrupt(giving)
        yield* Fiber.join(idle)
        assert.include(yield* herd.state, { senders: 0, accepted: 0 })
        yield* turns
        assert.strictEqual(yield* gauge(herd.name), 0)
      }))

    it.scoped(`are counted no more once close refuses ${way} (G9), and awaitIdle goes on`, () =>
      Effect.gen(function*() {
        const { giving, herd, idle } = yield* waiting(give)
        yield* herd.close
        assert.include(yield* herd.state, { senders: 0, drained: true })
        yield* Fiber.await(giving)
        yield* Fiber.join(idle)
        yield* turns
        assert.strictEqual(yield* gauge(herd.name), 0)
      }))
  }

  it.scoped("are those that wait: four callers of run at size 1 and capacity 1 are one running, one queued, two senders", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 1, capacity: 1 })
      const callers = yield* Effect.fork(Effect.forEach([1, 2, 3, 4], (n) => herd.run(n), { concurrency: "unbounded" }))
      yield* turns
      assert.include(yield* herd.state, { accepted: 2, running: 1, queued: 1, senders: 2 })
      yield* stage.finish
      yield* Fiber.join(callers)
      assert.include(yield* herd.state, { accepted: 4, succeeded: 4, senders: 0 })
    }))

  it.scoped("are none where trySend finds no room, or a unit gives work to its own herd (G19)", () =>
    Effect.gen(function*() {
      const herd: Herd.Herd<number, unknown> = yield* Herd.make({
        process: (n: number): Effect.Effect<unknown> =>
          n === 0 ? Effect.orDie(herd.sendAll([1, 2, 3])).pipe(Effect.zipRight(herd.state)) : Effect.void,
        capacity: 1
      })
      assert.include(yield* herd.run(0), { senders: 0, queued: 3 })
      yield* herd.pause
      yield* herd.send(4)
      assert.isFalse(yield* herd.trySend(5))
      assert.include(yield* herd.state, { senders: 0 })
    }))

  for (const capacity of [0, 1, 2, 10, "unbounded"] as const) {
    it.scoped(`that bring many units are waited for by awaitIdle to the last, with capacity ${capacity}`, () =>
      Effect.gen(function*() {
        const herd = yield* Herd.make({ process: Effect.succeed<number>, capacity, outcomes: "discard" })
        const sender = yield* Effect.fork(herd.sendAll(Array.from({ length: 20_000 }, (_, n) => n)))
        while ((yield* herd.state).accepted === 0) yield* Effect.yieldNow()
        yield* herd.awaitIdle
        assert.include(yield* herd.state, { succeeded: 20_000, senders: 0 })
        yield* Fiber.join(sender)
      }))
  }

  it.scoped("whose iterable throws, or that are interrupted, are not waited for any longer", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, capacity: 1, outcomes: "discard" })
      const throwing = function*() {
        for (let n = 0; n < 10; n++) yield n
        throw new Error("no more")
      }
      yield* Effect.exit(herd.sendAll(throwing()))
      yield* herd.awaitIdle
      yield* herd.pause
      const sender = yield* Effect.fork(herd.sendAll([1, 2, 3]))
      yield* turns
      yield* Fiber.interrupt(sender)
      yield* herd.resume
      yield* herd.awaitIdle
      assert.include(yield* herd.state, { succeeded: 11, senders: 0 })
    }))
})
