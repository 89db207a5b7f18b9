import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Herd, HerdState, Options, ResizeOptions, SendAllOptions, SendOptions } from "../Herd.ts"
import { HerdClosed, InvalidOption, InvalidSize } from "../HerdError.ts"
import type { Outcome } from "../Outcome.ts"
import { Attempts } from "./attempts.ts"
import type { Nothing } from "./backlog.ts"
import { Backlog } from "./backlog.ts"
import { Condition } from "./condition.ts"
import { Crew } from "./crew.ts"
import type { Gopher, Host } from "./gopher.ts"
import { live, liveWith } from "./gopher.ts"
import type { Unit } from "./job.ts"
import { Job } from "./job.ts"
import { freeName, takeName } from "./names.ts"
import type { Settings } from "./options.ts"
import { isSize, validate } from "./options.ts"
import { Outcomes } from "./outcomes.ts"
import { show } from "./show.ts"
import { streamThrough } from "./stream.ts"
import { Tally } from "./tally.ts"
import { Turn } from "./turn.ts"

/** How many units a `sendAll` enters at a time. */
const BATCH = 1024

/** How long outcomes may hold up the gophers before the herd says so. */
const UNREAD = Duration.seconds(1)

/** How many ids of units that were left over are logged. */
const LOGGED_IDS = 10

/**
 * The parts of a herd put together, behind the public interface. All state is plain and synchronous, since there is one
 * thread: Effects are there to run the user's code, to suspend and to be interrupted.
 */
class HerdImpl<In, Out, E, R> implements Herd<In, Out, E>, Host<In, Out, E, R> {
  readonly name: string
  readonly queue: Queue.Queue<Unit<In, Out, E> | Nothing>
  readonly attempts: Attempts<In, Out, E, R>
  private readonly options: Options<In, Out, E, R>
  private readonly settings: Settings
  private readonly runtime: Runtime.Runtime<R>
  private readonly backlog: Backlog<In, Out, E>
  private readonly crew: Crew<In, Out, E>
  private readonly turn: Turn
  private readonly tally: Tally
  private readonly buffer: Outcomes<Outcome<In, Out, E>> | undefined
  private readonly turnEnds = new Set<() => void>()
  private paused = false
  private drained = false
  /** Goes up with each turn that changed something. */
  private version = 0
  private unreadWatch: Fiber.RuntimeFiber<void> | undefined = undefined
  private unreadWarned = false

  constructor(parts: {
    readonly options: Options<In, Out, E, R>
    readonly settings: Settings
    readonly runtime: Runtime.Runtime<R>
    readonly queue: Queue.Queue<Unit<In, Out, E> | Nothing>
    readonly backlog: Backlog<In, Out, E>
    readonly turn: Turn
  }) {
    const { backlog, options, runtime, settings, turn } = parts
    this.name = settings.name
    this.options = options
    this.settings = settings
    this.runtime = runtime
    this.queue = parts.queue
    this.backlog = backlog
    this.turn = turn
    this.tally = new Tally(this.name)
    this.buffer = settings.outcomes === undefined
      ? undefined
      : new Outcomes({ capacity: settings.outcomes, onTaken: () => this.crew.signal() })
    const minimumLogLevel = FiberRefs.getOrDefault(runtime.fiberRefs, FiberRef.currentMinimumLogLevel)
    this.attempts = new Attempts<In, Out, E, R>({
      hooks: options,
      name: this.name,
      traced: LogLevel.lessThanEqual(minimumLogLevel, LogLevel.Trace),
      backlog,
      outcomes: this.buffer,
      tally: this.tally,
      turn,
      fork: (effect) => this.fork(effect),
      mayStart: (gopher) => !gopher.retired && this.mayStart(),
      onStarted: () => this.crew.signal(),
      onSettled: () => this.checkEnd()
    })
    this.crew = new Crew<In, Out, E>({
      resident: options.gopher !== undefined,
      ready: () => this.mayStart() && !turn.over && backlog.available > 0 && !this.heldUp(),
      born: (gopher) => this.fork(this.lifeOf(gopher)),
      died: (gopher, exit) => this.attempts.abandoned(gopher, exit)
    })
  }

  // ---------------------------------------------------------------------------------------------------- giving work

  send(body: In, options?: SendOptions): Effect.Effect<void, HerdClosed> {
    return Effect.suspend(() => {
      const unit = this.unit(body, options)
      if (this.backlog.closed) return this.closed(0)
      if (Queue.unsafeOffer(this.queue, unit)) return Exit.void
      return Effect.flatMap(Queue.offer(this.queue, unit), (accepted) => accepted ? Exit.void : this.closed(0))
    })
  }

  sendAll(bodies: Iterable<In>, options?: SendAllOptions): Effect.Effect<void, HerdClosed> {
    return Effect.suspend(() => {
      const iterator = bodies[Symbol.iterator]()
      return this.enterAll(() => {
        const next = iterator.next()
        return next.done === true ? undefined : { unit: this.unit(next.value, options) }
      }, () => iterator.return?.())
    })
  }

  trySend(body: In, options?: SendOptions): Effect.Effect<boolean, HerdClosed> {
    return Effect.suspend(() => {
      const unit = this.unit(body, options)
      if (this.backlog.closed) return this.closed(0)
      return Effect.succeed(this.backlog.lending(this.freeGophers, () => Queue.unsafeOffer(this.queue, unit)))
    })
  }

  run(body: In, options?: SendOptions): Effect.Effect<Out, E | HerdClosed> {
    return Effect.async<Out, E | HerdClosed>((resume) => {
      const job = this.job(body, options, ({ exit }) => {
        this.flush()
        resume(exit)
      })
      if (this.backlog.closed) return resume(this.closed(0))
      const withdraw = Queue.unsafeOffer(this.queue, job) ? undefined : this.backlog.wait([job], (accepted) => {
        if (!accepted) resume(this.closed(0))
      })
      return Effect.suspend(() => {
        withdraw?.()
        return this.cancel(job)
      })
    })
  }

  stream<E2, R2>(input: Stream.Stream<In, E2, R2>): Stream.Stream<Outcome<In, Out, E>, E2, R2> {
    return streamThrough({
      enter: (jobs: ReadonlyArray<Job<In, Out, E>>) => {
        let next = 0
        return this.enterAll(() => {
          const unit = jobs[next++]
          return unit === undefined ? undefined : { unit }
        })
      },
      cancel: (job: Job<In, Out, E>) => this.cancel(job),
      onTurn: (flush: () => void) => this.atTurnEnd(flush)
    }, input)
  }

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    if (this.backlog.closed) return Effect.void
    this.backlog.close()
    this.turn.begin()
    this.checkEnd()
    return this.log(LogLevel.Debug, "closed")
  })

  /** Enters units as there is room, until there are no more; asks for the next one only when it can. */
  private enterAll(
    next: () => { readonly unit: Unit<In, Out, E> } | undefined,
    onEnd?: () => void
  ): Effect.Effect<void, HerdClosed> {
    let accepted = 0
    let exhausted = false
    const batch = () => {
      const units: Array<Unit<In, Out, E>> = []
      // One more than fits suspends this fiber until the queue is refilled.
      for (let room = Math.max(1, Math.min(BATCH, this.backlog.room)); room > 0; room--) {
        const entry = next()
        exhausted = entry === undefined
        if (entry === undefined) break
        units.push(entry.unit)
      }
      return units
    }
    const entering = Effect.whileLoop({
      while: () => !exhausted,
      body: () => {
        if (this.backlog.closed) return this.closed(accepted)
        const units = batch()
        if (units.length === 0) return Exit.void
        return Effect.flatMap(Queue.offerAll(this.queue, units), (all) => {
          if (!all) return this.closed(accepted)
          accepted += units.length
          return Exit.void
        })
      },
      step: () => {}
    })
    return onEnd === undefined ? entering : Effect.ensuring(
      entering,
      Effect.sync(() => {
        if (!exhausted) onEnd()
      })
    )
  }

  /** Most units are their bare body; a `Job` is made for those that the herd has to remember more of. */
  private unit(body: In, options: SendOptions | undefined): Unit<In, Out, E> {
    const plain = options === undefined || (options.id === undefined && options.priority === undefined)
    return plain && !this.settings.tracing ? body : this.job(body, options, undefined)
  }

  private job(
    body: In,
    options: SendOptions | undefined,
    settle: ((outcome: Outcome<In, Out, E>) => void) | undefined
  ): Job<In, Out, E> {
    const { id, priority = 0 } = options ?? {}
    if (!Number.isFinite(priority)) {
      throw new InvalidOption({ option: "priority", expected: "a finite number", given: show(priority) })
    }
    if (id !== undefined && typeof id !== "string") {
      throw new InvalidOption({ option: "id", expected: "a string", given: show(id) })
    }
    const parent = this.settings.tracing ? Option.getOrUndefined(Fiber.getCurrentFiber())?.currentSpan : undefined
    return new Job<In, Out, E>(body, { id, priority, parent, settle })
  }

  private cancel(job: Job<In, Out, E>): Effect.Effect<void> {
    return Effect.suspend(() => {
      switch (job.phase) {
        case "new":
        case "settled":
          return Effect.void
        case "queued":
          this.backlog.discard(job)
          break
        case "retrying":
          this.attempts.backoffs.discard(job)
          this.backlog.refill()
          break
        case "taken":
          job.cancelled = true
          return Effect.void
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
    })
  }

  private closed(accepted: number): Effect.Effect<never, HerdClosed> {
    return Effect.fail(new HerdClosed({ herd: this.name, accepted }))
  }

  // ---------------------------------------------------------------------------------------------------- results

  get outcomes(): Stream.Stream<Outcome<In, Out, E>> {
    return this.buffer === undefined
      ? Stream.execute(this.awaitDrained)
      : Stream.repeatEffectChunkOption(this.buffer.take)
  }

  /** Nothing starts while its outcome would find no room. */
  private heldUp(): boolean {
    if (this.buffer === undefined || !this.buffer.full) return false
    if (this.unreadWatch === undefined && !this.unreadWarned) this.watchUnread(this.buffer, this.buffer.reads)
    return true
  }

  private watchUnread(buffer: Outcomes<Outcome<In, Out, E>>, reads: number): void {
    this.unreadWatch = this.fork(Effect.zipRight(
      Effect.sleep(UNREAD),
      Effect.suspend(() => {
        this.unreadWatch = undefined
        if (!buffer.full) return Effect.void
        if (buffer.reads !== reads) return Effect.sync(() => this.watchUnread(buffer, buffer.reads))
        this.unreadWarned = true
        return this.log(
          LogLevel.Warning,
          `nothing starts, because ${buffer.length} outcomes are unread: read \`outcomes\`, or set outcomes: "discard"`
        )
      })
    ))
  }

  // ---------------------------------------------------------------------------------------------------- size

  readonly size: Effect.Effect<number> = Effect.sync(() => this.crew.size)

  resize(size: number, options?: ResizeOptions): Effect.Effect<void, InvalidSize> {
    return Effect.suspend(() => {
      const from = this.crew.size
      if (!isSize(size, this.settings.maxSize)) return this.invalidSize(show(size))
      if (size !== from) this.tally.resized()
      this.crew.resize(size + 0, options?.mode === "interrupt")
      this.turn.begin()
      return size === from ? Effect.void : this.log(LogLevel.Debug, `resized from ${from} to ${size}`)
    })
  }

  grow(by: number): Effect.Effect<void, InvalidSize> {
    return Effect.suspend(() =>
      isSize(by, Infinity) ? this.resize(this.crew.size + by) : this.invalidSize(`${this.crew.size} + ${show(by)}`)
    )
  }

  shrink(by: number): Effect.Effect<void, InvalidSize> {
    return Effect.suspend(() =>
      isSize(by, Infinity) ? this.resize(this.crew.size - by) : this.invalidSize(`${this.crew.size} - ${show(by)}`)
    )
  }

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

  private get freeGophers(): number {
    return this.mayStart() && !this.heldUp() ? this.crew.size - this.attempts.running : 0
  }

  // ---------------------------------------------------------------------------------------------------- gophers

  wants(gopher: Gopher<In, Out, E>): boolean {
    return this.crew.wants(gopher) && !this.turn.spent()
  }

  park(gopher: Gopher<In, Out, E>, wake: () => void): boolean {
    return this.crew.park(gopher, wake, this.backlog.available > 0)
  }

  acquireFailed(cause: Cause.Cause<never>, failures: number): Effect.Effect<void> {
    const delay = Duration.millis(Math.min(30_000, 100 * 2 ** (failures - 1)))
    this.tally.acquireFailed()
    const message = `a gopher failed to acquire its resource ${failures} times, next attempt in ${
      Duration.format(delay)
    }`
    return Effect.zipRight(this.log(LogLevel.Warning, message, cause), Effect.sleep(delay))
  }

  private lifeOf(gopher: Gopher<In, Out, E>): Effect.Effect<void, never, R> {
    return this.options.gopher === undefined
      ? live(this, gopher, this.options.process)
      : liveWith(this, gopher, this.options.gopher)
  }

  // ---------------------------------------------------------------------------------------------------- watching

  readonly state: Effect.Effect<HerdState> = Effect.sync(() => this.snapshot())

  readonly changes: Stream.Stream<HerdState> = Stream.unwrapScoped(Effect.suspend(() => {
    let seen = -1
    const changed = new Condition(() => this.version !== seen || this.stopped)
    const next: Effect.Effect<HerdState, Option.Option<never>> = Effect.suspend(() => {
      if (this.version !== seen) {
        seen = this.version
        return Effect.succeed(this.snapshot())
      }
      return this.stopped ? Effect.fail(Option.none()) : Effect.zipRight(changed.await, next)
    })
    return Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => this.atTurnEnd(() => changed.check())),
        (stop) => Effect.sync(stop)
      ),
      Stream.repeatEffectOption(next)
    )
  }))

  get awaitIdle(): Effect.Effect<void> {
    return this.idle.await
  }

  get awaitDrained(): Effect.Effect<void> {
    return this.end.await
  }

  private readonly idle = new Condition(() => this.backlog.accepted === this.tally.settled)

  private readonly end = new Condition(() => this.drained)

  private snapshot(): HerdState {
    return {
      name: this.name,
      size: this.crew.size,
      live: this.crew.live,
      running: this.attempts.running,
      queued: this.backlog.waiting + this.backlog.taken,
      retrying: this.attempts.backoffs.size,
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

  private checkEnd(): void {
    if (!this.backlog.closed && !this.idle.awaited) return
    if (!this.idle.holds()) return
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

  endOfTurn(): void {
    this.version++
    this.flush()
    this.buffer?.flush()
    for (const atEnd of this.turnEnds) atEnd()
    this.crew.signal()
  }

  private atTurnEnd(atEnd: () => void): () => void {
    this.turnEnds.add(atEnd)
    return () => {
      this.turnEnds.delete(atEnd)
    }
  }

  private flush(): void {
    this.tally.flush(this.snapshot())
  }

  // ---------------------------------------------------------------------------------------------------- life

  private stopped = false

  readonly start: Effect.Effect<void> = Effect.suspend(() => {
    this.crew.resize(this.settings.size, false)
    this.flush()
    return this.log(LogLevel.Debug, `made, with size ${this.settings.size}`)
  })

  /** What the closing of the scope does. */
  readonly stop: Effect.Effect<void> = Effect.gen(this, function*() {
    yield* this.close
    if (Duration.toMillis(this.settings.gracePeriod) > 0) {
      // On a fiber of its own: a finalizer can't be interrupted, not even by a time-out.
      yield* Fiber.await(this.fork(Effect.asVoid(Effect.timeoutOption(this.awaitDrained, this.settings.gracePeriod))))
    }
    this.attempts.stopping = true
    const left = this.backlog.accepted - this.tally.settled
    const running = this.crew.workIds
    yield* this.crew.disband
    const waiting = this.interruptWaiting(LOGGED_IDS)
    this.checkEnd()
    if (left > 0) {
      const ids = [...running, ...waiting].slice(0, LOGGED_IDS).join(", ")
      yield* this.log(
        LogLevel.Warning,
        `stopped with ${left} units left over, now interrupted: ${ids}${left > LOGGED_IDS ? ", …" : ""}`
      )
    }
    this.unreadWatch?.unsafeInterruptAsFork(this.unreadWatch.id())
    this.stopped = true
    this.crew.resize(0, false)
    this.endOfTurn()
    freeName(this.name)
    yield* Queue.shutdown(this.queue)
  })

  /**
   * Settles as interrupted what no gopher has, and returns the first ids. Outcomes that nobody waits for are made when they
   * are read: there may be a million of them.
   */
  private interruptWaiting(logged: number): ReadonlyArray<string> {
    const ids: Array<string> = []
    const unclaimed: Array<Unit<In, Out, E>> = []
    for (const waiting of [...this.attempts.backoffs.stop(), ...this.backlog.pollUpTo(Infinity)]) {
      const unit = ids.length < logged ? this.attempts.named(waiting) : waiting
      if (unit instanceof Job && ids.length < logged) ids.push(unit.id ?? "")
      if (unit instanceof Job && unit.settle !== undefined) this.attempts.interruptWaiting(unit)
      else unclaimed.push(unit)
    }
    this.tally.interrupted += unclaimed.length
    this.buffer?.end(Exit.void, this.attempts.interruptedOutcomes(unclaimed))
    return ids
  }

  private fork<A, E1>(effect: Effect.Effect<A, E1, R>): Fiber.RuntimeFiber<A, E1> {
    // Not at once: the caller is in the middle of changing its state.
    return Runtime.runFork(this.runtime)(effect, { immediate: false })
  }

  private log(level: LogLevel.LogLevel, message: string, cause?: Cause.Cause<unknown>): Effect.Effect<void> {
    const line = cause === undefined ? Effect.logWithLevel(level, message) : Effect.logWithLevel(level, message, cause)
    return Effect.annotateLogs(line, "herd", this.name)
  }
}

/**
 * @internal
 */
export const make = <In, Out, E, R, RRetry, RCallback>(
  options: Options<In, Out, E, R, RRetry, RCallback>
): Effect.Effect<Herd<In, Out, E>, never, R | RRetry | RCallback | Scope.Scope> =>
  Effect.gen(function*() {
    const settings = yield* Effect.orDie(validate(options))
    // Taken here and not where the herd is acquired, which is uninterruptible: gophers inherit it.
    const runtime = yield* interruptibleRuntime<R | RRetry | RCallback>()
    const named = { ...settings, name: takeName(settings.name) }
    const turn: Turn = new Turn(() => herd.endOfTurn())
    const backlog: Backlog<In, Out, E> = new Backlog<In, Out, E>({
      capacity: settings.capacity,
      retrying: () => herd.attempts.backoffs.size,
      now: () => turn.now,
      onWork: () => herd.signal()
    })
    const queue = yield* Queue.make<Unit<In, Out, E> | Nothing>(backlog, backlog)
    const herd = new HerdImpl<In, Out, E, R | RRetry | RCallback>({
      options,
      settings: named,
      runtime,
      queue,
      backlog,
      turn
    })
    yield* Effect.acquireRelease(herd.start, () => herd.stop)
    return herd
  })

const interruptibleRuntime = <R>(): Effect.Effect<Runtime.Runtime<R>, never, R> =>
  Effect.map(
    Effect.runtime<R>(),
    ({ context, fiberRefs, runtimeFlags }) =>
      Runtime.make({ context, fiberRefs, runtimeFlags: RuntimeFlags.enable(runtimeFlags, RuntimeFlags.Interruption) })
  )
