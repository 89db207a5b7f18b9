/**
 * Herds **at least once**: a unit that was offered survives the process, and a unit that was at
 * work when its process died runs again. So a `process` has to be fit for being run twice: let it
 * write what it does under the unit's id (`INSERT … ON CONFLICT`, a PUT, an idempotency key of the
 * service it calls), and let it look there first where that is cheaper than doing it again.
 *
 * Units are kept by a `HerdSource`. What bounds, resizes, retries, watches and serves them is a
 * herd's: `HerdRouter`, `HerdServer` and `HerdProgress` take a durable herd as any other.
 *
 * Not part of the barrel: `import * as DurableHerd from "gofherd/DurableHerd"`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Gopher } from "./Gopher.ts"
import type { CommonOptions, Control, Process } from "./Herd.ts"
import type { InvalidUnit, SourceError } from "./HerdError.ts"
import { InvalidOption } from "./HerdError.ts"
import type { Stored } from "./HerdSource.ts"
import { HerdSource } from "./HerdSource.ts"
import { holds } from "./internal/check.ts"
import * as internal from "./internal/durable.ts"
import { show } from "./internal/show.ts"
import type { ClosesItsScope } from "./internal/unless.ts"

// ------------------------------------------------------------------------------------------------------ models

/**
 * Runs units that a source keeps, with bounded concurrency, live-resizable. Its state, metrics and
 * history are those of this process: `accepted` are the units that it has claimed and not given
 * back. One that waits for its backoff is the source's, and `retrying` is 0.
 *
 * @since 0.1.0
 * @category models
 */
export interface DurableHerd<in out In> extends Control, Stored {
  /**
   * Gives a unit to the source, and returns its id once that has it. An id that the source knows
   * already is accepted without doing anything: so offering again, where it is not known whether
   * the first time went well, does no harm. Also of a herd that is closed: the unit is for whoever
   * comes.
   */
  offer(body: In, options?: OfferOptions): Effect.Effect<string, InvalidUnit | SourceError>
  /**
   * Gives many units to the source, in order, 1000 at a time, and returns their ids. Bodies are
   * encoded before the first is given, so with `InvalidUnit` none is. After a `SourceError` some
   * may be: to offer them again without having them twice, give ids.
   */
  offerAll(
    bodies: Iterable<In>,
    options?: OfferAllOptions<In>
  ): Effect.Effect<ReadonlyArray<string>, InvalidUnit | SourceError>
  /**
   * Waits until the source has nothing ready, delayed or held, of all processes. Asks it every
   * 100 ms whether there is something, once for all who wait; with `HerdSource.layerMemory` it
   * sleeps on no timer, so a test on the TestClock need not adjust it.
   */
  readonly awaitIdle: Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface OfferAllOptions<in In> {
  /** The id of each; by default a new one. As in `OfferOptions`. */
  readonly id?: ((body: In) => string) | undefined
  /**
   * Higher starts first; within a priority, first in, first out. A finite number; default 0.
   * Memory and SQLite take any, BullMQ integers from -1,048,575 to 1,048,575. An offer with a
   * priority that its source can't keep is `InvalidUnit`.
   */
  readonly priority?: number | undefined
  /**
   * How long until it may start. Finite; 100 years at most, longer ones are taken for that. Default
   * 0.
   */
  readonly delay?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface OfferOptions extends Omit<OfferAllOptions<never>, "id"> {
  /**
   * One to 255 characters, unique among the units of the herd that the source knows, those that are
   * done included for a while.
   */
  readonly id?: string | undefined
}

/**
 * What a durable herd is made of: beside `schema` and those below, the options of a herd without
 * `capacity` and `outcomes`, since units wait in the source, and outcomes are heard by `onSuccess`,
 * `onRetry` and `onFailure`.
 *
 * @since 0.1.0
 * @category models
 */
export type Options<In, Encoded, Out, E = never, R = never, RRetry = R, RCallback = R> =
  & Omit<CommonOptions<In, Out, E, RRetry, RCallback>, "capacity" | "outcomes">
  & {
    /**
     * What units are, and how they are written as JSON. Units that are kept have to be read by the
     * program's next version, too.
     *
     * An offer is `InvalidUnit` if JSON would not give the encoded body back: `NaN`, `Infinity`, a
     * Map, `Schema.DateFromSelf`. `-0` arrives as 0, and a property that is undefined may be
     * missing. If the schema has transformations, an offer also decodes what it has encoded, once.
     *
     * An offer is also `InvalidUnit` if the source can't keep the body. SQLite and BullMQ keep at
     * most 100 MB of JSON. PostgreSQL keeps no `\u0000` and no half of a surrogate pair.
     */
    readonly schema: Schema.Schema<In, Encoded>
    /**
     * How long a claim lasts without renewal. Renewed every third of this. Longer means slower
     * recovery from a dead machine. A unit that blocks the event loop for longer keeps its claim,
     * unless another process has taken the unit meanwhile. More than 0 and finite; above 100 years
     * it counts as 100 years. Default 30 s.
     */
    readonly lease?: Duration.DurationInput | undefined
    /**
     * A unit that was at work on so many processes as they ended, or lost it, is a dead letter. An
     * integer from 1; default 3.
     */
    readonly maxCrashes?: number | undefined
  }
  & (
    | {
      /** As a herd's: but it may run again for a unit that it has run for, see above. */
      readonly process: Process<NoInfer<In>, Out, E, R>
      readonly gopher?: undefined
    }
    | {
      readonly process?: undefined
      /** As a herd's. */
      readonly gopher: Effect.Effect<Process<NoInfer<In>, Out, E, R>, never, R | Scope.Scope | Gopher>
    }
  )

// ------------------------------------------------------------------------------------------------------ constructors

/**
 * Makes a durable herd on the units of its name, and starts it. It claims no more units than it has
 * gophers for, and acknowledges each when its attempt has ended; so when the process dies at most
 * `size` units run again, those that were at work.
 *
 * - A unit whose attempt fails is retried as `retry` says: the source keeps it until its time has
 *   come, and then any process may have it. It is 100 years at most, also if the Schedule says
 *   more, or never.
 * - A unit that stays in one process has one step of the Schedule made for each failure, as in a
 *   herd in memory. A process remembers this of the 10,000 units of a herd that failed last. For
 *   any other unit, such as one from another process or from before a restart, it replays the
 *   steps that it has not made itself. They see the error of now, at the times at which the
 *   attempts were due; a jitter is rolled anew. Effects of the Schedule (`tapInput`, `mapEffect`
 *   and the like) run again with each step.
 * - A failure replays at most 1,000 steps; the next one in that process replays the next 1,000. So
 *   after a restart at attempt 5,000, the first four failures see a Schedule that is behind. Until
 *   it has caught up, `recurs(n)` of more than 1,000 counts too few attempts, and a delay that
 *   still grows after 1,000 steps is too short. Other delays are as ever.
 * - A Schedule that looks at elapsed time, as `Schedule.upTo` does, reads the Clock of each
 *   process. Processes whose clocks differ make it end too soon or too late by that difference.
 * - A unit that the Schedule gives up, that dies of a defect or interrupts itself, and one whose
 *   body the schema does not decode, is a dead letter: kept, with why, until it is redriven or
 *   discarded.
 * - A shrink and the closing of the scope, once `gracePeriod` has passed, release units that have
 *   not ended; their attempt is not counted. Nothing is held by a herd that is idle, paused, or of
 *   size 0.
 * - What the source fails to do is logged once, counted, and tried again after 100 ms, then 200 ms,
 *   and so on up to 5 s: gophers wait meanwhile.
 * - A result that the source refuses, while it takes those of other units, holds up no other unit.
 *   The herd warns once, keeps the unit's lease, and tries again after 5 s, then less and less
 *   often, up to every 5 minutes, and once more when it stops.
 *
 * The name of a durable herd is a key of its source: at most 255 characters, without NUL.
 *
 * Options out of their bounds are a defect, `InvalidOption`.
 *
 * @example
 * ```ts
 * import { Effect, Schedule, Schema } from "effect"
 * import * as DurableHerd from "gofherd/DurableHerd"
 * import * as HerdSource from "gofherd/HerdSource"
 *
 * const Mail = Schema.Struct({ to: Schema.String, text: Schema.String })
 *
 * const program = Effect.gen(function*() {
 *   const herd = yield* DurableHerd.make({
 *     name: "mails",
 *     schema: Mail,
 *     process: ({ text, to }, { id }) => Effect.log(`${id}: to ${to}: ${text}`),
 *     size: 4,
 *     retry: Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(5)))
 *   })
 *   yield* herd.offer({ to: "a@example.org", text: "hello" }, { id: "order-17" })
 *   yield* herd.awaitIdle
 * }).pipe(Effect.scoped, Effect.provide(HerdSource.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <In, Encoded, Out, E = never, R = never, RRetry = never, RCallback = never>(
  options: Options<In, Encoded, Out, E, R, RRetry, RCallback> & ClosesItsScope<R>
): Effect.Effect<DurableHerd<In>, SourceError, R | RRetry | RCallback | HerdSource | Scope.Scope> =>
  Effect.flatMap(HerdSource, (source) => internal.make(source, options, "herd"))

// ------------------------------------------------------------------------------------------------------ layers

/**
 * Provides a durable herd as a service. The options may come from an Effect, such as a `Config`;
 * what fails there fails the layer, and so does a source that can't be opened. The herd, and what
 * it has in the source, is called by the tag's key unless the options name it.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer, Schema } from "effect"
 * import * as DurableHerd from "gofherd/DurableHerd"
 * import * as HerdServer from "gofherd/HerdServer"
 * import * as HerdSource from "gofherd/HerdSource"
 *
 * class Pages extends Context.Tag("pages")<Pages, DurableHerd.DurableHerd<URL>>() {}
 *
 * const PagesLive = DurableHerd.layer(Pages, {
 *   schema: Schema.URL,
 *   process: (url) => Effect.log(url.host),
 *   size: 8
 * })
 *
 * const Main = HerdServer.layer({ herds: [Pages] }).pipe(
 *   Layer.provideMerge(PagesLive),
 *   Layer.provide(HerdSource.layerMemory())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <
  Id,
  In,
  Encoded,
  Out,
  E = never,
  R = never,
  RRetry = never,
  RCallback = never,
  EL = never,
  RL = never
>(
  tag: Context.Tag<Id, DurableHerd<In>>,
  options:
    & (
      | Options<In, Encoded, Out, E, R, RRetry, RCallback>
      | Effect.Effect<Options<In, Encoded, Out, E, R, RRetry, RCallback>, EL, RL>
    )
    & ClosesItsScope<R>
): Layer.Layer<Id, SourceError | EL, HerdSource | Exclude<R | RRetry | RCallback | RL, Scope.Scope>> =>
  holds(Context.isTag, tag)
    ? Layer.scoped(
      tag,
      Effect.gen(function*() {
        const source = yield* HerdSource
        const given = holds(Effect.isEffect, options) ? yield* options : options
        return yield* internal.make(source, given, tag.key)
      })
    )
    : Layer.die(new InvalidOption({ option: "tag", expected: "a Context.Tag", given: show(tag) }))
