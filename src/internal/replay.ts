import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"

/**
 * Which attempt of a unit has failed: what can be kept of a Schedule's state.
 *
 * @internal
 */
export class Failure {
  /** 1 for the first attempt. */
  readonly attempt: number
  /** When the first attempt failed that did, in epoch milliseconds; `undefined` if it is this one. */
  readonly firstAt: number | undefined

  constructor(attempt: number, firstAt: number | undefined) {
    this.attempt = attempt
    this.firstAt = firstAt
  }
}

/**
 * A Schedule that can begin in the middle. The state of one can't be stored, but it can be come by again: begun with a `Failure`, it
 * makes the steps of the attempts before, each with the error of now and at the time at which the step before it let the next
 * attempt begin.
 *
 * So a Schedule that looks at its inputs sees the last one for all of them, and a jittered delay is rolled anew.
 *
 * @internal
 */
export const resumable = <In, R>(schedule: Schedule.Schedule<unknown, In, R>): Schedule.Schedule<unknown, In, R> =>
  Schedule.makeWithState<unknown, In, unknown, R>(
    schedule.initial,
    (now, input, state) => {
      if (!(state instanceof Failure)) return schedule.step(now, input, state)
      const { attempt, firstAt = now } = state
      return Effect.gen(function*() {
        let state = schedule.initial
        let at = firstAt
        for (let step = 1;; step++) {
          // The last step is made at the time that it is.
          const made = yield* schedule.step(step === attempt ? now : Math.min(at, now), input, state)
          const [next, , decision] = made
          if (step === attempt || ScheduleDecision.isDone(decision)) return made
          at = ScheduleIntervals.start(decision.intervals)
          state = next
        }
      })
    }
  )
