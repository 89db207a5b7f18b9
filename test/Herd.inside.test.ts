import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, LogLevel, Stream, TestClock } from "effect"
import { Herd } from "gofherd"
import { makeLogs } from "./utils/logs.ts"
import { turns } from "./utils/stage.ts"

type Crawler = Herd.Herd<number, void, unknown>

/** Each page has three links, down to a depth. */
const crawl =
  (give: (herd: Crawler, links: ReadonlyArray<number>) => Effect.Effect<unknown, unknown>) =>
  (herd: () => Crawler) =>
  (depth: number): Effect.Effect<void, unknown> =>
    depth === 0 ? Effect.void : Effect.zipRight(Effect.yieldNow(), give(herd(), [depth - 1, depth - 1, depth - 1]))

const givings: Readonly<
  Record<string, (herd: Crawler, links: ReadonlyArray<number>) => Effect.Effect<unknown, unknown>>
> = {
  send: (herd, links) => Effect.forEach(links, (link) => herd.send(link)),
  sendAll: (herd, links) => herd.sendAll(links),
  trySend: (herd, links) =>
    Effect.forEach(links, (link) => Effect.filterOrFail(herd.trySend(link), (entered) => entered, () => "full")),
  "send in a forked fiber": (herd, links) =>
    Effect.flatMap(Effect.fork(Effect.forEach(links, (link) => herd.send(link))), Fiber.join),
  "send in a herd of its own": (herd, links) =>
    Effect.scoped(Effect.gen(function*() {
      const own = yield* Herd.make({ process: (link: number) => herd.send(link) })
      yield* Effect.forEach(links, (link) => own.run(link))
    }))
}

describe("a unit that gives units to its own herd (G19)", () => {
  for (const [name, give] of Object.entries(givings)) {
    for (const capacity of [0, 1, 8]) {
      it.scoped(`never waits for room, by ${name}, with capacity ${capacity}`, () =>
        Effect.gen(function*() {
          const herd: Crawler = yield* Herd.make({
            size: 4,
            capacity,
            outcomes: "discard",
            process: crawl(give)(() => herd)
          })
          yield* herd.send(5)
          yield* herd.awaitIdle
          const { accepted, succeeded } = yield* herd.state
          assert.deepStrictEqual({ accepted, succeeded }, { accepted: 364, succeeded: 364 })
        }))
    }
  }

  it.scoped("gets HerdClosed once the herd is closed", () =>
    Effect.gen(function*() {
      const closed = yield* Deferred.make<void>()
      const herd: Crawler = yield* Herd.make({
        capacity: 1,
        outcomes: "discard",
        process: (n: number): Effect.Effect<void, unknown> => Effect.zipRight(Deferred.await(closed), herd.send(n))
      })
      yield* herd.send(1)
      yield* turns
      yield* herd.close
      yield* Deferred.succeed(closed, undefined)
      yield* herd.awaitDrained
      assert.strictEqual((yield* herd.state).failed, 1)
    }))

  it.scoped("does not let a daemon in that outlives it, nor anybody else", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const sent = yield* Deferred.make<boolean, unknown>()
      const herd: Crawler = yield* Herd.make({
        capacity: 1,
        outcomes: "discard",
        process: (n: number): Effect.Effect<void, unknown> => {
          if (n > 1) return Effect.never
          const late = Effect.flatMap(Effect.exit(Effect.zipRight(Deferred.await(over), herd.trySend(9))), (exit) =>
            Deferred.done(sent, exit))
          return Effect.asVoid(Effect.forkDaemon(late))
        }
      })
      yield* herd.send(1)
      yield* turns
      yield* herd.send(2)
      yield* turns
      yield* herd.send(3)
      yield* Deferred.succeed(over, undefined)
      assert.isFalse(yield* Deferred.await(sent))
      assert.isFalse(yield* herd.trySend(4))
    }))

  it.scoped("is warned of, once, if units that it runs leave no gopher to go on", () =>
    Effect.gen(function*() {
      const { collect, lines } = makeLogs(LogLevel.Warning)
      const herd: Crawler = yield* collect(
        Herd.make({
          size: 2,
          outcomes: "discard",
          process: (depth: number): Effect.Effect<void, unknown> => depth === 0 ? Effect.void : herd.run(depth - 1)
        })
      )
      yield* herd.run(1)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(lines, [])
      const stuck = yield* Effect.fork(herd.run(2))
      yield* turns
      yield* TestClock.adjust("2 seconds")
      yield* turns
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", /all 2 gophers wait for units that they run in this herd: send them instead/)
      yield* herd.resize(3)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(stuck)))
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf(lines, 1)
    }))

  it.scoped("is not warned of for what a daemon still runs once its unit has ended", () =>
    Effect.gen(function*() {
      const { collect, lines } = makeLogs(LogLevel.Warning)
      const herd: Crawler = yield* collect(
        Herd.make({
          size: 1,
          outcomes: "discard",
          process: (n: number): Effect.Effect<void, unknown> =>
            n === 0 ? Effect.zipRight(Effect.forkDaemon(herd.run(2)), turns) : n === 1 ? Effect.never : Effect.void
        })
      )
      yield* herd.sendAll([0, 1])
      yield* Effect.zipRight(turns, turns)
      assert.include(yield* herd.state, { running: 1, queued: 1, succeeded: 1 })
      yield* TestClock.adjust("2 seconds")
      yield* turns
      assert.deepStrictEqual(lines, [])
    }))

  it.scoped("streams through its own herd without waiting for room", () =>
    Effect.gen(function*() {
      const herd: Crawler = yield* Herd.make({
        size: 2,
        capacity: 1,
        outcomes: "discard",
        process: (depth: number): Effect.Effect<void, unknown> =>
          depth === 0 ? Effect.void : Stream.runDrain(herd.stream(Stream.make(0, 0, 0, 0, 0)))
      })
      yield* herd.run(1)
      assert.strictEqual((yield* herd.state).succeeded, 6)
    }))
})
