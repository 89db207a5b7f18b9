import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"

/** The most steps that are replayed for one failure. They take 1 to 10 ms. */
const MOST_STEPS = 1_000

/**
 * How far a Schedule has gone with a unit.
 *
 * @internal
 */
export class Past {
  /** The number of steps made. */
  readonly steps: number
  /** The Schedule's own state after them. */
  readonly state: unknown
  /** When the last step let the next attempt begin, in epoch milliseconds. */
  readonly at: number

  constructor(steps: number, state: unknown, at: number) {
    this.steps = steps
    this.state = state
    this.at = at
  }
}

/**
 * Which attempt of a unit has failed: the part of a Schedule's state that a source can keep.
 *
 * @internal
 */
export class Failure {
  /** 1 for the first attempt. */
  readonly attempt: number
  /**
   * When an attempt failed first, in epoch milliseconds. `undefined` if this failure is the first.
   */
  readonly firstAt: number | undefined
  /** How far the Schedule has gone with the unit, if this process remembers it. */
  readonly past: Past | undefined

  constructor(attempt: number, firstAt: number | undefined, past?: Past) {
    this.attempt = attempt
    this.firstAt = firstAt
    this.past = past
  }
}

/**
 * A Schedule that can begin in the middle. The state of a Schedule can't be stored, but it can be
 * replayed. Given a `Failure`, the Schedule makes the steps that are missing since `past`, or since
 * the beginning. Each has the error of now, and the time at which the step before let the next
 * attempt begin. The last step has the time of now.
 *
 * At most `MOST_STEPS` steps are replayed for one failure. The next failure replays the next ones.
 *
 * @internal
 */
export const resumable = <In, R>(schedule: Schedule.Schedule<unknown, In, R>): Schedule.Schedule<unknown, In, R> =>
  Schedule.makeWithState<Past | Failure, In, unknown, R>(
    new Past(0, schedule.initial, 0),
    (now, input, given) => {
      const past = given instanceof Past
        ? given
        : given.past ?? new Past(0, schedule.initial, given.firstAt ?? now)
      const attempt = given instanceof Past ? given.steps + 1 : given.attempt
      const last = Math.min(attempt, past.steps + MOST_STEPS + 1)
      return Effect.gen(function*() {
        let { at, state, steps } = past
        for (;;) {
          steps++
          const [next, out, decision] = yield* schedule.step(steps < last ? Math.min(at, now) : now, input, state)
          const isDone = ScheduleDecision.isDone(decision)
          at = isDone ? now : ScheduleIntervals.start(decision.intervals)
          if (isDone || steps >= last) return [new Past(steps, next, at), out, decision]
          state = next
        }
      })
    }
  )
