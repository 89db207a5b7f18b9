import type * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import type { Outcome } from "../Outcome.ts"
import type { Job } from "./job.ts"

/**
 * Who keeps the units of a herd, if not the herd itself: it hears what becomes of each, and where
 * there are two things to say of one attempt the first of them counts. Units that it has for the
 * herd have a `Job`, with its `settled` as their `settle`.
 *
 * @internal
 */
export interface Keeper<In, Out, E> {
  /** The unit has settled. */
  settled(job: Job<In, Out, E>, outcome: Outcome<In, Out, E>): void
  /** The unit is to be attempted again, so many milliseconds from now, wherever that will be. */
  retried(job: Job<In, Out, E>, cause: Cause.Cause<E>, delay: number): void
  /** Waits until it has been written down what has become of the unit. */
  known(job: Job<In, Out, E>): Effect.Effect<void>
  /** The herd has started: it may be given units. */
  readonly start: Effect.Effect<void>
  /** The herd has stopped: nothing more is to be heard of it. */
  readonly stop: Effect.Effect<void>
}
