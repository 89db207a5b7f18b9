/**
 * Durations beyond the 2^31 - 1 milliseconds that a timer takes, on a Clock that sleeps for ever
 * when it is given more, as Effect's does.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  type Clock,
  Context,
  Duration,
  Effect,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Schedule,
  Schema,
  type Scope,
  TestClock,
  TestServices
} from "effect"
import { Herd } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdProgress from "gofherd/HerdProgress"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"
import * as HerdThread from "gofherd/HerdThread"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { inTime, sleep } from "../src/internal/sleep.ts"
import type * as module from "./fixtures/thread.ts"
import { folder } from "./utils/children.ts"
import { makeLogs } from "./utils/logs.ts"
import { drivers } from "./utils/sqlite.ts"
import { makeStage, scoped, turns, until } from "./utils/stage.ts"
import { units } from "./utils/stores.ts"
import { bundledWorkers } from "./utils/threads.ts"

const worker = bundledWorkers("thread")

/** The TestClock, with the bound of Node's timers. */
const bounded = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.clock, (clock) => {
    const bound: Clock.Clock = Object.create(clock, {
      sleep: {
        value: (duration: Duration.Duration) =>
          Duration.toMillis(duration) > 2 ** 31 - 1 ? Effect.never : clock.sleep(duration)
      }
    })
    return Effect.withClock(effect, bound)
  })

const test = (name: string, program: Effect.Effect<void, unknown, Scope.Scope>) =>
  it.scoped(name, () => bounded(program), 20_000)

/**
 * Lets all but a millisecond of 60 days pass, and then the rest: what there is to see after each.
 */
const days = <A>(look: Effect.Effect<A> | (() => A)) =>
  Effect.gen(function*() {
    const looked = Effect.isEffect(look) ? look : Effect.sync(look)
    yield* Effect.zipRight(TestClock.adjust(60 * 86_400_000 - 1), turns)
    const before = yield* looked
    yield* Effect.zipRight(TestClock.adjust(1), turns)
    return [before, yield* looked] as const
  })

const source = HerdSource.layerMemory()

describe("60 days are slept", () => {
  test(
    "by the sleep that all others are made of, and for ever is for ever",
    Effect.gen(function*() {
      const slept = yield* Effect.fork(sleep("60 days"))
      const endless = yield* Effect.fork(sleep(Infinity))
      const [before, after] = yield* days(() => [slept.unsafePoll() !== null, endless.unsafePoll() !== null])
      assert.deepStrictEqual([before, after], [[false, false], [true, false]])
      yield* Fiber.interrupt(endless)
    })
  )

  test(
    "by a time-out: what takes longer is given up then, and what does not yields",
    Effect.gen(function*() {
      const late = yield* Effect.fork(inTime(Effect.never, "60 days"))
      const soon = yield* Effect.fork(inTime(sleep("59 days").pipe(Effect.as("soon")), "60 days"))
      const [before, after] = yield* days(() => late.unsafePoll() !== null)
      assert.deepStrictEqual([before, after], [false, true])
      assert.deepStrictEqual([yield* Fiber.join(late), yield* Fiber.join(soon)], [Option.none(), Option.some("soon")])
    })
  )

  test(
    "by a backoff in memory (G8), also behind a shorter one",
    Effect.gen(function*() {
      const stage = makeStage<number>()
      const herd = yield* Herd.make({
        process: (n: number) => Effect.zipRight(stage.process(n), Effect.fail(n)),
        size: 2,
        outcomes: "discard",
        retry: Schedule.identity<number>().pipe(Schedule.addDelay((n) => n === 1 ? "60 days" : "61 days"))
      })
      yield* herd.sendAll([1, 2])
      yield* turns
      yield* stage.finish
      const [before, after] = yield* days(() => stage.started.slice())
      assert.deepStrictEqual([before, after], [[1, 2], [1, 2, 1]])
      yield* stage.finish
    })
  )

  test(
    "by the memory source: a delay, and a backoff",
    Effect.gen(function*() {
      const started: Array<string> = []
      const herd = yield* DurableHerd.make({
        schema: Schema.String,
        process: (body) => Effect.zipRight(Effect.sync(() => started.push(body)), Effect.fail("no")),
        retry: Schedule.recurs(1).pipe(Schedule.addDelay(() => "60 days"))
      })
      yield* herd.offer("later", { delay: "60 days" })
      yield* herd.offer("again")
      yield* turns
      const [before, after] = yield* days(() => started.toSorted())
      assert.deepStrictEqual([before, after], [["again"], ["again", "again", "later"]])
    }).pipe(Effect.provide(source))
  )

  test(
    "by leases: a claim of 180 days is renewed every 60",
    Effect.gen(function*() {
      let renewed = 0
      const memory = yield* HerdSource.HerdSource
      const herd = yield* DurableHerd.make({ schema: Schema.String, process: () => Effect.never, lease: "180 days" })
        .pipe(
          Effect.provideService(HerdSource.HerdSource, {
            open: (herd, options) =>
              Effect.map(memory.open(herd, options), (queue) => ({
                ...queue,
                renew: (claims) => Effect.zipLeft(queue.renew(claims), Effect.sync(() => renewed++))
              }))
          })
        )
      yield* herd.offer("x")
      yield* turns
      assert.deepStrictEqual(yield* days(() => renewed), [0, 1])
    }).pipe(Effect.provide(source))
  )

  test(
    "by gracePeriod (G10)",
    Effect.gen(function*() {
      const stage = makeStage()
      const { close, herd } = yield* scoped(
        Herd.make({ process: stage.process, outcomes: "discard", gracePeriod: "60 days" })
      )
      yield* herd.send(1)
      yield* turns
      const closing = yield* Effect.fork(close)
      yield* turns
      const [before, after] = yield* days(() => [stage.interrupted.length, closing.unsafePoll() !== null])
      assert.deepStrictEqual([before, after], [[0, false], [1, true]])
    })
  )

  test(
    "by the lines of HerdProgress",
    Effect.gen(function*() {
      const { collect, lines } = makeLogs(LogLevel.Info)
      const herd = yield* Herd.make({ name: "slow", process: (n: number) => Effect.succeed(n), outcomes: "discard" })
      const stream = { isTTY: false, write: () => true, on: () => stream, off: () => stream, columns: 80 }
      yield* Layer.build(
        HerdProgress.layer(Effect.succeed(herd), { interval: "60 days", stream: stream as never })
      ).pipe(collect)
      yield* turns
      yield* herd.send(1)
      yield* turns
      assert.deepStrictEqual(yield* days(() => lines.length), [0, 1])
    })
  )

  for (const [driver, { client, skipped }] of Object.entries(drivers)) {
    if (skipped) continue
    test(
      `by the pollInterval of SQLite, on ${driver}`,
      Effect.gen(function*() {
        const path = join(yield* folder, "units.db")
        // Each is a source of its own, as in two processes.
        const open = Effect.gen(function*() {
          const layer = HerdSourceSqlite.layer({ pollInterval: "60 days", retention: Infinity }).pipe(
            Layer.provide(client(path))
          )
          const source = Context.get(yield* Layer.build(Layer.fresh(layer)), HerdSource.HerdSource)
          return yield* source.open("slow", { lease: Duration.days(365), maxCrashes: 3 })
        })
        const [queue, other] = yield* Effect.all([open, open])
        const arrival = yield* Effect.fork(queue.arrival)
        yield* turns
        yield* other.offer(units("x"))
        assert.deepStrictEqual(yield* days(() => arrival.unsafePoll() !== null), [false, true])
      })
    )
  }

  test(
    "by the startTimeout of a thread",
    Effect.gen(function*() {
      const file = join(yield* folder, "stays.mjs")
      writeFileSync(file, "setInterval(() => {}, 60_000)")
      const { collect, lines } = makeLogs(LogLevel.Warning)
      yield* collect(Herd.make({
        gopher: HerdThread.gopher<typeof module>(pathToFileURL(file), { startTimeout: "60 days" }),
        outcomes: "discard"
      }))
      yield* turns
      const [before] = yield* days(() => lines.length)
      assert.strictEqual(before, 0)
      // The thread ends in its own time.
      yield* TestServices.provideLive(until(() => lines.length > 0))
      assert.match(String(lines[0]), /no call of HerdThread.serve that was ready within 60d/)
    })
  )

  test(
    "by the terminateAfter of a thread that spins (G11)",
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        gopher: HerdThread.gopher<typeof module>(worker("thread"), { terminateAfter: "60 days" }),
        outcomes: "discard"
      })
      // The thread is ready.
      yield* herd.run({ do: "look" })
      const running = yield* Effect.fork(herd.run({ do: "spin", millis: Infinity }))
      yield* turns
      const interrupting = yield* Effect.fork(Fiber.interrupt(running))
      yield* turns
      const [before] = yield* days(() => interrupting.unsafePoll() !== null)
      assert.isFalse(before)
      // The thread ends in its own time.
      yield* Fiber.join(interrupting)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})
