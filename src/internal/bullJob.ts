import type { JobJson, MinimalJob } from "bullmq"
import type { Claim, DeadLetter, NewUnit, UnitRefusal } from "../HerdSource.ts"
import { isObject } from "./check.ts"
import { show } from "./show.ts"
import { crashText, cutBody, cutCause } from "./sourceText.ts"

// ------------------------------------------------------------------------------------------------------ ids

/** Neither `:`, which is between the parts of a key, nor what stands for it. */
const escape = (text: string): string => text.replace(/[%:]/g, (character) => character === "%" ? "%25" : "%3A")

const codeOf = (character: string): string =>
  Array.from(new TextEncoder().encode(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("")

/**
 * The name of a herd, as the name of a queue, in which BullMQ takes no `:`.
 *
 * @internal
 */
export const queueName = (herd: string): string => escape(herd)

/**
 * The id of a unit, as the id of a job. An ordinary one stays as it is. BullMQ takes no `:` in it, keeps numbers to itself, and would
 * take an id such as `meta` for one of the queue's own keys: those are percent-encoded.
 *
 * @internal
 */
export const jobId = (id: string, reserved: ReadonlySet<string>): string => {
  const text = escape(id)
  if (!reserved.has(text) && Number.isNaN(Number(text))) return text
  const [first = ""] = text
  return codeOf(first) + text.slice(first.length)
}

/** The other way round. That of another program's job may be anything. */
const unitId = (id: string): string => {
  try {
    return decodeURIComponent(id)
  } catch {
    return id
  }
}

// ------------------------------------------------------------------------------------------------------ priorities

/** BullMQ's are 1 to twice that less one, lower first. 0 is none at all, and before all of them. */
const NORMAL = 2 ** 20

/** The highest and, with a minus, the lowest that there is room for. */
const HIGHEST = NORMAL - 1

/**
 * Why a unit's priority can't be a job's.
 *
 * @internal
 */
export const priorityRefusal = ({ priority }: NewUnit): UnitRefusal | undefined =>
  Number.isInteger(priority) && Math.abs(priority) <= HIGHEST
    ? undefined
    : { part: "priority", expected: `an integer from -${HIGHEST} to ${HIGHEST} with BullMQ`, given: show(priority) }

const unitPriority = ({ priority = 0 }: JobJson): number => NORMAL - priority

// ------------------------------------------------------------------------------------------------------ jobs

/** The latest time there is. */
const LATEST = 8.64e15

/**
 * A job that is to be added, and its id.
 *
 * @internal
 */
export interface NewJob {
  readonly job: JobJson
  readonly jobId: string
}

/**
 * The job of a unit, at a time of the server and of the herd's Clock. `seq` tells units of the same millisecond apart.
 *
 * @internal
 */
export const newJob = (
  { body, id, priority, runAt = 0 }: NewUnit,
  { clock, now, reserved, seq }: {
    readonly now: number
    readonly clock: number
    readonly reserved: ReadonlySet<string>
    readonly seq: number
  }
): NewJob => {
  const delay = Math.max(0, Math.ceil(Math.min(runAt, LATEST) - clock))
  // `seq` is no option of BullMQ's, which keeps it with the others. What is null PostgreSQL would hand back as {}.
  const opts = {
    attempts: 1,
    priority: NORMAL - priority,
    ...(delay > 0 ? { delay } : {}),
    seq,
    ...(body === "null" ? { null: true } : {})
  }
  const job: JobJson = {
    id: jobId(id, reserved),
    name: "unit",
    data: body,
    opts,
    progress: 0,
    attemptsMade: 0,
    attemptsStarted: 0,
    stalledCounter: 0,
    timestamp: now,
    delay,
    priority: opts.priority,
    failedReason: "",
    returnvalue: ""
  }
  return { job, jobId: job.id }
}

/**
 * What is kept of a unit as the progress of its job: when its first attempt failed, by the herd's Clock, and since when it is ready, or will be, by
 * the server's time.
 *
 * @internal
 */
export const progressText = (progress: { readonly firstFailureAt?: number; readonly readyAt: number }): string =>
  JSON.stringify(progress)

const numberOf = (object: unknown, key: string): number | undefined => {
  const value: unknown = isObject(object) && key in object ? Reflect.get(object, key) : undefined
  return typeof value === "number" ? value : undefined
}

const bodyOf = ({ data, opts }: JobJson): string => "null" in opts && data === "{}" ? "null" : data

/**
 * A job that is claimed. BullMQ asks for a whole job where it settles one; it reads its id and its options.
 *
 * @internal
 */
export class Held implements MinimalJob<null, null> {
  readonly id: string
  readonly json: JobJson
  readonly opts: JobJson["opts"]
  /** What BullMQ knows the claim by. */
  readonly lock: string
  readonly claim: Claim
  /** Being settled: that its lock is gone may be due to that. */
  settling = false
  /** Settling it failed: it is not known whether it was done. */
  doubtful = false
  /** Its scheduler has not made the job that follows it. */
  unscheduled = false
  /** When it was claimed or renewed, in milliseconds of a clock that is not set. */
  renewedAt = performance.now()

  constructor(json: JobJson, id: string, lock: string, token: string) {
    this.id = id
    this.json = json
    // BullMQ compares with it, and would fail without a number.
    this.opts = json.opts.attempts === undefined ? { ...json.opts, attempts: 1 } : json.opts
    this.lock = lock
    this.claim = {
      id: unitId(id),
      body: bodyOf(json),
      priority: unitPriority(json),
      attempt: json.attemptsMade + json.stalledCounter + 1,
      firstFailureAt: numberOf(json.progress, "firstFailureAt"),
      token
    }
  }

  /** Why it should not be attempted any more. */
  doom(maxCrashes: number): string | undefined {
    const { deferredFailure, stalledCounter } = this.json
    return stalledCounter >= maxCrashes ? crashText : deferredFailure
  }

  get data(): null {
    return null
  }
  get returnvalue(): null {
    return null
  }
  get stacktrace(): null {
    return null
  }
  get failedReason(): string {
    return ""
  }
  get queueName(): string {
    return ""
  }
  get prefix(): string {
    return ""
  }
  get queueQualifiedName(): string {
    return ""
  }
  get name(): string {
    return this.json.name
  }
  get progress(): JobJson["progress"] {
    return this.json.progress
  }
  get delay(): number {
    return this.json.delay ?? 0
  }
  get timestamp(): number {
    return this.json.timestamp
  }
  get attemptsMade(): number {
    return this.json.attemptsMade
  }
  asJSON(): JobJson {
    return this.json
  }
  asJSONSandbox() {
    return { ...this.json, queueName: "", queueQualifiedName: "", prefix: "" }
  }
  updateData(): Promise<void> {
    return unasked()
  }
  updateProgress(): Promise<void> {
    return unasked()
  }
  log(): Promise<number> {
    return unasked()
  }
}

const unasked = (): Promise<never> => Promise.reject(new Error("expected BullMQ to settle the job, got something else"))

/** Earlier in its queue? */
const placeOf = ({ opts, progress, timestamp }: JobJson): number =>
  numberOf(progress, "readyAt") ?? timestamp + (numberOf(opts, "delay") ?? 0)

/**
 * Orders jobs that were claimed at a time, as they stood in their queue.
 *
 * @internal
 */
export const byPlace = ({ json: self }: Held, { json: that }: Held): number =>
  (self.priority ?? 0) - (that.priority ?? 0)
  || placeOf(self) - placeOf(that)
  || (numberOf(self.opts, "seq") ?? 0) - (numberOf(that.opts, "seq") ?? 0)

/**
 * A job that BullMQ has claimed.
 *
 * @internal
 */
export interface Next {
  readonly json: JobJson
  readonly id: string
}

/**
 * The job out of what BullMQ answers who asks for the next one, if there was one.
 *
 * @internal
 */
export const nextOf = (next: ReadonlyArray<unknown> | void): Next | undefined => {
  const [json, id] = next ?? []
  return isJob(json) && typeof id === "string" ? { json, id } : undefined
}

const isJob = (value: unknown): value is JobJson => isObject(value) && "data" in value && "opts" in value

/**
 * @internal
 */
export const deadLetter = ({ id, json }: Next, maxBody: number): DeadLetter =>
  cutBody(
    {
      id: unitId(id),
      body: bodyOf(json),
      priority: unitPriority(json),
      // BullMQ has counted as an attempt that a crash buried it.
      attempts: json.attemptsMade + json.stalledCounter - (json.failedReason === crashText ? 1 : 0),
      crashes: json.stalledCounter,
      cause: cutCause(json.failedReason),
      diedAt: json.finishedOn ?? 0
    },
    maxBody
  )
