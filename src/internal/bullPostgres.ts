import { type JobProgress, type JobsOptions, PostgresConnection, PostgresQueueBackend } from "bullmq"
import type { Depth } from "../HerdSource.ts"
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
import type { Held, NewJob } from "./bullJob.ts"
import { count, type Counted, statements } from "./bullPostgresStatements.ts"
import { Round } from "./round.ts"

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
}

interface Step {
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
    name: "",
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
    ...(row.deferred_failure === null ? {} : { deferredFailure: row.deferred_failure })
  }
})

/** How a connection is to behave. Any of it may be overridden. */
const behaviour = { connectionTimeoutMillis: 10_000, query_timeout: 10_000, keepAlive: true }

/** Milliseconds between two looks for units whose time has come, of a herd that is at work. */
const TEND = 100

/** How many of these are seen to at a time. */
const PROMOTED = 1_000

/** Up to so many units of a kind are counted each time. */
const COUNTED = 10_000

class PostgresEngine implements Engine {
  readonly backend: PostgresQueueBackend
  readonly reserved: ReadonlySet<string> = new Set()
  readonly inOrder = false
  readonly keep: boolean
  readonly bell = new Round()
  watchers = 0
  private readonly connection: PostgresConnection
  private readonly options: EngineOptions
  private readonly counts = new Counts<Counted>({ bound: COUNTED, count: (what) => this.count(what) })
  private listening = false
  /** When it is to be seen to units whose time has come. */
  private nextDue = 0

  constructor(connection: PostgresConnection, options: EngineOptions) {
    const { lease: lockDuration, queue, retention } = options
    this.connection = connection
    this.options = options
    this.keep = retention === 0
    const settings = { connection: connection.pool, lockDuration }
    this.backend = new PostgresQueueBackend(connection, queue, settings)
    // Without a listener it would be thrown. What is the matter the next statement tells.
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

  add(jobs: ReadonlyArray<NewJob>): Promise<unknown> {
    for (const { job: { delay = 0, timestamp } } of jobs) if (delay > 0) this.willBeDue(timestamp + delay)
    return this.backend.addJobs(Array.from(jobs))
  }

  private willBeDue(at: number): void {
    this.nextDue = Math.min(this.nextDue, at)
  }

  async tend(now: number): Promise<void> {
    if (now < this.nextDue) return
    this.nextDue = now + TEND
    const [row] = await this.run<{ readonly promoted: string; readonly next: string | null }>("promote", [
      now,
      PROMOTED
    ])
    if (row === undefined) return
    // There may be more whose time has come.
    if (Number(row.promoted) === PROMOTED) this.nextDue = now
    if (row.next !== null) this.willBeDue(Number(row.next))
  }

  readonly step = async (done: ReadonlyArray<Held>, locks: ReadonlyArray<string>): Promise<Stepped> => {
    const { lease } = this.options
    const parameters = [done.map(({ id }) => id), done.map(({ lock }) => lock), locks, Date.now(), lease, locks.length]
    const [row] = await this.run<Step>("step", parameters)
    const { claimed = [], done: ids = [], held = [], limited = false } = row ?? {}
    if (ids.length > 0 && claimed.length === 0) await this.run("drained")
    const [ended, known] = [new Set(ids), new Set(held)]
    return {
      told: done.map(({ id }) => ended.has(id) ? "done" : known.has(id) ? "other" : "lost"),
      next: claimed.map(lockedOf),
      limited
    }
  }

  async look(max: number): Promise<Look> {
    const [row] = await this.run<
      Readonly<Record<"waiting" | "due" | "next" | "bound" | "paused" | "active", string | null>>
    >(
      "look",
      [Date.now(), max]
    )
    const { active, bound, due, next, paused, waiting } = row ?? {}
    if (Number(due) > 0) this.nextDue = 0
    return {
      claimable: claimable({
        ready: Math.min(max, Number(waiting) + Number(due)),
        active: Number(active),
        paused: paused !== "0",
        bound: bound === null ? Number.NaN : Number(bound)
      }),
      dueAt: next === null ? undefined : Number(next)
    }
  }

  async watch(): Promise<Look> {
    // Who can't listen polls.
    if (!this.listening) await this.listen().catch(() => {})
    return this.look(1)
  }

  private async listen(): Promise<void> {
    const client = await this.connection.getListenClient()
    // It may be the one that could not before.
    client.removeListener("notification", this.heard).on("notification", this.heard)
    await client.query("LISTEN bullmq_jobs")
    this.listening = true
  }

  private readonly heard = ({ channel, payload }: { readonly channel: string; readonly payload?: string }): void => {
    if (channel === "bullmq_jobs" && payload === this.options.queue) this.bell.next()
  }

  async retry({ at, cause, fetchNext, held, now, progress }: Retry) {
    const until = Math.max(now, Math.ceil(at))
    await this.run("remember", [held.id, held.lock, JSON.stringify(progress)])
    this.willBeDue(until)
    const fieldsToUpdate = { failedReason: cause }
    return this.backend.moveToDelayed(held.id, now, until - now, held.lock, { fieldsToUpdate, fetchNext })
  }

  async release(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    const ids = held.map(({ id }) => id)
    const rows = await this.run<{ readonly id: string }>("release", [ids, held.map(({ lock }) => lock)])
    const released = new Set(rows.map(({ id }) => id))
    return ids.filter((id) => !released.has(id))
  }

  /** A lock that has run out is its owner's until somebody recovers its job. */
  async renew(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    return this.backend.extendLocks(held.map(({ id }) => id), held.map(({ lock }) => lock), this.options.lease)
  }

  async recover(maxCrashes: number, lock: string, spared: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    const parameters = [Date.now(), maxCrashes, lock, this.options.lease, spared.map(({ lock }) => lock)]
    const rows = await this.run<{ readonly id: string; readonly doomed: boolean }>("recover", parameters)
    return rows.filter(({ doomed }) => doomed).map(({ id }) => id)
  }

  readonly depth = async (): Promise<Depth> => {
    const [row] = await this.run<Readonly<Record<Counted | "oldest", string | null>>>("depth", [
      Date.now(),
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
      Date.now()
    ])
    return Number(row?.count)
  }

  async forget(before: number, most: number): Promise<number> {
    const [row] = await this.run<{ readonly count: string }>("forget", [before, most])
    return Number(row?.count ?? 0)
  }

  async pardon(ids: ReadonlyArray<string>, now: number): Promise<ReadonlyArray<string>> {
    const rows = await this.run<{ readonly id: string }>("pardon", [ids, JSON.stringify({ readyAt: now })])
    return rows.map(({ id }) => id)
  }

  async discard(ids: ReadonlyArray<string>): Promise<number> {
    return (await this.run("discard", [ids])).length
  }

  wake(): Promise<unknown> {
    return this.run("wake")
  }

  reason(error: unknown): unknown {
    return error
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
    return new PostgresEngine(opened, options)
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}
