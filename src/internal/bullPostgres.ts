import { type JobProgress, type JobsOptions, PostgresConnection, PostgresQueueBackend } from "bullmq"
import * as Arr from "effect/Array"
import type { Depth, NewUnit, UnitRefusal } from "../HerdSource.ts"
import { Counts } from "./bullCounts.ts"
import {
  claimable,
  type Engine,
  type EngineOptions,
  type Locked,
  type Look,
  type Retry,
  type Stepped
} from "./bullEngine.ts"
import { type Held, type NewJob, type Next, progressText } from "./bullJob.ts"
import { count, type Counted, statements } from "./bullPostgresStatements.ts"
import { postgresReason, searchPathError } from "./bullReasons.ts"
import { timed } from "./bullTimes.ts"
import { Round } from "./round.ts"
import { ServerTime } from "./serverTime.ts"
import { LONGEST_CAUSE } from "./sourceText.ts"

interface Row {
  readonly id: string
  readonly lock_token: string
  readonly data: unknown
  readonly opts: JobsOptions
  readonly progress: JobProgress | null
  readonly priority: number
  readonly added_at_ms: number
  readonly attempts_made: number
  readonly stalled_count: number
  readonly deferred_failure: string | null
  readonly scheduler_id: string | null
  readonly name: string
}

/** What tells the time as well. */
interface Told {
  readonly clock: number
}

interface Step extends Told {
  readonly limited: boolean
  readonly held: ReadonlyArray<string>
  readonly done: ReadonlyArray<string>
  readonly claimed: ReadonlyArray<Row>
}

/** A job out of its row, as BullMQ has it. */
const lockedOf = (row: Row): Locked => ({
  id: row.id,
  lock: row.lock_token,
  json: {
    id: row.id,
    name: row.name,
    data: JSON.stringify(row.data ?? {}),
    opts: row.opts,
    progress: row.progress ?? 0,
    attemptsMade: row.attempts_made,
    attemptsStarted: 0,
    stalledCounter: row.stalled_count,
    timestamp: row.added_at_ms,
    priority: row.priority,
    failedReason: "",
    returnvalue: "",
    ...(row.deferred_failure === null ? {} : { deferredFailure: row.deferred_failure }),
    ...(row.scheduler_id === null ? {} : { repeatJobKey: row.scheduler_id })
  }
})

interface Letter {
  readonly id: string
  /** As PostgreSQL writes it, or its beginning. */
  readonly data: Uint8Array | null
  readonly whole: boolean | null
  readonly failed_reason: Uint8Array | null
  readonly name: string
  readonly opts: JobsOptions
  readonly priority: number
  readonly added_at_ms: string
  readonly finished_at_ms: string | null
  readonly attempts_made: number
  readonly stalled_count: number
}

const letterOf = (row: Letter): Next => ({
  id: row.id,
  json: {
    id: row.id,
    name: row.name,
    data: row.whole === false ? compact(textOf(row.data)) : JSON.stringify(JSON.parse(textOf(row.data) || "{}")),
    opts: row.opts,
    progress: 0,
    attemptsMade: row.attempts_made,
    attemptsStarted: 0,
    stalledCounter: row.stalled_count,
    timestamp: Number(row.added_at_ms),
    priority: row.priority,
    failedReason: textOf(row.failed_reason),
    returnvalue: "",
    ...(row.finished_at_ms === null ? {} : { finishedOn: Number(row.finished_at_ms) })
  }
})

/** Without the part of a character at its end. */
const textOf = (bytes: Uint8Array | null): string =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes ?? undefined, { stream: true })

/** The beginning of a JSON text, without PostgreSQL's spaces after commas and colons. */
const compact = (text: string): string => {
  let quoted = false
  return text.replace(/\\.|"|[,:] /gs, (token) => {
    if (token === "\"") quoted = !quoted
    return quoted ? token : token.slice(0, 1)
  })
}

/** What `jsonb` can't hold, as JSON writes it: NUL and half a surrogate pair, but not `\\u0000`. */
const unstorable = /(?<!\\)(?:\\\\)*(\\u(?:0000|d[89a-f]..))/

/**
 * How many dead letters are read at a time: to write a large one down takes PostgreSQL some
 * milliseconds.
 */
const LISTED = 25

/** How a connection is to behave. Any of it may be overridden. */
const behaviour = { connectionTimeoutMillis: 10_000, query_timeout: 10_000, keepAlive: true }

/** Milliseconds between two looks for units whose time has come, of a herd that is at work. */
const TEND = 100

/** Milliseconds after which the server is asked for its time, if no answer has told it. */
const TIMED = 5_000

/** How many of these are seen to at a time. */
const PROMOTED = 1_000

/** Up to so many units of a kind are counted each time. */
const COUNTED = 10_000

class PostgresEngine implements Engine {
  readonly backend: PostgresQueueBackend
  readonly time = new ServerTime()
  readonly reserved: ReadonlySet<string> = new Set()
  readonly inOrder = false
  readonly keep: boolean
  readonly bell = new Round()
  watchers = 0
  private readonly connection: PostgresConnection
  private readonly options: EngineOptions
  private readonly counts = new Counts<Counted>({ bound: COUNTED, count: (what) => this.count(what) })
  private listening = false
  /** When it is to be seen to units whose time has come, by `performance.now()`. */
  private nextDue = 0

  constructor(connection: PostgresConnection, options: EngineOptions) {
    const { lease: lockDuration, queue, retention } = options
    this.connection = connection
    this.options = options
    this.keep = retention === 0
    const settings = { connection: connection.pool, lockDuration }
    timed(connection, this.time)
    this.backend = new PostgresQueueBackend(connection, queue, settings)
    // An error event without a listener is thrown. The next statement reports the cause.
    this.backend.on("error", () => {})
    connection.on("listenerinvalidated", () => {
      this.listening = false
      this.bell.next()
    })
  }

  private async run<A>(statement: keyof typeof statements, parameters: ReadonlyArray<unknown> = []) {
    const text = statements[statement]
    const { rows } = await this.connection.pool.query<A>(text, [this.options.queue, ...parameters])
    return rows
  }

  /** Like `run`, for statements that also return the server's time. */
  private async timely<A extends Told>(statement: keyof typeof statements, parameters: ReadonlyArray<unknown> = []) {
    const asked = performance.now()
    const [row] = await this.run<A>(statement, parameters)
    if (row === undefined) throw new Error(`expected ${statement} to have a row, got none`)
    this.time.heard(row.clock, asked)
    return row
  }

  readonly refusal = ({ body }: NewUnit): UnitRefusal | undefined => {
    const [, found] = unstorable.exec(body) ?? []
    const expected = "JSON without \\u0000 and lone surrogates with PostgreSQL"
    return found === undefined ? undefined : { part: "body", expected, given: `${found} in it` }
  }

  add(jobs: ReadonlyArray<NewJob>): Promise<unknown> {
    for (const { job: { delay = 0 } } of jobs) if (delay > 0) this.willBeDue(delay)
    return this.backend.addJobs(Array.from(jobs))
  }

  private willBeDue(millis: number): void {
    this.nextDue = Math.min(this.nextDue, performance.now() + millis)
  }

  async tend(): Promise<void> {
    const began = performance.now()
    if (began < this.nextDue) return
    this.nextDue = began + TEND
    const { now } = this.time
    const { next, promoted } = await this.timely<Told & { readonly promoted: string; readonly next: string | null }>(
      "promote",
      [now, PROMOTED]
    )
    // More jobs may be due.
    if (Number(promoted) === PROMOTED) this.nextDue = 0
    if (next !== null) this.willBeDue(Number(next) - now)
  }

  readonly step = async (done: ReadonlyArray<Held>, locks: ReadonlyArray<string>): Promise<Stepped> => {
    const { lease } = this.options
    const parameters = [
      done.map(({ id }) => id),
      done.map(({ lock }) => lock),
      locks,
      this.time.now,
      lease,
      locks.length
    ]
    const { claimed, done: ids, held, limited } = await this.timely<Step>("step", parameters)
    if (ids.length > 0 && claimed.length === 0) await this.run("drained")
    const [ended, known] = [new Set(ids), new Set(held)]
    return {
      told: done.map(({ id }) => ended.has(id) ? "done" : known.has(id) ? "other" : "lost"),
      next: claimed.map(lockedOf),
      limited
    }
  }

  async look(max: number): Promise<Look> {
    const { now } = this.time
    const { active, bound, due, next, paused, waiting } = await this.timely<
      Told & Readonly<Record<"waiting" | "due" | "next" | "bound" | "paused" | "active", string | null>>
    >("look", [now, max])
    if (Number(due) > 0) this.nextDue = 0
    return {
      claimable: claimable({
        ready: Math.min(max, Number(waiting) + Number(due)),
        active: Number(active),
        paused: paused !== "0",
        bound: bound === null ? Number.NaN : Number(bound)
      }),
      dueIn: next === null ? undefined : Number(next) - now
    }
  }

  async watch(): Promise<Look> {
    // Without LISTEN the herd polls.
    if (!this.listening) await this.listen().catch(() => {})
    return this.look(1)
  }

  private async listen(): Promise<void> {
    const client = await this.connection.getListenClient()
    // The client may be the one that failed to LISTEN before.
    client.removeListener("notification", this.heard).on("notification", this.heard)
    await client.query("LISTEN bullmq_jobs")
    this.listening = true
  }

  private readonly heard = ({ channel, payload }: { readonly channel: string; readonly payload?: string }): void => {
    if (channel === "bullmq_jobs" && payload === this.options.queue) this.bell.next()
  }

  async retry({ cause, delay, fetchNext, firstFailureAt, held }: Retry) {
    const { next: now } = this.time
    const readyAt = now + delay
    await this.run("remember", [held.id, held.lock, progressText({ firstFailureAt, readyAt })])
    this.willBeDue(delay)
    const fieldsToUpdate = { failedReason: cause }
    return this.backend.moveToDelayed(held.id, now, delay, held.lock, { fieldsToUpdate, fetchNext })
  }

  async release(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    const ids = held.map(({ id }) => id)
    const rows = await this.run<{ readonly id: string }>("release", [ids, held.map(({ lock }) => lock)])
    const released = new Set(rows.map(({ id }) => id))
    return ids.filter((id) => !released.has(id))
  }

  /** A lock that has run out is its owner's until somebody recovers its job. */
  async renew(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    const ids = held.map(({ id }) => id)
    const until = this.time.now + this.options.lease
    const rows = await this.run<{ readonly id: string }>("renew", [ids, held.map(({ lock }) => lock), until])
    const renewed = new Set(rows.map(({ id }) => id))
    return ids.filter((id) => !renewed.has(id))
  }

  async recover(maxCrashes: number, lock: string, spared: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    await this.askTime()
    const parameters = [this.time.now, maxCrashes, lock, this.options.lease, spared.map(({ lock }) => lock)]
    const rows = await this.run<{ readonly id: string; readonly doomed: boolean }>("recover", parameters)
    return rows.filter(({ doomed }) => doomed).map(({ id }) => id)
  }

  readonly idle = async (): Promise<boolean> => {
    const [row] = await this.run<{ readonly idle: boolean }>("idle")
    return row?.idle === true
  }

  readonly depth = async (): Promise<Depth> => {
    const [row] = await this.run<Readonly<Record<Counted | "oldest", string | null>>>("depth", [
      this.time.now,
      COUNTED + 1
    ])
    const of = (what: Counted) => this.counts.of(what, Number(row?.[what]))
    const due = await of("due")
    return {
      ready: due + await of("waiting"),
      delayed: await of("delayed"),
      held: await of("held"),
      dead: await of("dead"),
      oldestAt: row?.oldest === null ? undefined : Number(row?.oldest)
    }
  }

  private async count(what: Counted): Promise<number> {
    const { rows: [row] } = await this.connection.pool.query<{ readonly count: string }>(count(what), [
      this.options.queue,
      this.time.now
    ])
    return Number(row?.count)
  }

  async forget(age: number, most: number): Promise<number> {
    const [row] = await this.run<{ readonly count: string }>("forget", [this.time.now - age, most])
    return Number(row?.count ?? 0)
  }

  async letters(ids: ReadonlyArray<string>, maxBody?: number): Promise<ReadonlyArray<Next>> {
    // UTF-8 takes at most 3 bytes per code unit. PostgreSQL adds at most one space to two bytes,
    // and the cut may drop part of a character.
    const bytes = (units: number) => Math.min(Math.ceil(4.5 * units) + 12, 2 ** 31 - 1)
    const parameters = [maxBody === undefined ? 0 : bytes(maxBody), bytes(LONGEST_CAUSE)]
    const letters: Array<Next> = []
    for (const some of Arr.chunksOf(ids, LISTED)) {
      const rows = await this.run<Letter>("letters", [some, ...parameters])
      const found = new Map(rows.map((row) => [row.id, letterOf(row)]))
      letters.push(...some.flatMap((id) => found.get(id) ?? []))
    }
    return letters
  }

  async pardon(ids: ReadonlyArray<string>): Promise<ReadonlyArray<string>> {
    const rows = await this.run<{ readonly id: string }>("pardon", [ids, progressText({ readyAt: this.time.next })])
    return rows.map(({ id }) => id)
  }

  async discard(ids: ReadonlyArray<string>): Promise<number> {
    return (await this.run("discard", [ids])).length
  }

  /** Unless it is known. */
  async askTime(): Promise<void> {
    if (this.time.age > TIMED) await this.timely("clock")
  }

  wake(): Promise<unknown> {
    return this.run("wake")
  }

  reason(error: unknown): unknown {
    return postgresReason(error)
  }

  close(): Promise<unknown> {
    return this.connection.close()
  }
}

/**
 * @internal
 */
export const openPostgres = async (
  connection: Readonly<Record<string, unknown>>,
  options: EngineOptions
): Promise<Engine> => {
  const opened = new PostgresConnection({ ...behaviour, ...connection })
  opened.on("error", () => {})
  try {
    await opened.waitUntilReady()
    const { rows: [row] } = await opened.pool.query<{ readonly found: boolean; readonly path: string }>(
      "SELECT to_regclass('job') = to_regclass(format('%I.job', $1::text)) AS found, current_setting('search_path') AS path",
      [opened.schema]
    )
    if (row?.found !== true) throw searchPathError(opened.schema, row?.path)
    const engine = new PostgresEngine(opened, options)
    await engine.askTime()
    return engine
  } catch (error) {
    await opened.close().catch(() => {})
    throw postgresReason(error)
  }
}
