import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as LogLevel from "effect/LogLevel"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type {
  Control,
  Herd,
  HerdHistory,
  HerdState,
  Options,
  ResizeOptions,
  SendAllOptions,
  SendOptions
} from "../Herd.ts"
import type { HerdClosed } from "../HerdError.ts"
import { InvalidOption, InvalidSize } from "../HerdError.ts"
import type { Outcome } from "../Outcome.ts"
import type { Work } from "../Work.ts"
import { Attempts } from "./attempts.ts"
import { Backlog } from "./backlog.ts"
import { Callers } from "./callers.ts"
import { changesOf } from "./changes.ts"
import { readNow } from "./check.ts"
import { Condition } from "./condition.ts"
import { Crew } from "./crew.ts"
import { ForkWatch, watchingForks } from "./forks.ts"
import type { Gopher, Host as GopherHost } from "./gopher.ts"
import { live, liveWith } from "./gopher.ts"
import { History } from "./history.ts"
import type { Worker } from "./inside.ts"
import type { Host as IntakeHost } from "./intake.ts"
import { Intake } from "./intake.ts"
import type { Job, Unit } from "./job.ts"
import type { Keeper } from "./keeper.ts"
import { LastingState } from "./lasting.ts"
import { logOf } from "./log.ts"
import { freeName, takeName } from "./names.ts"
import type { Settings } from "./options.ts"
import { isSize, validate } from "./options.ts"
import { Outcomes } from "./outcomes.ts"
import { Resources } from "./resources.ts"
import { SelfWaiting } from "./selfWaiting.ts"
import { cutId, show } from "./show.ts"
import { inTime } from "./sleep.ts"
import { Tally } from "./tally.ts"
import { Turn } from "./turn.ts"

/** Throws for `Effect.suspend` to make a defect of it. */
const modeOf = (options: ResizeOptions): "graceful" | "interrupt" => {
  const { mode = "graceful" } = readNow(options, ({ mode }) => ({ mode }))
  if (mode === "graceful" || mode === "interrupt") return mode
  throw new InvalidOption({ option: "mode", expected: `"graceful" or "interrupt"`, given: show(mode) })
}

/** How many ids of units that were left over are logged. */
const LOGGED_IDS = 10

/**
 * A herd whose units are kept elsewhere, as their keeper sees it: it has them for a while.
 *
 * @internal
 */
export interface Kept<In, Out, E> extends Herd<In, Out, E> {
  readonly turn: Turn
  /** The scope closes: what runs is interrupted. */
  readonly stopping: boolean
  /**
   * How many more units could begin, once so many others have ended; below 0, how many of those
   * that wait are too many.
   */
  vacancies(ending: number): number
  /** Takes a unit in, unless it is closed. */
  enter(job: Job<In, Out, E>): boolean
  /** Gives a unit back that has not begun. */
  withdraw(job: Job<In, Out, E>): boolean
  /** A unit that can't be read has failed. */
  refuse(work: Work<unknown>, cause: Cause.Cause<never>): void
  /** Interrupts a unit at once. The result waits until that is done. */
  cancel(job: Job<In, Out, E>): Effect.Effect<void>
}

/** Who keeps the units of a herd, given the herd, which is not made yet. */
type KeeperOf<In, Out, E> = (herd: Kept<In, Out, E>) => Keeper<In, Out, E>

/**
 * The parts of a herd put together, behind the public interface. All state is plain and
 * synchronous, since there is one thread: Effects are there to run the user's code, to suspend and
 * to be interrupted.
 */
class HerdImpl<In, Out, E, R> implements Kept<In, Out, E>, GopherHost<In, Out, E, R>, IntakeHost<In, Out, E> {
  readonly name: string
  readonly queue: Queue.Queue<Unit<In, Out, E>>
  readonly attempts: Attempts<In, Out, E, R>
  private readonly settings: Settings<In, Out, E, R>
  readonly tracing: boolean
  readonly callers: Callers
  private readonly forks: ForkWatch
  private readonly runtime: Runtime.Runtime<R>
  readonly backlog: Backlog<In, Out, E>
  private readonly crew: Crew<In, Out, E>
  readonly resources: Resources<In, Out, E>
  readonly turn: Turn
  private readonly tally: Tally
  private readonly keeper: Keeper<In, Out, E> | undefined
  private readonly past = new History()
  private readonly buffer: Outcomes<Outcome<In, Out, E>> | undefined
  private readonly unread: LastingState | undefined
  private readonly selfWaiting = new SelfWaiting()
  private readonly stuck: LastingState
  private readonly intake: Intake<In, Out, E>
  private paused = false
  private drained = false
  private stopped = false

  constructor(parts: {
    readonly settings: Settings<In, Out, E, R>
    readonly runtime: Runtime.Runtime<R>
    readonly queue: Queue.Queue<Unit<In, Out, E>>
    readonly backlog: Backlog<In, Out, E>
    readonly turn: Turn
    readonly keeperOf: KeeperOf<In, Out, E> | undefined
  }) {
    const { backlog, runtime, settings, turn } = parts
    this.name = settings.name
    this.settings = settings
    this.tracing = settings.tracing
    this.callers = new Callers(runtime)
    this.forks = new ForkWatch((parent) => this.crew.forked(parent))
    this.runtime = watchingForks(runtime, this.forks)
    this.queue = parts.queue
    this.backlog = backlog
    this.turn = turn
    this.tally = new Tally(this.name)
    this.keeper = parts.keeperOf?.(this)
    this.buffer = settings.outcomes === undefined
      ? undefined
      : new Outcomes({ capacity: settings.outcomes, onTaken: () => this.outcomesTaken() })
    const { buffer } = this
    this.unread = buffer && new LastingState({
      state: () => buffer.full ? buffer.reads : undefined,
      fork: (effect) => this.fork(effect),
      warn: () =>
        this.log(
          LogLevel.Warning,
          `nothing starts, because ${buffer.length} outcomes are unread: read \`outcomes\`, or set outcomes: "discard"`
        )
    })
    this.stuck = new LastingState({
      state: () => this.selfWaiting.isAll(this.crew.size) ? true : undefined,
      fork: (effect) => this.fork(effect),
      warn: () =>
        this.log(
          LogLevel.Warning,
          `nothing starts, because all ${this.selfWaiting.size} gophers wait for units that they run in this herd: `
            + "send them instead, run them in a herd of their own, or raise the size"
        )
    })
    this.changes = changesOf({ turn, state: () => this.snapshot(), stopped: () => this.stopped })
    this.intake = new Intake<In, Out, E>(this)
    const minimumLogLevel = FiberRefs.getOrDefault(runtime.fiberRefs, FiberRef.currentMinimumLogLevel)
    this.attempts = new Attempts<In, Out, E, R>({
      settings,
      name: this.name,
      traced: LogLevel.lessThanEqual(minimumLogLevel, LogLevel.Trace),
      backlog,
      outcomes: this.buffer,
      tally: this.tally,
      history: this.past,
      turn,
      keeper: this.keeper,
      fork: (effect) => this.fork(effect),
      replaces: (gopher) => this.crew.replaces(gopher),
      onStarted: () => this.crew.signal(),
      onSettled: () => this.checkEnd()
    })
    this.crew = new Crew<In, Out, E>({
      resident: settings.worker.gopher !== undefined,
      ready: () => this.mayStart() && !turn.over && backlog.available > 0 && !this.heldUp(),
      born: (gopher) => this.fork(this.lifeOf(gopher)),
      died: (gopher, exit) => {
        turn.begin()
        this.attempts.abandoned(gopher, exit)
      },
      askForTurn: () => turn.begin()
    })
    this.resources = new Resources({
      crew: this.crew,
      tally: this.tally,
      turn,
      log: (level, message, cause) => this.log(level, message, cause)
    })
  }

  // ---------------------------------------------------------------------------------------------------- giving work

  // Those of the public interface are functions of their own, so that they can be taken out:
  // `const { run } = yield* Crawler`.

  readonly send = (body: In, options?: SendOptions): Effect.Effect<void, HerdClosed> => this.intake.send(body, options)

  readonly sendAll = (bodies: Iterable<In>, options?: SendAllOptions): Effect.Effect<void, HerdClosed> =>
    this.intake.sendAll(bodies, options)

  readonly trySend = (body: In, options?: SendOptions): Effect.Effect<boolean, HerdClosed> =>
    this.intake.trySend(body, options)

  readonly run = (body: In, options?: SendOptions): Effect.Effect<Out, E | HerdClosed> => this.intake.run(body, options)

  readonly stream = <E2, R2>(input: Stream.Stream<In, E2, R2>): Stream.Stream<Outcome<In, Out, E>, E2, R2> =>
    this.intake.stream(input)

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    if (this.backlog.closed) return Effect.void
    this.backlog.close()
    this.turn.begin()
    this.checkEnd()
    return this.log(LogLevel.Debug, "closed")
  })

  cancel(job: Job<In, Out, E>): Effect.Effect<void> {
    switch (job.phase) {
      case "new":
        job.withdraw?.()
        return Effect.void
      case "settled":
        return Effect.void
      case "queued":
        this.backlog.discard(job)
        break
      case "retrying":
        this.attempts.backoffs.discard(job)
        this.backlog.refill()
        break
      case "running": {
        job.cancelled = true
        const gopher = job.gopher
        if (gopher?.fiber === undefined) return Effect.void
        this.crew.interrupt(gopher)
        return Fiber.await(gopher.fiber)
      }
    }
    this.attempts.interruptWaiting(job)
    this.crew.signal()
    return Effect.void
  }

  // ---------------------------------------------------------------------------------------------------- units of a keeper

  get stopping(): boolean {
    return this.attempts.stopping
  }

  vacancies(ending: number): number {
    const begins = !this.paused && !this.backlog.closed && !this.attempts.stopping
    return (begins ? this.crew.free(this.attempts.running, ending) : 0) - this.queued
  }

  enter(job: Job<In, Out, E>): boolean {
    return !this.backlog.closed && Queue.unsafeOffer(this.queue, job)
  }

  withdraw(job: Job<In, Out, E>): boolean {
    if (job.phase !== "queued") return false
    this.backlog.discard(job)
    this.attempts.leave(job)
    return true
  }

  refuse(work: Work<unknown>, cause: Cause.Cause<never>): void {
    this.attempts.refuse(work, cause)
  }

  // ---------------------------------------------------------------------------------------------------- results

  get outcomes(): Stream.Stream<Outcome<In, Out, E>> {
    return this.buffer === undefined
      ? Stream.execute(this.awaitDrained)
      : Stream.repeatEffectChunkOption(this.buffer.take)
  }

  /** Who has read an outcome finds it in the metrics too. */
  private outcomesTaken(): void {
    this.flush()
    this.crew.signal()
  }

  /** Nothing starts while its outcome would find no room. */
  private heldUp(): boolean {
    if (this.buffer === undefined || !this.buffer.full) return false
    this.unread?.check()
    return true
  }

  runsInside(gopher: Worker): () => void {
    const returned = this.selfWaiting.runs(gopher)
    this.stuck.check()
    return returned
  }

  // ---------------------------------------------------------------------------------------------------- size

  readonly size: Effect.Effect<number> = Effect.sync(() => this.crew.size)

  get maxSize(): number {
    return this.settings.maxSize
  }

  readonly resize = (size: number, options?: ResizeOptions): Effect.Effect<void, InvalidSize> =>
    Effect.suspend(() => {
      const from = this.crew.size
      const mode = options === undefined ? "graceful" : modeOf(options)
      if (!isSize(size, this.settings.maxSize)) return this.invalidSize(show(size))
      if (size !== from) {
        this.tally.resized()
        this.past.resized(from, size + 0, mode)
      }
      this.crew.resize(size + 0, mode === "interrupt")
      this.turn.begin()
      return size === from ? Effect.void : this.log(LogLevel.Debug, `resized from ${from} to ${size}`)
    })

  readonly grow = (by: number): Effect.Effect<void, InvalidSize> =>
    Effect.suspend(() =>
      isSize(by, Infinity) ? this.resize(this.crew.size + by) : this.invalidSize(`${this.crew.size} + ${show(by)}`)
    )

  readonly shrink = (by: number): Effect.Effect<void, InvalidSize> =>
    Effect.suspend(() =>
      isSize(by, Infinity) ? this.resize(this.crew.size - by) : this.invalidSize(`${this.crew.size} - ${show(by)}`)
    )

  get settled(): Effect.Effect<void> {
    return this.crew.settled.await
  }

  readonly pause: Effect.Effect<void> = Effect.suspend(() => this.setPaused(true))

  readonly resume: Effect.Effect<void> = Effect.suspend(() => this.setPaused(false))

  private setPaused(paused: boolean): Effect.Effect<void> {
    if (this.paused === paused) return Effect.void
    this.paused = paused
    this.turn.begin()
    this.crew.signal()
    return this.log(LogLevel.Debug, paused ? "paused" : "resumed")
  }

  private invalidSize(given: string): InvalidSize {
    return new InvalidSize({ herd: this.name, given, size: this.crew.size, maxSize: this.settings.maxSize })
  }

  private mayStart(): boolean {
    return !this.paused && !this.attempts.stopping && this.attempts.running < this.crew.size
  }

  freeGophers(): number {
    return this.mayStart() && !this.heldUp() ? this.crew.free(this.attempts.running + this.attempts.backoffs.size) : 0
  }

  /** How many more units than those that run and those in their backoff the size allows. */
  get places(): number {
    return this.crew.size - this.attempts.running - this.attempts.backoffs.size
  }

  // ---------------------------------------------------------------------------------------------------- gophers

  wants(gopher: Gopher<In, Out, E>): boolean {
    return this.crew.wants(gopher)
  }

  park(gopher: Gopher<In, Out, E>, wake: () => void): boolean {
    // The keeper may have a unit for it.
    if (this.keeper !== undefined) this.turn.begin()
    return this.crew.park(gopher, wake, this.backlog.available > 0)
  }

  private lifeOf(gopher: Gopher<In, Out, E>): Effect.Effect<void, never, R> {
    const { worker } = this.settings
    return worker.gopher === undefined ? live(this, gopher, worker.process) : liveWith(this, gopher, worker.gopher)
  }

  // ---------------------------------------------------------------------------------------------------- watching

  readonly state: Effect.Effect<HerdState> = Effect.sync(() => this.snapshot())

  readonly changes: Stream.Stream<HerdState>

  readonly history: Effect.Effect<HerdHistory> = Effect.sync(() => this.past.read())

  get awaitIdle(): Effect.Effect<void> {
    return this.idle.await
  }

  get awaitDrained(): Effect.Effect<void> {
    return this.end.await
  }

  private readonly idle = new Condition(() =>
    this.allSettled && this.backlog.surplusSize() === 0 && this.intake.entering === 0
  )

  private readonly end = new Condition(() => this.drained)

  private get allSettled(): boolean {
    return this.backlog.accepted === this.tally.settled
  }

  private snapshot(): HerdState {
    return {
      name: this.name,
      size: this.crew.size,
      live: this.crew.live,
      running: this.attempts.running,
      queued: this.queued,
      retrying: this.attempts.backoffs.size,
      senders: this.backlog.surplusSize(),
      accepted: this.backlog.accepted,
      succeeded: this.tally.succeeded,
      retried: this.tally.retried,
      failed: this.tally.failed,
      interrupted: this.tally.interrupted,
      paused: this.paused,
      closed: this.backlog.closed,
      drained: this.drained
    }
  }

  checkEnd(): void {
    if (!this.backlog.closed && !this.idle.awaited) return
    if (!this.allSettled) return
    this.flush()
    this.idle.check()
    if (!this.backlog.closed || this.drained) return
    this.drained = true
    this.buffer?.end(Exit.void)
    this.end.check()
    this.fork(this.log(LogLevel.Debug, "drained"))
  }

  signal(): void {
    this.crew.signal()
  }

  sendersChanged(): void {
    this.turn.begin()
    this.checkEnd()
  }

  private endOfTurn(): void {
    this.flush()
    this.past.tell()
    if (this.buffer?.flush(this.turn.wasOver) === true) this.turn.begin()
    this.crew.endOfTurn()
  }

  flush(): void {
    this.tally.flush({
      size: this.crew.size,
      running: this.attempts.running,
      queued: this.queued,
      retrying: this.attempts.backoffs.size,
      senders: this.backlog.surplusSize(),
      paused: this.paused
    })
  }

  private get queued(): number {
    return this.backlog.waiting
  }

  // ---------------------------------------------------------------------------------------------------- life

  readonly start: Effect.Effect<void> = Effect.suspend(() => {
    this.turn.atEnd(() => this.endOfTurn())
    this.crew.resize(this.settings.size, false)
    this.flush()
    const made = this.log(LogLevel.Debug, `made, with size ${this.settings.size}`)
    return this.keeper === undefined ? made : Effect.zipRight(made, this.keeper.start)
  })

  private grace: Fiber.Fiber<unknown> | undefined

  readonly drain: Effect.Effect<void> = Effect.suspend(() => {
    const { gracePeriod } = this.settings
    if (Duration.toMillis(gracePeriod) === 0) return this.close
    // On a fiber of its own: a finalizer can't be interrupted, not even by a time-out.
    const grace = this.grace ??= this.fork(inTime(this.awaitDrained, gracePeriod))
    return Effect.zipRight(this.close, Fiber.await(grace))
  })

  /** What the closing of the scope does. */
  readonly stop: Effect.Effect<void> = Effect.gen(this, function*() {
    yield* this.drain
    this.attempts.stopping = true
    const left = this.backlog.accepted - this.tally.settled
    const running = this.crew.workIds
    yield* this.crew.disband
    this.forks.stop()
    const waiting = this.attempts.interruptAll(LOGGED_IDS)
    this.checkEnd()
    if (left > 0) {
      const ids = [...running, ...waiting].slice(0, LOGGED_IDS).map((id) => cutId(id)).join(", ")
      yield* this.log(
        LogLevel.Warning,
        `stopped with ${left} units left over, now ${this.keeper === undefined ? "interrupted" : "given back"}: ${ids}${
          left > LOGGED_IDS ? ", …" : ""
        }`
      )
    }
    if (this.keeper !== undefined) yield* this.keeper.stop
    this.unread?.stop()
    this.stuck.stop()
    this.stopped = true
    this.crew.resize(0, false)
    this.flush()
    this.tally.stop()
    freeName(this.name)
    this.turn.begin()
  })

  private fork<A, E1>(effect: Effect.Effect<A, E1, R>): Fiber.RuntimeFiber<A, E1> {
    // Not at once: the caller is in the middle of changing its state.
    return Runtime.runFork(this.runtime)(effect, { immediate: false })
  }

  private log(level: LogLevel.LogLevel, message: string, cause?: Cause.Cause<unknown>): Effect.Effect<void> {
    const line = cause === undefined ? Effect.logWithLevel(level, message) : Effect.logWithLevel(level, message, cause)
    return logOf(this.name, line)
  }
}

/**
 * @internal
 */
export const make = <In, Out, E, R, RRetry, RCallback>(
  options: Options<In, Out, E, R, RRetry, RCallback>,
  defaultName = "herd"
): Effect.Effect<Herd<In, Out, E>, never, R | RRetry | RCallback | Scope.Scope> =>
  Effect.flatMap(
    Effect.orDie(validate(options, defaultName)),
    (settings) => Effect.map(makeWith(settings, undefined), publicOf)
  )

/** What users get of a herd: plain data with the public members and nothing else. */
const publicOf = <In, Out, E>(herd: Herd<In, Out, E>): Herd<In, Out, E> => ({
  ...publicControlOf(herd),
  send: herd.send,
  sendAll: herd.sendAll,
  trySend: herd.trySend,
  run: herd.run,
  stream: herd.stream,
  close: herd.close,
  outcomes: herd.outcomes
})

/**
 * The same, of what an operator may see and do.
 *
 * @internal
 */
export const publicControlOf = (herd: Control): Control => ({
  name: herd.name,
  size: herd.size,
  maxSize: herd.maxSize,
  resize: herd.resize,
  grow: herd.grow,
  shrink: herd.shrink,
  settled: herd.settled,
  pause: herd.pause,
  resume: herd.resume,
  state: herd.state,
  changes: herd.changes,
  history: herd.history,
  awaitIdle: herd.awaitIdle,
  awaitDrained: herd.awaitDrained,
  drain: herd.drain
})

/**
 * A herd whose units are kept by somebody else.
 *
 * @internal
 */
export const makeWith = <In, Out, E, R>(
  settings: Settings<In, Out, E, R>,
  keeperOf: KeeperOf<In, Out, E> | undefined
): Effect.Effect<Kept<In, Out, E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    // Taken out here, since gophers inherit what is set, and acquiring is uninterruptible.
    const runtime = yield* interruptibleRuntime<R>()
    return yield* Effect.acquireRelease(
      Effect.tap(assemble(settings, runtime, keeperOf), (herd) => herd.start),
      (herd) => herd.stop
    )
  })

const assemble = <In, Out, E, R>(
  settings: Settings<In, Out, E, R>,
  runtime: Runtime.Runtime<R>,
  keeperOf: KeeperOf<In, Out, E> | undefined
): Effect.Effect<HerdImpl<In, Out, E, R>> =>
  Effect.gen(function*() {
    const turn = new Turn()
    const backlog: Backlog<In, Out, E> = new Backlog<In, Out, E>({
      capacity: settings.capacity,
      retrying: () => herd.attempts.backoffs.size,
      places: () => herd.places,
      now: () => turn.now,
      onWork: () => herd.signal(),
      onSenders: () => herd.sendersChanged()
    })
    const queue = yield* Queue.make<Unit<In, Out, E>>(backlog, backlog)
    const named = { ...settings, name: takeName(settings.name) }
    const herd = new HerdImpl<In, Out, E, R>({ settings: named, runtime, queue, backlog, turn, keeperOf })
    return herd
  })

const interruptibleRuntime = <R>(): Effect.Effect<Runtime.Runtime<R>, never, R> =>
  Effect.map(
    Effect.runtime<R>(),
    ({ context, fiberRefs, runtimeFlags }) =>
      Runtime.make({ context, fiberRefs, runtimeFlags: RuntimeFlags.enable(runtimeFlags, RuntimeFlags.Interruption) })
  )
