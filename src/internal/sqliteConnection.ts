import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type * as SqlError from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { isObject } from "./check.ts"

/**
 * Milliseconds that SQLite itself waits for another process's write, at least. The event loop
 * stands still meanwhile. But libsql leaves a refused statement open until it is garbage, and
 * nothing can be written on its connection until then.
 */
const BUSY = 1_000

/** How long a refused statement is tried again. */
const busy = Schedule.exponential("2 millis", 1.5).pipe(
  Schedule.either(Schedule.spaced("50 millis")),
  Schedule.jittered,
  Schedule.upTo("10 seconds")
)

/** The view that marks a connection. */
const MARK = "gofherd_connection"

/** How often in a row a write may find its connection replaced by another one. */
const SET_UPS = 10

/**
 * A condition of writes: does the connection have the settings of a herd?
 *
 * @internal
 */
export const isSetUp = `EXISTS (SELECT 1 FROM temp.${MARK})`

/** Levels of `PRAGMA synchronous`. */
const NORMAL = 1
const FULL = 2

interface Level {
  readonly synchronous: number
}

const levelOf = ([row]: ReadonlyArray<Level>): number => row?.synchronous ?? FULL

/**
 * Columns of numbers. Drivers give integers as numbers, bigints or strings, as their users choose.
 */
const numeric = ["value", "units", "timeout", "synchronous", "priority", "place", "attempts", "crashes", "ended_at"]
  .concat("first_failure_at", "oldest")

const withNumbers = <A extends object>(row: A): A => {
  const numbers = numeric.flatMap((column) => {
    const value: unknown = Reflect.get(row, column)
    return typeof value === "bigint" || typeof value === "string" ? [[column, Number(value)] as const] : []
  })
  return numbers.length === 0 ? row : { ...row, ...Object.fromEntries(numbers) }
}

const numbered = <A extends object>(rows: ReadonlyArray<A>): ReadonlyArray<A> => rows.map(withNumbers)

type Run<A extends object> = Effect.Effect<ReadonlyArray<A>, SqlError.SqlError>

/** The driver's own error, out of what `@effect/sql` makes of it. */
const causeOf = (error: SqlError.SqlError): unknown => error.cause ?? error

const isBusy = (error: SqlError.SqlError): boolean => {
  const cause = causeOf(error)
  return isObject(cause) && "code" in cause && String(cause.code).startsWith("SQLITE_BUSY")
}

/** No write of ours has run on this connection. */
const isStrange = (error: SqlError.SqlError): boolean => {
  const cause = causeOf(error)
  return cause instanceof Error && cause.message.includes(MARK)
}

/** Refused in a transaction, which has the settings that were made before it. */
const set = (connection: Connection, setting: string): Effect.Effect<void> =>
  Effect.ignore(connection.execute(`PRAGMA ${setting}`, [], undefined))

/**
 * The effects begin in order in one turn of the event loop: no other statement comes between them.
 */
const between = <A, E>(
  before: ReadonlyArray<Effect.Effect<void>>,
  effect: Effect.Effect<A, E>,
  after: Effect.Effect<void>
): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.runtime<never>(), (runtime) => {
    const fork = <B>(effect: Effect.Effect<B>) => Runtime.runFork(runtime)(effect)
    const preparing = before.map(fork)
    const running = fork(Effect.exit(effect))
    const prepared = Effect.forEach(preparing, Fiber.join, { discard: true })
    return Effect.flatten(Effect.zipRight(Effect.zipRight(after, prepared), Fiber.join(running)))
  })

/**
 * Runs statements by the user's client. A write has the settings that it needs on the very
 * connection that does it: libsql's client opens a new connection after each transaction. A
 * temporary view marks the connections that are set up, and writes look for it. `synchronous` is
 * set in the same hold of the connection as the write, and afterwards it is the user's own again.
 *
 * @internal
 */
export class SqliteConnection {
  private readonly sql: SqlClient.SqlClient
  private timeout = 0
  /** The user's own level of `synchronous`. */
  private level = NORMAL

  constructor(sql: SqlClient.SqlClient) {
    this.sql = sql
  }

  /** Before anything is written. */
  readonly open: Effect.Effect<void, unknown> = Effect.suspend(() => this.trying(Effect.as(this.setUp, [])))

  read<A extends object>(
    statement: string,
    parameters: ReadonlyArray<unknown> = []
  ): Effect.Effect<ReadonlyArray<A>, unknown> {
    return this.trying(this.query<A>(statement, parameters))
  }

  /**
   * What is `synced` is on the disk when it returns. In a transaction of the user's that is up to
   * its commit.
   */
  write<A extends object>(
    statement: string,
    parameters: ReadonlyArray<unknown>,
    synced: boolean
  ): Effect.Effect<ReadonlyArray<A>, unknown> {
    const written = Effect.suspend(() => {
      const level = synced ? Math.max(this.level, FULL) : Math.min(this.level, NORMAL)
      return level === this.level ? this.query<A>(statement, parameters) : this.at(
        level,
        (connection) => Effect.map(connection.execute(statement, parameters, undefined), numbered)
      )
    })
    const again = (left: number): Run<A> =>
      Effect.catchIf(
        written,
        (error) => left > 0 && isStrange(error),
        () => Effect.zipRight(this.setUp, again(left - 1))
      )
    // A plain write is synced only if the user has not lowered the level meanwhile.
    const looked = Effect.suspend(() => synced && this.level >= FULL ? this.lookAtLevel : Effect.void)
    return this.trying(Effect.zipRight(looked, again(SET_UPS)))
  }

  private query<A extends object>(statement: string, parameters: ReadonlyArray<unknown> = []): Run<A> {
    return Effect.map(this.sql.unsafe<A>(statement, parameters).withoutTransform, numbered)
  }

  /**
   * Runs at a level other than the user's. The same hold of the connection reads the user's level,
   * and restores it.
   */
  private at<A, E>(
    level: number,
    run: (connection: Connection) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | SqlError.SqlError> {
    return this.hold((connection) => {
      const { level: own } = this
      let found = own
      const look = Effect.map(connection.execute("PRAGMA synchronous", [], undefined), (rows) => {
        found = levelOf(numbered(rows))
      })
      const restored = Effect.suspend(() => {
        if (found === own) return Effect.void
        this.level = found
        return set(connection, `synchronous = ${found}`)
      })
      const written = between(
        [Effect.ignore(look), set(connection, `synchronous = ${level}`)],
        run(connection),
        set(connection, `synchronous = ${own}`)
      )
      return Effect.ensuring(written, restored)
    })
  }

  private readonly lookAtLevel = Effect.suspend(() =>
    Effect.map(this.query<Level>("PRAGMA synchronous"), (rows) => {
      this.level = levelOf(rows)
    })
  )

  /** A longer time of the user's is kept. */
  private readonly lookAtTimeout = Effect.suspend(() =>
    Effect.map(this.query<{ readonly timeout: number }>("PRAGMA busy_timeout"), ([row]) => {
      this.timeout = Math.max(BUSY, row?.timeout ?? 0)
    })
  )

  /** Sets the connection up, and marks it. */
  readonly setUp: Effect.Effect<void, SqlError.SqlError> = Effect.suspend(() => {
    const marked = this.hold((connection) =>
      between(
        [set(connection, `busy_timeout = ${this.timeout}`)],
        connection.execute(`CREATE TEMP VIEW IF NOT EXISTS ${MARK} AS SELECT 1`, [], undefined),
        Effect.void
      )
    )
    const looked = this.timeout === 0 ? Effect.zipRight(this.lookAtTimeout, this.lookAtLevel) : this.lookAtLevel
    return Effect.asVoid(Effect.zipRight(looked, marked))
  })

  /**
   * Effect does not give way meanwhile: libsql's connection is not reserved, and a transaction
   * would put another one in its place.
   */
  private hold<A, E>(use: (connection: Connection) => Effect.Effect<A, E>): Effect.Effect<A, E | SqlError.SqlError> {
    const held = Effect.uninterruptibleMask((restore) => Effect.scoped(Effect.flatMap(restore(this.connection), use)))
    return Effect.withMaxOpsBeforeYield(held, Number.MAX_SAFE_INTEGER)
  }

  /** To reserve a connection in a transaction would wait for its end. */
  private readonly connection: Effect.Effect<Connection, SqlError.SqlError, Scope.Scope> = Effect.flatMap(
    Effect.serviceOption(SqlClient.TransactionConnection),
    Option.match({
      onNone: () => this.sql.reserve,
      onSome: ([connection]): Effect.Effect<Connection> => Effect.succeed(connection)
    })
  )

  private trying<A extends object>(run: Run<A>): Effect.Effect<ReadonlyArray<A>, unknown> {
    return run.pipe(
      // Making a Schedule costs time, so it is made only when the database is busy.
      Effect.catchIf(isBusy, () => Effect.retry(run, { schedule: busy, while: isBusy })),
      Effect.mapError(causeOf),
      // A span for every look at the table would drown the user's.
      Effect.withTracerEnabled(false)
    )
  }
}
