import type { IQueueBackend, KeepJobs } from "bullmq"
import type { Depth, NewUnit, UnitRefusal } from "../HerdSource.ts"
import type { Held, NewJob, Next } from "./bullJob.ts"
import type { Round } from "./round.ts"
import type { ServerTime } from "./serverTime.ts"

/**
 * How many units can be claimed.
 *
 * @internal
 */
export interface Look {
  /** At most what the fleet's bound leaves. */
  readonly claimable: number
  /** Milliseconds until the next delayed unit is due. */
  readonly dueIn: number | undefined
}

/**
 * A failed unit that will run again.
 *
 * @internal
 */
export interface Retry {
  readonly held: Held
  /** In milliseconds. */
  readonly delay: number
  readonly firstFailureAt: number
  readonly cause: string
  /** Whether the same command claims another job. */
  readonly fetchNext: boolean
}

/**
 * A claimed job and its lock.
 *
 * @internal
 */
export interface Locked extends Next {
  readonly lock: string
}

/**
 * The result of completing jobs and claiming others in one command.
 *
 * @internal
 */
export interface Stepped {
  /** One for each job to complete. `other`: BullMQ's own command has to complete it. */
  readonly told: ReadonlyArray<"done" | "lost" | "other">
  readonly next: ReadonlyArray<Locked>
  /** The queue has a rate limit or a bound: BullMQ's own command has to claim. */
  readonly limited: boolean
}

/**
 * A BullMQ queue on Redis or PostgreSQL. `backend` has BullMQ's own commands. The others are those
 * that BullMQ lacks, or that would move units from their places.
 *
 * @internal
 */
export interface Engine {
  readonly backend: IQueueBackend
  /** All times are written and compared in this time. */
  readonly time: ServerTime
  /** Ids that no job may have. */
  readonly reserved: ReadonlySet<string>
  /** Whether jobs that are claimed together come in order. */
  readonly inOrder: boolean
  /** How long completed jobs are kept. */
  readonly keep: boolean | KeepJobs
  /** Rung when more may be claimable, while `watchers` is above 0. */
  readonly bell: Round
  watchers: number
  /** Why the database cannot keep this unit, if it cannot. */
  readonly refusal?: (unit: NewUnit) => UnitRefusal | undefined
  /** Adds all of them, or none. */
  add(jobs: ReadonlyArray<NewJob>): Promise<unknown>
  /** Called before a claim: makes due jobs claimable, where BullMQ would not put them last. */
  tend(): Promise<void>
  /** Present where it is faster than BullMQ's own commands. */
  readonly step?: (done: ReadonlyArray<Held>, locks: ReadonlyArray<string>) => Promise<Stepped>
  look(max: number): Promise<Look>
  /** Like `look`, and from then on the bell rings for changes. */
  watch(): Promise<Look>
  retry(retry: Retry): Promise<ReadonlyArray<unknown> | void>
  /** Puts jobs back in their places. Returns the ids whose locks are lost. */
  release(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>>
  /**
   * Extends locks. An expired lock is set again unless another owner has recovered its job. Returns
   * the ids whose locks are lost.
   */
  renew(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>>
  /**
   * Counts a crash for each job with an expired lock, except the spared ones, and puts it back in
   * its place. Returns the ids of jobs that reached `maxCrashes`: these now have `lock`, and are to
   * be buried with it.
   */
  recover(maxCrashes: number, lock: string, spared: ReadonlyArray<Held>): Promise<ReadonlyArray<string>>
  /** Whether no unit is ready, delayed or held. */
  readonly idle: () => Promise<boolean>
  /** Times are the server's. */
  readonly depth: () => Promise<Depth>
  /**
   * Deletes up to `most` jobs that were completed `age` milliseconds ago or earlier. Returns how
   * many.
   */
  forget(age: number, most: number): Promise<number>
  /**
   * Jobs by their ids, in that order, without missing ones. Each has at least `maxBody` UTF-16 code
   * units of its data, and one more if its data is longer. Without `maxBody` it has no data.
   */
  letters(ids: ReadonlyArray<string>, maxBody?: number): Promise<ReadonlyArray<Next>>
  /** Resets the attempts of dead letters. Returns the ids that are dead letters. */
  pardon(ids: ReadonlyArray<string>): Promise<ReadonlyArray<string>>
  /** Deletes dead letters. Returns how many. */
  discard(ids: ReadonlyArray<string>): Promise<number>
  /** Rings the bells of all processes. */
  wake(): Promise<unknown>
  /** The cause of an error, where more is known than the error says. */
  reason(error: unknown): unknown
  close(): Promise<unknown>
}

/**
 * @internal
 */
export interface EngineOptions {
  readonly queue: string
  /** In milliseconds. */
  readonly lease: number
  /** In milliseconds; may be infinite. */
  readonly retention: number
}

/**
 * A command's answer as a list of texts.
 *
 * @internal
 */
export const texts = (value: unknown): ReadonlyArray<string> => Array.isArray(value) ? value.map(String) : []

/**
 * How many of the ready units the pause and the fleet's bound let a herd claim.
 *
 * @internal
 */
export const claimable = (
  { active, bound, paused, ready }: {
    readonly ready: number
    readonly active: number
    readonly paused: boolean
    /** The fleet's bound; NaN means none. */
    readonly bound: number
  }
): number => {
  if (paused) return 0
  return Number.isNaN(bound) ? ready : Math.max(0, Math.min(ready, bound - active))
}

/**
 * Waits for all promises. Returns the values, and the first failure.
 *
 * @internal
 */
export const settledAll = async <A>(promises: ReadonlyArray<Promise<A>>) => {
  const results = await Promise.allSettled(promises)
  const values = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : [])
  const failed = results.find((result): result is PromiseRejectedResult => result.status === "rejected")
  return { values, failed }
}
