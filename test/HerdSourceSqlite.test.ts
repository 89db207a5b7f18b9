import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Option, Schema, Scope } from "effect"
import { HerdError } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"
import { join } from "node:path"
import { makeOwner, type Owner, ownerText } from "../src/internal/owner.ts"
import { type SourceName, sources } from "./fixtures/sources.ts"
import { folder } from "./utils/children.ts"
import { durableContract } from "./utils/durableContract.ts"
import { makePrograms } from "./utils/durablePrograms.ts"
import { sourceContract } from "./utils/sourceContract.ts"
import { sqliteNode } from "./utils/sqliteNode.ts"
import { until } from "./utils/stage.ts"
import { ack, claimOne, claimSoon, counts, idsOf, open, type Store, type Subject, unit, units } from "./utils/stores.ts"

const drivers: Readonly<Record<string, { readonly source: SourceName; readonly skipped: boolean }>> = {
  "libsql": { source: "libsql", skipped: false },
  "better-sqlite3": { source: "betterSqlite3", skipped: sqliteNode() === undefined }
}

for (const [driver, { skipped, source }] of Object.entries(drivers)) {
  const sqlite: Subject = {
    name: `SQLite by ${driver}`,
    programs: true,
    blocks: true,
    skipped,
    store: Effect.map(folder, (dir) => {
      const path = join(dir, "units.db")
      return { layer: sources[source](path), herd: "contract", program: [source, path] }
    })
  }
  sourceContract(sqlite)
  durableContract(sqlite)
}

describe("the SQLite source", () => {
  const databases = Effect.map(folder, (dir) => join(dir, "units.db"))

  const storeAt = (path: string): Store => ({
    layer: sources.libsql(path),
    herd: "contract",
    program: ["libsql", path]
  })

  /** A connection of the test's own. */
  const connect = (path: string) =>
    Effect.map(Layer.build(LibsqlClient.layer({ url: `file:${path}` })), Context.get(SqlClient.SqlClient))

  /** A source on a client that the test has, too. */
  const shared = (path: string, options?: HerdSourceSqlite.Options) =>
    Effect.gen(function*() {
      const client = LibsqlClient.layer({ url: `file:${path}` })
      const context = yield* Layer.build(Layer.provideMerge(HerdSourceSqlite.layer(options), client))
      const source = Context.get(context, HerdSource.HerdSource)
      const queue = yield* source.open("contract", { lease: Duration.seconds(30), maxCrashes: 3 })
      return { queue, sql: Context.get(context, SqlClient.SqlClient) }
    })

  it.scopedLive(
    "has what a killed process held ready at once when another one opens the herd, whatever the lease",
    () =>
      Effect.gen(function*() {
        const store = storeAt(yield* databases)
        const { lines, start } = yield* makePrograms(store)
        const first = yield* open(store)
        yield* first.queue.offer(["a", "b"].map((id) => unit(id, { body: `"hold"` })))
        yield* first.close
        const { child, ended } = yield* start(2, { lease: "1 hour" })
        yield* until(() => lines().length === 2)
        child.kill("SIGKILL")
        yield* ended
        const { queue } = yield* open(store)
        assert.deepStrictEqual(counts(yield* queue.depth), { ready: 2, delayed: 0, held: 0, dead: 0 })
        assert.deepStrictEqual((yield* queue.claim(5)).map(({ attempt, id }) => [id, attempt]), [["a", 2], ["b", 2]])
      }),
    30_000
  )

  it.scopedLive(
    "has what a killed process held ready within seconds where another one is at work",
    () =>
      Effect.gen(function*() {
        const store = storeAt(yield* databases)
        const { lines, start } = yield* makePrograms(store)
        const { queue } = yield* open(store)
        yield* queue.offer([unit("a", { body: `"hold"` })])
        const { child, ended } = yield* start(1, { lease: "1 hour" })
        yield* until(() => lines().length === 1)
        child.kill("SIGKILL")
        yield* ended
        const before = yield* Clock.currentTimeMillis
        assert.strictEqual((yield* claimOne(queue)).attempt, 2)
        assert.isAtMost((yield* Clock.currentTimeMillis) - before, 3_000)
      }),
    30_000
  )

  it.scopedLive(
    "runs a unit once whose transaction holds the connection for longer than its lease",
    () =>
      Effect.gen(function*() {
        const path = yield* databases
        const client = LibsqlClient.layer({ url: `file:${path}` })
        const context = yield* Layer.build(Layer.provideMerge(HerdSourceSqlite.layer(), client))
        const sql = Context.get(context, SqlClient.SqlClient)
        const started: Array<string> = []
        const make = DurableHerd.make({
          name: "contract",
          schema: Schema.String,
          size: 2,
          lease: "500 millis",
          process: (_, { attempt, id }) =>
            Effect.suspend(() => {
              started.push(`${id} ${attempt}`)
              return sql.withTransaction(Effect.sleep("1200 millis"))
            }).pipe(Effect.zipRight(Effect.sleep("300 millis")), Effect.orDie)
        })
        const [herd] = yield* Effect.all([make, make]).pipe(Effect.provide(context))
        yield* herd.offer("report", { id: "report" })
        yield* herd.awaitIdle
        assert.deepStrictEqual(started, ["report 1"])
        assert.deepStrictEqual(yield* herd.dead.list(), [])
      }),
    30_000
  )

  it.scopedLive("hands out what it has claimed after a wait for the connection, though the leases can't be renewed", () =>
    Effect.gen(function*() {
      const client = LibsqlClient.layer({ url: `file:${yield* databases}` })
      const context = yield* Layer.build(Layer.provideMerge(HerdSourceSqlite.layer(), client))
      const sql = Context.get(context, SqlClient.SqlClient)
      const source = Context.get(context, HerdSource.HerdSource)
      const queue = yield* source.open("contract", { lease: Duration.millis(300), maxCrashes: 3 })
      yield* queue.offer(units("a"))
      yield* sql`CREATE TRIGGER no_renewal BEFORE UPDATE ON gofherd_units
        WHEN OLD.state = 'held' AND NEW.state = 'held' BEGIN SELECT RAISE(ABORT, 'no'); END`
      const begun = yield* Deferred.make<void>()
      const holding = yield* Effect.fork(
        sql.withTransaction(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.sleep("400 millis")))
      )
      yield* Deferred.await(begun)
      assert.deepStrictEqual(idsOf(yield* queue.claim(1)), ["a"])
      yield* Fiber.join(holding)
    }))

  it.scopedLive(
    "leaves to their leases what processes hold that it can't tell to be dead",
    () =>
      Effect.gen(function*() {
        const path = yield* databases
        const { queue } = yield* open(storeAt(path))
        const sql = yield* connect(path)
        const here = makeOwner()
        // 2^22 is more than any process has.
        const gone = 4_194_304 + 7
        const owners: Readonly<Record<string, Owner | string>> = {
          "alive": here,
          "another machine's": { ...here, host: "elsewhere", pid: gone },
          "no owner": "somebody",
          "dead": { ...here, pid: gone },
          "dead, its number in use again": { ...here, started: "1" }
        }
        yield* queue.offer(units(...Object.keys(owners)))
        yield* queue.claim(5)
        for (const [id, owner] of Object.entries(owners)) {
          const text = typeof owner === "string" ? owner : ownerText(owner)
          yield* sql`UPDATE gofherd_units SET owner = ${text} WHERE id = ${id}`
        }
        const claims = yield* claimSoon(queue, 2)
        assert.deepStrictEqual(idsOf(claims), ["dead", "dead, its number in use again"])
        yield* Effect.sleep("1500 millis")
        assert.deepStrictEqual(yield* queue.claim(5), [])
      }),
    30_000
  )

  it.scopedLive(
    "is safe with several processes on one file: each of 3,000 units is begun once",
    () =>
      Effect.gen(function*() {
        const store = storeAt(yield* databases)
        const { lines, start } = yield* makePrograms(store)
        const { queue } = yield* open(store)
        const ids = Array.from({ length: 3_000 }, (_, n) => `unit-${n}`)
        for (let n = 0; n < 3; n++) yield* queue.offer(units(...ids.slice(n * 1_000, (n + 1) * 1_000)))
        const processes = yield* Effect.replicateEffect(start(8), 3)
        yield* until(Effect.map(queue.depth, ({ held, ready }) => ready + held === 0))
        const begun = lines().filter((line) => line.startsWith("start")).map((line) => line.split(" ")[1] ?? "")
        assert.deepStrictEqual(begun.toSorted(), ids.toSorted())
        assert.deepStrictEqual(processes.map(({ stderr, stdout }) => stdout() + stderr()), ["", "", ""])
      }),
    60_000
  )

  it.scopedLive("finds what its own process offers, releases or redrives at once, however seldom it looks", () =>
    Effect.gen(function*() {
      const { queue } = yield* shared(yield* databases, { pollInterval: "1 hour" })
      const after = <A>(change: Effect.Effect<A, HerdError.SourceError>) =>
        Effect.gen(function*() {
          const waiting = yield* Effect.fork(queue.arrival)
          yield* Effect.sleep("50 millis")
          assert.isNull(waiting.unsafePoll())
          yield* change
          yield* Effect.timeout(Fiber.join(waiting), "5 seconds")
          return yield* claimOne(queue)
        })
      const first = yield* after(queue.offer(units("a")))
      const second = yield* after(queue.settle([{ _tag: "Release", claim: first }], 0))
      yield* queue.settle([{ _tag: "Bury", claim: second, cause: "no" }], 0)
      assert.strictEqual((yield* after(queue.dead.redrive("all"))).id, "a")
    }))

  it.scopedLive("makes an offer part of the user's transaction", () =>
    Effect.gen(function*() {
      const { queue, sql } = yield* shared(yield* databases)
      yield* sql`CREATE TABLE orders (id TEXT)`
      const order = (id: string) => Effect.zipRight(sql`INSERT INTO orders VALUES (${id})`, queue.offer(units(id)))
      yield* sql.withTransaction(order("a"))
      const failed = yield* Effect.exit(sql.withTransaction(Effect.zipRight(order("b"), Effect.fail("no"))))
      assert.deepStrictEqual(failed, Exit.fail("no"))
      assert.deepStrictEqual(idsOf(yield* queue.claim(5)), ["a"])
      assert.deepStrictEqual(yield* sql`SELECT id FROM orders`, [{ id: "a" }])
      yield* queue.offer(units("c"))
      assert.deepStrictEqual(idsOf(yield* queue.claim(5)), ["c"])
    }))

  it.scopedLive("writes ahead", () =>
    Effect.gen(function*() {
      const { sql } = yield* shared(yield* databases)
      assert.deepStrictEqual(yield* sql`PRAGMA journal_mode`, [{ journal_mode: "wal" }])
    }))

  it.scopedLive("forgets units that are done after their retention, and accepts their ids again", () =>
    Effect.gen(function*() {
      const { queue, sql } = yield* shared(yield* databases, { retention: "500 millis" })
      yield* queue.offer([unit("a"), unit("b", { runAt: Date.now() + 60_000 })])
      yield* queue.settle([ack(yield* claimOne(queue))], 0)
      assert.deepStrictEqual(yield* sql`SELECT id, body, state FROM gofherd_units WHERE id = 'a'`, [
        { id: "a", body: "", state: "done" }
      ])
      yield* queue.offer(units("a"))
      assert.deepStrictEqual(yield* queue.claim(1), [])
      yield* until(
        Effect.zipRight(queue.claim(1), Effect.map(sql`SELECT id FROM gofherd_units`, (rows) => rows.length === 1))
      )
      assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 1, held: 0, dead: 0 })
      yield* queue.offer(units("a"))
      assert.strictEqual((yield* claimOne(queue)).id, "a")
    }))

  it.scopedLive("keeps its counts right, whatever is done to the table", () =>
    Effect.gen(function*() {
      const { queue, sql } = yield* shared(yield* databases)
      yield* queue.offer(units("a", "b", "c", "d"))
      yield* queue.claim(1)
      yield* sql`DELETE FROM gofherd_units WHERE id IN ('b', 'a')`
      assert.deepStrictEqual(counts(yield* queue.depth), { ready: 2, delayed: 0, held: 0, dead: 0 })
      yield* sql`UPDATE gofherd_units SET state = 'dead', cause = 'by hand', ended_at = 1`
      assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 0, held: 0, dead: 2 })
    }))

  it.scopedLive("does not open a table of a version that it does not know", () =>
    Effect.gen(function*() {
      const path = yield* databases
      const { sql } = yield* shared(path)
      yield* sql`UPDATE gofherd_meta SET value = 2 WHERE key = 'version'`
      const exit = yield* Effect.exit(shared(path))
      assert.strictEqual(
        Exit.isFailure(exit) ? Option.getOrThrow(Cause.failureOption(exit.cause)).message : "",
        "expected the SQLite source to open its database, got tables of version 2, which this version of gofherd does not know"
      )
    }))

  it.scopedLive("says what the driver says where it fails, and fails the layer that can't open its database", () =>
    Effect.gen(function*() {
      const path = yield* databases
      const { queue, sql } = yield* shared(path)
      yield* sql`DROP TABLE gofherd_units`
      const error = yield* Effect.flip(queue.claim(1))
      assert.instanceOf(error, HerdError.SourceError)
      assert.match(error.message, /^expected the SQLite source to claim units, got .*no such table: gofherd_units/)
    }))

  it.effect("refuses options that make no sense", () =>
    Effect.gen(function*() {
      const client = LibsqlClient.layer({ url: "file::memory:" })
      const refused = (options: unknown) =>
        Effect.map(
          Effect.exit(Effect.scoped(Layer.build(Layer.provide(HerdSourceSqlite.layer(options as never), client)))),
          (exit) => Exit.isFailure(exit) ? Cause.pretty(exit.cause).split("\n")[0] : "accepted"
        )
      assert.include(yield* refused({ retention: -1 }), "expected retention to be a duration, got -1")
      assert.include(
        yield* refused({ pollInterval: 0 }),
        "expected pollInterval to be a duration of more than 0, got 0"
      )
      assert.include(yield* refused(null), "expected options to be an object, got null")
      assert.strictEqual(yield* refused({ retention: Infinity }), "accepted")
    }))

  it.scopedLive("closes while its database is gone, without failing", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { queue, sql } = yield* Scope.extend(shared(yield* databases), scope)
      yield* queue.offer(units("a"))
      yield* queue.claim(1)
      yield* sql`DROP TABLE gofherd_units`
      assert.deepStrictEqual(yield* Effect.exit(Scope.close(scope, Exit.void)), Exit.void)
    }))
})
