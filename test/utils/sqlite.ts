/**
 * Sources on a client of SQLite that the test has, too, as a user would.
 */
import type { SqlClient as Client } from "@effect/sql"
import { SqlClient } from "@effect/sql"
import { Context, Duration, Effect, Layer } from "effect"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"
import { join } from "node:path"
import { betterSqlite3, libsql } from "../fixtures/sources.ts"
import { folder } from "./children.ts"
import { sqliteNode } from "./sqliteNode.ts"

export type MakeClient = (path: string) => Layer.Layer<Client.SqlClient>

export const drivers: Readonly<Record<string, { readonly client: MakeClient; readonly skipped: boolean }>> = {
  "libsql": { client: libsql, skipped: false },
  "better-sqlite3": { client: betterSqlite3, skipped: sqliteNode() === undefined }
}

export const shared = (client: MakeClient, options?: HerdSourceSqlite.Options) =>
  Effect.gen(function*() {
    const path = join(yield* folder, "units.db")
    const context = yield* Layer.build(Layer.provideMerge(HerdSourceSqlite.layer(options), client(path)))
    const source = Context.get(context, HerdSource.HerdSource)
    const open = source.open("contract", { lease: Duration.seconds(30), maxCrashes: 3 })
    return { path, queue: yield* open, open, sql: Context.get(context, SqlClient.SqlClient) }
  })
