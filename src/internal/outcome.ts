import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { Outcome } from "../Outcome.ts"
import type { Work } from "../Work.ts"

/**
 * An outcome: plain data, so that a spread, a log line and JSON have all of it.
 *
 * @internal
 */
export const outcomeOf = <In, Out, E>(
  work: Work<In>,
  exit: Exit.Exit<Out, E>,
  attempts: number,
  millis: number
): Outcome<In, Out, E> => ({ work, exit, status: statusOf(exit), attempts, duration: durationOf(millis) })

const statusOf = (exit: Exit.Exit<unknown, unknown>): Outcome.Status => {
  if (Exit.isSuccess(exit)) return "success"
  return Cause.isInterruptedOnly(exit.cause) ? "interrupted" : "failure"
}

/**
 * Durations of less than a millisecond, by their microseconds: those of small units, for which
 * making one would cost too much.
 */
const short: Array<Duration.Duration> = []

const durationOf = (millis: number): Duration.Duration => {
  const micros = Math.round(millis * 1_000)
  return micros < 1_000 ? short[micros] ??= Duration.millis(micros / 1_000) : Duration.millis(micros / 1_000)
}
