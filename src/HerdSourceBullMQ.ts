/**
 * Keeps the units of durable herds in the queues of [BullMQ](https://docs.bullmq.io) 6, on Redis or
 * on PostgreSQL: for herds of many processes on many machines. Not part of the barrel, since
 * `bullmq`, and `ioredis` or `pg`, are optional peers:
 * `import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"`.
 *
 * A herd's queue is called by its name, and its units are ordinary jobs, called `unit`, of which
 * `data` is the unit as JSON: boards and other programs of BullMQ's see them, and jobs that such
 * programs add are units of the herd. Their ids are those of the units; only `:`, `%`, what is a
 * number, and what is the name of one of a queue's own keys, are percent-encoded.
 *
 * - Priorities are integers from -1,048,575 to 1,048,575. Jobs of other programs that have none are
 *   before all units, as they are in BullMQ.
 * - Units of a process that has died are ready again when their leases have run out, up to a
 *   quarter of a lease later, and at most 10 s.
 * - The server's clock counts, for delays, backoffs, leases and retention: setting a machine's
 *   clock changes nothing. If the server's clock is set, what was delayed before comes earlier or
 *   later by as much; on PostgreSQL leases end so, too. A Schedule that looks at elapsed time
 *   (`upTo`) goes by the herd's Clock.
 * - `fleet` is BullMQ's global concurrency.
 * - Job schedulers, flows, deduplication and `removeOnComplete` of other programs' jobs work as
 *   with BullMQ's Worker. A job's own `attempts`, `backoff` and `removeOnFail` do not count.
 *   docs/bullmq.md has the whole list.
 * - What another program does to the queue (pause it, drain it, limit its rate) does to the herd
 *   what it does to BullMQ's workers.
 * - Beside BullMQ's commands there are some of gofherd's own on the same keys and tables, for what
 *   would cost units their places or take a command each: so it goes with BullMQ 6.7, and no other.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { ConnectionOptions as TlsOptions } from "node:tls"
import { HerdSource } from "./HerdSource.ts"
import { postgresSettings, redisSettings } from "./internal/bullOptions.ts"
import { makeBullMQ } from "./internal/sourceBullMQ.ts"

// ------------------------------------------------------------------------------------------------------ models

interface Connection {
  /**
   * As `redis://user:password@host:port/database`, or `postgres://…`. It counts for more than what
   * is given beside it.
   */
  readonly url?: string | Redacted.Redacted | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly username?: string | undefined
  readonly password?: string | Redacted.Redacted | undefined
  /** Whatever else the driver takes. */
  readonly driver?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Where Redis is; by default on port 6379 of this machine. `driver` may be any options of ioredis,
 * but for `maxRetriesPerRequest` and `keyPrefix`; each open herd has two connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionOptions extends Connection {
  /** Its number; default 0. */
  readonly database?: number | undefined
  readonly tls?: TlsOptions | undefined
}

/**
 * Where PostgreSQL is; what is not given `pg` takes from the environment (`PGHOST`, …). `driver`
 * may be any options of a pool of `pg`'s; each open herd has a pool, of up to `max` (default 10)
 * connections, and one more that it listens on.
 *
 * @since 0.1.0
 * @category models
 */
export interface PostgresConnectionOptions extends Connection {
  readonly database?: string | undefined
  readonly tls?: boolean | TlsOptions | undefined
}

interface Times {
  /**
   * How long units that are done are kept: so long an id is not accepted again. Default 1 hour; may
   * be infinite. A finite one above 100 years counts as 100 years.
   */
  readonly retention?: Duration.DurationInput | undefined
  /**
   * How often it is looked for what nobody tells of, such as a bound of the fleet that another
   * program has changed. More than 0; default 500 ms; a finite one above 100 years counts as 100
   * years. Units that any process offers, that are due, or whose leases have run out, are found at
   * once.
   */
  readonly pollInterval?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Times {
  readonly connection?: ConnectionOptions | undefined
  /** What all keys begin with. Default `bull`, as BullMQ's. */
  readonly prefix?: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface PostgresOptions extends Times {
  readonly connection?: PostgresConnectionOptions | undefined
  /** The schema that has BullMQ's tables. Default `bullmq`. */
  readonly schema?: string | undefined
  /**
   * Are BullMQ's tables made, and brought up to date, when a herd is opened? Default true.
   * Otherwise opening fails with `SourceError` if they are not there, and a job of the deployment
   * has to see to it with BullMQ's `runMigrations`.
   */
  readonly migrate?: boolean | undefined
}

// ------------------------------------------------------------------------------------------------------ layers

/**
 * Keeps units in Redis 6.2 or later, Valkey or Dragonfly, which are to be told not to evict
 * anything (`maxmemory-policy noeviction`) and to write down what they have (`appendonly yes`):
 * with `appendfsync everysec` a power failure may lose the last second.
 *
 * Connects when a herd is opened, which fails with `SourceError` if that fails. Later a connection
 * that is lost is made again, and what is asked for meanwhile fails. Options out of their bounds
 * are a defect, `InvalidOption`.
 *
 * Priorities are integers from -1,048,575 to 1,048,575. An offer with another one is `InvalidUnit`.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer, Schema } from "effect"
 * import * as DurableHerd from "gofherd/DurableHerd"
 * import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
 *
 * class Mails extends Context.Tag("mails")<Mails, DurableHerd.DurableHerd<string>>() {}
 *
 * const MailsLive = DurableHerd.layer(Mails, { schema: Schema.String, process: (to) => Effect.log(`mail to ${to}`), size: 8 }).pipe(
 *   Layer.provide(HerdSourceBullMQ.layer({ connection: { url: "redis://localhost:6379" } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<HerdSource> =>
  Layer.sync(HerdSource, () => makeBullMQ(redisSettings(options)))

/**
 * Keeps units in PostgreSQL 13 or later.
 *
 * A claim costs the same however many units wait. `depth` counts up to 10,000 units of each kind
 * every time. Larger numbers are counted whole, at most for 1 % of the time, and reported unchanged
 * in between.
 *
 * Bodies are `jsonb` there: an object's keys may come back in another order, and of two with the
 * same name there is the last. An offer of a body with the character `\u0000` or with half a
 * surrogate pair is `InvalidUnit`.
 *
 * Connects when a herd is opened, which fails with `SourceError` if that fails. Later connections
 * that are lost are made again, and what is asked for meanwhile fails. Options out of their bounds
 * are a defect, `InvalidOption`.
 *
 * Priorities are integers from -1,048,575 to 1,048,575. An offer with another one is `InvalidUnit`.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer, Redacted, Schema } from "effect"
 * import * as DurableHerd from "gofherd/DurableHerd"
 * import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
 *
 * class Mails extends Context.Tag("mails")<Mails, DurableHerd.DurableHerd<string>>() {}
 *
 * const url = Redacted.make("postgres://user:secret@localhost/mails")
 *
 * const MailsLive = DurableHerd.layer(Mails, { schema: Schema.String, process: (to) => Effect.log(`mail to ${to}`), size: 8 }).pipe(
 *   Layer.provide(HerdSourceBullMQ.layerPostgres({ connection: { url } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPostgres = (options: PostgresOptions = {}): Layer.Layer<HerdSource> =>
  Layer.sync(HerdSource, () => makeBullMQ(postgresSettings(options)))
