import type { IQueueBackend, KeepJobs } from "bullmq"
import type { Depth, NewUnit, UnitRefusal } from "../HerdSource.ts"
import type { Held, NewJob, Next } from "./bullJob.ts"
import type { Round } from "./round.ts"
import type { ServerTime } from "./serverTime.ts"

/**
 * What could be claimed.
 *
 * @internal
 */
export interface Look {
  /** How many, as far as the fleet's bound allows. */
  readonly claimable: number
  /** In how many milliseconds the next delayed unit will be. */
  readonly dueIn: number | undefined
}

/**
 * What is to become of a unit that failed.
 *
 * @internal
 */
export interface Retry {
  readonly held: Held
  /** In milliseconds. */
  readonly delay: number
  readonly firstFailureAt: number
  readonly cause: string
  /** Is another one to be claimed with it? */
  readonly fetchNext: boolean
}

/**
 * A job that is claimed, and the lock that it is claimed with.
 *
 * @internal
 */
export interface Locked extends Next {
  readonly lock: string
}

/**
 * What has come of completing jobs and claiming others in one command.
 *
 * @internal
 */
export interface Stepped {
  /** Of each that was to be completed; `other` if it has to be done by BullMQ's own command. */
  readonly told: ReadonlyArray<"done" | "lost" | "other">
  readonly next: ReadonlyArray<Locked>
  /** They have to be claimed by BullMQ's own command. */
  readonly limited: boolean
}

/**
 * One queue of BullMQ's on Redis or PostgreSQL: BullMQ's own commands (`backend`), and beside them those that BullMQ does not have, or that
 * would cost units their places.
 *
 * @internal
 */
export interface Engine {
  readonly backend: IQueueBackend
  /** By which everything is written down, and compared. */
  readonly time: ServerTime
  /** Ids that jobs can't have. */
  readonly reserved: ReadonlySet<string>
  /** Are jobs that are claimed at a time claimed in order? */
  readonly inOrder: boolean
  /** For how long jobs that are done are kept. */
  readonly keep: boolean | KeepJobs
  /** Rung when there may be more to claim, as long as `watchers` is more than 0. */
  readonly bell: Round
  watchers: number
  /** Why its database can't keep the unit. */
  readonly refusal?: (unit: NewUnit) => UnitRefusal | undefined
  /** Adds all of them, or none. */
  add(jobs: ReadonlyArray<NewJob>): Promise<unknown>
  /** Before jobs are claimed: sees to those whose time has come, where BullMQ would not put them last. */
  tend(): Promise<void>
  /** Where that is quicker than BullMQ's own commands. */
  readonly step?: (done: ReadonlyArray<Held>, locks: ReadonlyArray<string>) => Promise<Stepped>
  look(max: number): Promise<Look>
  /** Looks, and has the bell rung for what happens from then on. */
  watch(): Promise<Look>
  retry(retry: Retry): Promise<ReadonlyArray<unknown> | void>
  /** Puts jobs back in their places. The ids of those whose locks are lost. */
  release(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>>
  /**
   * Extends locks. One that has run out is taken up again, as long as nobody has recovered its job. The ids of those that are lost.
   */
  renew(held: ReadonlyArray<Held>): Promise<ReadonlyArray<string>>
  /**
   * Jobs whose locks have run out have crashed once more, and are put back in their places. The ids of those that have for the last time:
   * they have `lock` from now on, and are to be buried with it. Those that are spared have not, whatever their locks.
   */
  recover(maxCrashes: number, lock: string, spared: ReadonlyArray<Held>): Promise<ReadonlyArray<string>>
  /** Is nothing ready, delayed or held? */
  readonly idle: () => Promise<boolean>
  /** By the server's time. */
  readonly depth: () => Promise<Depth>
  /** Deletes jobs that were completed so many milliseconds ago, or before, up to so many. How many it were. */
  forget(age: number, most: number): Promise<number>
  /**
   * Jobs by their ids, in that order; those that are gone are left out. Each has at least `maxBody` UTF-16 code units of its data,
   * and one more if there are more; without `maxBody` it has none.
   */
  letters(ids: ReadonlyArray<string>, maxBody?: number): Promise<ReadonlyArray<Next>>
  /** Makes dead letters forget that they were attempted. The ids of those that are dead letters. */
  pardon(ids: ReadonlyArray<string>): Promise<ReadonlyArray<string>>
  /** Deletes dead letters. How many it were. */
  discard(ids: ReadonlyArray<string>): Promise<number>
  /** Rings the bells of all processes. */
  wake(): Promise<unknown>
  /** Why something failed, if it is known better than by this error. */
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
 * What a command answers, if it is a list of texts.
 *
 * @internal
 */
export const texts = (value: unknown): ReadonlyArray<string> => Array.isArray(value) ? value.map(String) : []

/**
 * How many may be claimed where so many are ready.
 *
 * @internal
 */
export const claimable = (
  { active, bound, paused, ready }: {
    readonly ready: number
    readonly active: number
    readonly paused: boolean
    /** Of the fleet; none if it is no number. */
    readonly bound: number
  }
): number => {
  if (paused) return 0
  return Number.isNaN(bound) ? ready : Math.max(0, Math.min(ready, bound - active))
}

/**
 * What became of many promises: what they gave, and the first thing that went wrong. None is left behind.
 *
 * @internal
 */
export const settledAll = async <A>(promises: ReadonlyArray<Promise<A>>) => {
  const results = await Promise.allSettled(promises)
  const values = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : [])
  const failed = results.find((result): result is PromiseRejectedResult => result.status === "rejected")
  return { values, failed }
}
