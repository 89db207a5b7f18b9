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
 * A herd's name as a queue name: BullMQ forbids `:` there.
 *
 * @internal
 */
export const queueName = (herd: string): string => escape(herd)

/**
 * A unit's id as a job id. Ordinary ids stay as they are. Percent-encoded are `:`, which BullMQ
 * forbids, ids that are numbers, and ids that equal one of the queue's keys, such as `meta`.
 *
 * @internal
 */
export const jobId = (id: string, reserved: ReadonlySet<string>): string => {
  const text = escape(id)
  if (!reserved.has(text) && Number.isNaN(Number(text))) return text
  const [first = ""] = text
  return codeOf(first) + text.slice(first.length)
}

/** The unit id of a job id. Other programs' job ids may not decode. */
const unitId = (id: string): string => {
  try {
    return decodeURIComponent(id)
  } catch {
    return id
  }
}

// ------------------------------------------------------------------------------------------------------ priorities

/**
 * A job's priority for unit priority 0. BullMQ takes 1 to 2,097,151, lower first; 0 comes before
 * all.
 */
const NORMAL = 2 ** 20

/** Unit priorities go from minus this to this. */
const HIGHEST = NORMAL - 1

/**
 * Why a unit's priority has no job priority.
 *
 * @internal
 */
export const priorityRefusal = ({ priority }: NewUnit): UnitRefusal | undefined =>
  Number.isInteger(priority) && Math.abs(priority) <= HIGHEST
    ? undefined
    : { part: "priority", expected: `an integer from -${HIGHEST} to ${HIGHEST} with BullMQ`, given: show(priority) }

const unitPriority = ({ priority = 0 }: JobJson): number => NORMAL - priority

// ------------------------------------------------------------------------------------------------------ jobs

/** The latest time of a JavaScript Date. */
const LATEST = 8.64e15

/**
 * A job to add, and its id.
 *
 * @internal
 */
export interface NewJob {
  readonly job: JobJson
  readonly jobId: string
}

/**
 * Makes the job of a unit. `now` is the server's time and `clock` the herd's. `seq` orders units of
 * the same millisecond.
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
  // BullMQ keeps unknown options such as `seq`. PostgreSQL would return a null body as {}.
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
 * The progress of a unit's job: when its first attempt failed, by the herd's Clock, and when it
 * became or becomes ready, by the server's time.
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
 * A job that is claimed. BullMQ asks for a whole job where it settles one; it reads its id and its
 * options.
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
 * Orders jobs that were claimed together by their places in the queue.
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
 * Reads BullMQ's answer to a claim.
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
      // BullMQ counts the burial after a crash as an attempt.
      attempts: json.attemptsMade + json.stalledCounter - (json.failedReason === crashText ? 1 : 0),
      crashes: json.stalledCounter,
      cause: cutCause(json.failedReason),
      diedAt: json.finishedOn ?? 0
    },
    maxBody
  )
