/**
 * A real herd, and everybody around it: units that do as they are told, senders, callers, readers
 * and an operator. It looks at the guarantees from within, whenever a unit starts or ends.
 */
import {
  Cause,
  type Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberId,
  FiberRef,
  Metric,
  MetricLabel,
  Record,
  Runtime,
  Schedule,
  Scope,
  Stream
} from "effect"
import { Gopher, Herd, type HerdError, HerdMetrics, type Outcome, type Work } from "gofherd"
import type { Unit } from "../fixtures/threadModel.ts"
import { attempted, endOfWait } from "./attempt.ts"
import { holds, same, sameFields } from "./check.ts"
import { type Attempt, type Config, type End, goesBack, type Plan } from "./commands.ts"
import { Threads } from "./threads.ts"

export interface Body {
  readonly n: number
  readonly plan: Plan
}

type Failure = "no"
type AnyOutcome = Outcome.Outcome<Body, number, Failure>

/** Set by units that are told to, seen by none. */
const trace = FiberRef.unsafeMake(0)

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** More turns than the herd ever waits for by itself. */
const STILL = 6

export class World {
  readonly config: Config
  readonly herd: Herd.Herd<Body, number, Failure>
  /** Attempts that started, in order. */
  readonly starts: Array<string> = []
  /** Which gopher each of them started on, of those with a resource. */
  readonly startedOn: Array<number> = []
  /**
   * The gophers that have acquired a resource and not released it, by the number of that attempt to
   * acquire one.
   */
  readonly gophers = new Map<number, Context.Tag.Service<Gopher.Gopher>>()
  private readonly wentBack = new Set<number>()
  /** Outcomes that the readers of `outcomes` were given. */
  readonly delivered = new Map<number, Outcome.Outcome.Status>()
  readonly callbacks = { success: 0, retry: 0, failure: 0 }
  readonly resources = { acquired: 0, failed: 0, released: 0 }
  /** From here on every resource can be acquired. */
  healthy = false
  reader: Fiber.RuntimeFiber<void> | undefined = undefined
  stopping: Fiber.RuntimeFiber<void> | undefined = undefined
  private readonly runtime: Runtime.Runtime<never>
  private readonly scope = Effect.runSync(Scope.make())
  private readonly inside = new Map<number, Deferred.Deferred<number, Failure>>()
  /** What Effects run with that units in `process` run. */
  private readonly within = new Map<number, Runtime.Runtime<never>>()
  /** Units that units gave to their own herd. */
  private givenInside = 0
  private readonly children = new Map<number, Set<object>>()
  private readonly figures: () => Figures
  private readonly before: Figures
  private readonly watcher: Fiber.RuntimeFiber<void>
  private readonly drained: Fiber.RuntimeFiber<void>
  private idle: Fiber.RuntimeFiber<void>
  private readonly settling = new Set<Fiber.RuntimeFiber<void>>()
  private latest: Herd.HerdState | undefined = undefined
  /** The largest size there ever was. */
  private largest: number
  /** What was not as it should have been, where nobody could be told. */
  private readonly faults: Array<unknown> = []

  /** Where the units run, if not here. */
  private readonly threads: Threads | undefined

  constructor(config: Config, runtime: Runtime.Runtime<never>, worker?: URL) {
    this.config = config
    this.threads = worker && new Threads(worker, config, {
      waits: (n) => this.inside.set(n, Deferred.unsafeMake(FiberId.none)),
      fault: (fault) => this.faults.push(fault)
    })
    this.runtime = runtime
    this.largest = config.size
    this.herd = this.now(Scope.extend(Herd.make(this.options()), this.scope))
    this.figures = figuresOf(this.herd.name)
    this.before = this.figures()
    this.watcher = this.fork(Stream.runForEach(this.herd.changes, (state) => Effect.sync(() => this.latest = state)))
    this.drained = this.fork(this.herd.awaitDrained)
    this.idle = this.fork(this.herd.awaitIdle)
  }

  /** Runs it, from inside a unit if one is given. */
  fork<A, E>(effect: Effect.Effect<A, E>, from?: number): Fiber.RuntimeFiber<A, E> {
    if (from === undefined) return Runtime.runFork(this.runtime)(effect)
    const runtime = this.within.get(from)
    if (runtime === undefined) throw new Error(`expected unit ${from} in process, got ${[...this.within.keys()]}`)
    return Runtime.runFork(runtime)(effect)
  }

  /**
   * The result of an Effect that does not suspend. It runs as those of users do, which `runSync`
   * would not.
   */
  now<A, E>(effect: Effect.Effect<A, E>, from?: number): A {
    if (from !== undefined) this.givenInside++
    const exit = this.fork(effect, from).unsafePoll()
    if (exit === null) throw new Error("expected the Effect to end at once, got one that suspends")
    return Exit.getOrElse(exit, (cause) => {
      throw Cause.squash(cause)
    })
  }

  private options(): Herd.Options<Body, number, Failure, never, never, never> & { readonly process?: never } {
    const { callbacks, capacity, gracePeriod, outcomes, retry, size, tracing } = this.config
    const called = (which: "success" | "retry" | "failure") => () =>
      Effect.suspend(() => {
        this.look()
        this.callbacks[which]++
        return callbacks === "die" ? Effect.die("callback") : Effect.void
      })
    return {
      name: "model",
      size,
      capacity,
      gracePeriod,
      tracing,
      outcomes: outcomes === "discard" ? outcomes : { capacity: outcomes },
      ...(retry && {
        retry: Schedule.intersect(
          Schedule.recurs(retry.times),
          Schedule.exponential(retry.delay, retry.grows ? 2 : 1)
        )
      }),
      ...(callbacks !== "none" &&
        { onSuccess: called("success"), onRetry: called("retry"), onFailure: called("failure") }),
      ...this.processing()
    } as never
  }

  private processing() {
    const { gopher } = this.config
    if (gopher === undefined) {
      return { process: (body: Body, work: Work.Work<Body>) => this.process(body, work, undefined) }
    }
    const acquire = Effect.suspend(() => {
      const { acquires } = gopher
      const fails = !this.healthy &&
        acquires[(this.resources.acquired + this.resources.failed) % acquires.length] === "die"
      if (fails) {
        this.resources.failed++
        return Effect.die("no resource")
      }
      const id = this.resources.acquired + this.resources.failed
      const { threads } = this
      if (threads !== undefined) {
        return Effect.gen(this, function*() {
          const self = yield* Gopher.Gopher
          const inThread = yield* threads.gopher
          yield* Effect.addFinalizer(() => {
            this.gophers.delete(id)
            this.resources.released++
            return Effect.void
          })
          this.resources.acquired++
          this.gophers.set(id, self)
          return (body: Body, work: Work.Work<Body>) => {
            this.startedOn.push(id)
            return this.process(body, work, self, (unit) => threads.run(inThread, unit, work))
          }
        })
      }
      return Effect.acquireRelease(
        Effect.map(Gopher.Gopher, (self): Herd.Process<Body, number, Failure, never> => {
          this.resources.acquired++
          this.gophers.set(id, self)
          return (body, work) => {
            this.startedOn.push(id)
            return this.process(body, work, self)
          }
        }),
        () => {
          this.gophers.delete(id)
          this.resources.released++
          return gopher.releaseDies ? Effect.die("release") : Effect.void
        }
      )
    })
    return { gopher: acquire }
  }

  // ---------------------------------------------------------------------------------------------------- units

  private process(
    { n, plan }: Body,
    work: Work.Work<Body>,
    self: Context.Tag.Service<Gopher.Gopher> | undefined,
    elsewhere?: (unit: Unit) => Effect.Effect<number, unknown>
  ): Effect.Effect<number, Failure> {
    this.starts.push(`${n}, attempt ${work.attempt}`)
    this.guard(() => {
      const { running, size } = this.look()
      holds(running <= size, `unit ${n} started as one of ${running}, with size ${size} (G1)`)
      holds(!this.inside.has(n), `unit ${n} started while it ran (G2)`)
    })
    const attempt = plan.attempts[Math.min(work.attempt, plan.attempts.length) - 1] as Attempt
    if (elsewhere !== undefined && attempt !== "go back") {
      const { forks, sets } = plan
      const breaks = this.config.gopher?.breaks === true
      const unit = { n, attempt: attempt === "break" && !breaks ? "fail" : attempt, forks, sets }
      const there = Effect.ensuring(Effect.zipRight(this.enter(n), elsewhere(unit)), this.leave(n))
      return Effect.mapError(there, () => "no")
    }
    if (attempt === "throw") throw new Error("thrown")
    if (attempt === "nonsense") return "nonsense" as never
    const main = this.attempt(n, attempt, this.config.gopher?.breaks ? self : undefined, plan)
    // Without more ado where possible, since that is a way of its own through the herd.
    return plan.sets || plan.forks || attempt === "wait" ? Effect.zipRight(this.mess(n, plan), main) : main
  }

  private attempt(
    n: number,
    attempt: Exclude<Attempt, "throw" | "nonsense">,
    self: Context.Tag.Service<Gopher.Gopher> | undefined,
    plan: Plan
  ): Effect.Effect<number, Failure> {
    switch (attempt) {
      case "break":
        return Effect.zipRight(self?.replace(this.config.gopher) ?? Effect.void, Effect.fail("no" as const))
      case "go back":
        if (self === undefined || this.wentBack.has(n) || !goesBack(this.config, plan)) return Effect.succeed(n)
        this.wentBack.add(n)
        return self.putBack
      default:
        return attempted(n, attempt, this.wait(n))
    }
  }

  private wait(n: number): Effect.Effect<number, Failure> {
    return Effect.acquireUseRelease(
      Effect.map(this.enter(n), () => {
        const gate = Deferred.unsafeMake<number, Failure>(FiberId.none)
        this.inside.set(n, gate)
        return gate
      }),
      Deferred.await,
      () => Effect.map(this.leave(n), () => this.guard(() => this.look()))
    )
  }

  private enter(n: number): Effect.Effect<void> {
    return Effect.map(Effect.getFiberRefs, (fiberRefs) => {
      this.within.set(n, Runtime.make({ ...this.runtime, fiberRefs }))
    })
  }

  private leave(n: number): Effect.Effect<void> {
    return Effect.sync(() => {
      this.inside.delete(n)
      this.within.delete(n)
    })
  }

  /** What a unit leaves behind: a changed FiberRef, a running child. */
  private mess(n: number, plan: Plan): Effect.Effect<void> {
    const of = this.children.get(n) ?? new Set()
    this.children.set(n, of)
    const forking = Effect.map(Effect.fork(Effect.never), (child) => {
      of.add(child)
      // It may be interrupted before it has begun.
      child.addObserver(() => of.delete(child))
    })
    return this.isClean.pipe(
      Effect.zipRight(plan.sets ? FiberRef.set(trace, n) : Effect.void),
      Effect.zipRight(plan.forks ? forking : Effect.void)
    )
  }

  private readonly isClean = Effect.map(FiberRef.get(trace), (n) => {
    if (n !== 0) this.faults.push(`expected no FiberRef of another unit, got that of ${n} (G12)`)
  })

  /** The units that wait for the test. */
  get waiting(): Array<number> {
    return Array.from(this.inside.keys())
  }

  finish(n: number, as: End): void {
    const gate = this.inside.get(n)
    if (gate === undefined) throw new Error(`expected unit ${n} to wait, got ${Array.from(this.inside.keys())}`)
    if (this.threads !== undefined) {
      this.inside.delete(n)
      return this.threads.finish(n, as)
    }
    Deferred.unsafeDone(gate, endOfWait(n, as))
  }

  /** The resource of this gopher breaks. */
  break(gopher: number, unit: "stays" | "goes back"): void {
    const self = this.gophers.get(gopher)
    if (self === undefined) throw new Error(`expected gopher ${gopher} to be there, got ${[...this.gophers.keys()]}`)
    const fiber = this.fork<void, never>(unit === "stays" ? self.replace() : self.putBack)
    if (unit === "goes back") fiber.unsafeInterruptAsFork(FiberId.none)
  }

  // ---------------------------------------------------------------------------------------------------- senders

  /**
   * Gives these to the herd, from inside a unit if one is given. What a stream brings goes to
   * `received`. Its input fails in the end, if that is asked for.
   */
  give(
    kind: "send" | "trySend" | "sendAll" | "run" | "stream",
    bodies: ReadonlyArray<Body>,
    priority: number,
    { fails = false, from, received }: {
      readonly received: Map<number, Outcome.Outcome.Status>
      readonly fails?: boolean
      readonly from?: number | undefined
    }
  ): Fiber.RuntimeFiber<unknown, unknown> {
    const { herd } = this
    const options = priority === 0 ? undefined : { priority }
    const giving = (): Effect.Effect<unknown, unknown> => {
      switch (kind) {
        case "sendAll":
          return herd.sendAll(bodies, options)
        case "stream": {
          const input = Stream.fromIterable(bodies)
          return Stream.runForEach(
            herd.stream(fails ? Stream.concat(input, Stream.fail("input")) : input),
            (outcome) => Effect.sync(() => this.deliver(received, outcome))
          )
        }
        default: {
          const [body] = bodies
          if (body === undefined) throw new Error(`expected a unit to ${kind}, got none`)
          if (kind !== "run") return herd[kind](body, options)
          return Effect.map(herd.run(body, options), (result) =>
            this.guard(() => {
              this.look()
              same("result", result, body.n)
            }))
        }
      }
    }
    if (from !== undefined) this.givenInside += bodies.length
    return this.fork(giving(), from)
  }

  // ---------------------------------------------------------------------------------------------------- readers

  attach(): void {
    this.reader ??= this.fork(
      Stream.runForEach(this.herd.outcomes, (outcome) => Effect.sync(() => this.deliver(this.delivered, outcome)))
    )
  }

  detach(): Promise<unknown> {
    const reader = this.reader
    this.reader = undefined
    return reader === undefined ? Promise.resolve() : Runtime.runPromise(this.runtime)(Fiber.interrupt(reader))
  }

  /** One batch of outcomes, of which there is at least one. */
  read(): Promise<unknown> {
    const one = Effect.flatMap(Stream.toPull(this.herd.outcomes), (pull) => pull)
    return Runtime.runPromise(this.runtime)(Effect.scoped(one)).then((chunk) => {
      for (const outcome of chunk) this.deliver(this.delivered, outcome)
    })
  }

  deliver(to: Map<number, Outcome.Outcome.Status>, { exit, status, work }: AnyOutcome): void {
    this.guard(() => {
      this.look()
      holds(!to.has(work.body.n), `unit ${work.body.n} settled twice (G2)`)
      if (Exit.isSuccess(exit)) same("result", exit.value, work.body.n)
    })
    to.set(work.body.n, status)
  }

  // ---------------------------------------------------------------------------------------------------- operator

  resize(to: number, mode: "graceful" | "interrupt"): void {
    this.now(this.herd.resize(to, { mode }))
    this.settling.add(this.fork(this.herd.settled))
  }

  /** The closing of the scope has come to its end. */
  get stopped(): boolean {
    return this.stopping !== undefined && this.stopping.unsafePoll() !== null
  }

  stop(): void {
    this.stopping ??= this.fork(Scope.close(this.scope, Exit.void))
  }

  // ---------------------------------------------------------------------------------------------------- looking

  /** The state at this instant, and what holds at every instant. */
  look(): Herd.HerdState {
    const state = Effect.runSync(this.herd.state)
    const { accepted, failed, interrupted, live, queued, retrying, running, size, succeeded } = state
    this.largest = Math.max(this.largest, size)
    same("accepted (G3)", accepted, queued + running + retrying + succeeded + failed + interrupted)
    holds(running <= live, `${running} units on ${live} gophers`)
    // Retries, what a shrink puts back and what units give to their own herd are never refused.
    const most = this.config.capacity + this.largest + this.givenInside
    holds(queued + retrying <= most, `${queued} queued and ${retrying} retrying (G4)`)
    for (const count of Object.values(state)) holds(typeof count !== "number" || count >= 0, `a count of ${count}`)
    return state
  }

  private guard(check: () => void): void {
    try {
      check()
    } catch (fault) {
      this.faults.push(fault)
    }
  }

  /** Waits until nothing more happens by itself. */
  async still(): Promise<void> {
    let last = ""
    for (let same = 0; same < STILL; same++) {
      await turn()
      await this.threads?.still(() => this.gophers.size)
      const { accepted, failed, interrupted, live, queued, retried, running, senders, succeeded } = this.look()
      const counts = [accepted, failed, interrupted, live, queued, retried, running, senders, succeeded]
      const now = [...counts, this.starts.length].join()
      if (now !== last) same = 0
      last = now
    }
    if (this.faults.length > 0) throw this.faults[0]
  }

  /** What those who wait for the herd, or watch it, have to know by now. */
  checkWatchers(): Herd.HerdState {
    const state = this.look()
    if (!this.stopped) sameFields("changes", this.latest ?? state, state)
    same("awaitDrained", this.drained.unsafePoll() !== null, state.drained)
    if (state.queued + state.running + state.retrying + state.senders === 0) {
      holds(this.idle.unsafePoll() !== null, "idle, but awaitIdle waits")
      this.idle = this.fork(this.herd.awaitIdle)
    }
    if (state.live <= state.size) {
      for (const fiber of this.settling) holds(fiber.unsafePoll() !== null, "settled, but `settled` waits")
      this.settling.clear()
    }
    for (const [n, children] of this.children) {
      holds(children.size === 0 || this.inside.has(n), `unit ${n} has left a fiber behind (G12)`)
    }
    return state
  }

  /** By how much the herd's metrics have changed since it was made; gauges as they are. */
  metrics(): Figures {
    const now = this.figures()
    for (const name of COUNTED) now[name] -= this.before[name]
    return now
  }

  /** The test has failed: whatever is left ends. */
  abandon(): void {
    for (const n of this.inside.keys()) this.finish(n, "succeed")
    this.stop()
    this.threads?.close()
  }

  /** After the end. */
  checkEnd(): void {
    this.threads?.close()
    const { acquired, released } = this.resources
    same("resources released", released, acquired)
    same("units left inside", this.inside.size, 0)
    holds(this.watcher.unsafePoll() !== null, "`changes` has ended")
    if (this.faults.length > 0) throw this.faults[0]
  }
}

const COUNTED = [
  "success",
  "retry",
  "failure",
  "interrupted",
  "resizes",
  "acquireFailures",
  "replacements",
  "attempts",
  "waits"
] as const
type Figures = Record<
  typeof COUNTED[number] | "size" | "running" | "queued" | "retrying" | "senders" | "paused",
  number
>

/** Reads a herd's metrics. What takes longest is to find them, which is done once. */
const figuresOf = (herd: string): () => Figures => {
  const found = <Kind, In, Out>(metric: Metric.Metric<Kind, In, Out>) => {
    const tagged = Metric.taggedWithLabels(metric, [MetricLabel.make("herd", herd)])
    return () => tagged.unsafeValue([])
  }
  const counters = {
    success: found(HerdMetrics.success),
    retry: found(HerdMetrics.retry),
    failure: found(HerdMetrics.failure),
    interrupted: found(HerdMetrics.interrupted),
    resizes: found(HerdMetrics.resizes),
    acquireFailures: found(HerdMetrics.acquireFailures),
    replacements: found(HerdMetrics.replacements),
    attempts: found(HerdMetrics.attemptDuration),
    waits: found(HerdMetrics.wait)
  }
  const gauges = {
    size: found(HerdMetrics.size),
    running: found(HerdMetrics.running),
    queued: found(HerdMetrics.queued),
    retrying: found(HerdMetrics.retrying),
    senders: found(HerdMetrics.senders),
    paused: found(HerdMetrics.paused)
  }
  return () => ({
    ...Record.map(counters, (counter) => counter().count),
    ...Record.map(gauges, (gauge) => gauge().value)
  })
}

/** What became of somebody who waits: `undefined` while he does. */
export const endOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): string | undefined => {
  const exit = fiber.unsafePoll()
  if (exit === null) return undefined
  if (Exit.isSuccess(exit)) return "success"
  if (Cause.isInterruptedOnly(exit.cause)) return "interrupted"
  const error = Cause.squash(exit.cause)
  return isClosed(error) ? `closed after ${error.accepted}` : error === "input" ? "input failed" : "failure"
}

const isClosed = (error: unknown): error is HerdError.HerdClosed =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "HerdClosed"
