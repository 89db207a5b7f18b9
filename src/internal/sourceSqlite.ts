import type * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
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
import { bootOf, isMachines, uptime } from "./boot.ts"
import { readNow } from "./check.ts"
import { nextTurn } from "./nextTurn.ts"
import { isDead, makeOwner, type Owner, ownerOf, ownerText } from "./owner.ts"
import { Round } from "./round.ts"
import { sleep } from "./sleep.ts"
import { listOptions, MAX_BODY_BYTES, pollIntervalOf, retentionOf } from "./sourceOptions.ts"
import { crashText, cutBody } from "./sourceText.ts"
import { SqliteConnection } from "./sqliteConnection.ts"
import { SqliteFile } from "./sqliteFile.ts"
import { statements, tables, VERSION } from "./sqliteStatements.ts"
import { machine, steadyMillis } from "./steadyTime.ts"
import { StoreTime } from "./storeTime.ts"

/**
 * Milliseconds between two looks for owners that have died, and for units that are done and have
 * been kept for long enough.
 */
const TIDY = 1_000

/**
 * How many units change their state at a time: nobody else writes, and the event loop stands still,
 * meanwhile.
 */
const STEP = 1_000

/**
 * How many units are forgotten, listed, redriven or discarded at a time: what takes about as many
 * milliseconds.
 */
const STEPS = { first: 4, most: 10_000, millis: 10 }

/** At least as many are forgotten at a time: they have no bodies. */
const FORGOTTEN = 100

const nextStep = (step: number, took: number): number =>
  Math.round(Math.min(STEPS.most, Math.max(1, step * Math.min(2, STEPS.millis / took))))

/** SQLite has no longer ones. */
const LONGEST_TEXT = 2 ** 31 - 2

interface Row {
  /** As a text, since it may be beyond what a number tells from the next one. */
  readonly seq: string
  readonly state: string
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
const tokenOf = ({ claims, seq }: Pick<Row, "seq" | "claims">): string => `${seq}.${claims}`

const partsOf = ({ token }: Claim): ReadonlyArray<string> => token.split(".")

const claimOf = (row: Row): Claim => ({
  id: row.id,
  body: row.body,
  priority: row.priority,
  attempt: row.attempts,
  firstFailureAt: row.first_failure_at ?? undefined,
  token: tokenOf(row)
})

const byPlace = (self: Row, that: Row): number =>
  that.priority - self.priority || self.place - that.place || Number(BigInt(self.seq) - BigInt(that.seq))

/** The row that it makes of the unit: `[seq, claims, state, place, first_failure_at, cause]`. */
const settled = (settlement: Settlement, due: (at: number) => number): ReadonlyArray<unknown> => {
  const claim = partsOf(settlement.claim)
  switch (settlement._tag) {
    case "Ack":
      return [...claim, "done"]
    case "Retry":
      return [...claim, "delayed", due(settlement.at), settlement.firstFailureAt, settlement.cause]
    case "Bury":
      return [...claim, "dead", null, null, settlement.cause]
    case "Release":
      return [...claim, "ready"]
  }
}

/**
 * The units of herds in an SQLite database.
 */
class SqliteSource {
  private readonly connection: SqliteConnection
  private file = new SqliteFile("")
  private readonly retention: Duration.Duration
  readonly pollInterval: Duration.Duration
  /** Those that are open. */
  readonly queues = new Set<SqliteQueue>()
  private readonly bells = new Map<string, Round>()
  /** How far the time of the database is ahead of this machine's monotonic clock. */
  private offset = 0
  /** The latest time that the database had seen when it was opened. */
  private seen = 0
  readonly time = new StoreTime((clock) =>
    isMachines(clock)
      ? this.offset + uptime() - steadyMillis(clock)
      : Math.max(clock.unsafeCurrentTimeMillis(), this.seen) - steadyMillis(clock)
  )

  constructor(sql: SqlClient.SqlClient, options: Options) {
    const { pollInterval, retention } = readNow(options, ({ pollInterval, retention }) => ({ pollInterval, retention }))
    this.connection = new SqliteConnection(sql)
    this.retention = retentionOf(retention)
    this.pollInterval = pollIntervalOf(pollInterval)
  }

  readonly prepare: Effect.Effect<void, SourceError> = Effect.suspend(() =>
    Effect.gen(this, function*() {
      const operation = "open its database"
      yield* this.read(operation, "PRAGMA journal_mode = WAL")
      yield* this.named(operation, this.connection.open)
      for (const table of tables) yield* this.write(operation, table)
      const databases = yield* Effect.orElseSucceed(
        this.read<{ readonly name: string; readonly file: string | null }>(operation, "PRAGMA database_list"),
        () => []
      )
      this.file = new SqliteFile(databases.find(({ name }) => name === "main")?.file ?? "")
      const [version] = yield* this.read<{ readonly value: number }>(
        operation,
        "SELECT value FROM gofherd_meta WHERE key = 'version'"
      )
      if (version?.value !== VERSION) {
        const cause = new Error(`tables of version ${version?.value}, which this version of gofherd does not know`)
        return yield* new SourceError({ source: "SQLite", operation, cause })
      }
      const [seen] = yield* this.read<{ readonly value: number }>(operation, statements.seen)
      this.seen = seen?.value ?? 0
      this.offset = yield* this.findOffset(operation, bootOf())
    })
  )

  /**
   * All processes of one run of the machine agree on it, also those that start after the time of
   * day was set. Where that run has no name, each process takes the time of day at its start.
   */
  private findOffset(operation: string, boot: string | undefined): Effect.Effect<number, SourceError> {
    return Effect.gen(this, function*() {
      const today = boot === undefined ? steadyMillis(machine) : Date.now()
      const offset = Math.ceil(Math.max(today, this.seen) - uptime())
      if (boot === undefined) return offset
      yield* this.write(operation, statements.boot, [boot, offset])
      const [row] = yield* this.read<{ readonly value: number }>(operation, statements.offset, [boot])
      return row?.value ?? offset
    })
  }

  read<A extends object = Row>(
    operation: string,
    statement: string,
    parameters: ReadonlyArray<unknown> = []
  ): Effect.Effect<ReadonlyArray<A>, SourceError> {
    return this.named(operation, this.connection.read<A>(statement, parameters))
  }

  /** What is `synced` is on the disk when it returns. */
  write<A extends object = Row>(
    operation: string,
    statement: string,
    parameters: ReadonlyArray<unknown> = [],
    synced = false
  ): Effect.Effect<ReadonlyArray<A>, SourceError> {
    const written = this.named(operation, this.connection.write<A>(statement, parameters, synced))
    const checked = Effect.zipRight(this.check(operation), written)
    return synced ? Effect.zipLeft(checked, this.check(operation)) : checked
  }

  /** Is the file still there that is written to? To look takes some microseconds. */
  private check(operation: string): Effect.Effect<void, SourceError> {
    return Effect.suspend(() => {
      const cause = this.file.trouble
      return cause === undefined ? Effect.void : new SourceError({ source: "SQLite", operation, cause })
    })
  }

  private named<A>(operation: string, run: Effect.Effect<A, unknown>): Effect.Effect<A, SourceError> {
    return Effect.mapError(run, (cause) => new SourceError({ source: "SQLite", operation, cause }))
  }

  /** Does somebody work on it here? */
  holds(row: Pick<Row, "seq" | "claims">): boolean {
    const token = tokenOf(row)
    return Array.from(this.queues).some(({ held }) => held.has(token))
  }

  /** Rung when there may be more to claim. */
  bell(herd: string): Round {
    const bell = this.bells.get(herd) ?? new Round()
    this.bells.set(herd, bell)
    return bell
  }

  /** The database's time, which never goes back: units keep their order. */
  readonly now: Effect.Effect<number> = Clock.clockWith((clock) => Effect.sync(() => this.time.now(clock)))

  /** Since before this time units that are done are forgotten. */
  forgottenBefore(now: number): number {
    return now - Duration.toMillis(this.retention)
  }

  get forgets(): boolean {
    return Duration.isFinite(this.retention)
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
  private readonly bell: Round
  /** The tokens of its claims. */
  readonly held = new Set<string>()
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
      const clock = yield* Effect.clock
      const now = this.source.time.now(clock)
      const rows = units.map(({ body, id, priority, runAt }) => {
        const due = runAt === undefined ? now : this.source.time.due(clock, runAt)
        return due > now ? [id, body, priority, "delayed", due] : [id, body, priority, "ready", now]
      })
      yield* this.write("offer", statements.offer, [this.herd, JSON.stringify(rows)], true)
      this.bell.next()
    })

  readonly claim = (max: number): Effect.Effect<ReadonlyArray<Claim>, SourceError> =>
    Effect.map(this.work("claim", [], max), ({ claimed }) => claimed)

  readonly settle = (settlements: ReadonlyArray<Settlement>, claim: number): Effect.Effect<Settled, SourceError> =>
    this.work("settle", settlements, claim)

  /** By one statement, since each has its price. */
  private work(operation: string, settlements: ReadonlyArray<Settlement>, max: number) {
    return Effect.gen(this, function*() {
      const clock = yield* Effect.clock
      const now = this.source.time.now(clock)
      const due = (at: number) => Math.max(now, this.source.time.due(clock, at))
      if (max > 0) yield* this.tend(now)
      const changes = JSON.stringify(settlements.map((settlement) => settled(settlement, due)))
      const rows = yield* this.write(
        operation,
        statements.work,
        [this.ownerText, now + this.lease, now, changes, this.herd, max, this.ownerText]
      )
      if (settlements.some(({ _tag }) => _tag !== "Ack")) this.bell.next()
      const claims = settlements.map(({ claim }) => claim)
      for (const { token } of claims) this.held.delete(token)
      const claimed = rows.filter(({ state }) => state === "held").toSorted(byPlace).map(claimOf)
      for (const { token } of claimed) this.held.add(token)
      // A user's transaction may have had the connection for so long that others may take them at
      // once. If that fails they are handed out all the same: nobody else would, as this owner
      // holds them.
      if (claimed.length > 0 && this.source.time.now(clock) - now > this.lease / 3) {
        yield* Effect.ignore(this.renew(claimed))
      }
      return { lost: lostOf(claims, rows), claimed }
    })
  }

  readonly renew = (claims: ReadonlyArray<Claim>): Effect.Effect<ReadonlyArray<Claim>, SourceError> =>
    Effect.gen(this, function*() {
      const until = (yield* this.source.now) + this.lease
      const rows = yield* this.write("renew", statements.renew, [
        until,
        JSON.stringify(claims.map(partsOf)),
        this.ownerText
      ])
      const lost = lostOf(claims, rows)
      for (const { token } of lost) this.held.delete(token)
      return lost
    })

  readonly arrival: Effect.Effect<void, SourceError> = Effect.suspend(() => {
    const { ended } = this.bell
    return Effect.flatMap(this.isReady, (ready) => {
      if (ready) return Effect.void
      const waiting = Effect.raceFirst(this.bell.after(ended), sleep(this.source.pollInterval))
      return Effect.zipRight(waiting, this.arrival)
    })
  })

  private readonly isReady: Effect.Effect<boolean, SourceError> = Effect.gen(this, function*() {
    yield* this.tend(yield* this.source.now)
    return (yield* this.read("claim", statements.ready, [this.herd])).length > 0
  })

  readonly close: Effect.Effect<void, SourceError> = Effect.suspend(() => {
    this.source.queues.delete(this)
    return Effect.map(this.write("release", statements.releaseAll, [this.herd, this.ownerText]), () => this.bell.next())
  })

  // ---------------------------------------------------------------------------------------------------- what time brings about

  /**
   * Also of a herd that is always busy, so that units whose time has come are not the last for
   * ever.
   */
  private tend(now: number): Effect.Effect<void, SourceError> {
    return Effect.gen(this, function*() {
      if (now >= this.nextDue) {
        this.nextDue = now + Duration.toMillis(this.source.pollInterval)
        const due = yield* this.write("claim", statements.due, [this.herd, now, STEP])
        if (due.length === STEP) this.nextDue = now
      }
      if (now >= this.nextTidy) {
        this.nextTidy = now + TIDY
        yield* this.recover(now)
      }
    })
  }

  /**
   * Units of owners that have died, or have not been heard of for too long: of none that is at work
   * here, which may have been kept from renewing.
   */
  readonly recover = (now: number): Effect.Effect<void, SourceError> =>
    Effect.gen(this, function*() {
      const owners = yield* this.read<{ readonly owner: string }>("recover", statements.owners, [
        this.herd,
        this.ownerText
      ])
      const dead = owners.map(({ owner }) => owner).filter((text) => {
        const owner = ownerOf(text)
        return owner !== undefined && isDead(owner, this.owner)
      })
      const lapsed = yield* this.read("recover", statements.lapsed, [this.herd, now])
      const crashed = lapsed.filter((row) => !this.source.holds(row)).map(({ seq }) => seq)
      if (dead.length === 0 && crashed.length === 0) return
      const { maxCrashes } = this
      yield* this.write(
        "recover",
        statements.recover,
        [maxCrashes, now, maxCrashes, crashText, this.herd, JSON.stringify(dead), now, JSON.stringify(crashed)]
      )
    })

  /**
   * Forgets units that are done and have been kept for long enough, again and again. A step takes
   * some milliseconds, and others have as long before the next one. What fails is tried again.
   */
  readonly forgetting: Effect.Effect<void> = Effect.suspend(() => {
    if (!this.source.forgets) return Effect.void
    let step = STEP
    const forgetSome = Effect.gen(this, function*() {
      const parameters = [this.herd, this.source.forgottenBefore(yield* this.source.now)]
      const some = yield* this.read("forget", statements.forgettable, parameters)
      if (some.length === 0) return TIDY
      const start = performance.now()
      yield* this.write("forget", statements.forget, [...parameters, step])
      const took = performance.now() - start
      step = Math.max(FORGOTTEN, nextStep(step, took))
      return took
    })
    const always = Effect.catchAll(forgetSome, ({ message }) => Effect.as(Effect.logDebug(message), TIDY))
    return Effect.forever(Effect.flatMap(always, (millis) => Effect.sleep(Duration.millis(millis))))
  })

  // ---------------------------------------------------------------------------------------------------- watching

  readonly idle: Effect.Effect<boolean, SourceError> = Effect.suspend(() =>
    Effect.map(this.read("look for", statements.working, [this.herd]), (rows) => rows.length === 0)
  )

  readonly depth: Effect.Effect<Depth, SourceError> = Effect.gen(this, function*() {
    const rows = yield* this.read<{ readonly state: string; readonly units: number }>("count", statements.counts, [
      this.herd
    ])
    const counts = new Map(rows.map(({ state, units }) => [state, units]))
    const of = (state: string) => counts.get(state) ?? 0
    const ready = of("ready")
    const [first] = ready === 0
      ? []
      : yield* this.read<{ readonly oldest: number | null }>("count", statements.oldest, [
        this.herd,
        this.herd,
        this.herd
      ])
    const clock = yield* Effect.clock
    const oldest = first?.oldest ?? undefined
    const oldestAt = oldest === undefined ? undefined : this.source.time.toClock(clock, oldest)
    return { ready, delayed: of("delayed"), held: of("held"), dead: of("dead"), oldestAt }
  })

  readonly dead = {
    list: (options?: ListOptions): Effect.Effect<ReadonlyArray<DeadLetter>, SourceError> =>
      Effect.gen(this, function*() {
        const { limit, maxBody, offset } = listOptions(options)
        const page = yield* this.read("list", statements.page, [this.herd, limit, offset])
        // Characters, of which each has one or two code units: one more than is wanted shows that
        // there is more.
        const characters = Math.min(maxBody, LONGEST_TEXT) + 1
        const letters: Array<DeadLetter> = []
        const clock = yield* Effect.clock
        for (let from = 0, step = STEPS.first; from < page.length;) {
          const seqs = page.slice(from, from + step).map(({ seq }) => seq)
          const start = performance.now()
          const rows = yield* this.read("list", statements.list, [characters, JSON.stringify(seqs)])
          const found = new Map(rows.map((row) => [row.seq, row]))
          for (const seq of seqs) {
            const row = found.get(seq)
            if (row === undefined) continue
            const { attempts, body, cause, crashes, ended_at, id, priority } = row
            const diedAt = this.source.time.toClock(clock, ended_at)
            letters.push(cutBody({ id, body, priority, attempts, crashes, cause, diedAt }, maxBody))
          }
          from += step
          step = nextStep(step, performance.now() - start)
          if (from < page.length) yield* nextTurn
        }
        return letters
      }),
    redrive: (ids: ReadonlyArray<string> | "all"): Effect.Effect<number, SourceError> =>
      Effect.flatMap(this.source.now, (now) => this.letters("redrive", [now], ids, now)),
    discard: (ids: ReadonlyArray<string> | "all"): Effect.Effect<number, SourceError> =>
      Effect.flatMap(this.source.now, (now) => this.letters("discard", [], ids, now))
  }

  /** Changes dead letters in steps: those that die meanwhile are not among them. */
  private letters(
    change: "redrive" | "discard",
    parameters: ReadonlyArray<unknown>,
    ids: ReadonlyArray<string> | "all",
    now: number
  ): Effect.Effect<number, SourceError> {
    return Effect.gen(this, function*() {
      const statement = statements[`${change}${ids === "all" ? "All" : "Some"}`]
      let changed = 0
      for (let from = 0, step = STEPS.first;;) {
        const which = ids === "all" ? [now, step] : [JSON.stringify(ids.slice(from, from + step))]
        const start = performance.now()
        const rows = yield* this.write(change, statement, [...parameters, this.herd, ...which])
        const took = performance.now() - start
        changed += rows.length
        from += step
        this.bell.next()
        if (ids === "all" ? rows.length < step : from >= ids.length) return changed
        step = nextStep(step, took)
        yield* nextTurn
      }
    })
  }

  readonly fleet = Option.none()
  readonly maxBodyBytes = MAX_BODY_BYTES

  private read<A extends object = Row>(operation: string, statement: string, parameters: ReadonlyArray<unknown>) {
    return this.source.read<A>(`${operation} units`, statement, parameters)
  }

  private write(operation: string, statement: string, parameters: ReadonlyArray<unknown>, synced?: boolean) {
    return this.source.write(`${operation} units`, statement, parameters, synced)
  }
}

const lostOf = (claims: ReadonlyArray<Claim>, rows: ReadonlyArray<Row>): ReadonlyArray<Claim> => {
  if (rows.length === claims.length) return []
  const found = new Set(rows.map(({ seq }) => seq))
  return claims.filter((claim) => !found.has(partsOf(claim)[0] ?? ""))
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
          source.queues.add(queue)
          yield* Effect.addFinalizer(() => Effect.ignoreLogged(queue.close))
          yield* Effect.forkScoped(Effect.interruptible(queue.forgetting))
          return queue
        })
    }
  })
