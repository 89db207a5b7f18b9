import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { Outcome } from "../Outcome.ts"
import type { Work } from "../Work.ts"

/**
 * An outcome that works out its status and duration when asked, since most readers ask for neither.
 *
 * @internal
 */
export class OutcomeImpl<In, Out, E> implements Outcome<In, Out, E> {
  readonly work: Work<In>
  readonly exit: Exit.Exit<Out, E>
  readonly attempts: number
  readonly millis: number

  constructor(work: Work<In>, exit: Exit.Exit<Out, E>, attempts: number, millis: number) {
    this.work = work
    this.exit = exit
    this.attempts = attempts
    this.millis = millis
  }

  get status(): Outcome.Status {
    return Exit.isSuccess(this.exit) ? "success" : Cause.isInterruptedOnly(this.exit.cause) ? "interrupted" : "failure"
  }

  get duration(): Duration.Duration {
    return Duration.millis(this.millis)
  }
}
