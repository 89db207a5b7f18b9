import { type IRedisClient, type KeepJobs, QueueKeys, raw2NextJobData, RedisConnection } from "bullmq"
import * as Arr from "effect/Array"
import { setTimeout as sleep } from "node:timers/promises"
import type { Depth } from "../HerdSource.ts"
import {
  claimable,
  type Engine,
  type EngineOptions,
  type Locked,
  type Look,
  type Retry,
  settledAll,
  type Stepped,
  texts
} from "./bullEngine.ts"
import { type Held, type NewJob, type Next, nextOf, progressText } from "./bullJob.ts"
import { redisReason } from "./bullReasons.ts"
import { fields, letterFields, scripts, timely } from "./bullRedisScripts.ts"
import { TimedRedisBackend } from "./bullTimes.ts"
import { Round } from "./round.ts"
import { ServerTime } from "./serverTime.ts"
import { LONGEST_CAUSE } from "./sourceText.ts"

/** Milliseconds that a look at the events lasts, if there are none. */
const BLOCK = 2_000

/**
 * How many events are read at a time, and the milliseconds between two readings: others may be at
 * work all the time.
 */
const EVENTS = 500
const PAUSE = 5

/** How many jobs are completed and claimed by one command: others wait meanwhile. */
const STEPS = 500

/**
 * How many dead letters are read by one command: a script copies their bodies before it cuts them.
 */
const LISTED = 25

/** What may make that there is more to claim: always, or where the fleet is at its bound. */
const telling = new Set(["waiting", "delayed", "resumed", "gofherd"])
const freeing = new Set(["completed", "failed"])

/** How many expired jobs are deleted with each completed one. */
const FORGOTTEN = 10

/**
 * How ioredis is set up. A command that cannot be sent fails at once, so the herd knows. No command
 * is sent again silently: a claim that runs twice yields one unit twice. All may be overridden but
 * `maxRetriesPerRequest`, which would make commands wait.
 */
const behaviour = {
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  commandTimeout: 10_000,
  connectTimeout: 10_000,
  retryStrategy: (times: number) => Math.min(50 * times, 1_000)
}

/** A connection that is kept up. Its errors explain the commands that fail meanwhile. */
class Line {
  readonly connection: RedisConnection
  trouble: unknown = undefined
  private readonly commandTimeout: number

  constructor(options: Readonly<Record<string, unknown>>) {
    const { maxRetriesPerRequest } = behaviour
    const { commandTimeout } = options
    this.commandTimeout = typeof commandTimeout === "number" ? commandTimeout : behaviour.commandTimeout
    // A connection that a firewall has dropped stays open and silent. This replaces it.
    const socketTimeout = 1.5 * this.commandTimeout
    this.connection = new RedisConnection({ ...behaviour, socketTimeout, ...options, maxRetriesPerRequest }, {
      blocking: false
    })
    this.connection.on("error", (error: unknown) => {
      this.trouble = error
    })
    this.connection.on("ready", () => {
      this.trouble = undefined
    })
  }

  get client(): Promise<IRedisClient> {
    return this.connection.client
  }

  /** It would go on trying, or waiting for an answer, for ever. */
  opened(): Promise<IRedisClient> {
    return new Promise((resolve, reject) => {
      const { commandTimeout } = this
      const reason = `no answer within ${commandTimeout / 1_000} s, or Redis was still loading its data`
      const late = setTimeout(() => reject(new Error(reason)), commandTimeout)
      this.connection.once("error", reject)
      const opened = this.client.finally(() => {
        clearTimeout(late)
        this.connection.off("error", reject)
      })
      opened.then(resolve, reject)
    })
  }

  close(): Promise<void> {
    return this.connection.close(true)
  }
}

class RedisEngine implements Engine {
  readonly backend: TimedRedisBackend
  readonly time = new ServerTime()
  readonly reserved: ReadonlySet<string>
  readonly inOrder = true
  readonly keep: boolean | KeepJobs
  readonly bell = new Round()
  watchers = 0
  private readonly line: Line
  private readonly options: EngineOptions
  private readonly connect: () => Line
  private readonly prefix: string
  private readonly keys: Readonly<Record<string, string>>
  private reader: Line | undefined = undefined
  private reading = false
  private closed = false
  /** The fleet is at its bound. */
  private full = false
  private lastEvent = "$"

  constructor(connect: () => Line, line: Line, prefix: string, options: EngineOptions) {
    const { lease: lockDuration, queue, retention } = options
    const keys = new QueueKeys(prefix)
    this.connect = connect
    this.line = line
    this.options = options
    this.prefix = prefix
    this.keys = keys.getKeys(queue)
    this.reserved = new Set(Object.keys(this.keys))
    this.keep = keepOf(retention)
    const settings = { connection: {}, prefix, lockDuration }
    const toKey = (type: string): string => keys.toKey(queue, type)
    this.backend = new TimedRedisBackend(line.connection, queue, keys.getKeys(queue), toKey, settings)
    this.backend.time = this.time
    // An error event without a listener is thrown. The line hears the errors.
    this.backend.on("error", () => {})
  }

  async run(name: keyof typeof scripts, args: ReadonlyArray<unknown> = []) {
    const client = await this.line.client
    const asked = performance.now()
    const told: unknown = await client.runCommand(`gofherd:${name}`, [this.keys[""], ...args])
    const [seconds, micros, answer]: ReadonlyArray<unknown> = Array.isArray(told) ? told : []
    this.time.heard(Number(seconds) * 1_000 + Number(micros) / 1_000, asked)
    return answer
  }

  async add(jobs: ReadonlyArray<NewJob>): Promise<void> {
    try {
      await this.addAll(jobs)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error
      // ioredis loads a script once per connection. After a refused transaction or SCRIPT FLUSH it
      // loads the script again only for a single command. So one job of each kind is added alone;
      // the transaction then skips it.
      const kinds = [jobs.find(isDelayed), jobs.find((job) => !isDelayed(job))]
      for (const one of kinds) if (one !== undefined) await this.backend.addJob(one.job, one.jobId)
      await this.addAll(jobs)
    }
  }

  /** One transaction adds all of them or none. */
  private async addAll(jobs: ReadonlyArray<NewJob>): Promise<void> {
    const { options: { queue: queueName }, prefix } = this
    const added = await this.backend.addFlow(
      jobs.map(({ job: jobData, jobId }) => ({ jobData, jobId, parentKeyOpts: {}, prefix, queueName }))
    )
    for (const [error] of added) if (error !== null) throw error
  }

  async tend(): Promise<void> {}

  readonly step = async (done: ReadonlyArray<Held>, locks: ReadonlyArray<string>): Promise<Stepped> => {
    const steps: Array<Promise<Stepped>> = []
    const { length } = done.length > locks.length ? done : locks
    for (let from = 0; from < length; from += STEPS) {
      const to = from + STEPS
      steps.push(this.stepSome(done.slice(from, to), locks.slice(from, to)))
    }
    const { failed, values } = await settledAll(steps)
    if (failed !== undefined) throw failed.reason
    return {
      told: values.flatMap(({ told }) => told),
      next: values.flatMap(({ next }) => next),
      limited: values.some(({ limited }) => limited)
    }
  }

  private async stepSome(done: ReadonlyArray<Held>, locks: ReadonlyArray<string>): Promise<Stepped> {
    const settled = done.flatMap(({ attemptsMade, id, lock }) => [id, lock, attemptsMade + 1])
    const answer = await this.run("step", [this.time.now, this.options.lease, done.length, ...settled, ...locks])
    const [told, claimed, limited]: ReadonlyArray<unknown> = Array.isArray(answer) ? answer : []
    return {
      told: texts(told).map((what) => what === "1" ? "done" : what === "0" ? "lost" : "other"),
      next: Array.isArray(claimed) ? claimed.flatMap((raw, i) => claimedOf(raw, locks[i] ?? "") ?? []) : [],
      limited: limited === 1
    }
  }

  async look(): Promise<Look> {
    const { now } = this.time
    const [ready, active, bound, paused, dueAt, event] = texts(await this.run("look", [now]))
    const state = { ready: Number(ready), active: Number(active), paused: paused === "1" }
    const some = claimable({ ...state, bound: bound === undefined || bound === "" ? Number.NaN : Number(bound) })
    this.full = some === 0 && state.ready > 0
    this.lastEvent = event ?? "$"
    return { claimable: some, dueIn: Number(dueAt) < 0 ? undefined : Number(dueAt) - now }
  }

  async watch(): Promise<Look> {
    const look = await this.look()
    if (look.claimable === 0 && !this.reading) void this.read(this.lastEvent)
    return look
  }

  /**
   * Reads events as long as somebody wants to know: others may read them too, so that nothing is
   * lost if nobody does any more.
   */
  private async read(from: string): Promise<void> {
    this.reading = true
    try {
      this.reader ??= this.connect()
      const client = await this.reader.opened()
      const key = this.keys["events"] ?? ""
      let id = from
      while (this.watchers > 0 && !this.closed) {
        const answer: unknown = await client.xread([{ key, id }], { BLOCK, COUNT: EVENTS })
        const events = eventsOf(answer)
        const last = events.at(-1)
        if (last === undefined) continue
        id = last.id
        if (events.some(({ event }) => telling.has(event) || this.full && freeing.has(event))) this.bell.next()
        await sleep(PAUSE)
      }
    } catch {
      // Polling finds units until events are read again. The next command reports the cause.
      await this.reader?.close().catch(() => {})
      this.reader = undefined
    } finally {
      this.reading = false
    }
  }

  retry({ cause, delay, fetchNext, firstFailureAt, held }: Retry) {
    const { next: now } = this.time
    const fieldsToUpdate = { progress: progressText({ firstFailureAt, readyAt: now + delay }), failedReason: cause }
    return this.backend.moveToDelayed(held.id, now, delay, held.lock, { fieldsToUpdate, fetchNext })
  }

  async release(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    return texts(await this.run("release", held.flatMap(({ id, lock }) => [id, lock])))
  }

  async renew(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    const locks = held.flatMap(({ id, json, lock }) => [id, lock, json.processedOn ?? ""])
    return texts(await this.run("renew", [this.options.lease, ...locks]))
  }

  async recover(maxCrashes: number, lock: string, spared: ReadonlyArray<Held>): Promise<ReadonlyArray<string>> {
    return texts(await this.run("recover", [maxCrashes, lock, this.options.lease, ...spared.map(({ id }) => id)]))
  }

  readonly idle = async (): Promise<boolean> => await this.run("idle", []) === 0

  readonly depth = async (): Promise<Depth> => {
    const [ready = 0, delayed = 0, held = 0, dead = 0, oldestAt = -1] = texts(await this.run("depth", [this.time.now]))
      .map(Number)
    return { ready, delayed, held, dead, oldestAt: oldestAt < 0 ? undefined : oldestAt }
  }

  async forget(age: number, most: number): Promise<number> {
    const before = this.time.now - age
    // BullMQ's command adds an event even if it deletes nothing.
    if (Number(await this.run("old", [before])) === 0) return 0
    return (await this.backend.cleanJobsByState("completed", before, most)).length
  }

  async letters(ids: ReadonlyArray<string>, maxBody?: number): Promise<ReadonlyArray<Next>> {
    // UTF-8 takes at most 3 bytes per code unit. The cut may drop up to 3 bytes of a character.
    const bytes = (units: number) => 3 * units + 6
    const limits = [maxBody === undefined ? 0 : bytes(maxBody), bytes(LONGEST_CAUSE)]
    const asked = Arr.chunksOf(ids, LISTED).map((some) => this.run("letters", [...limits, ...some]))
    const { failed, values } = await settledAll(asked)
    if (failed !== undefined) throw failed.reason
    return values.flatMap((raws) => Array.isArray(raws) ? raws.flatMap((raw) => jobOf(raw, letterFields) ?? []) : [])
  }

  async pardon(ids: ReadonlyArray<string>): Promise<ReadonlyArray<string>> {
    return texts(await this.run("pardon", [progressText({ readyAt: this.time.next }), ...ids]))
  }

  async discard(ids: ReadonlyArray<string>): Promise<number> {
    return Number(await this.run("discard", ids))
  }

  wake(): Promise<unknown> {
    return this.backend.publishEvent({ event: "gofherd" }, 10_000)
  }

  reason(error: unknown): unknown {
    return redisReason(error, this.line.trouble)
  }

  async close(): Promise<void> {
    this.closed = true
    await Promise.all([this.line.close(), this.reader?.close()])
  }
}

const isDelayed = ({ job: { delay = 0 } }: NewJob): boolean => delay > 0

const keepOf = (retention: number): boolean | KeepJobs => {
  if (retention === 0) return true
  return retention === Infinity ? false : { age: retention / 1_000, limit: FORGOTTEN }
}

/** A job out of its fields. */
const jobOf = (raw: unknown, fields: ReadonlyArray<string>): Next | undefined => {
  const [id, values]: ReadonlyArray<unknown> = Array.isArray(raw) ? raw : []
  const known: ReadonlyArray<unknown> = Array.isArray(values) ? values : []
  return nextOf(raw2NextJobData([fields.flatMap((field, i) => known[i] === null ? [] : [field, known[i]]), id]))
}

const claimedOf = (raw: unknown, lock: string): Locked | undefined => {
  const next = jobOf(raw, fields)
  return next && { ...next, lock }
}

/** Out of what is read of one stream. */
const eventsOf = (answer: unknown): ReadonlyArray<{ readonly id: string; readonly event: string }> => {
  const stream: unknown = Array.isArray(answer) ? answer[0] : undefined
  const entries: unknown = Array.isArray(stream) ? stream[1] : undefined
  if (!Array.isArray(entries)) return []
  return entries.map((entry: unknown) => {
    const [id, fields]: ReadonlyArray<unknown> = Array.isArray(entry) ? entry : []
    return { id: String(id), event: texts(fields)[1] ?? "" }
  })
}

/**
 * @internal
 */
export const openRedis = async (
  connection: Readonly<Record<string, unknown>>,
  prefix: string,
  options: EngineOptions
): Promise<Engine> => {
  const connect = () => new Line(connection)
  const line = connect()
  try {
    const client = await line.opened()
    for (const [name, lua] of Object.entries(scripts)) {
      client.defineCommand(`gofherd:${name}`, { numberOfKeys: 1, lua: timely(lua) })
    }
    const engine = new RedisEngine(connect, line, prefix, options)
    await engine.run("clock")
    return engine
  } catch (error) {
    await line.close().catch(() => {})
    throw error
  }
}
