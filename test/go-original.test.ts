/**
 * What the Go original's own tests show, member by member, and its faults, shown not to happen
 * here.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Chunk,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Metric,
  Schedule,
  Stream
} from "effect"
import { Herd, HerdError, HerdMetrics } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { ask } from "./utils/http.ts"
import { makeStage, turns } from "./utils/stage.ts"

const count = (metric: Metric.Metric.Counter<number>, herd: string) =>
  Effect.map(Metric.value(Metric.tagged(metric, "herd", herd)), ({ count }) => count)

const thousand = Array.from({ length: 1_000 }, (_, i) => i)

describe("as in the Go original", () => {
  it.scoped("work that succeeds comes out with its result and the status success", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n + 10) })
      for (const n of [0, 1, 2]) yield* herd.send(n, { id: String(n) })
      yield* herd.close
      const outcomes = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
      assert.deepStrictEqual(
        outcomes.map(({ exit, status, work }) => [work.id, status, exit]),
        [0, 1, 2].map((n) => [String(n), "success", Exit.succeed(n + 10)])
      )
    }))

  it.scoped(
    "1,000 units that fail are retried 1,000 times each by a herd of size 1, and then fail",
    () =>
      Effect.gen(function*() {
        let runs = 0
        const herd = yield* Herd.make({
          process: () => Effect.suspend(() => Effect.fail(++runs)),
          retry: Schedule.recurs(1_000),
          name: "thousandfold"
        })
        yield* Effect.fork(Effect.zipRight(herd.sendAll(thousand), herd.close))
        const outcomes = yield* Stream.runCollect(herd.outcomes)
        assert.strictEqual(outcomes.length, 1_000)
        assert.isTrue(Chunk.every(outcomes, ({ attempts, status }) => attempts === 1_001 && status === "failure"))
        assert.strictEqual(runs, 1_001_000)
        assert.strictEqual(yield* count(HerdMetrics.retry, herd.name), 1_000_000)
        assert.strictEqual(yield* count(HerdMetrics.failure, herd.name), 1_000)
      }),
    60_000
  )

  it.scoped("SetMaxRetries(3) is Schedule.recurs(3): four runs, then the status is failure", () =>
    Effect.gen(function*() {
      let runs = 0
      const herd = yield* Herd.make({
        process: () => Effect.suspend(() => Effect.fail(++runs)),
        retry: Schedule.recurs(3)
      })
      assert.strictEqual(yield* Effect.flip(herd.run(undefined)), 4)
    }))

  it.scoped("failure is not retried where no retries are set", () =>
    Effect.gen(function*() {
      let runs = 0
      const herd = yield* Herd.make({ process: () => Effect.suspend(() => Effect.fail(++runs)) })
      yield* herd.sendAll([1, 2, 3])
      yield* herd.close
      yield* Stream.runDrain(herd.outcomes)
      assert.strictEqual(runs, 3)
    }))

  it.scoped("the metrics of all three statuses go up", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (kind: string, { attempt }) =>
          kind === "success" || (kind === "retry" && attempt > 1) ? Effect.void : Effect.fail(kind),
        retry: Schedule.whileInput(Schedule.recurs(1), (kind: string) => kind === "retry"),
        name: "statuses"
      })
      yield* herd.sendAll(["success", "retry", "failure", "failure"])
      yield* herd.close
      yield* Stream.runDrain(herd.outcomes)
      assert.strictEqual(yield* count(HerdMetrics.success, herd.name), 2)
      assert.strictEqual(yield* count(HerdMetrics.retry, herd.name), 1)
      assert.strictEqual(yield* count(HerdMetrics.failure, herd.name), 2)
    }))

  it.scoped("callbacks are called once for each of all three statuses", () =>
    Effect.gen(function*() {
      const calls = { success: 0, retry: 0, failure: 0 }
      const herd = yield* Herd.make({
        process: (n: number, { attempt }) =>
          n % 2 === 0 || attempt > 2 ? Effect.succeed(n) : n % 3 === 0 ? Effect.die(n) : Effect.fail(n),
        retry: Schedule.recurs(5),
        onSuccess: () => Effect.sync(() => calls.success++),
        onRetry: () => Effect.sync(() => calls.retry++),
        onFailure: () => Effect.sync(() => calls.failure++)
      })
      yield* Effect.fork(Effect.zipRight(herd.sendAll(thousand), herd.close))
      yield* Stream.runDrain(herd.outcomes)
      const { failed, retried, succeeded } = yield* herd.state
      assert.deepStrictEqual(calls, { success: succeeded, retry: retried, failure: failed })
      assert.strictEqual(succeeded + failed, 1_000)
      assert.strictEqual(failed, 167)
    }))

  it.scoped("process may change the body, which the outcome shows", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (body: { visits: number }) =>
          Effect.suspend(() => ++body.visits < 3 ? Effect.fail("again") : Effect.succeed(body.visits)),
        retry: Schedule.recurs(5)
      })
      yield* herd.send({ visits: 0 })
      yield* herd.close
      const [outcome] = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
      assert.deepStrictEqual(outcome?.work.body, { visits: 3 })
    }))

  it.scoped("the size goes up, down, stays, and refuses a negative number", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => Effect.void, size: 5 })
      yield* herd.resize(10)
      assert.strictEqual(yield* herd.size, 10)
      yield* herd.resize(3)
      assert.strictEqual(yield* herd.size, 3)
      yield* herd.resize(3)
      assert.strictEqual(yield* herd.size, 3)
      assert.instanceOf(yield* Effect.flip(herd.resize(-1)), HerdError.InvalidSize)
      assert.strictEqual(yield* herd.size, 3)
    }))

  it.scoped("the output ends when all is settled, with work sent while it runs", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.as(turns, n), size: 10, capacity: 0 })
      const reader = yield* Effect.fork(Stream.runCollect(herd.outcomes))
      for (const n of thousand.slice(0, 100)) yield* herd.send(n)
      yield* herd.close
      assert.strictEqual((yield* Fiber.join(reader)).length, 100)
    }))
})

describe("unlike the Go original", () => {
  class Numbers extends Context.Tag("test/go/Numbers")<Numbers, Herd.Herd<number, number, string>>() {}

  const served = (options: Herd.Options<number, number, string>) =>
    Layer.provideMerge(HerdServer.layer({ herds: [Numbers], port: 0 }), Herd.layer(Numbers, options))

  const live = (
    name: string,
    options: Herd.Options<number, number, string>,
    program: Effect.Effect<void, unknown, Numbers | HerdServer.HerdServer>
  ) => it.live(name, () => Logger.withMinimumLogLevel(Effect.provide(program, served(options)), LogLevel.Error))

  const url = Effect.map(HerdServer.HerdServer, ({ url }) => `${url}/herd`)

  live(
    "an undecodable PATCH does not set the size to 0 with a 200",
    { process: Effect.succeed, size: 2 },
    Effect.gen(function*() {
      for (const body of ["not json", "", "{}", "{\"num\":\"5\"}", "{\"num\":2.5}"]) {
        assert.strictEqual((yield* ask(yield* url, { method: "PATCH", body })).status, 400)
        assert.deepStrictEqual((yield* ask(yield* url)).json, { num: 2, msg: "success" })
      }
    })
  )

  const stage = makeStage()
  live(
    "a shrink waits neither for a running unit nor on a finished herd",
    { process: stage.process, size: 2 },
    Effect.gen(function*() {
      const herd = yield* Numbers
      yield* herd.sendAll([1, 2])
      yield* turns
      assert.strictEqual((yield* ask(yield* url, { method: "PATCH", body: "{\"num\":1}" })).status, 200)
      assert.deepStrictEqual(stage.running, [1, 2])
      yield* herd.close
      yield* stage.finish
      yield* herd.awaitDrained
      assert.strictEqual((yield* ask(yield* url, { method: "PATCH", body: "{\"num\":0}" })).status, 200)
      yield* herd.settled
    })
  )

  it.scoped("size 0 and close complete when there is nothing, and after a resize when there is", () =>
    Effect.gen(function*() {
      const empty = yield* Herd.make({ process: Effect.succeed<number>, size: 0 })
      yield* empty.close
      assert.strictEqual((yield* Stream.runCollect(empty.outcomes)).length, 0)
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 0 })
      yield* herd.sendAll([1, 2])
      yield* herd.close
      yield* herd.resize(1)
      assert.strictEqual((yield* Stream.runCollect(herd.outcomes)).length, 2)
    }))

  it.scoped("unread outputs stop neither senders, up to the capacity, nor a resize; and never a herd that discards them", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number>, size: 2, outcomes: { capacity: 1 } })
      yield* herd.sendAll(thousand)
      yield* herd.resize(0)
      yield* herd.settled
      const discarding = yield* Herd.make({ process: Effect.succeed<number>, outcomes: "discard" })
      yield* discarding.sendAll([...thousand, ...thousand, ...thousand])
      yield* discarding.awaitIdle
    }))

  it.scoped("a panic ends neither the process nor the herd", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number): Effect.Effect<number> => {
          if (n === 0) throw new Error("panic")
          return Effect.succeed(n)
        }
      })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(herd.run(0))))
      assert.strictEqual(yield* herd.run(1), 1)
    }))

  it.scoped("sending after close is an error and no panic", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: Effect.succeed<number> })
      yield* herd.close
      assert.instanceOf(yield* Effect.flip(herd.send(1)), HerdError.HerdClosed)
    }))

  live(
    "other methods get no empty 200",
    { process: Effect.succeed },
    Effect.gen(function*() {
      const answer = yield* ask(yield* url, { method: "POST", body: "{\"num\":3}" })
      assert.deepStrictEqual([answer.status, answer.headers["allow"]], [405, "GET, HEAD, PATCH"])
    })
  )

  live(
    "a port in use is not swallowed",
    { process: Effect.succeed },
    Effect.gen(function*() {
      const port = Number(new URL(yield* url).port)
      const second = Layer.provide(HerdServer.layer({ herds: [Numbers], port }), Layer.effect(Numbers, Numbers))
      const error = yield* Effect.flip(Effect.scoped(Layer.build(second)))
      assert.match(error.message, new RegExp(`:${port}, got .*EADDRINUSE`))
    })
  )

  it.scoped("two herds do not share their counters", () =>
    Effect.gen(function*() {
      const one = yield* Herd.make({ process: Effect.succeed<number> })
      const two = yield* Herd.make({ process: Effect.succeed<number> })
      const before = yield* count(HerdMetrics.success, two.name)
      yield* one.run(1)
      assert.strictEqual(yield* count(HerdMetrics.success, two.name), before)
    }))

  it.scoped("a retry waits off-slot, and a hundred thousand of them are no hundred thousand fibers", () =>
    Effect.gen(function*() {
      const hold = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        process: (n: number, { attempt }) =>
          n < 0 ? Deferred.await(hold) : attempt === 1 ? Effect.fail(n) : Effect.void,
        retry: Schedule.spaced("1 hour"),
        capacity: 200_000,
        outcomes: "discard"
      })
      yield* herd.sendAll(Array.from({ length: 100_000 }, (_, i) => i))
      while ((yield* herd.state).retrying < 100_000) yield* turns
      const { live, queued, running } = yield* herd.state
      assert.deepStrictEqual({ live, queued, running }, { live: 1, queued: 0, running: 0 })
    }))
})
