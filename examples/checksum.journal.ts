/**
 * What checksum.ts does with `--journal FILE`: an SQLite database has the files that are to be
 * hashed, and what has come of them. Killed at any moment and started again it goes on, and hashes
 * no file again that it has finished.
 *
 * A journal is for one directory; delete it to begin anew.
 */
import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { Console, Context, Effect, Either, Layer, Schema, type Scope } from "effect"
import type { Gopher, Herd } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdProgress from "gofherd/HerdProgress"
import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"
import { createHash } from "node:crypto"
import type { Checksum, File, Result } from "./checksum.file.ts"

export class Journaled extends Context.Tag("checksum")<Journaled, DurableHerd.DurableHerd<File>>() {}

type Process<E> = Herd.Process<File, Checksum, E, never>

/**
 * At least once: a unit may come again whose file is hashed already. The journal says so, and the
 * file's checksum and that it is finished are one row.
 */
const journaled = <E>(sql: SqlClient.SqlClient, hash: Process<E>): Herd.Process<File, void, E, never> => (file, work) =>
  Effect.gen(function*() {
    const done = yield* sql`SELECT 1 FROM files WHERE path = ${file.path} AND ends > 0`
    if (done.length > 0) return
    yield* sql`INSERT INTO files (path, starts) VALUES (${file.path}, 1) ON CONFLICT DO UPDATE SET starts = starts + 1`
    const { bytes, hex } = yield* hash(file, work)
    yield* sql`UPDATE files SET ends = ends + 1, hex = ${hex}, bytes = ${bytes} WHERE path = ${file.path}`
  }).pipe(Effect.catchTag("SqlError", Effect.die))

/** The herd and its journal. */
export const layer = <E>(
  path: string,
  options: {
    readonly gopher: Effect.Effect<Process<E>, never, Scope.Scope | Gopher.Gopher>
    readonly size: number
    readonly maxSize: number
  }
) =>
  DurableHerd.layer(
    Journaled,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE IF NOT EXISTS files (
        path TEXT PRIMARY KEY, starts INTEGER NOT NULL, ends INTEGER NOT NULL DEFAULT 0, hex TEXT, bytes INTEGER
      )`
      return {
        ...options,
        schema: Schema.Struct({ path: Schema.String, index: Schema.Number }),
        gopher: Effect.map(options.gopher, (hash) => journaled(sql, hash))
      }
    })
  ).pipe(
    Layer.provide(HerdSourceSqlite.layer({ retention: Infinity })),
    Layer.provideMerge(LibsqlClient.layer({ url: `file:${path}` }))
  )

/** Ids have 255 characters at most. */
const idOf = ({ path }: File) => path.length > 255 ? createHash("sha256").update(path).digest("hex") : path

/** How many of the files have been finished. */
const finished = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly files: number }>`SELECT count(*) AS files FROM files WHERE ends > 0`
  return row?.files ?? 0
})

/**
 * Hashes the files that are not finished, and tells of all of them; one that could not be read gets
 * another chance in each run. How many hashings were in vain, since their process was killed, is
 * said on the console.
 */
export const hashAll = (paths: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const herd = yield* Journaled
    const sql = yield* SqlClient.SqlClient
    const total = paths.length - (yield* finished)
    yield* Effect.gen(function*() {
      yield* herd.dead.redrive("all")
      yield* herd.offerAll(paths.map((path, index) => ({ path, index })), { id: idOf })
      yield* herd.awaitIdle
    }).pipe(Effect.provide(HerdProgress.layer(Journaled, { total, unit: "files", summary: false })))
    const rows = yield* sql<Checksum & { readonly path: string; readonly starts: number }>`
      SELECT path, hex, bytes, starts FROM files WHERE ends > 0`
    const checksums = new Map(rows.map((row) => [row.path, row]))
    const { dead } = yield* herd.depth
    const letters = new Map((yield* herd.dead.list({ limit: dead + 1 })).map(({ cause, id }) => [id, cause]))
    const redone = rows.reduce((redone, { starts }) => redone + starts - 1, 0)
    if (redone > 0) yield* Console.log(`${redone} files were begun again, since their process was killed`)
    return paths.map((path, index): Result => ({
      path,
      hashed: Either.fromNullable(checksums.get(path), () => letters.get(idOf({ path, index })) ?? "not hashed")
    }))
  })
