import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { drivers, shared } from "./utils/sqlite.ts"
import { until } from "./utils/stage.ts"
import { bury, claimOne, claimSoon, counts, idsOf, unit, units } from "./utils/stores.ts"

/** More than is done in one step, and a part of another one. */
const MANY = 2_500

const ids = Array.from({ length: MANY }, (_, n) => `unit ${String(n).padStart(4, "0")}`)

for (const [driver, { client, skipped }] of Object.entries(drivers)) {
  describe.skipIf(skipped)(`the SQLite source by ${driver}, in steps`, () => {
    it.scopedLive(
      "forgets 30,000 units that are over age within seconds, and does others meanwhile",
      () =>
        Effect.gen(function*() {
          const { queue, sql } = yield* shared(client, { retention: "1 minute" })
          yield* sql`
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30001)
            INSERT INTO gofherd_units (herd, id, body, priority, state, place, ended_at)
            SELECT 'contract', 'unit ' || i, '', 0, 'done', 1, iif(i > 30000, ${Date.now()}, 1) FROM n`
          const before = Date.now()
          let done = 0
          const isOver = Effect.gen(function*() {
            yield* queue.offer(units(`more ${done++}`))
            yield* claimOne(queue)
            const [row] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM gofherd_units WHERE state = 'done'`
            return row?.n === 1
          })
          yield* until(isOver)
          assert.isAtMost(Date.now() - before, 10_000)
          assert.isAbove(done, 3)
        }),
      60_000
    )

    it.scopedLive("has units ready whose time has come, all at once", () =>
      Effect.gen(function*() {
        const { queue } = yield* shared(client)
        const now = Date.now()
        yield* queue.offer(ids.map((id, n) => unit(id, { runAt: now + 100 + n / 1_000 })).toReversed())
        yield* Effect.sleep("200 millis")
        yield* until(
          Effect.map(queue.depth, ({ delayed }) => delayed === 0).pipe(
            Effect.zipLeft(Effect.raceFirst(queue.arrival, Effect.sleep("20 millis")))
          )
        )
        const claims = yield* claimSoon(queue, MANY)
        assert.deepStrictEqual(idsOf(claims).toSorted(), ids)
      }), 60_000)

    it.scopedLive("redrives all of many dead letters in their order, and discards them", () =>
      Effect.gen(function*() {
        const { queue } = yield* shared(client)
        yield* queue.offer(units(...ids))
        yield* queue.settle((yield* queue.claim(MANY)).map((claim) => bury(claim)), 0)
        assert.strictEqual(yield* queue.dead.redrive("all"), MANY)
        const claims = yield* queue.claim(MANY)
        assert.deepStrictEqual(idsOf(claims), ids)
        yield* queue.settle(claims.map((claim) => bury(claim)), 0)
        assert.strictEqual(yield* queue.dead.discard(ids.slice(0, 1_200)), 1_200)
        assert.strictEqual(yield* queue.dead.discard("all"), MANY - 1_200)
        assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 0, held: 0, dead: 0 })
      }), 60_000)
  })
}
