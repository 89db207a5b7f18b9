import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Schedule, Schema, TestClock, TestServices } from "effect"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"
import { join } from "node:path"
import { vi } from "vitest"
import { makeMemory } from "../src/internal/sourceMemory.ts"
import { folder } from "./utils/children.ts"
import { drivers } from "./utils/sqlite.ts"
import { until } from "./utils/stage.ts"
import { ack, bury, claimOne, claimSoon, idsOf, retry, unit, units } from "./utils/stores.ts"

const HOUR = 3_600_000
const LEASE = 1_000
const DELAY = 700

/** Until the scope closes, the machine's time of day is off by that. */
const setBy = (millis: number) => {
  const real = Date.now
  return Effect.acquireRelease(
    Effect.sync(() => vi.spyOn(Date, "now").mockImplementation(() => real() + millis)),
    (clock) => Effect.sync(() => clock.mockRestore())
  )
}

const inMemory = Effect.sync(() => {
  const queues = new Map()
  return Layer.sync(HerdSource.HerdSource, () => makeMemory({ retention: "300 millis" }, queues))
})

const stores = Object.entries(drivers).map(([name, { client, skipped }]) => ({
  name: `SQLite by ${name}`,
  skipped,
  layer: Effect.map(
    folder,
    (path) => Layer.provide(HerdSourceSqlite.layer({ retention: "300 millis" }), client(join(path, "units.db")))
  )
}))

/** A source, as a process of its own has it. */
const opened = <E>(layer: Layer.Layer<HerdSource.HerdSource, E>, lease = 30_000) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(layer)),
    (context) =>
      Context.get(context, HerdSource.HerdSource).open("clock", { lease: Duration.millis(lease), maxCrashes: 3 })
  )

for (const { layer, name, skipped } of [{ name: "memory", skipped: false, layer: inMemory }, ...stores]) {
  describe.skipIf(skipped)(`a source in ${name}, whose machine's clock is set`, () => {
    for (const shift of [-HOUR, HOUR]) {
      it.scopedLive(
        `by ${shift / HOUR} h, honours delays, backoffs, leases and retention`,
        () =>
          Effect.gen(function*() {
            const store = yield* layer
            const queue = yield* opened(store)
            const start = performance.now()
            yield* queue.offer([
              unit("before", { runAt: Date.now() + DELAY }),
              unit("held"),
              unit("again"),
              unit("dead")
            ])
            const [held, again, dead] = yield* queue.claim(3)
            if (held === undefined || again === undefined || dead === undefined) {
              return assert.fail("expected three claims")
            }
            yield* setBy(shift)
            // As by a process that starts after it.
            const other = yield* opened(store)
            const set = performance.now()
            yield* queue.settle([retry(again, Date.now() + DELAY), bury(dead)], 0)
            yield* other.offer([unit("after", { runAt: Date.now() + DELAY }), unit("now")])
            const { oldestAt = 0 } = yield* other.depth
            const [letter] = yield* other.dead.list()
            const claims = new Map<string, number>()
            while (claims.size < 4) {
              const [claim] = yield* claimSoon(other, 1)
              if (claim !== undefined) claims.set(claim.id, performance.now())
            }
            assert.deepStrictEqual(Array.from(claims.keys()).toSorted(), ["after", "again", "before", "now"])
            assert.isAtLeast(claims.get("before") ?? 0, start + DELAY - 20)
            for (const id of ["after", "again"]) assert.isAtLeast(claims.get(id) ?? 0, set + DELAY - 20)
            for (const time of [oldestAt, letter?.diedAt ?? 0]) assert.isBelow(Math.abs(time - Date.now()), 30_000)
            yield* queue.settle([ack(held)], 0)
            // Its id is free again.
            yield* until(
              Effect.zipRight(
                queue.offer(units("held")),
                Effect.map(queue.depth, ({ ready }) => ready === 1).pipe(Effect.zipLeft(Effect.sleep("20 millis")))
              )
            )
            assert.strictEqual(yield* other.dead.redrive("all"), 1)
          }),
        30_000
      )

      it.scopedLive(
        `by ${shift / HOUR} h, has leases end at their time for other processes`,
        () =>
          Effect.gen(function*() {
            const store = yield* layer
            const queue = yield* opened(store, LEASE)
            yield* queue.offer(units("held"))
            const start = performance.now()
            yield* queue.claim(1)
            yield* setBy(shift)
            const other = yield* opened(store, LEASE)
            const claim = yield* claimOne(other)
            assert.deepStrictEqual([claim.id, claim.attempt], ["held", 2])
            assert.isAtLeast(performance.now() - start, LEASE - 20)
            assert.isBelow(performance.now() - start, 10_000)
          }),
        30_000
      )
    }

    it.scoped("goes by the TestClock, also once it was opened by the machine's", () =>
      Effect.gen(function*() {
        const queue = yield* TestServices.provideLive(opened(yield* layer))
        yield* queue.offer([unit("later", { runAt: 60_000 })])
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(yield* queue.claim(1), [])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(idsOf(yield* queue.claim(1)), ["later"])
      }))
  })
}

for (const [driver, { client, skipped }] of Object.entries(drivers)) {
  describe.skipIf(skipped)(`the SQLite source by ${driver}`, () => {
    it.scopedLive("has a time that is not before what the database has seen, also after a restart of the machine", () =>
      Effect.gen(function*() {
        const path = join(yield* folder, "units.db")
        const store = Layer.provide(HerdSourceSqlite.layer(), client(path))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* setBy(HOUR)
          const queue = yield* opened(store)
          yield* queue.offer(units("a"))
          yield* queue.settle([bury(yield* claimOne(queue))], 0)
        }))
        const sql = Context.get(yield* Layer.build(client(path)), SqlClient.SqlClient)
        yield* sql`DELETE FROM gofherd_meta WHERE key LIKE 'boot %'`
        const queue = yield* opened(store)
        assert.deepStrictEqual((yield* queue.dead.list()).map(({ diedAt }) => diedAt <= Date.now()), [true])
        assert.strictEqual(yield* queue.dead.redrive("all"), 1)
        assert.deepStrictEqual(idsOf(yield* queue.claim(1)), ["a"])
      }))
  })
}

describe("test tools that replace timers", () => {
  it("let a delay and a backoff in memory pass, as they let any other sleep pass", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] })
    try {
      const started: Array<number> = []
      const program = Effect.gen(function*() {
        const herd = yield* DurableHerd.make({
          name: "faked",
          schema: Schema.String,
          retry: Schedule.recurs(1).pipe(Schedule.addDelay(() => HOUR)),
          process: () => {
            started.push(Date.now())
            return Effect.fail("no")
          }
        })
        const start = Date.now()
        yield* herd.offer("late", { delay: HOUR })
        yield* Effect.sleep(3 * HOUR)
        return started.map((at) => Math.round((at - start) / HOUR))
      })
      const fiber = Effect.runFork(Effect.provide(Effect.scoped(program), HerdSource.layerMemory()))
      await vi.advanceTimersByTimeAsync(3 * HOUR + 1)
      assert.deepStrictEqual(await Effect.runPromise(Fiber.join(fiber)), [1, 2])
    } finally {
      vi.useRealTimers()
    }
  })
})
