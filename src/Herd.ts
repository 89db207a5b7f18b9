/**
 * A herd: a queue, a number of fibers that process it, and somebody who may change that number
 * while they do.
 *
 * Work goes in by `send`, `sendAll`, `trySend`, `run` or `stream`; gophers, one fiber each, pass it
 * to the herd's `process`; a failed attempt is made again as the `retry` Schedule says; and each
 * unit settles in exactly one outcome, which goes to the place its sender chose.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Gopher } from "./Gopher.ts"
import type { HerdClosed, InvalidSize } from "./HerdError.ts"
import { InvalidOption } from "./HerdError.ts"
import { holds } from "./internal/check.ts"
import * as internal from "./internal/herd.ts"
import { show } from "./internal/show.ts"
import type { ClosesItsScope } from "./internal/unless.ts"
import type { Outcome, Retry } from "./Outcome.ts"
import type { Work } from "./Work.ts"

// ------------------------------------------------------------------------------------------------------ models

/**
 * What an operator may see and do, whatever the herd processes. `HerdRouter` asks for no more than
 * this.
 *
 * @since 0.1.0
 * @category models
 */
export interface Control {
  /**
   * The label of its metrics and logs. Unique among the herds that live in this process: the second
   * one made with the name `crawler` is called `crawler-2`.
   */
  readonly name: string

  /** The size: the target number of gophers. */
  readonly size: Effect.Effect<number>
  /** The largest size that `resize` accepts. */
  readonly maxSize: number
  /**
   * Sets the size, an integer from 0 to `maxSize`; anything else fails with `InvalidSize` and
   * changes nothing. Returns at once. Growth starts queued work in the same turn of the event loop.
   * A shrink retires idle gophers at once and busy ones after their unit; with `mode: "interrupt"`
   * the surplus is interrupted, latest start first, and its units go back to the head of the queue
   * without having spent an attempt. Size 0 starts nothing and loses nothing. Of concurrent calls
   * the last wins.
   */
  resize(size: number, options?: ResizeOptions): Effect.Effect<void, InvalidSize>
  /** `resize` to so many more; `by` is an integer, and the sum must be a valid size. */
  grow(by: number): Effect.Effect<void, InvalidSize>
  /**
   * `resize` to so many fewer; `by` is an integer, and the difference must be a valid size. Never
   * waits for a gopher.
   */
  shrink(by: number): Effect.Effect<void, InvalidSize>
  /**
   * Waits until no more gophers are live than the size allows: the surplus of a shrink has retired.
   */
  readonly settled: Effect.Effect<void>
  /**
   * Starts nothing new until `resume`. Running units go on, the queue takes more, the size stays as
   * it is.
   */
  readonly pause: Effect.Effect<void>
  /** Ends a `pause`. */
  readonly resume: Effect.Effect<void>

  /**
   * A consistent snapshot:
   * `accepted = queued + running + retrying + succeeded + failed + interrupted`.
   */
  readonly state: Effect.Effect<HerdState>
  /**
   * The state now, and again after each turn of the event loop that changed it: only ever the
   * latest, so a slow reader misses some and never slows the herd. Ends when the herd's scope
   * closes.
   */
  readonly changes: Stream.Stream<HerdState>
  /**
   * What has become of the size and of units, of late: the last 20 resizes and the last 20
   * failures.
   */
  readonly history: Effect.Effect<HerdHistory>
  /**
   * Waits until nothing is queued, running or retrying, and no sender waits for room. A `sendAll`
   * counts until it returns.
   */
  readonly awaitIdle: Effect.Effect<void>
  /** Waits until the herd is closed and every accepted unit has settled. */
  readonly awaitDrained: Effect.Effect<void>
  /**
   * Takes no more work, and waits until every accepted unit has settled, for `gracePeriod` at most:
   * what the closing of the herd's scope begins with. The period runs once, from the first of them
   * on.
   */
  readonly drain: Effect.Effect<void>
}

/**
 * Runs units of work with bounded concurrency, live-resizable. A plain object: its members work
 * without it, as in `const { run } = yield* Crawler`, and a spread, `{ ...herd, extra }`, has them
 * all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Herd<in out In, out Out, out E = never> extends Control {
  /**
   * Enters a unit; suspends while the queue is full. Its outcome goes to `outcomes`.
   *
   * What a unit gives to its own herd never waits for room, by whatever member: a crawler may send
   * the links it finds. `capacity` bounds what comes from outside. Units of two herds that send to
   * each other do wait, and may wait for ever.
   */
  send(body: In, options?: SendOptions): Effect.Effect<void, HerdClosed>
  /**
   * Enters many units in order, taking them from the iterable as there is room: it may be endless.
   * Suspends once per refill of the queue, not once per unit. If the herd closes meanwhile, the
   * error says how many were accepted.
   */
  sendAll(bodies: Iterable<In>, options?: SendAllOptions): Effect.Effect<void, HerdClosed>
  /** Enters a unit if there is room now: `false` means full. Never suspends. */
  trySend(body: In, options?: SendOptions): Effect.Effect<boolean, HerdClosed>
  /**
   * Enters a unit and waits for its result, which comes here and not to `outcomes`. Interrupting it
   * takes the unit out of the queue, or interrupts its attempt and waits until that has ended. A
   * unit whose caller is interrupted in the instant in which it comes does not begin: it settles as
   * interrupted, with 0 attempts. The interruption may have to pass any number of fibers above the
   * caller, of `Effect.all` or `Effect.timeout` for one. This holds with Effect's own Scheduler.
   *
   * A unit that runs its own herd's `run` holds its gopher meanwhile: with all of them waiting so,
   * none is left to go on. If that lasts for a second, one warning says so.
   *
   * The unit has its caller's log annotations, log spans, minimum log level and parent span, at
   * every attempt, in a thread too; so have its callbacks and its Schedule. Annotations are added
   * to the herd's own; of the rest, what the caller has not set stays as the herd's. Nothing else
   * of the caller reaches the unit: no other FiberRef, no service. An `AsyncLocalStorage` has the
   * value of the code that woke the gopher, which may be another caller's: put what a unit needs
   * into its body.
   *
   * Where `E` is `unknown`, `Effect.catchTag` does not compile, since the compiler can't tell that
   * an error has a tag. Use `Effect.catchIf` there:
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { type Herd, HerdError } from "gofherd"
   *
   * const runOr = <In, Out>(herd: Herd.Herd<In, Out, unknown>, body: In, otherwise: Out) =>
   *   herd.run(body).pipe(
   *     Effect.catchIf((error) => error instanceof HerdError.HerdClosed, () => Effect.succeed(otherwise))
   *   )
   * ```
   */
  run(body: In, options?: SendOptions): Effect.Effect<Out, E | HerdClosed>
  /**
   * The outcomes of that input, as they come about; they don't appear in `outcomes`. Ends with the
   * input; if the input fails, the outcomes of what was accepted come first, then the failure. At
   * most 1024 units of it are in the herd or unread. Ending the stream early cancels what it still
   * has in the herd. Dies with `HerdClosed` if the herd closes before all of the input is accepted.
   */
  stream<E2, R2>(input: Stream.Stream<In, E2, R2>): Stream.Stream<Outcome<In, Out, E>, E2, R2>
  /**
   * Takes no more work. What was accepted goes on. Suspended senders fail with `HerdClosed`.
   * Idempotent.
   */
  readonly close: Effect.Effect<void>
  /**
   * The outcomes of `send`, `sendAll` and `trySend`, in order of completion, each delivered once:
   * several readers share them. They are handed out in batches: a reader that ends early takes the
   * rest of its batch with it. Read them in one go, or use `run` or `stream` for a result that
   * somebody waits for. Ends when the herd is drained. While `outcomes.capacity` of them are
   * unread, gophers start nothing new.
   */
  readonly outcomes: Stream.Stream<Outcome<In, Out, E>>
}

/**
 * The state of a herd at one instant.
 *
 * @since 0.1.0
 * @category models
 */
export interface HerdState {
  readonly name: string
  /** The target number of gophers. */
  readonly size: number
  /**
   * Gophers that exist. Fewer than `size` where no work asks for more; more while a shrink lets
   * units finish.
   */
  readonly live: number
  /** Units inside `process`. */
  readonly running: number
  /** Units waiting for a gopher. */
  readonly queued: number
  /** Units waiting for their backoff. */
  readonly retrying: number
  /**
   * Calls of `send`, `sendAll`, `run` and `stream` that wait for room. Their units are not accepted
   * yet.
   */
  readonly senders: number
  /** Units taken in, ever; so too below. */
  readonly accepted: number
  readonly succeeded: number
  /** Attempts that failed and were retried. */
  readonly retried: number
  readonly failed: number
  readonly interrupted: number
  readonly paused: boolean
  /** Takes no more work. */
  readonly closed: boolean
  /** Closed, and every accepted unit has settled. */
  readonly drained: boolean
}

/**
 * The last resizes and failures, each with the newest first. Times are the machine's.
 *
 * @since 0.1.0
 * @category models
 */
export interface HerdHistory {
  readonly resizes: ReadonlyArray<Resized>
  readonly failures: ReadonlyArray<Failed>
}

/**
 * A change of the size.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resized {
  readonly at: Date
  readonly from: number
  readonly to: number
  readonly mode: "graceful" | "interrupt"
}

/**
 * A unit that failed for good.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failed {
  readonly at: Date
  /** The unit's. */
  readonly id: string
  readonly attempts: number
  /** What the error says of itself, on one line of at most 300 characters. */
  readonly message: string
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ResizeOptions {
  /**
   * What a shrink does to busy gophers: let them finish their unit (`graceful`, the default) or
   * `interrupt` them.
   */
  readonly mode?: "graceful" | "interrupt" | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface SendAllOptions {
  /**
   * Higher starts first; within a priority, first in, first out. Any finite number; default 0. At a
   * full queue a sender whose priority is above that of all units that wait gets the next free
   * place, before senders that came earlier.
   */
  readonly priority?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface SendOptions extends SendAllOptions {
  /**
   * What the unit is called in outcomes and logs. Default: a running number. It need not be unique.
   */
  readonly id?: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type Process<In, Out, E, R> = (body: In, work: Work<In>) => Effect.Effect<Out, E, R>

/**
 * What a herd is made of. Exactly one of `process` and `gopher` is given.
 *
 * @since 0.1.0
 * @category models
 */
export type Options<In, Out, E = never, R = never, RRetry = R, RCallback = R> =
  & CommonOptions<In, Out, E, RRetry, RCallback>
  & (
    | {
      /**
       * Processes one unit. May fail, die, throw or interrupt itself: the unit settles and the herd
       * goes on. What it forks is interrupted when it ends, the FiberRefs it sets are reset; a
       * Scope that it needs it closes itself, by `Effect.scoped`.
       */
      readonly process: Process<In, Out, E, R>
      readonly gopher?: undefined
    }
    | {
      readonly process?: undefined
      /**
       * Instead of `process`, where each gopher owns a resource: a connection, a browser page, a
       * worker thread. Run when a gopher is born; its scope closes when the gopher retires. Such
       * gophers are born at once, up to the size (those that take more than 4 ms to make, in the
       * next turns of the event loop), and stay. One whose unit died of a defect is replaced by a
       * fresh one, and so is one whose resource says that it is broken, by `Gopher.replace`: its
       * unit may fail and be retried, or be put back. If acquiring dies, it is counted, logged once
       * for each cause until it succeeds, and tried again after 100 ms, then 200 ms, and so on up
       * to 30 s.
       */
      readonly gopher: Effect.Effect<Process<In, Out, E, R>, never, R | Scope.Scope | Gopher>
    }
  )

/**
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions<In, Out, E, RRetry, RCallback> {
  /**
   * Label of metrics and logs, not empty. Default `"herd"`; with `layer`, the tag's key. Names come
   * from a small set: each new one adds 15 series to Effect's registry of metrics, one of each of
   * `HerdMetrics`, which stay for the life of the process. A name that a stopped herd had before
   * adds none.
   */
  readonly name?: string | undefined
  /** How many gophers at first. An integer from 0 to `maxSize`; default 1. */
  readonly size?: number | undefined
  /** The largest size that is accepted. An integer from 1; default 10,000. */
  readonly maxSize?: number | undefined
  /**
   * How many units may wait, queued or for their backoff, before senders suspend. An integer from
   * 0, or `"unbounded"`; default 1024. With 0 a sender hands its unit to a gopher that takes it at
   * once, while fewer than `size` run or wait for their backoff. With `"unbounded"` no sender
   * suspends, and memory is the only limit.
   */
  readonly capacity?: number | "unbounded" | undefined
  /**
   * When a unit that failed is attempted again: each unit has a state of its own, as with
   * `Effect.retry`, and waits without holding a gopher. Defects and interruptions are not retried.
   * Default: never.
   */
  readonly retry?: Schedule.Schedule<unknown, NoInfer<E>, RRetry> | undefined
  /**
   * Run on the gopher when a unit succeeded, before its outcome is delivered. Its defects are
   * logged and change nothing.
   */
  readonly onSuccess?:
    | ((outcome: Outcome<NoInfer<In>, NoInfer<Out>, NoInfer<E>>) => Effect.Effect<void, never, RCallback>)
    | undefined
  /**
   * Run on the gopher when an attempt failed and will be retried. Its defects are logged and change
   * nothing.
   */
  readonly onRetry?: ((retry: Retry<NoInfer<In>, NoInfer<E>>) => Effect.Effect<void, never, RCallback>) | undefined
  /**
   * Run on the gopher when a unit failed for good, before its outcome is delivered; not when it
   * died while it was being interrupted. Its defects are logged and change nothing.
   */
  readonly onFailure?:
    | ((outcome: Outcome<NoInfer<In>, NoInfer<Out>, NoInfer<E>>) => Effect.Effect<void, never, RCallback>)
    | undefined
  /**
   * How many outcomes may be unread before gophers start nothing new. An integer from 1, or
   * `"unbounded"`; default 1024. `"discard"` for a herd whose outcomes nobody reads. Results of
   * `run` and `stream` are not concerned.
   */
  readonly outcomes?: { readonly capacity?: number | "unbounded" | undefined } | "discard" | undefined
  /**
   * How long the closing of the scope lets accepted units finish before it interrupts them. Default
   * 0.
   */
  readonly gracePeriod?: Duration.DurationInput | undefined
  /**
   * One span, `gofherd.attempt`, per attempt, a child of its sender's span. Default false: it costs
   * more than a small unit.
   */
  readonly tracing?: boolean | undefined
}

// ------------------------------------------------------------------------------------------------------ constructors

/**
 * Makes a herd and starts it; it stops when the scope closes: it takes no more work, has
 * `gracePeriod` to finish what it has, interrupts the rest, waits for its finalizers, settles it as
 * interrupted, and logs what was left.
 *
 * Options out of their bounds are a defect, `InvalidOption`.
 *
 * @example
 * ```ts
 * import { Effect, Schedule, Stream } from "effect"
 * import { Herd } from "gofherd"
 *
 * const program = Effect.gen(function*() {
 *   const herd = yield* Herd.make({
 *     process: (n: number) => n % 3 === 0 ? Effect.fail("no threes") : Effect.succeed(n * n),
 *     size: 4,
 *     retry: Schedule.exponential("10 millis").pipe(Schedule.intersect(Schedule.recurs(2)))
 *   })
 *   yield* herd.sendAll([1, 2, 3, 4, 5])
 *   yield* herd.close
 *   yield* herd.resize(16)
 *   yield* Stream.runForEach(herd.outcomes, (outcome) => Effect.log(outcome.work.id, outcome.status))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <In, Out, E = never, R = never, RRetry = never, RCallback = never>(
  options: Options<In, Out, E, R, RRetry, RCallback> & ClosesItsScope<R>
): Effect.Effect<Herd<In, Out, E>, never, R | RRetry | RCallback | Scope.Scope> => internal.make(options)

// ------------------------------------------------------------------------------------------------------ layers

/**
 * Provides a herd as a service. The options may come from an Effect, such as a `Config`; what fails
 * there fails the layer. The herd is called by the tag's key unless the options name it.
 *
 * @example
 * ```ts
 * import { Config, Context, Effect, Layer } from "effect"
 * import { Herd } from "gofherd"
 *
 * class Squares extends Context.Tag("Squares")<Squares, Herd.Herd<number, number>>() {}
 *
 * const SquaresLive = Herd.layer(
 *   Squares,
 *   Effect.map(Config.integer("SQUARES_SIZE").pipe(Config.withDefault(4)), (size) => ({
 *     process: (n: number) => Effect.succeed(n * n),
 *     size
 *   }))
 * )
 *
 * const program = Effect.flatMap(Squares, (herd) => herd.run(7)).pipe(Effect.provide(SquaresLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Id, In, Out, E, R = never, RRetry = never, RCallback = never, EL = never, RL = never>(
  tag: Context.Tag<Id, Herd<In, Out, E>>,
  options:
    & (
      | Options<In, Out, E, R, RRetry, RCallback>
      | Effect.Effect<Options<In, Out, E, R, RRetry, RCallback>, EL, RL>
    )
    & ClosesItsScope<R>
): Layer.Layer<Id, EL, Exclude<R | RRetry | RCallback | RL, Scope.Scope>> =>
  holds(Context.isTag, tag)
    ? Layer.scoped(
      tag,
      Effect.flatMap(
        holds(Effect.isEffect, options) ? options : Effect.succeed(options),
        (options) => internal.make(options, tag.key)
      )
    )
    : Layer.die(new InvalidOption({ option: "tag", expected: "a Context.Tag", given: show(tag) }))
