import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import type { SourceError } from "../HerdError.ts"
import { InvalidUnit, LeaseLost } from "../HerdError.ts"
import type { Claim, Queue, Settled, Settlement } from "../HerdSource.ts"
import type { Outcome } from "../Outcome.ts"
import { ClaimWindow } from "./claimWindow.ts"
import { Condition } from "./condition.ts"
import type { Kept } from "./herd.ts"
import { Job } from "./job.ts"
import type { Keeper } from "./keeper.ts"
import { logOf } from "./log.ts"
import { bounded } from "./longest.ts"
import { Pasts } from "./pasts.ts"
import { Refusals } from "./refusals.ts"
import { cutId } from "./show.ts"
import { sleep } from "./sleep.ts"
import { SourceTally } from "./sourceTally.ts"
import { causeText } from "./sourceText.ts"
import { Trouble } from "./trouble.ts"

/**
 * How long a herd that stops waits for its source to hear the last of it. Leases see to the rest.
 */
const FAREWELL = Duration.seconds(5)

/** How often it is looked what the source has. */
const LOOK = Duration.seconds(5)

/**
 * How often a settlement is refused alone before the herd goes on without proof that the source
 * takes others.
 */
const PATIENCE = 10

const selfInterrupted = "expected the unit to succeed or fail, got interrupted by itself"

/** A unit that is claimed. */
interface Held<In, Out, E> {
  readonly claim: Claim
  /** None if it can't be read. */
  readonly job: Job<In, Out, E> | undefined
  /** What is to become of it, once that is said: the source has not heard it yet. */
  settlement: Settlement | undefined
  /** Its gopher waits for the source to hear it. */
  onKnown: (() => void) | undefined
  /**
   * How many requests with this settlement have failed, and how many had succeeded before the first
   * of these.
   */
  refusals: number
  before: number
}

/**
 * Between a herd and its source. It claims a unit for each gopher that is free, and none beyond; it
 * tells the source what has become of units, of all that have ended in a turn of the event loop at
 * once, and claims the next ones with it; it gives back those that a shrink or a pause leaves
 * without a gopher; and it keeps up the leases.
 *
 * A loop does it: it compares what there is with what should be, takes one step, and looks again.
 * There are several, which share what there is to do, where the source can be asked several things
 * at a time.
 *
 * @internal
 */
export class Custody<In, Out, E> implements Keeper<In, Out, E> {
  private readonly herd: Kept<In, Out, E>
  private readonly queue: Queue
  private readonly clock: Clock.Clock
  private readonly decode: (body: string) => Effect.Effect<In, { readonly message: string }>
  private readonly lease: Duration.Duration
  private readonly loops: number
  private readonly tally: SourceTally
  private readonly trouble: Trouble
  private readonly window = new ClaimWindow()
  private readonly held = new Map<Job<In, Out, E>, Held<In, Out, E>>()
  /**
   * Those whose settlement the source has heard, while their gophers have not: they are about to be
   * free.
   */
  private readonly ending = new Set<Job<In, Out, E>>()
  private readonly pasts = new Pasts()
  /** Those the source is to hear of. */
  private unheard: Array<Held<In, Out, E>> = []
  /** Units whose settlement the source refuses. Their gophers are free. */
  private readonly refused = new Refusals<Held<In, Out, E>>()
  /** How many requests to settle units have succeeded. */
  private settles = 0
  /** A unit was put aside without proof, and no request to settle units has succeeded since. */
  private onTrust = false
  /** How many of those that it is being told of have gophers, which are about to be free. */
  private telling = 0
  /** How many units are being claimed. */
  private asking = 0
  /** The source had fewer units than were asked for, and has not said that there are more. */
  private exhausted = false
  /** A loop waits for the source to say so. */
  private listening = false
  /** The source has failed, and is left alone for a while. */
  private troubled = false
  private over = false

  /** There is something to do for a loop that waits. */
  private readonly stirred = new Condition(() => this.over || (!this.troubled && this.mayAct))

  /** The same for the one that listens, or there is nothing left to listen for. */
  private readonly sated = new Condition(() => this.stirred.holds() || this.wanted <= 0)

  /** There are leases to renew. */
  private readonly holding = new Condition(() => this.over || this.held.size + this.refused.size > 0)

  /** It is over, and the source has heard of all. */
  private readonly finished = new Condition(() => this.over && this.unheard.length === 0)

  constructor(options: {
    readonly herd: Kept<In, Out, E>
    readonly queue: Queue
    readonly clock: Clock.Clock
    readonly decode: (body: string) => Effect.Effect<In, { readonly message: string }>
    readonly lease: Duration.Duration
  }) {
    this.herd = options.herd
    this.queue = options.queue
    this.clock = options.clock
    this.decode = options.decode
    this.lease = options.lease
    this.loops = options.queue.concurrency ?? 1
    this.tally = new SourceTally(this.herd.name)
    this.trouble = new Trouble({ tally: this.tally, log: (level, message) => this.log(level, message) })
  }

  // ---------------------------------------------------------------------------------------------------- what becomes of units

  settled(job: Job<In, Out, E>, outcome: Outcome<In, Out, E>): void {
    this.ending.delete(job)
    const held = this.held.get(job)
    if (held !== undefined) this.conclude(held, this.settlementOf(held.claim, outcome))
  }

  retried(job: Job<In, Out, E>, cause: Cause.Cause<E>, delay: number): void {
    this.ending.delete(job)
    const held = this.held.get(job)
    if (held === undefined) return
    const { claim } = held
    const now = this.clock.unsafeCurrentTimeMillis()
    const firstFailureAt = claim.firstFailureAt ?? now
    this.conclude(held, { _tag: "Retry", claim, at: now + bounded(delay), firstFailureAt, cause: causeText(cause) })
  }

  known(job: Job<In, Out, E>): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const held = this.held.get(job)
      if (held === undefined) return resume(Exit.void)
      held.onKnown = () => resume(Exit.void)
    })
  }

  private settlementOf(claim: Claim, { attempts, exit }: Outcome<In, Out, E>): Settlement {
    if (Exit.isSuccess(exit)) return { _tag: "Ack", claim }
    if (!Cause.isInterruptedOnly(exit.cause)) return { _tag: "Bury", claim, cause: causeText(exit.cause) }
    // One that interrupts itself would do so for ever.
    const begun = attempts >= claim.attempt
    return begun && !this.herd.stopping ? { _tag: "Bury", claim, cause: selfInterrupted } : { _tag: "Release", claim }
  }

  /** The source is to hear of it; what is said first counts. */
  private conclude(held: Held<In, Out, E>, settlement: Settlement): void {
    if (held.settlement !== undefined) return
    held.settlement = settlement
    this.pasts.follow(settlement, held.job?.schedule)
    this.unheard.push(held)
    this.herd.turn.begin()
  }

  // ---------------------------------------------------------------------------------------------------- the loop

  /** How many more units there are gophers for. */
  private get wanted(): number {
    return this.herd.vacancies(this.ending.size + this.telling) - this.asking
  }

  /** How many units wait here for which there are none. */
  private get surplus(): number {
    return -this.herd.vacancies(this.ending.size)
  }

  private get mayAct(): boolean {
    if (this.unheard.length > 0 || this.surplus > 0 || this.refused.due !== undefined) return true
    return this.wanted > 0 && !(this.exhausted && this.listening)
  }

  /** Wakes a loop if there is something to do. */
  private stir(): void {
    this.stirred.checkFirst()
    this.sated.check()
  }

  private readonly step: Effect.Effect<void> = Effect.suspend(() => {
    if (this.troubled && !this.over) return this.stirred.await
    this.giveBack()
    const { due } = this.refused
    if (due !== undefined) return this.retell(due)
    // Each loop takes its share, so that while the source hears of some the gophers of others are
    // given work.
    const told = this.unheard.splice(0, Math.ceil(Math.max(this.held.size, this.unheard.length) / this.loops))
    const running = told.filter(isRunning).length
    this.telling += running
    const wanted = Math.min(this.window.size, Math.max(0, this.wanted))
    if (told.length === 0 && (wanted === 0 || this.exhausted)) return this.rest
    this.asking += wanted
    // There may be a share for the next one.
    this.stirred.checkFirst()
    const settlements = told.flatMap(({ settlement }) => settlement ?? [])
    const asked = settlements.length > 0
      ? this.queue.settle(settlements, wanted)
      : Effect.map(this.queue.claim(wanted), (claimed): Settled => ({ lost: [], claimed }))
    return Effect.matchEffect(this.trouble.ask(asked), {
      onFailure: (error) => {
        this.telling -= running
        this.asking -= wanted
        this.window.failed(wanted)
        return told.length === 0 ? this.pause(error) : this.untold(told, error)
      },
      onSuccess: ({ claimed, lost }) => {
        this.telling -= running
        this.asking -= wanted - claimed.length
        this.trouble.over()
        this.exhausted = claimed.length < wanted
        this.window.claimed(claimed)
        return Effect.zipRight(
          this.heard(told, lost),
          Effect.forEach(claimed, (claim) => this.take(claim), { discard: true })
        )
      }
    })
  })

  /**
   * A request to settle units has failed: either the source can't answer, or it refuses one of the
   * settlements.
   */
  private untold(told: ReadonlyArray<Held<In, Out, E>>, error: SourceError): Effect.Effect<void> {
    for (const held of told) this.countRefusal(held)
    const [first, ...others] = told
    if (first === undefined || told.every(({ refusals }) => refusals < 2)) return this.postpone(told, error)
    if (others.length === 0) return this.untoldAlone(first, error)
    return this.tellAlone([first], {
      // Another one is first next time.
      onFailure: (error) => this.postpone([...others, first], error),
      onSuccess: this.tellParts(others)
    })
  }

  /**
   * Halves until those that are refused are alone. The source has just taken another settlement.
   */
  private tellParts(told: ReadonlyArray<Held<In, Out, E>>): Effect.Effect<void> {
    return this.tellAlone(told, {
      onFailure: (error) => {
        const [first] = told
        if (told.length === 1 && first !== undefined) return this.untoldAlone(first, error)
        const middle = told.length >> 1
        return Effect.zipRight(
          this.tellParts(told.slice(0, middle)),
          Effect.suspend(() => this.tellParts(told.slice(middle)))
        )
      },
      onSuccess: Effect.void
    })
  }

  /** Settles these units and claims no others. */
  private tellAlone(told: ReadonlyArray<Held<In, Out, E>>, then: {
    readonly onFailure: (error: SourceError) => Effect.Effect<void>
    readonly onSuccess: Effect.Effect<void>
  }): Effect.Effect<void> {
    const settlements = told.flatMap(({ settlement }) => settlement ?? [])
    return Effect.matchEffect(this.trouble.ask(this.queue.settle(settlements, 0)), {
      onFailure: (error) => {
        this.tally.failed()
        return then.onFailure(error)
      },
      onSuccess: ({ lost }) => Effect.zipRight(this.heard(told, lost), then.onSuccess)
    })
  }

  private untoldAlone(held: Held<In, Out, E>, error: SourceError): Effect.Effect<void> {
    return this.isRefused(held) ? this.putAside(held, error) : this.postpone([held], error)
  }

  private countRefusal(held: Held<In, Out, E>): void {
    if (held.refusals++ === 0) held.before = this.settles
  }

  /**
   * Whether the source refuses this settlement, which has just failed alone. The proof is that it
   * has taken another one since the first failure. After many failures one unit is put aside
   * without proof, so that a herd with one gopher goes on.
   */
  private isRefused({ before, refusals }: Held<In, Out, E>): boolean {
    if (this.refused.full) return false
    return this.settles > before || (refusals >= PATIENCE && !this.onTrust)
  }

  private postpone(told: ReadonlyArray<Held<In, Out, E>>, error: SourceError): Effect.Effect<void> {
    this.unheard.unshift(...told)
    return this.pause(error)
  }

  /**
   * The herd goes on without this settlement. Its lease is kept up, so that the unit does not run
   * again.
   */
  private putAside(held: Held<In, Out, E>, { message }: SourceError): Effect.Effect<void> {
    if (this.settles === held.before) this.onTrust = true
    this.refused.add(held)
    this.free(held)
    this.holding.check()
    const { attempt, id } = held.claim
    return this.log(
      LogLevel.Warning,
      `expected the source to settle attempt ${attempt} of unit ${cutId(id)}, got a refusal: ${message}; `
        + "the herd goes on, keeps the unit's lease and tries again after 5s, then less and less often"
    )
  }

  /** Tries a settlement again that was put aside. */
  private retell(held: Held<In, Out, E>): Effect.Effect<void> {
    this.refused.add(held)
    return this.tellAlone([held], { onFailure: () => Effect.void, onSuccess: Effect.void })
  }

  /** Units that no gopher is free for go back. */
  private giveBack(): void {
    let { surplus } = this
    if (surplus <= 0) return
    for (const held of this.held.values()) {
      if (surplus <= 0) return
      if (held.job === undefined || !this.herd.withdraw(held.job)) continue
      surplus--
      this.conclude(held, { _tag: "Release", claim: held.claim })
    }
  }

  /**
   * Waits until something is to be done; one of the loops, if units are wanted, for the source to
   * say that there are some.
   */
  private readonly rest: Effect.Effect<void> = Effect.suspend(() => {
    if (this.listening || this.wanted <= 0) return this.stirred.await
    this.listening = true
    const arrival = Effect.matchEffect(this.trouble.ask(this.queue.arrival), {
      onFailure: (error) => this.pause(error),
      onSuccess: () =>
        Effect.sync(() => {
          this.exhausted = false
        })
    })
    return Effect.ensuring(
      Effect.raceFirst(arrival, this.sated.await),
      Effect.sync(() => {
        this.listening = false
      })
    )
  })

  /** All loops leave the source alone. */
  private pause(error: SourceError): Effect.Effect<void> {
    this.troubled = true
    return Effect.ensuring(
      this.failed(error),
      Effect.sync(() => {
        this.troubled = false
        this.stirred.checkFirst()
      })
    )
  }

  /** The source has heard of these; of the lost ones it did not want to. */
  private heard(told: ReadonlyArray<Held<In, Out, E>>, lost: ReadonlyArray<Claim>): Effect.Effect<void> {
    const losing = new Set(lost.map(keyOf))
    if (told.length > 0) {
      this.settles++
      this.onTrust = false
    }
    for (const held of told) {
      // The gopher of one that was put aside is free already.
      if (!this.refused.delete(held)) this.free(held)
    }
    return Effect.forEach(told, ({ claim }) => losing.has(keyOf(claim)) ? this.reportLost(claim) : Effect.void, {
      discard: true
    })
  }

  /** Lets the gopher of a unit go on. */
  private free(held: Held<In, Out, E>): void {
    const { job, onKnown } = held
    if (job === undefined) return
    this.held.delete(job)
    if (isRunning(held)) this.ending.add(job)
    onKnown?.()
  }

  /** A unit has been claimed: brings it to the herd. */
  private take(claim: Claim): Effect.Effect<void> {
    return Effect.matchCause(this.decode(claim.body), {
      onSuccess: (body) => {
        this.asking--
        const { attempt, id, priority } = claim
        const job: Job<In, Out, E> = new Job<In, Out, E>(body, {
          id,
          priority,
          settle: (outcome) => this.settled(job, outcome)
        })
        job.attempts = attempt - 1
        job.schedule = this.pasts.failureOf(claim)
        const held = heldOf(claim, job)
        this.held.set(job, held)
        this.holding.check()
        // It may have closed meanwhile.
        if (!this.herd.enter(job)) this.conclude(held, { _tag: "Release", claim })
      },
      onFailure: (cause) => {
        this.asking--
        const error = new InvalidUnit({
          herd: this.herd.name,
          part: "body",
          expected: "one that its schema decodes",
          given: Option.match(Cause.failureOption(cause), {
            onNone: () => Cause.pretty(cause),
            onSome: ({ message }) => message
          })
        })
        const { attempt, body, id, priority } = claim
        this.herd.refuse({ id, body, attempt, priority }, Cause.die(error))
        this.conclude(heldOf<In, Out, E>(claim, undefined), {
          _tag: "Bury",
          claim,
          cause: causeText(Cause.fail(error))
        })
      }
    })
  }

  /** Whoever waits for the source need not wait for its rest once the herd has stopped. */
  private failed(error: SourceError): Effect.Effect<void> {
    return Effect.raceFirst(this.trouble.with(error), this.finished.await)
  }

  // ---------------------------------------------------------------------------------------------------- leases

  private readonly beat: Effect.Effect<void> = Effect.suspend(() => {
    const claims = [...this.held.values(), ...this.refused.all].map(({ claim }) => claim)
    const third = Duration.times(this.lease, 1 / 3)
    if (claims.length === 0) return Effect.zipRight(this.holding.await, sleep(third))
    return Effect.matchEffect(this.trouble.ask(this.queue.renew(claims)), {
      onSuccess: (lost) => Effect.zipRight(this.lose(lost), sleep(third)),
      onFailure: (error) => Effect.raceFirst(this.failed(error), sleep(third))
    })
  })

  /** Units that are others' by now: what goes on at them here is of no use. */
  private lose(lost: ReadonlyArray<Claim>): Effect.Effect<void> {
    if (lost.length === 0) return Effect.void
    const losing = new Set(lost.map(keyOf))
    const refused = this.refused.all.filter((held) => losing.has(keyOf(held.claim)) && this.refused.delete(held))
    const running = Effect.forEach(Array.from(this.held.values()), ({ claim, job, settlement }) => {
      // Of one that has ended, settling tells.
      if (job === undefined || settlement !== undefined || !losing.has(keyOf(claim))) return Effect.void
      this.held.delete(job)
      return Effect.zipRight(this.reportLost(claim), Effect.forkDaemon(this.herd.cancel(job)))
    }, { discard: true })
    return Effect.zipRight(running, Effect.forEach(refused, ({ claim }) => this.reportLost(claim), { discard: true }))
  }

  /**
   * For the metrics. A source that tells of its changes is asked after one, unless a unit is ready
   * and its wait grows.
   */
  private readonly look: Effect.Effect<void> = Effect.gen(this, function*() {
    const { changes } = this.queue
    const seen = changes === undefined ? 0 : yield* changes.count
    const told = yield* Effect.either(this.trouble.ask(this.queue.depth))
    if (Either.isLeft(told)) yield* this.failed(told.left)
    else this.tally.show(told.right, this.clock.unsafeCurrentTimeMillis())
    if (changes !== undefined && Either.isRight(told) && told.right.ready === 0) yield* changes.after(seen)
    yield* Effect.sleep(LOOK)
  })

  private reportLost({ attempt, id }: Claim): Effect.Effect<void> {
    this.tally.leaseLost()
    return this.log(LogLevel.Warning, new LeaseLost({ herd: this.herd.name, unit: id, attempt }).message)
  }

  // ---------------------------------------------------------------------------------------------------- life

  private running: Fiber.RuntimeFiber<void> | undefined = undefined

  readonly start: Effect.Effect<void> = Effect.suspend(() => {
    this.herd.turn.atEnd(() => this.stir())
    const loop = Effect.whileLoop({
      while: () => !this.finished.holds(),
      body: () => this.step,
      step: () => {}
    })
    const loops = Effect.all(Array.from({ length: this.loops }, () => loop), {
      concurrency: "unbounded",
      discard: true
    })
    const periods = Effect.forever(Effect.map(this.refused.period, () => this.stir()))
    const life = Effect.zipRight(loops, this.lastTry).pipe(
      Effect.raceFirst(Effect.forever(this.beat)),
      Effect.raceFirst(Effect.forever(this.look)),
      Effect.raceFirst(periods)
    )
    return Effect.map(Effect.forkDaemon(Effect.interruptible(life)), (running) => {
      this.running = running
    })
  })

  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    const { running } = this
    if (running === undefined) return Effect.void
    this.over = true
    this.stirred.check()
    this.sated.check()
    this.finished.check()
    return Effect.ensuring(this.ended(running), Effect.sync(() => this.tally.stop()))
  })

  private readonly lastTry: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(this.refused.all, (held) => this.retell(held), { discard: true })
  )

  private ended(running: Fiber.RuntimeFiber<void>): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      // On a fiber of its own: a finalizer can't be interrupted, not even by a time-out.
      const ended = yield* Effect.forkDaemon(Effect.interruptible(Effect.timeoutOption(Fiber.await(running), FAREWELL)))
      if (Option.isNone(yield* Fiber.join(ended))) yield* Fiber.interrupt(running)
      const left = this.held.size + this.refused.size
      if (left === 0) return
      yield* this.log(
        LogLevel.Warning,
        `stopped before the source has heard of ${left} units: they run again once their leases have run out`
      )
    })
  }

  private log(level: LogLevel.LogLevel, message: string): Effect.Effect<void> {
    return logOf(this.herd.name, Effect.logWithLevel(level, message))
  }
}

const heldOf = <In, Out, E>(claim: Claim, job: Job<In, Out, E> | undefined): Held<In, Out, E> => (
  { claim, job, settlement: undefined, onKnown: undefined, refusals: 0, before: 0 }
)

const isRunning = <In, Out, E>({ job }: Held<In, Out, E>): boolean => job?.phase === "running"

const keyOf = ({ id, token }: Claim): string => `${token} ${id}`
