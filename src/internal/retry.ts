import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import { Heap } from "./heap.ts"
import type { Job } from "./job.ts"
import { sleep } from "./sleep.ts"
import { SteadyTime } from "./steadyTime.ts"

/**
 * What the Schedule says of a failed attempt: again, at a time, or give up.
 *
 * @internal
 */
export type Decision =
  | { readonly _tag: "Again"; readonly state: unknown; readonly at: number; readonly delay: number }
  | { readonly _tag: "GiveUp" }

const giveUp: Decision = { _tag: "GiveUp" }

/**
 * One step of the Schedule for one unit, as `Effect.retry` does it: only a typed failure is
 * retried, never a defect or an interruption.
 *
 * @internal
 */
export const decide = <E, R>(
  schedule: Schedule.Schedule<unknown, E, R>,
  state: unknown,
  cause: Cause.Cause<E>,
  time: SteadyTime
): Effect.Effect<Decision, never, R> => {
  const failure = Cause.failureOrCause(cause)
  if (Either.isRight(failure)) return Effect.succeed(giveUp)
  return Effect.clockWith((clock) => {
    const now = clock.unsafeCurrentTimeMillis()
    return Effect.map(
      schedule.step(now, failure.left, state === undefined ? schedule.initial : state),
      ([state, , decision]): Decision => {
        if (ScheduleDecision.isDone(decision)) return giveUp
        const wait = ScheduleIntervals.start(decision.intervals) - now
        // Neither a time that has passed nor one that is none is waited for.
        const delay = wait > 0 ? wait : 0
        return { _tag: "Again", state, at: time.read(clock) + delay, delay }
      }
    )
  })
}

/**
 * The units that wait for their backoff: one heap behind one sleeping fiber, however many they are.
 *
 * @internal
 */
export class Backoffs<In, Out, E> {
  /** Units that wait. */
  size = 0
  /** The time that they are due in. */
  readonly time = new SteadyTime()
  private readonly heap = new Heap<Job<In, Out, E>>((self, that) =>
    self.due === that.due ? self.turn < that.turn : self.due < that.due
  )
  private ever = 0
  private sleeper: { readonly until: number; readonly fiber: Fiber.RuntimeFiber<void> } | undefined = undefined
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  private readonly onDue: (job: Job<In, Out, E>) => void

  constructor(options: {
    readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
    /** A unit's backoff is over. */
    readonly onDue: (job: Job<In, Out, E>) => void
  }) {
    this.fork = options.fork
    this.onDue = options.onDue
  }

  add(job: Job<In, Out, E>, due: number): void {
    job.phase = "retrying"
    job.due = due
    job.turn = this.ever++
    this.size++
    this.heap.push(job)
    if (this.sleeper === undefined || due < this.sleeper.until) this.sleep(due)
  }

  /** A job that waits is cancelled. It stays where it is and is passed over. */
  discard(job: Job<In, Out, E>): void {
    job.phase = "settled"
    this.size--
    this.heap.prune(this.size, (job) => job.phase === "retrying")
  }

  /** Wakes nobody any more, and hands out what waits. */
  stop(): Array<Job<In, Out, E>> {
    this.wake()
    const jobs: Array<Job<In, Out, E>> = []
    for (let job = this.heap.pop(); job !== undefined; job = this.heap.pop()) {
      if (job.phase === "retrying") jobs.push(job)
    }
    this.size = 0
    return jobs
  }

  private sleep(until: number): void {
    this.wake()
    const fiber = this.fork(Effect.clockWith((clock) =>
      Effect.zipRight(
        sleep(until - this.time.read(clock)),
        Effect.sync(() => this.due(this.time.atLeast(until, clock)))
      )
    ))
    this.sleeper = { until, fiber }
  }

  private wake(): void {
    this.sleeper?.fiber.unsafeInterruptAsFork(FiberId.none)
    this.sleeper = undefined
  }

  private due(now: number): void {
    this.sleeper = undefined
    for (let job = this.heap.peek(); job !== undefined; job = this.heap.peek()) {
      if (job.phase === "retrying") {
        if (job.due > now) return this.sleep(job.due)
        this.size--
        this.heap.pop()
        this.onDue(job)
      } else {
        this.heap.pop()
      }
    }
  }
}
