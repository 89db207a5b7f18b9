import * as Duration from "effect/Duration"

/** 100 years of 365.25 days, in milliseconds. Every store has a place for a time that far away. */
const LONGEST = 36_525 * 86_400_000

/**
 * At most 100 years, in milliseconds: what a source is given as a delay, a backoff or a lease.
 *
 * @internal
 */
export const bounded = (millis: number): number => Math.min(millis, LONGEST)

/**
 * The same of a duration. One without an end stays so.
 *
 * @internal
 */
export const boundedDuration = (duration: Duration.Duration): Duration.Duration =>
  Duration.isFinite(duration) ? Duration.millis(bounded(Duration.toMillis(duration))) : duration
