import type * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlError from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { SourceError } from "../HerdError.ts"
import type {
  Claim,
  DeadLetter,
  Depth,
  HerdSource,
  ListOptions,
  NewUnit,
  OpenOptions,
  Queue,
  Settled,
  Settlement
} from "../HerdSource.ts"
import type { Options } from "../HerdSourceSqlite.ts"
import { Bell } from "./bell.ts"
import { isObject, readNow } from "./check.ts"
import { isDead, makeOwner, type Owner, ownerOf, ownerText } from "./owner.ts"
import { listOptions, pollIntervalOf, retentionOf } from "./sourceOptions.ts"
import { crashText } from "./sourceText.ts"

/** Milliseconds between two looks for owners that have died, and for units that are done and have been kept for long enough. */
const TIDY = 1_000

/** How many of these are deleted at a time. */
const DELETED = 1_000

/**
 * Milliseconds for which SQLite itself waits while another process writes, which it does for some at a time. The event loop stands
 * still meanwhile; but libsql leaves a statement that was refused open, and with it a view of the database that nothing can be
 * written in, until the statement is collected as garbage.
 */
const BUSY = 1_000

/** How long a statement is tried again that was refused nevertheless. */
const busy = Schedule.exponential("2 millis", 1.5).pipe(
  Schedule.either(Schedule.spaced("50 millis")),
  Schedule.jittered,
  Schedule.upTo("10 seconds")
)

/** The version of the table. */
const VERSION = 1

/**
 * Each state has an index of its own, which holds the rows that are in it: so that claiming costs the same with ten rows and with ten
 * million. `place` is when a unit was, or will be, ready; among units of the same millisecond `seq` decides. `claims` counts every
 * claim, and with `owner` tells each from any other; `attempts` does not count those that were released.
 */
const tables = [
  "CREATE TABLE IF NOT EXISTS gofherd_meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
  `INSERT INTO gofherd_meta (key, value) VALUES ('version', ${VERSION}) ON CONFLICT DO NOTHING`,
  `CREATE TABLE IF NOT EXISTS gofherd_units (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    herd TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    priority REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'delayed', 'held', 'done', 'dead')),
    place INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    claims INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    lease_until INTEGER,
    first_failure_at INTEGER,
    ended_at INTEGER,
    cause TEXT,
    UNIQUE (herd, id)
  ) STRICT`,
  `CREATE INDEX IF NOT EXISTS gofherd_ready ON gofherd_units (herd, priority DESC, place, seq) WHERE state = 'ready'`,
  `CREATE INDEX IF NOT EXISTS gofherd_delayed ON gofherd_units (herd, place) WHERE state = 'delayed'`,
  `CREATE INDEX IF NOT EXISTS gofherd_held ON gofherd_units (herd, lease_until) WHERE state = 'held'`,
  `CREATE INDEX IF NOT EXISTS gofherd_done ON gofherd_units (herd, ended_at) WHERE state = 'done'`,
  `CREATE INDEX IF NOT EXISTS gofherd_dead ON gofherd_units (herd, ended_at, seq) WHERE state = 'dead'`,
  // To count a million rows would hold the event loop up for 50 ms; to keep the counts costs a tenth of what a unit does.
  `CREATE TABLE IF NOT EXISTS gofherd_counts (
    herd TEXT NOT NULL,
    state TEXT NOT NULL,
    units INTEGER NOT NULL,
    PRIMARY KEY (herd, state)
  ) STRICT, WITHOUT ROWID`,
  `CREATE TRIGGER IF NOT EXISTS gofherd_inserted AFTER INSERT ON gofherd_units BEGIN
    INSERT INTO gofherd_counts VALUES (NEW.herd, NEW.state, 1) ON CONFLICT DO UPDATE SET units = units + 1;
  END`,
  `CREATE TRIGGER IF NOT EXISTS gofherd_updated AFTER UPDATE OF state ON gofherd_units WHEN OLD.state <> NEW.state BEGIN
    UPDATE gofherd_counts SET units = units - 1 WHERE herd = OLD.herd AND state = OLD.state;
    INSERT INTO gofherd_counts VALUES (NEW.herd, NEW.state, 1) ON CONFLICT DO UPDATE SET units = units + 1;
  END`,
  `CREATE TRIGGER IF NOT EXISTS gofherd_deleted AFTER DELETE ON gofherd_units BEGIN
    UPDATE gofherd_counts SET units = units - 1 WHERE herd = OLD.herd AND state = OLD.state;
  END`
]

const statements = {
  offer: `INSERT INTO gofherd_units (herd, id, body, priority, state, place)
    SELECT ?, value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?) WHERE true
    ON CONFLICT (herd, id) DO NOTHING`,
  claim:
    `UPDATE gofherd_units SET state = 'held', owner = ?, lease_until = ?, attempts = attempts + 1, claims = claims + 1
    WHERE seq IN (
      SELECT seq FROM gofherd_units WHERE herd = ? AND state = 'ready' ORDER BY priority DESC, place, seq LIMIT ?
    )
    RETURNING seq, id, body, priority, place, attempts, claims, first_failure_at`,
  // Done again it does the same once more, as long as nobody has taken the row: its owner stays for that.
  settle: `UPDATE gofherd_units SET
      state = s.value->>2,
      place = coalesce(s.value->>3, place),
      attempts = attempts - (s.value->>2 = 'ready' AND state = 'held'),
      first_failure_at = coalesce(s.value->>4, first_failure_at),
      cause = coalesce(s.value->>5, cause),
      body = iif(s.value->>2 = 'done', '', body),
      ended_at = ?
    FROM json_each(?) AS s
    WHERE seq = s.value->>0 AND claims = s.value->>1 AND owner = ?
    RETURNING seq`,
  renew: `UPDATE gofherd_units SET lease_until = ? FROM json_each(?) AS s
    WHERE seq = s.value->>0 AND claims = s.value->>1 AND owner = ? AND state = 'held'
    RETURNING seq`,
  ready: `SELECT 1 FROM gofherd_units WHERE herd = ? AND state = 'ready' LIMIT 1`,
  due: `UPDATE gofherd_units SET state = 'ready' WHERE herd = ? AND state = 'delayed' AND place <= ?`,
  owners: `SELECT DISTINCT owner FROM gofherd_units WHERE herd = ? AND state = 'held' AND owner <> ?`,
  recover: `UPDATE gofherd_units SET
      state = iif(crashes + 1 >= ?, 'dead', 'ready'),
      crashes = crashes + 1,
      owner = NULL,
      ended_at = ?,
      cause = iif(crashes + 1 >= ?, ?, cause)
    WHERE herd = ? AND state = 'held' AND (lease_until <= ? OR owner IN (SELECT value FROM json_each(?)))`,
  releaseAll: `UPDATE gofherd_units SET state = 'ready', attempts = attempts - 1, owner = NULL
    WHERE herd = ? AND state = 'held' AND owner = ?`,
  forget: `DELETE FROM gofherd_units WHERE seq IN (
      SELECT seq FROM gofherd_units WHERE herd = ? AND state = 'done' AND ended_at <= ? LIMIT ${DELETED}
    )`,
  counts: "SELECT state, units FROM gofherd_counts WHERE herd = ?",
  // The first of each priority, of which there are few, and not all of all of them.
  oldest: `WITH RECURSIVE first (priority, place) AS (
      SELECT * FROM (
        SELECT priority, place FROM gofherd_units WHERE herd = ? AND state = 'ready' ORDER BY priority DESC, place LIMIT 1
      )
      UNION ALL
      SELECT
        (SELECT max(priority) FROM gofherd_units WHERE herd = ? AND state = 'ready' AND priority < first.priority),
        (SELECT place FROM gofherd_units WHERE herd = ? AND state = 'ready' AND priority < first.priority
          ORDER BY priority DESC, place LIMIT 1)
      FROM first WHERE first.priority IS NOT NULL
    )
    SELECT min(place) AS oldest FROM first`,
  list: `SELECT id, body, priority, attempts, crashes, cause, ended_at FROM gofherd_units
    WHERE herd = ? AND state = 'dead' ORDER BY ended_at DESC, seq DESC LIMIT ? OFFSET ?`,
  redrive: `UPDATE gofherd_units SET state = 'ready', place = ?, attempts = 0, crashes = 0, first_failure_at = NULL
    WHERE herd = ? AND state = 'dead' AND (? OR id IN (SELECT value FROM json_each(?))) RETURNING seq`,
  discard: `DELETE FROM gofherd_units
    WHERE herd = ? AND state = 'dead' AND (? OR id IN (SELECT value FROM json_each(?))) RETURNING seq`
}

interface Row {
  readonly seq: number
  readonly id: string
  readonly body: string
  readonly priority: number
  readonly place: number
  readonly attempts: number
  readonly claims: number
  readonly crashes: number
  readonly first_failure_at: number | null
  readonly ended_at: number
  readonly cause: string
}

/** A claim by its place in the table; no two claims of a unit have the same number. */
const tokenOf = ({ claims, seq }: Row): string => `${seq}.${claims}`

const partsOf = ({ token }: Claim): ReadonlyArray<number> => token.split(".").map(Number)

const claimOf = (row: Row): Claim => ({
  id: row.id,
  body: row.body,
  priority: row.priority,
  attempt: row.attempts,
  firstFailureAt: row.first_failure_at ?? undefined,
  token: tokenOf(row)
})

const byPlace = (self: Row, that: Row): number =>
  that.priority - self.priority || self.place - that.place || self.seq - that.seq

/** The row that it makes of the unit: `[seq, claims, state, place, first_failure_at, cause]`. */
const settled = (settlement: Settlement): ReadonlyArray<unknown> => {
  const claim = partsOf(settlement.claim)
  switch (settlement._tag) {
    case "Ack":
      return [...claim, "done"]
    case "Retry":
      return [...claim, "delayed", Math.ceil(settlement.at), settlement.firstFailureAt, settlement.cause]
    case "Bury":
      return [...claim, "dead", null, null, settlement.cause]
    case "Release":
      return [...claim, "ready"]
  }
}

/** What the driver said, out of what `@effect/sql` makes of it. */
const causeOf = (error: SqlError.SqlError): unknown => error.cause ?? error

const isBusy = (error: SqlError.SqlError): boolean => {
  const cause = causeOf(error)
  return isObject(cause) && "code" in cause && String(cause.code).startsWith("SQLITE_BUSY")
}

/**
 * The units of herds in an SQLite database.
 */
class SqliteSource {
  private readonly sql: SqlClient.SqlClient
  private readonly retention: Duration.Duration
  readonly pollInterval: Duration.Duration
  private readonly bells = new Map<string, Bell>()
  private latest = 0

  constructor(sql: SqlClient.SqlClient, options: Options) {
    const { pollInterval, retention } = readNow(options, ({ pollInterval, retention }) => ({ pollInterval, retention }))
    this.sql = sql
    this.retention = retentionOf(retention)
    this.pollInterval = pollIntervalOf(pollInterval)
  }

  readonly prepare: Effect.Effect<void, SourceError> = Effect.suspend(() =>
    Effect.gen(this, function*() {
      yield* this.run("open its database", `PRAGMA busy_timeout = ${BUSY}`)
      yield* this.run("open its database", "PRAGMA journal_mode = WAL")
      yield* this.run("open its database", "PRAGMA synchronous = NORMAL")
      for (const table of tables) yield* this.run("open its database", table)
      const [version] = yield* this.run<{ readonly value: number }>(
        "open its database",
        "SELECT value FROM gofherd_meta WHERE key = 'version'"
      )
      if (version?.value === VERSION) return
      const cause = new Error(`tables of version ${version?.value}, which this version of gofherd does not know`)
      return yield* new SourceError({ source: "SQLite", operation: "open its database", cause })
    })
  )

  run<A extends object = Row>(
    operation: string,
    statement: string,
    parameters: ReadonlyArray<unknown> = []
  ): Effect.Effect<ReadonlyArray<A>, SourceError> {
    return this.sql.unsafe<A>(statement, parameters).withoutTransform.pipe(
      Effect.retry({ schedule: busy, while: isBusy }),
      Effect.mapError((error) => new SourceError({ source: "SQLite", operation, cause: causeOf(error) })),
      // A span for every look at the table would drown the user's.
      Effect.withTracerEnabled(false)
    )
  }

  /** Rung when there may be more to claim. */
  bell(herd: string): Bell {
    const bell = this.bells.get(herd) ?? new Bell()
    this.bells.set(herd, bell)
    return bell
  }

  /** The time, which never goes back: units keep their order. */
  readonly now: Effect.Effect<number> = Effect.map(
    Clock.currentTimeMillis,
    (now) => this.latest = Math.max(now, this.latest)
  )

  /** Units that are done have been kept for long enough. */
  forget(herd: string, now: number): Effect.Effect<void, SourceError> {
    return Duration.isFinite(this.retention)
      ? Effect.asVoid(
        this.run("forget units that are done", statements.forget, [herd, now - Duration.toMillis(this.retention)])
      )
      : Effect.void
  }
}

/**
 * The units of one herd, for one owner.
 */
class SqliteQueue implements Queue {
  private readonly source: SqliteSource
  private readonly herd: string
  private readonly lease: number
  private readonly maxCrashes: number
  private readonly owner: Owner = makeOwner()
  private readonly ownerText = ownerText(this.owner)
  private readonly bell: Bell
  private nextDue = 0
  private nextTidy = 0

  constructor(source: SqliteSource, herd: string, { lease, maxCrashes }: OpenOptions) {
    this.source = source
    this.herd = herd
    this.lease = Duration.toMillis(lease)
    this.maxCrashes = maxCrashes
    this.bell = source.bell(herd)
  }

  // ---------------------------------------------------------------------------------------------------- work

  readonly offer = (units: ReadonlyArray<NewUnit>): Effect.Effect<void, SourceError> =>
    Effect.gen(this, function*() {
      const now = yield* this.source.now
      const rows = units.map(({ body, id, priority, runAt = now }) =>
        runAt > now ? [id, body, priority, "delayed", Math.ceil(runAt)] : [id, body, priority, "ready", now]
      )
      // Inside a transaction of the user's it can't be set; then it is the transaction that is synced, or not.
      yield* Effect.ignore(this.run("offer", "PRAGMA synchronous = FULL"))
      yield* this.run("offer", statements.offer, [this.herd, JSON.stringify(rows)])
      yield* Effect.ignore(this.run("offer", "PRAGMA synchronous = NORMAL"))
      this.bell.ring()
    })

  readonly claim = (max: number): Effect.Effect<ReadonlyArray<Claim>, SourceError> =>
    Effect.gen(this, function*() {
      const now = yield* this.source.now
      yield* this.tend(now)
      const rows = yield* this.run("claim", statements.claim, [this.ownerText, now + this.lease, this.herd, max])
      return rows.toSorted(byPlace).map(claimOf)
    })

  readonly settle = (settlements: ReadonlyArray<Settlement>, claim: number): Effect.Effect<Settled, SourceError> =>
    Effect.gen(this, function*() {
      const now = yield* this.source.now
      const rows = yield* this.run("settle", statements.settle, [
        now,
        JSON.stringify(settlements.map(settled)),
        this.ownerText
      ])
      if (settlements.some(({ _tag }) => _tag !== "Ack")) this.bell.ring()
      const claims = settlements.map(({ claim }) => claim)
      return { lost: lostOf(claims, rows), claimed: claim > 0 ? yield* this.claim(claim) : [] }
    })

  readonly renew = (claims: ReadonlyArray<Claim>): Effect.Effect<ReadonlyArray<Claim>, SourceError> =>
    Effect.gen(this, function*() {
      const until = (yield* this.source.now) + this.lease
      const rows = yield* this.run("renew", statements.renew, [
        until,
        JSON.stringify(claims.map(partsOf)),
        this.ownerText
      ])
      return lostOf(claims, rows)
    })

  readonly arrival: Effect.Effect<void, SourceError> = Effect.suspend(() => {
    const { rung } = this.bell
    return Effect.flatMap(this.isReady, (ready) => {
      if (ready) return Effect.void
      const waiting = Effect.raceFirst(this.bell.after(rung), Effect.sleep(this.source.pollInterval))
      return Effect.zipRight(waiting, this.arrival)
    })
  })

  private readonly isReady: Effect.Effect<boolean, SourceError> = Effect.gen(this, function*() {
    yield* this.tend(yield* this.source.now)
    return (yield* this.run("claim", statements.ready, [this.herd])).length > 0
  })

  readonly releaseAll: Effect.Effect<void, SourceError> = Effect.suspend(() =>
    Effect.map(this.run("release", statements.releaseAll, [this.herd, this.ownerText]), () => this.bell.ring())
  )

  // ---------------------------------------------------------------------------------------------------- what time brings about

  /** Also of a herd that is always busy, so that units whose time has come are not the last for ever. */
  private tend(now: number): Effect.Effect<void, SourceError> {
    return Effect.gen(this, function*() {
      if (now >= this.nextDue) {
        this.nextDue = now + Duration.toMillis(this.source.pollInterval)
        yield* this.run("claim", statements.due, [this.herd, now])
      }
      if (now >= this.nextTidy) {
        this.nextTidy = now + TIDY
        yield* this.recover(now)
        yield* this.source.forget(this.herd, now)
      }
    })
  }

  /** Units of owners that have died, or have not been heard of for too long. */
  readonly recover = (now: number): Effect.Effect<void, SourceError> =>
    Effect.gen(this, function*() {
      const owners = yield* this.run<{ readonly owner: string }>("recover", statements.owners, [
        this.herd,
        this.ownerText
      ])
      const dead = owners.map(({ owner }) => owner).filter((text) => {
        const owner = ownerOf(text)
        return owner !== undefined && isDead(owner, this.owner)
      })
      const { maxCrashes } = this
      yield* this.run(
        "recover",
        statements.recover,
        [maxCrashes, now, maxCrashes, crashText, this.herd, now, JSON.stringify(dead)]
      )
    })

  // ---------------------------------------------------------------------------------------------------- watching

  readonly depth: Effect.Effect<Depth, SourceError> = Effect.gen(this, function*() {
    const rows = yield* this.run<{ readonly state: string; readonly units: number }>("count", statements.counts, [
      this.herd
    ])
    const counts = new Map(rows.map(({ state, units }) => [state, units]))
    const of = (state: string) => counts.get(state) ?? 0
    const ready = of("ready")
    const [first] = ready === 0
      ? []
      : yield* this.run<{ readonly oldest: number | null }>("count", statements.oldest, [
        this.herd,
        this.herd,
        this.herd
      ])
    return { ready, delayed: of("delayed"), held: of("held"), dead: of("dead"), oldestAt: first?.oldest ?? undefined }
  })

  readonly dead = {
    list: (options?: ListOptions): Effect.Effect<ReadonlyArray<DeadLetter>, SourceError> =>
      Effect.gen(this, function*() {
        const { limit, offset } = listOptions(options)
        const rows = yield* this.run("list", statements.list, [this.herd, limit, offset])
        return rows.map(({ attempts, body, cause, crashes, ended_at: diedAt, id, priority }) => (
          { id, body, priority, attempts, crashes, cause, diedAt }
        ))
      }),
    redrive: (ids: ReadonlyArray<string> | "all"): Effect.Effect<number, SourceError> =>
      Effect.gen(this, function*() {
        const now = yield* this.source.now
        const rows = yield* this.run("redrive", statements.redrive, [now, this.herd, ...which(ids)])
        this.bell.ring()
        return rows.length
      }),
    discard: (ids: ReadonlyArray<string> | "all"): Effect.Effect<number, SourceError> =>
      Effect.map(this.run("discard", statements.discard, [this.herd, ...which(ids)]), (rows) => rows.length)
  }

  readonly fleet = Option.none()

  private run<A extends object = Row>(operation: string, statement: string, parameters: ReadonlyArray<unknown> = []) {
    return this.source.run<A>(`${operation} units`, statement, parameters)
  }
}

const which = (ids: ReadonlyArray<string> | "all"): ReadonlyArray<unknown> =>
  ids === "all" ? [1, "[]"] : [0, JSON.stringify(ids)]

const lostOf = (claims: ReadonlyArray<Claim>, rows: ReadonlyArray<Row>): ReadonlyArray<Claim> => {
  if (rows.length === claims.length) return []
  const found = new Set(rows.map(({ seq }) => seq))
  return claims.filter((claim) => !found.has(partsOf(claim)[0] ?? Number.NaN))
}

/**
 * @internal
 */
export const makeSqlite = (
  sql: SqlClient.SqlClient,
  options: Options = {}
): Effect.Effect<Context.Tag.Service<HerdSource>, SourceError> =>
  Effect.gen(function*() {
    const source = new SqliteSource(sql, options)
    yield* source.prepare
    return {
      open: (herd, options) =>
        Effect.gen(function*() {
          const queue = new SqliteQueue(source, herd, options)
          yield* queue.recover(yield* source.now)
          yield* Effect.addFinalizer(() => Effect.ignoreLogged(queue.releaseAll))
          return queue
        })
    }
  })
