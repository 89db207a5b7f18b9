import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { betterSqlite3, libsql } from "./fixtures/sources.ts"
import { drivers, type MakeClient, shared } from "./utils/sqlite.ts"
import { sqliteNode } from "./utils/sqliteNode.ts"
import { ack, bury, claimSoon, counts, idsOf, retry, unit, units } from "./utils/stores.ts"

/** Levels of `PRAGMA synchronous`. */
const [OFF, NORMAL, FULL, EXTRA] = [0, 1, 2, 3]

/** The database itself writes down with which settings each row was written. */
const spyOn = (sql: SqlClient.SqlClient) =>
  Effect.gen(function*() {
    const settings = "(SELECT synchronous FROM pragma_synchronous), (SELECT timeout FROM pragma_busy_timeout)"
    yield* sql`CREATE TABLE spy (what TEXT, synchronous INTEGER, timeout INTEGER)`
    yield* sql.unsafe(
      `CREATE TRIGGER spy_offered AFTER INSERT ON gofherd_units BEGIN INSERT INTO spy SELECT 'offered', ${settings}; END`
    )
    yield* sql.unsafe(
      `CREATE TRIGGER spy_changed AFTER UPDATE OF state ON gofherd_units
        BEGIN INSERT INTO spy SELECT NEW.state, ${settings}; END`
    )
    return {
      /** How often each kind of write was made with which level. */
      levels: Effect.map(
        sql<{ what: string; synchronous: number; times: number }>`
          SELECT what, synchronous, count(*) AS times FROM spy GROUP BY what, synchronous ORDER BY what, synchronous`,
        (rows) => rows.map(({ synchronous, times, what }) => [what, synchronous, times])
      ),
      shortestTimeout: Effect.map(
        sql<{ timeout: number }>`SELECT min(timeout) AS timeout FROM spy`,
        ([row]) => row?.timeout
      )
    }
  })

const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

const levelOf = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ synchronous: number }>`PRAGMA synchronous`, ([row]) => row?.synchronous)

const setLevel = (sql: SqlClient.SqlClient, level: number | undefined) => sql.unsafe(`PRAGMA synchronous = ${level}`)

for (const [driver, { client, skipped }] of Object.entries(drivers)) {
  describe.skipIf(skipped)(`the SQLite source on a client of ${driver} that it shares with its user`, () => {
    for (const own of [OFF, NORMAL, FULL, EXTRA]) {
      it.scopedLive(`syncs each offer, no other write, and leaves synchronous = ${own} as it was`, () =>
        Effect.gen(function*() {
          const { queue, sql } = yield* shared(client)
          const spy = yield* spyOn(sql)
          yield* setLevel(sql, own)
          const ids = Array.from({ length: 40 }, (_, n) => `unit ${n}`)
          // In different turns of the event loop, as by requests, while units are claimed and
          // settled.
          const offering = yield* Effect.fork(Effect.forEach(
            ids,
            (id, n) =>
              Effect.zipRight(Effect.repeatN(Effect.promise(() => Promise.resolve()), n % 5), queue.offer(units(id))),
            { concurrency: "unbounded", discard: true }
          ))
          const claims = yield* claimSoon(queue, ids.length)
          yield* queue.settle(claims.map(ack), 0)
          yield* Fiber.join(offering)
          assert.strictEqual(yield* levelOf(sql), own)
          const other = Math.min(own ?? 0, NORMAL ?? 0)
          assert.deepStrictEqual(yield* spy.levels, [
            ["done", other, ids.length],
            ["held", other, ids.length],
            ["offered", own === EXTRA ? EXTRA : FULL, ids.length]
          ])
        }))
    }

    it.scopedLive("leaves the level that its user sets between two writes as it is", () =>
      Effect.gen(function*() {
        const { queue, sql } = yield* shared(client)
        for (const own of [FULL, OFF, FULL, EXTRA, NORMAL, EXTRA]) {
          yield* setLevel(sql, own)
          yield* queue.claim(1)
          assert.strictEqual(yield* levelOf(sql), own)
          yield* queue.offer(units(`at ${own}`))
          assert.strictEqual(yield* levelOf(sql), own)
        }
      }))

    it.scopedLive("has its settings also after transactions of the user's, which have the user's", () =>
      Effect.gen(function*() {
        const { queue, sql } = yield* shared(client)
        const spy = yield* spyOn(sql)
        yield* setLevel(sql, FULL)
        const levels: Array<number | undefined> = []
        const claims: Array<string> = []
        const working = yield* Effect.fork(Effect.forever(Effect.gen(function*() {
          const claimed = yield* queue.claim(1)
          claims.push(...idsOf(claimed))
          yield* queue.settle(claimed.map(ack), 0)
          yield* turn
        })))
        for (let n = 0; n < 25; n++) {
          yield* sql.withTransaction(Effect.gen(function*() {
            levels.push(yield* levelOf(sql))
            yield* turn
            yield* queue.offer(units(`within ${n}`))
          }))
          yield* queue.offer(units(`after ${n}`))
        }
        yield* Effect.iterate(0, {
          while: () => claims.length < 50,
          body: () => Effect.as(Effect.sleep("1 millis"), 0)
        })
        yield* Fiber.interrupt(working)
        assert.deepStrictEqual(new Set(levels), new Set([FULL]))
        assert.deepStrictEqual(
          (yield* spy.levels).filter(([what]) => what === "offered"),
          [["offered", FULL, 50]]
        )
        // A transaction's own connection has what libsql gives it.
        yield* sql`DELETE FROM spy WHERE what = 'offered'`
        assert.isAtLeast((yield* spy.shortestTimeout) ?? 0, 1_000)
      }))

    it.scopedLive("waits for another writer at least a second, and as long as the user says if that is longer", () =>
      Effect.gen(function*() {
        const timeout = (sql: SqlClient.SqlClient) =>
          Effect.map(sql<{ timeout: number }>`PRAGMA busy_timeout`, ([row]) => row?.timeout)
        const patient: MakeClient = (path) =>
          Layer.tap(
            client(path),
            (context) => Context.get(context, SqlClient.SqlClient).unsafe("PRAGMA busy_timeout = 7000")
          )
            .pipe(Layer.orDie)
        const { queue, sql } = yield* shared(patient)
        yield* queue.offer(units("a"))
        assert.strictEqual(yield* timeout(sql), 7_000)
        const hasty: MakeClient = (path) =>
          Layer.tap(
            client(path),
            (context) => Context.get(context, SqlClient.SqlClient).unsafe("PRAGMA busy_timeout = 0")
          )
            .pipe(Layer.orDie)
        const other = yield* shared(hasty)
        yield* other.queue.offer(units("a"))
        assert.strictEqual(yield* timeout(other.sql), 1_000)
      }))

    it.scopedLive("can be opened in a transaction of the user's", () =>
      Effect.gen(function*() {
        const { open, sql } = yield* shared(client)
        yield* sql.withTransaction(Effect.scoped(Effect.flatMap(open, (queue) => queue.offer(units("a")))))
        assert.deepStrictEqual(idsOf(yield* (yield* open).claim(2)), ["a"])
      }))
  })
}

// ------------------------------------------------------------------------------------------------------ numbers

const numbers: Readonly<
  Record<string, { readonly client: MakeClient; readonly skipped: boolean; readonly safe: boolean }>
> = {
  "libsql, integers as numbers": { client: libsql, skipped: false, safe: false },
  "libsql, integers as bigints": {
    client: (path) => LibsqlClient.layer({ url: `file:${path}`, intMode: "bigint" }),
    skipped: false,
    safe: false
  },
  "libsql, integers as strings": {
    client: (path) => LibsqlClient.layer({ url: `file:${path}`, intMode: "string" }),
    skipped: false,
    safe: false
  },
  "better-sqlite3, SafeIntegers": { client: betterSqlite3, skipped: sqliteNode() === undefined, safe: true }
}

for (const [driver, { client, safe, skipped }] of Object.entries(numbers)) {
  describe.skipIf(skipped)(`the SQLite source on ${driver}`, () => {
    const withIntegers = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      safe ? Effect.provideService(effect, SqlClient.SafeIntegers, true) : effect

    it.scopedLive("reads numbers as numbers, each of them", () =>
      withIntegers(Effect.gen(function*() {
        const { open, queue } = yield* shared(client)
        yield* queue.offer([unit("a", { priority: 2 }), unit("b", { priority: 2 ** 60 }), unit("c", { priority: 0.5 })])
        yield* queue.offer([unit("17", { body: "17" })])
        const depth = yield* queue.depth
        assert.deepStrictEqual(counts(depth), { ready: 4, delayed: 0, held: 0, dead: 0 })
        assert.isNumber(depth.oldestAt)
        const claims = yield* queue.claim(10)
        assert.deepStrictEqual(
          claims.map(({ attempt, body, id, priority }) => [id, priority, attempt, body]),
          [["b", 2 ** 60, 1, `"body of b"`], ["a", 2, 1, `"body of a"`], ["c", 0.5, 1, `"body of c"`], [
            "17",
            0,
            1,
            "17"
          ]]
        )
        const [b, a, c, rest] = claims
        if (a === undefined || b === undefined || c === undefined || rest === undefined) return
        assert.deepStrictEqual(yield* queue.renew(claims), [])
        const settled = yield* queue.settle([ack(a), bury(b), retry(c, Date.now(), 12_345), ack(rest)], 0)
        assert.deepStrictEqual(settled, { lost: [], claimed: [] })
        const [again] = yield* claimSoon(queue, 1)
        assert.deepStrictEqual([again?.id, again?.attempt, again?.firstFailureAt], ["c", 2, 12_345])
        const [letter] = yield* queue.dead.list()
        assert.deepStrictEqual([letter?.id, letter?.priority, letter?.attempts, letter?.crashes], ["b", 2 ** 60, 1, 0])
        assert.isNumber(letter?.diedAt)
        assert.strictEqual(yield* queue.dead.redrive("all"), 1)
        assert.strictEqual((yield* (yield* open).depth).ready, 1)
      })))

    it.scopedLive("tells units apart whose numbers in the table are beyond 2^53", () =>
      withIntegers(Effect.gen(function*() {
        const { queue, sql } = yield* shared(client)
        yield* queue.offer(units("first"))
        yield* sql`UPDATE sqlite_sequence SET seq = 9007199254740993 WHERE name = 'gofherd_units'`
        const ids = ["a", "b", "c", "d", "e"]
        yield* queue.offer(units(...ids))
        const claims = yield* queue.claim(10)
        assert.deepStrictEqual(idsOf(claims), ["first", ...ids])
        const [, a, ...others] = claims
        if (a === undefined) return
        yield* queue.settle([ack(a)], 0)
        assert.deepStrictEqual(yield* queue.renew(others), [])
        assert.deepStrictEqual((yield* queue.depth).held, 5)
        assert.deepStrictEqual(yield* queue.settle(others.map(ack), 0), { lost: [], claimed: [] })
      })))
  })
}
