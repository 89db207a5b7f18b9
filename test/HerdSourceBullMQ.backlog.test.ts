import { assert, describe, it, layer } from "@effect/vitest"
import { runMigrations } from "bullmq"
import { Context, Duration, Effect, Layer } from "effect"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
import { Client } from "pg"
import { Counts } from "../src/internal/bullCounts.ts"
import { statements } from "../src/internal/bullPostgresStatements.ts"
import { hasPostgres, Postgres, postgres } from "./utils/servers.ts"
import { idsOf } from "./utils/stores.ts"

const connected = Effect.gen(function*() {
  const { url } = yield* Postgres
  const client = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ connectionString: url, options: "-c search_path=bullmq" })
      await client.connect()
      await runMigrations(client)
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )
  return (text: string, parameters: ReadonlyArray<unknown> = []) =>
    Effect.promise(() => client.query<Record<string, unknown>>(text, Array.from(parameters)))
})

const open = (herd: string, options: HerdSourceBullMQ.PostgresOptions = {}) =>
  Effect.gen(function*() {
    const { url } = yield* Postgres
    const context = yield* Layer.build(HerdSourceBullMQ.layerPostgres({ connection: { url }, ...options }))
    return yield* Context.get(context, HerdSource.HerdSource).open(herd, { lease: Duration.minutes(1), maxCrashes: 3 })
  })

/** So many of each, as if they had been offered by others, long ago. */
const filled = (queue: string, count: number, states: ReadonlyArray<string>) =>
  [
    `INSERT INTO job (queue, id, seq, name, state, data, opts, priority, added_at_ms, lock_token, locked_until_ms, process_at_ms, finished_at_ms)
   SELECT $1, state || n, nextval('job_seq'), 'unit', state::job_state, '{}', '{"attempts": 1}', 1048576, 1,
     CASE state WHEN 'active' THEN 'lock' END, CASE state WHEN 'active' THEN 4000000000000 END,
     CASE state WHEN 'delayed' THEN 4000000000000 + n END, CASE WHEN state IN ('completed', 'failed') THEN n END
   FROM generate_series(1, $2) AS n, unnest($3::text[]) AS state`,
    [queue, count, states]
  ] as const

const past = Date.now()
const locks = ["a", "b", "c", "d"]
const held = [["active1", "active2"], ["lock", "lock"]]

/** What each statement is told, and how many pages it may read. */
const asked: { readonly [Name in keyof typeof statements]?: readonly [ReadonlyArray<unknown>, number] } = {
  look: [[past, 4], 100],
  promote: [[past, 1_000], 100],
  step: [[...held, locks, past, 30_000, locks.length], 400],
  release: [held, 200],
  renew: [[...held, past], 200],
  recover: [[past, 3, "lock", 30_000, ["lock"]], 100],
  pardon: [[["failed1", "failed2"], "{}"], 400],
  discard: [[["failed1", "failed2"]], 400],
  remember: [["active1", "lock", "{}"], 50],
  forget: [[past, 10], 400]
}

if (hasPostgres) {
  layer(postgres, { excludeTestServices: true, timeout: "60 seconds" })("HerdSourceBullMQ on PostgreSQL", (it) => {
    it.scoped(
      "reads a few pages for each statement, however many units are ready, delayed, done or dead",
      () =>
        Effect.gen(function*() {
          const query = yield* connected
          yield* query("ALTER TABLE job SET (autovacuum_enabled = off)")
          // What the planner knows of the table: nothing; that it is almost empty, which is not so;
          // how it is.
          const states = ["waiting", "delayed", "active", "completed", "failed"]
          for (const analyzed of ["never", "before", "after"]) {
            yield* query("TRUNCATE job CASCADE")
            yield* query(...filled("small", 5, states))
            if (analyzed === "before") yield* query("ANALYZE job")
            yield* query(...filled("backlog", 30_000, states))
            if (analyzed === "after") yield* query("ANALYZE job")
            for (const [name, text] of Object.entries(statements)) {
              const [parameters, most] = asked[name as keyof typeof statements] ?? []
              if (parameters === undefined || most === undefined) continue
              yield* query("BEGIN")
              const { rows } = yield* query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, [
                "backlog",
                ...parameters
              ])
              yield* query("ROLLBACK")
              const plan = JSON.stringify(rows)
              const pages = Number(/"Shared Hit Blocks":(\d+),"Shared Read Blocks":(\d+)/.exec(plan)?.[1])
                + Number(/"Shared Read Blocks":(\d+)/.exec(plan)?.[1])
              assert.isBelow(pages, most, `${name}, analyzed ${analyzed}: ${plan}`)
            }
          }
        }),
      60_000
    )

    it.scoped(
      "promotes thousands of units whose time has come, and forgets as many that are done",
      () =>
        Effect.gen(function*() {
          const query = yield* connected
          yield* query(...filled("due", 2_500, ["delayed", "completed"]))
          yield* query(
            "UPDATE job SET process_at_ms = process_at_ms - 4000000000000 WHERE queue = 'due' AND state = 'delayed'"
          )
          const queue = yield* open("due", { retention: "1 second" })
          assert.deepStrictEqual(idsOf(yield* queue.claim(1)), ["delayed1"])
          while ((yield* queue.claim(1_000)).length > 0) continue
          const { delayed, held, ready } = yield* queue.depth
          assert.deepStrictEqual([ready, delayed, held], [0, 0, 2_500])
          const left = query("SELECT count(*)::int AS count FROM job WHERE queue = 'due' AND state = 'completed'")
          yield* Effect.repeat(left, { until: ({ rows: [row] }) => row?.["count"] === 0 })
        }),
      30_000
    )

    it.scoped("depth: is exact where it has been counted whole", () =>
      Effect.gen(function*() {
        const query = yield* connected
        yield* query(...filled("deep", 12_000, ["waiting", "failed"]))
        yield* query(...filled("deep", 9_999, ["delayed"]))
        const queue = yield* open("deep")
        const { dead, delayed, held, ready } = yield* queue.depth
        assert.deepStrictEqual([ready, delayed, held, dead], [12_000, 9_999, 0, 12_000])
        yield* query("DELETE FROM job WHERE queue = 'deep' AND state = 'waiting' AND seq % 2 = 0")
        assert.strictEqual((yield* queue.depth).ready, 6_000)
      }), 30_000)
  })
}

describe("Counts", () => {
  it.live("counts whole beyond its bound, and again after a hundred times as long as that took", () =>
    Effect.gen(function*() {
      let counted = 0
      let count = async (_: "ready" | "dead") => {
        const found = 5_000 + ++counted
        await new Promise((resolve) => setTimeout(resolve, 30))
        return found
      }
      const counts = new Counts<"ready" | "dead">({ bound: 10, count: (what) => count(what) })
      const of = (what: "ready" | "dead", read: number) => Effect.promise(() => counts.of(what, read))
      assert.deepStrictEqual([yield* of("ready", 10), counted], [10, 0])
      assert.deepStrictEqual([yield* of("ready", 11), counted], [5_001, 1])
      assert.deepStrictEqual([yield* of("ready", 11), counted], [5_001, 1])
      assert.deepStrictEqual([yield* of("ready", 3), counted], [3, 1])
      const both = yield* Effect.all([of("ready", 11), of("ready", 11), of("dead", 11)], { concurrency: "unbounded" })
      assert.deepStrictEqual([both, counted], [[5_002, 11, 5_003], 3])
      // One that fails, or takes too long, is done without.
      count = () => Promise.reject(new Error("no"))
      assert.deepStrictEqual(yield* of("dead", 12), 5_003)
      yield* of("dead", 0)
      assert.strictEqual(yield* of("dead", 12), 12)
    }))
})
