/**
 * What became of a unit of work.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type * as Work from "./Work.ts"

/**
 * The final result of one unit. Every unit that a herd accepts settles in exactly one outcome.
 * Plain data: JSON, a log line and a spread have all of these fields.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Herd } from "gofherd"
 *
 * const program = Effect.gen(function*() {
 *   const herd = yield* Herd.make({ process: (n: number) => n > 2 ? Effect.fail("too large") : Effect.succeed(n * 2) })
 *   yield* herd.sendAll([1, 2, 3])
 *   yield* herd.close
 *   yield* Stream.runForEach(herd.outcomes, (outcome) => Effect.log(outcome.work.body, outcome.status, outcome.exit))
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Outcome<out In, out Out, out E = never> {
  /** The unit as its last attempt saw it. */
  readonly work: Work.Work<In>
  /** What the last attempt ended with. */
  readonly exit: Exit.Exit<Out, E>
  /**
   * `success`, `failure` (it failed or died), or `interrupted` (cancelled, or the scope closed
   * first).
   */
  readonly status: Outcome.Status
  /** How many attempts were made; 0 if the unit never started. */
  readonly attempts: number
  /**
   * Time inside `process`, all attempts together, to the microsecond. By the machine's monotonic
   * clock and not by the `Clock` service.
   */
  readonly duration: Duration.Duration
}

/**
 * @since 0.1.0
 * @category models
 */
export declare namespace Outcome {
  /**
   * @since 0.1.0
   * @category models
   */
  export type Status = "success" | "failure" | "interrupted"
}

/**
 * One failed attempt that is going to be retried: what `onRetry` is given.
 *
 * @since 0.1.0
 * @category models
 */
export interface Retry<out In, out E> {
  /** The attempt that failed. */
  readonly work: Work.Work<In>
  /** What it failed with. */
  readonly cause: Cause.Cause<E>
  /** Always `retry`. */
  readonly status: "retry"
  /** How long the unit waits before it enters the queue again, by the Schedule. */
  readonly delay: Duration.Duration
}
