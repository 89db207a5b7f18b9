/**
 * Keeps the units of durable herds in an SQLite database, by any SQLite `SqlClient` of
 * `@effect/sql`: `@effect/sql-libsql`, which installs without a compiler, or
 * `@effect/sql-sqlite-node`. Not part of the barrel, since `@effect/sql` is an optional peer:
 * `import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"`.
 *
 * Several processes of one machine may work on one file, which is to be on a disk of that machine.
 * What a process held that was killed is ready again when another one opens the herd, and at the
 * latest a second later where one is at work on it. (In another container or another machine's
 * process, when its leases have run out.)
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SourceError } from "./HerdError.ts"
import { HerdSource } from "./HerdSource.ts"
import { makeSqlite } from "./internal/sourceSqlite.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * How long units that are done are kept, without their bodies: so long an id is not accepted
   * again. Default 1 hour; may be infinite. A finite one above 100 years counts as 100 years.
   */
  readonly retention?: Duration.DurationInput | undefined
  /**
   * How often it is looked for units that other processes have offered, and for those whose time
   * has come. More than 0; default 100 ms; a finite one above 100 years counts as 100 years. Units
   * that this process offers are found at once.
   */
  readonly pollInterval?: Duration.DurationInput | undefined
}

/**
 * Keeps units in the table `gofherd_units` of the client's database, which it makes if it is not
 * there, and puts the database into WAL mode.
 *
 * An offer is synced to the disk when it returns (`PRAGMA synchronous = FULL`). What becomes of
 * units is not (`NORMAL`): a crash of the process loses none of it. A power failure may lose the
 * last of it, and those units run again. An offer inside `sql.withTransaction` is part of that
 * transaction, and synced as its commit is.
 *
 * Settings of the client's connection:
 *
 * - `synchronous` is set for the duration of one write, and is then as it was. Writes cost least
 *   where it is `NORMAL` already.
 * - `busy_timeout` is raised to 1,000 ms, unless it is longer, and stays.
 * - `journal_mode` is WAL, which is a setting of the file.
 * - A temporary view, `gofherd_connection`, marks connections with these settings. libsql's client
 *   opens a new connection after each transaction: the next write of a herd sets it up.
 *
 * A file that is deleted or replaced while it is open fails every write with a `SourceError` that
 * says so: what went there nobody would read. A herd then waits for the file to be put back, or is
 * to be started again.
 *
 * Setting the machine's clock changes no delay, backoff, lease or retention. The database's time
 * goes on by the machine's monotonic clock, which stands still while a Linux machine sleeps. All
 * processes of one run of such a machine agree on it: `gofherd_meta` has a row for each run. After
 * a restart of the machine, the time of day counts once. On other systems each process takes the
 * time of day at its start. Under another `Clock`, such as a test's, time goes by that.
 *
 * Drivers may give integers as numbers, bigints or strings (`intMode` of libsql,
 * `SqlClient.SafeIntegers`).
 *
 * Options out of their bounds are a defect, `InvalidOption`.
 *
 * @example
 * ```ts
 * import { LibsqlClient } from "@effect/sql-libsql"
 * import { Context, Effect, Layer, Schema } from "effect"
 * import * as DurableHerd from "gofherd/DurableHerd"
 * import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"
 *
 * class Mails extends Context.Tag("mails")<Mails, DurableHerd.DurableHerd<string>>() {}
 *
 * const MailsLive = DurableHerd.layer(Mails, { schema: Schema.String, process: (to) => Effect.log(`mail to ${to}`), size: 8 }).pipe(
 *   Layer.provide(HerdSourceSqlite.layer()),
 *   Layer.provide(LibsqlClient.layer({ url: "file:mails.db" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<HerdSource, SourceError, SqlClient.SqlClient> =>
  Layer.effect(HerdSource, Effect.flatMap(SqlClient.SqlClient, (sql) => makeSqlite(sql, options)))
