import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type { Process } from "../Herd.ts"
import type { Outcome } from "../Outcome.ts"
import type { Work } from "../Work.ts"
import type { Backlog } from "./backlog.ts"
import type { Gopher } from "./gopher.ts"
import type { History } from "./history.ts"
import type { Unit } from "./job.ts"
import { Job } from "./job.ts"
import type { Keeper } from "./keeper.ts"
import { logOf } from "./log.ts"
import { noEffect } from "./noEffect.ts"
import type { Settings } from "./options.ts"
import { outcomeOf } from "./outcome.ts"
import type { Outcomes } from "./outcomes.ts"
import { Backoffs, decide } from "./retry.ts"
import type { Tally } from "./tally.ts"
import type { Turn } from "./turn.ts"

/** There is nothing to run: an Exit is an Effect that has ended. */
const isEnded = <A, E, R>(effect: Effect.Effect<A, E, R>): effect is Effect.Effect<A, E, R> & Exit.Exit<A, E> =>
  Exit.isExit(effect)

/** With what the gopher's unit inherits of its caller. */
const within = <In, Out, E, A, E2, R>(gopher: Gopher<In, Out, E>, effect: Effect.Effect<A, E2, R>) =>
  gopher.job?.within === undefined ? effect : gopher.job.within(effect)

const interruption = Cause.interrupt(FiberId.none)

/**
 * What becomes of a unit once a gopher has taken it: an attempt, perhaps a backoff and another
 * attempt, and one outcome.
 *
 * @internal
 */
export class Attempts<In, Out, E, R> {
  /** Units inside `process`. */
  running = 0
  /** The scope closes: nothing starts any more, and nothing goes back. */
  stopping = false
  readonly backoffs: Backoffs<In, Out, E>
  private numbered = 0
  private readonly settings: Settings<In, Out, E, R>
  private readonly plain: boolean
  private readonly traced: boolean
  private readonly name: string
  private readonly backlog: Backlog<In, Out, E>
  private readonly outcomes: Outcomes<Outcome<In, Out, E>> | undefined
  private readonly tally: Tally
  private readonly history: History
  private readonly turn: Turn
  private readonly keeper: Keeper<In, Out, E> | undefined
  private readonly replaces: (gopher: Gopher<In, Out, E>) => boolean
  private readonly onStarted: () => void
  private readonly onSettled: () => void

  constructor(options: {
    readonly settings: Settings<In, Out, E, R>
    readonly name: string
    /** Log a line per unit. */
    readonly traced: boolean
    readonly backlog: Backlog<In, Out, E>
    readonly outcomes: Outcomes<Outcome<In, Out, E>> | undefined
    readonly tally: Tally
    readonly history: History
    readonly turn: Turn
    /** Who keeps the units, if that is not the herd. */
    readonly keeper: Keeper<In, Out, E> | undefined
    readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
    /** If the gopher ends now, does a fresh one follow? */
    readonly replaces: (gopher: Gopher<In, Out, E>) => boolean
    readonly onStarted: () => void
    readonly onSettled: () => void
  }) {
    this.settings = options.settings
    this.name = options.name
    this.traced = options.traced
    this.keeper = options.keeper
    this.plain = !options.traced && !options.settings.tracing && options.settings.onSuccess === undefined
      && options.keeper === undefined
    this.backlog = options.backlog
    this.outcomes = options.outcomes
    this.tally = options.tally
    this.history = options.history
    this.turn = options.turn
    this.replaces = options.replaces
    this.onStarted = options.onStarted
    this.onSettled = options.onSettled
    this.backoffs = new Backoffs({
      fork: options.fork,
      onDue: (job) => this.backlog.again(job)
    })
  }

  // ---------------------------------------------------------------------------------------------------- attempt

  /**
   * The gopher begins the unit. `succeeded` or `failed` is called with the end of the result,
   * unless that has ended the unit already.
   */
  start(
    gopher: Gopher<In, Out, E>,
    process: Process<In, Out, E, R>,
    unit: Unit<In, Out, E>
  ): Effect.Effect<Out | void, E, R> {
    const job = Job.is(unit) ? unit : undefined
    const work = this.begin(gopher, unit, job)
    this.onStarted()
    let attempt: Effect.Effect<Out, E, R>
    try {
      attempt = process(work.body, work)
    } catch (error) {
      // Effect would look at it, which a Proxy may answer by throwing again.
      attempt = Effect.die(error)
    }
    if (this.plain && isEnded(attempt) && Exit.isSuccess(attempt)) {
      this.settle(gopher, this.conclude(gopher, attempt))
      return Exit.void
    }
    if (!Effect.isEffect(attempt)) {
      return noEffect("process", attempt)
    }
    gopher.touched = true
    return this.plain && job?.within === undefined ? attempt : this.decorate(gopher, work, attempt)
  }

  succeeded(gopher: Gopher<In, Out, E>, value: Out): void {
    if (gopher.finish === undefined) return this.settle(gopher, this.conclude(gopher, Exit.succeed(value)))
    // The callback took its time, too.
    this.turn.look()
    gopher.finish()
  }

  failed(gopher: Gopher<In, Out, E>, cause: Cause.Cause<E>): Effect.Effect<void, never, R> {
    // Not in a unit: a fault of the loop itself. Let the fiber end with it, and be replaced.
    if (gopher.work === undefined) return Effect.die(Cause.squash(cause))
    gopher.touched = true
    if (this.settings.retry === undefined || this.isPoison(gopher)) return this.giveUp(gopher, cause)
    const decision = decide(this.settings.retry, gopher.job?.schedule, cause, this.backoffs.time)
    return Effect.matchCauseEffect(within(gopher, decision), {
      // A Schedule that dies has not answered: the unit fails, and both are told.
      onFailure: (death) => this.giveUp(gopher, Cause.sequential(cause, death)),
      onSuccess: (decision) =>
        decision._tag === "GiveUp" ? this.giveUp(gopher, cause) : this.again(gopher, cause, decision)
    })
  }

  /** Has the unit been at work on as many gophers while they broke as it may? */
  private isPoison(gopher: Gopher<In, Out, E>): boolean {
    return gopher.broken && gopher.work !== undefined && ++this.jobOf(gopher, gopher.work).crashes >= gopher.maxCrashes
  }

  /** The gopher's fiber has ended, perhaps in the middle of a unit. */
  abandoned(gopher: Gopher<In, Out, E>, exit: Exit.Exit<void>): void {
    if (gopher.work === undefined) return
    if (gopher.finish !== undefined) return gopher.finish()
    if (gopher.putBack && !this.stopping && gopher.job?.cancelled !== true) {
      const job = this.jobOf(gopher, gopher.work)
      this.release(gopher)
      return this.backlog.putBack(job)
    }
    const cause = Exit.isFailure(exit) ? exit.cause : interruption
    this.settle(gopher, this.conclude(gopher, Exit.failCause(cause)))
  }

  /** A unit that no gopher has is not going to be processed. */
  interruptWaiting(job: Job<In, Out, E>): void {
    job.phase = "settled"
    this.deliver(this.interrupted(job), job)
  }

  /**
   * Settles as interrupted what no gopher has, for good, and returns the first so many ids.
   * Outcomes that nobody waits for are made when they are read: there may be a million of them.
   */
  interruptAll(named: number): ReadonlyArray<string> {
    const ids: Array<string> = []
    const unclaimed: Array<Unit<In, Out, E>> = []
    for (let unit of [...this.backoffs.stop(), ...this.backlog.pollUpTo(Infinity)]) {
      if (ids.length < named) {
        const job = Job.is(unit) ? unit : new Job<In, Out, E>(unit, { id: undefined, priority: 0 })
        ids.push(job.id ??= this.number())
        unit = job
      }
      if (Job.is(unit) && unit.settle !== undefined) this.interruptWaiting(unit)
      else unclaimed.push(unit)
    }
    this.tally.interrupted += unclaimed.length
    this.outcomes?.end(Exit.void, this.interruptedOutcomes(unclaimed))
    return ids
  }

  private *interruptedOutcomes(units: ReadonlyArray<Unit<In, Out, E>>): Generator<Outcome<In, Out, E>> {
    for (const unit of units) yield this.interrupted(unit)
  }

  private interrupted(unit: Unit<In, Out, E>): Outcome<In, Out, E> {
    const job = Job.is(unit) ? unit : undefined
    const work: Work<In> = {
      id: job?.id ?? this.number(),
      body: Job.is(unit) ? unit.body : unit,
      attempt: Math.max(1, job?.attempts ?? 0),
      priority: job?.priority ?? 0
    }
    return outcomeOf<In, Out, E>(work, Exit.failCause(interruption), job?.attempts ?? 0, job?.millis ?? 0)
  }

  private number(): string {
    return String(++this.numbered)
  }

  private begin(gopher: Gopher<In, Out, E>, unit: Unit<In, Out, E>, job: Job<In, Out, E> | undefined): Work<In> {
    this.running++
    const now = this.turn.look()
    this.tally.waited(Math.max(0, now - this.backlog.entered))
    gopher.startedAt = now
    gopher.job = job
    if (job !== undefined) {
      job.phase = "running"
      job.gopher = gopher
      job.id ??= this.number()
    }
    gopher.begun++
    return gopher.work = {
      id: job?.id ?? this.number(),
      body: Job.is(unit) ? unit.body : unit,
      attempt: 1 + (job?.attempts ?? 0),
      priority: job?.priority ?? 0
    }
  }

  /** Adds what the options ask for beside the attempt itself. */
  private decorate(
    gopher: Gopher<In, Out, E>,
    work: Work<In>,
    process: Effect.Effect<Out, E, R>
  ): Effect.Effect<Out, E, R> {
    let attempt = process
    if (this.settings.tracing) {
      attempt = Effect.withSpan(attempt, "gofherd.attempt", {
        parent: gopher.job?.parent,
        root: gopher.job?.parent === undefined,
        captureStackTrace: false,
        attributes: { "gofherd.herd": this.name, "gofherd.work.id": work.id, "gofherd.work.attempt": work.attempt }
      })
    }
    attempt = within(gopher, attempt)
    if (this.traced) {
      const name = `attempt ${work.attempt} at unit ${work.id}`
      attempt = Effect.zipRight(
        this.annotated(Effect.logTrace(`${name} starts`)),
        Effect.onExit(attempt, (exit) => this.annotated(Effect.logTrace(`${name} ends: ${exit._tag}`)))
      )
    }
    const { onSuccess } = this.settings
    if (onSuccess === undefined && this.keeper === undefined) return attempt
    return Effect.flatMap(attempt, (value) => {
      const outcome = this.conclude(gopher, Exit.succeed(value))
      gopher.finish = () => this.settle(gopher, outcome)
      const steps = this.steps(
        gopher,
        "onSuccess",
        onSuccess && (() => onSuccess(outcome)),
        this.keeping(gopher, (keeper, job) => keeper.settled(job, outcome))
      )
      return steps === undefined ? Effect.succeed(value) : Effect.as(steps, value)
    })
  }

  // ---------------------------------------------------------------------------------------------------- again

  private again(
    gopher: Gopher<In, Out, E>,
    cause: Cause.Cause<E>,
    decision: { readonly state: unknown; readonly at: number; readonly delay: number }
  ): Effect.Effect<void, never, R> {
    const work = gopher.work as Work<In>
    const job = this.jobOf(gopher, work)
    const millis = this.measure(gopher)
    const { keeper } = this
    this.tally.retried++
    job.schedule = decision.state
    gopher.finish = () => {
      this.release(gopher)
      if (keeper !== undefined) {
        keeper.retried(job, cause, decision.delay)
        return this.leave(job)
      }
      job.attempts++
      job.millis += millis
      if (job.cancelled || this.stopping) return this.interruptWaiting(job)
      if (decision.delay === 0) return this.backlog.again(job)
      this.backoffs.add(job, decision.at)
    }
    const { onRetry } = this.settings
    return this.conclusion(
      gopher,
      "onRetry",
      onRetry && (() => onRetry({ work, cause, status: "retry", delay: Duration.millis(decision.delay) })),
      this.keeping(gopher, (keeper, job) => keeper.retried(job, cause, decision.delay))
    )
  }

  /** The unit is its keeper's again, and none of this herd's. */
  leave(job: Job<In, Out, E>): void {
    job.phase = "settled"
    job.settle = undefined
    this.backlog.accepted--
    this.turn.begin()
    this.onSettled()
  }

  /** A unit that its keeper had for the herd could not be read: it has failed, at this attempt. */
  refuse(work: Work<unknown>, cause: Cause.Cause<never>): void {
    this.backlog.accepted++
    this.tally.failed++
    this.history.failed(outcomeOf(work, Exit.failCause(cause), work.attempt, 0))
    this.turn.begin()
    this.onSettled()
  }

  /**
   * Tells the keeper of the gopher's unit, if there is one, and waits until what keeps it knows.
   */
  private keeping(
    gopher: Gopher<In, Out, E>,
    tell: (keeper: Keeper<In, Out, E>, job: Job<In, Out, E>) => void
  ): Effect.Effect<void> | undefined {
    const { keeper } = this
    const { job } = gopher
    if (keeper === undefined || job === undefined) return undefined
    return Effect.suspend(() => {
      tell(keeper, job)
      return keeper.known(job)
    })
  }

  private giveUp(gopher: Gopher<In, Out, E>, cause: Cause.Cause<E>): Effect.Effect<void, never, R> {
    const outcome = this.conclude(gopher, Exit.failCause(cause))
    gopher.finish = () => this.settle(gopher, outcome)
    const { onFailure } = this.settings
    const call = outcome.status === "failure" && onFailure ? () => onFailure(outcome) : undefined
    const keeping = this.keeping(gopher, (keeper, job) => keeper.settled(job, outcome))
    const done = this.conclusion(gopher, "onFailure", call, keeping)
    const defect = Cause.dieOption(cause)
    if (this.settings.worker.gopher === undefined || Option.isNone(defect)) return done
    // The resource may be what broke. The fiber ends with the defect, its scope hears of it, and a
    // fresh gopher follows.
    const dying = Effect.zipRight(done, Effect.die(defect.value))
    if (!this.replaces(gopher)) return dying
    this.tally.replaced()
    const message = `a gopher is replaced, since its unit ${outcome.work.id} died`
    return done.pipe(
      Effect.zipRight(this.annotated(Effect.logInfo(message, cause))),
      Effect.zipRight(Effect.die(defect.value))
    )
  }

  /** The callback and the keeping, if there are such, and then what ends the attempt. */
  private conclusion(
    gopher: Gopher<In, Out, E>,
    name: string,
    call: (() => Effect.Effect<void, never, R>) | undefined,
    keeping: Effect.Effect<void> | undefined
  ): Effect.Effect<void, never, R> {
    const steps = this.steps(gopher, name, call, keeping)
    if (steps === undefined) {
      gopher.finish?.()
      return Effect.void
    }
    return Effect.andThen(steps, () => {
      // They took their time, too.
      this.turn.look()
      gopher.finish?.()
    })
  }

  /**
   * What comes between an attempt and its end: the callback first, since what keeps the unit may
   * forget it then.
   */
  private steps(
    gopher: Gopher<In, Out, E>,
    name: string,
    call: (() => Effect.Effect<void, never, R>) | undefined,
    keeping: Effect.Effect<void> | undefined
  ): Effect.Effect<void, never, R> | undefined {
    if (call === undefined) return keeping
    const callback = this.callback(gopher, name, call)
    return keeping === undefined ? callback : Effect.zipRight(callback, keeping)
  }

  private callback(
    gopher: Gopher<In, Out, E>,
    name: string,
    call: () => Effect.Effect<void, never, R>
  ): Effect.Effect<void, never, R> {
    return Effect.catchAllCause(
      Effect.suspend(() => {
        let effect: Effect.Effect<void, never, R>
        try {
          effect = call()
        } catch (error) {
          return Effect.die(error)
        }
        return Effect.isEffect(effect) ? within(gopher, effect) : noEffect(name, effect)
      }),
      (cause) => this.annotated(Effect.logWarning(`${name} failed, which changes nothing for the unit`, cause))
    )
  }

  // ---------------------------------------------------------------------------------------------------- end

  /** Settles the gopher's unit. */
  private settle(gopher: Gopher<In, Out, E>, outcome: Outcome<In, Out, E>): void {
    const job = gopher.job
    this.release(gopher)
    if (job !== undefined) job.phase = "settled"
    this.deliver(outcome, job)
  }

  /** Counts the outcome and brings it to the place its sender chose. */
  private deliver(outcome: Outcome<In, Out, E>, job: Job<In, Out, E> | undefined): void {
    const { status } = outcome
    if (status === "success") this.tally.succeeded++
    else if (status === "interrupted") this.tally.interrupted++
    else {
      this.tally.failed++
      this.history.failed(outcome)
    }
    this.turn.begin()
    const settle = job?.settle
    if (job !== undefined && settle !== undefined) {
      job.settle = undefined
      job.within = undefined
      settle(outcome)
    } else {
      this.outcomes?.push(outcome)
    }
    this.onSettled()
  }

  private conclude(gopher: Gopher<In, Out, E>, exit: Exit.Exit<Out, E>): Outcome<In, Out, E> {
    const job = gopher.job
    const millis = this.measure(gopher)
    return outcomeOf(gopher.work as Work<In>, exit, 1 + (job?.attempts ?? 0), millis + (job?.millis ?? 0))
  }

  private measure(gopher: Gopher<In, Out, E>): number {
    const millis = this.turn.look() - gopher.startedAt
    this.tally.attempt(millis)
    return millis
  }

  private release(gopher: Gopher<In, Out, E>): void {
    this.turn.begin()
    this.running--
    if (!gopher.broken) gopher.proven = true
    gopher.work = undefined
    gopher.finish = undefined
    if (gopher.job !== undefined) gopher.job.gopher = undefined
    gopher.job = undefined
  }

  private jobOf(gopher: Gopher<In, Out, E>, work: Work<In>): Job<In, Out, E> {
    return gopher.job ??= new Job<In, Out, E>(work.body, { id: work.id, priority: work.priority })
  }

  private annotated(log: Effect.Effect<void>): Effect.Effect<void> {
    return logOf(this.name, log)
  }
}
