import { Effect, Schedule } from "effect"

/** The units of one timing, the same for every contender. */
export interface Work {
  readonly bodies: ReadonlyArray<number>
  readonly size: number
  /** One unit, for those that run Effects; each run of it is one attempt. */
  readonly effect: (n: number) => Effect.Effect<number, Error>
  /** The same unit, for those that run promises. */
  readonly promise: (n: number) => Promise<number>
  /** The same unit, for those that would rather have a callback, where it is one by nature. */
  readonly callback?: (n: number, done: (result: number) => void) => void
  readonly retry: Retry
  /** What the results add up to. */
  readonly sum: number
}

/**
 * When a unit that failed is attempted again: for those that know Schedules, and for a loop written
 * by hand.
 */
export interface Retry {
  readonly schedule: Schedule.Schedule<unknown>
  readonly times: number
  readonly millis: (failures: number) => number
}

export const withBackoff: Retry = {
  schedule: Schedule.intersect(Schedule.exponential("5 millis"), Schedule.recurs(3)),
  times: 3,
  millis: (failures) => 5 * 2 ** (failures - 1)
}

export const withoutBackoff: Retry = { schedule: Schedule.recurs(3), times: 3, millis: () => 0 }

/** So many units, made anew for each timing. */
export type Works = (units: number) => Work

/** A unit of one kind is a number, and its result that number plus 10. */
export const resultOf = (n: number): number => n + 10

export const ofNumbers =
  (kind: Pick<Work, "size" | "effect" | "promise" | "callback"> & { readonly retry?: Retry }): Works => (units) => ({
    // Retries are set up also where no unit fails, for those that can.
    retry: withBackoff,
    ...kind,
    bodies: Array.from({ length: units }, (_, n) => n),
    sum: units * (units - 1) / 2 + 10 * units
  })

/** The Effect of a unit that is a promise by nature. */
export const fromPromise = (promise: Work["promise"]): Work["effect"] => (n) => Effect.tryPromise(() => promise(n))
