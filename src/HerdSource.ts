/**
 * Where the units of a durable herd are kept: the seam between `DurableHerd` and a database or a
 * queueing engine. A user chooses a source (`layerMemory`, `HerdSourceSqlite`) and has nothing more
 * to do with it; whoever writes one implements `HerdSource`.
 *
 * Of every source is asked:
 *
 * - A unit that was offered is kept, whatever ends, until it is acknowledged, or buried and then
 *   redriven or discarded.
 * - An `id` is accepted once in its herd, for as long as the source remembers it.
 * - A claim is one owner's, for the time of its lease, and counts an attempt at once, so that a
 *   unit which ends its process is found out. Settling and renewing are for the claim that was
 *   given: not for one whose lease ran out and whose unit is another's, or claimed again. That is
 *   `lost`, and says so.
 * - A lease is for other processes. While its owner is open, a claim is never recovered by that
 *   owner, nor by others that were opened of the same source: the process may have been too busy to
 *   renew it. An owner may renew and settle a claim whose lease has run out, as long as no other
 *   process has recovered the unit.
 * - A claim that ends without being settled, since its owner has died or its lease has run out, is
 *   a crash: its unit is ready again, at its old place, or buried once it has crashed `maxCrashes`
 *   times.
 * - Ready units are claimed by priority, the higher first, and within a priority first in, first
 *   out. One that is released goes back to its place, and its attempt is not counted; one that was
 *   delayed, retried or redriven is last.
 *
 * Not part of the barrel: `import * as HerdSource from "gofherd/HerdSource"`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { SourceError } from "./HerdError.ts"
import { makeMemory } from "./internal/sourceMemory.ts"

// ------------------------------------------------------------------------------------------------------ models

/**
 * A unit that is offered.
 *
 * @since 0.1.0
 * @category models
 */
export interface NewUnit {
  /** Not empty, at most 255 characters. */
  readonly id: string
  /** JSON. */
  readonly body: string
  /** Higher is claimed first. A finite number. */
  readonly priority: number
  /** Not to be claimed before, in epoch milliseconds; `undefined` is now. */
  readonly runAt: number | undefined
}

/**
 * Why a source can't keep a unit. A herd makes `InvalidUnit` of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface UnitRefusal {
  readonly part: "body" | "priority"
  /** What the part has to be, such as `an integer from 0 to 9`. */
  readonly expected: string
  /** What it is, as text. */
  readonly given: string
}

/**
 * A unit that is claimed: held by one owner until it is settled, released, or its lease runs out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claim {
  readonly id: string
  /** JSON, as it was offered. */
  readonly body: string
  readonly priority: number
  /**
   * 1 for the first attempt. Attempts that ended with their process count, those that were released
   * don't.
   */
  readonly attempt: number
  /** When the first of its attempts failed, in epoch milliseconds. */
  readonly firstFailureAt: number | undefined
  /** Tells this claim from every other claim of the unit. */
  readonly token: string
}

/**
 * What is to become of a claimed unit.
 *
 * @since 0.1.0
 * @category models
 */
export type Settlement =
  /** It is done. */
  | { readonly _tag: "Ack"; readonly claim: Claim }
  /** It failed, and is to be attempted again at that time, in epoch milliseconds. */
  | {
    readonly _tag: "Retry"
    readonly claim: Claim
    readonly at: number
    readonly firstFailureAt: number
    readonly cause: string
  }
  /** It failed for good: it is a dead letter from now on. */
  | { readonly _tag: "Bury"; readonly claim: Claim; readonly cause: string }
  /**
   * It was not begun, or interrupted: it goes back to its place, and its attempt does not count.
   */
  | { readonly _tag: "Release"; readonly claim: Claim }

/**
 * What has come of settling.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settled {
  /** Claims that had been lost: nothing has become of them. */
  readonly lost: ReadonlyArray<Claim>
  /** What was claimed in the same step. */
  readonly claimed: ReadonlyArray<Claim>
}

/**
 * How many units a source has, of all processes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Depth {
  /** Units that could be claimed now. */
  readonly ready: number
  /** Units that wait for their time: for their backoff, or since they were offered for later. */
  readonly delayed: number
  /** Units that are claimed. */
  readonly held: number
  /** Dead letters. */
  readonly dead: number
  /**
   * Since when the unit is ready that has been for longest, in epoch milliseconds; `undefined`
   * without one.
   */
  readonly oldestAt: number | undefined
}

/**
 * A unit that failed for good and is kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetter {
  readonly id: string
  /** JSON, as it was offered; its beginning if `cut` is true. */
  readonly body: string
  /** True if `body` was longer than `maxBody` of `ListOptions`. Otherwise absent. */
  readonly cut?: boolean | undefined
  readonly priority: number
  /** How often it was claimed without being released. */
  readonly attempts: number
  /** How many of these ended with their process, or with their lease. */
  readonly crashes: number
  /** Why it was buried, in at most 4,000 characters. */
  readonly cause: string
  /** When it was buried, in epoch milliseconds. */
  readonly diedAt: number
}

/**
 * Which dead letters are listed, and how much of each body.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import type * as HerdSource from "gofherd/HerdSource"
 *
 * // Ids and causes, without a single body.
 * const causes = (dead: HerdSource.DeadLetters) =>
 *   Effect.map(dead.list({ limit: 1_000, maxBody: 0 }), (letters) => letters.map(({ cause, id }) => `${id}: ${cause}`))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface ListOptions {
  /** How many at most; an integer from 1, default 100. */
  readonly limit?: number | undefined
  /** How many to pass over; an integer from 0, default 0. */
  readonly offset?: number | undefined
  /**
   * The longest body that is read, in UTF-16 code units; an integer from 0. A longer body is cut,
   * never within a character, and its letter has `cut: true`. Default: bodies are read whole.
   */
  readonly maxBody?: number | undefined
}

/**
 * The units that failed for good. Nothing but these removes them.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetters {
  /**
   * The last buried first. A source cuts bodies to `maxBody` where they are kept: a thousand large
   * ones are not read. Letters that are redriven or discarded meanwhile may be missing.
   */
  list(options?: ListOptions): Effect.Effect<ReadonlyArray<DeadLetter>, SourceError>
  /**
   * Makes them ready again, as if they had just been offered. How many it were: ids that are no
   * dead letter's are passed over.
   */
  redrive(ids: ReadonlyArray<string> | "all"): Effect.Effect<number, SourceError>
  /** Removes them for good. How many it were. */
  discard(ids: ReadonlyArray<string> | "all"): Effect.Effect<number, SourceError>
}

/**
 * A bound of the units that all processes together hold, which the source itself sees to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fleet {
  /** `None` if there is no bound. */
  readonly size: Effect.Effect<Option.Option<number>, SourceError>
  /** An integer from 0; `None` for no bound. */
  resize(size: Option.Option<number>): Effect.Effect<void, SourceError>
}

/**
 * What a source has of a herd, all processes together: what an operator may see and do there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stored {
  /** How many units there are. */
  readonly depth: Effect.Effect<Depth, SourceError>
  /** The units that failed for good: listed, redriven, discarded. */
  readonly dead: DeadLetters
  /** The bound of all processes together, where the source has one. */
  readonly fleet: Option.Option<Fleet>
}

/**
 * The changes of a source that knows of each: of one all of whose owners are in this process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Changes {
  /** How many there have been. */
  readonly count: Effect.Effect<number>
  /** Waits until there have been more than that, or until a delayed unit is due. */
  after(count: number): Effect.Effect<void>
}

/**
 * The units of one herd, for one process. No Effect of it may be left half done by an interruption:
 * what it claims, its caller gets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Queue extends Stored {
  /** Keeps units, all of them or none. Those whose id is known are passed over. */
  offer(units: ReadonlyArray<NewUnit>): Effect.Effect<void, SourceError>
  /** Claims units that are ready, up to so many, at least one. Does not wait: there may be none. */
  claim(max: number): Effect.Effect<ReadonlyArray<Claim>, SourceError>
  /**
   * Settles units of this owner, each by its own claim, and claims up to `claim` others with it, in
   * one step where that saves one. If it fails it is done again, so that settling twice in the same
   * way is no loss. A request that fails again is split, to find out which settlement the source
   * refuses. That unit waits, with its lease renewed, and no other unit waits for it.
   */
  settle(settlements: ReadonlyArray<Settlement>, claim: number): Effect.Effect<Settled, SourceError>
  /** Extends the leases, and tells of those that are lost. */
  renew(claims: ReadonlyArray<Claim>): Effect.Effect<ReadonlyArray<Claim>, SourceError>
  /** Waits until there may be something to claim, be it that a lease has run out. */
  readonly arrival: Effect.Effect<void, SourceError>
  /**
   * Whether nothing is ready, delayed or held, of all processes. It should cost the same with any
   * number of units, since a herd asks ten times a second while somebody waits for that. Without it
   * the herd asks for `depth`.
   */
  readonly idle?: Effect.Effect<boolean, SourceError> | undefined
  /**
   * Where a source has it, a herd waits for changes instead of asking again and again. Default:
   * none.
   */
  readonly changes?: Changes | undefined
  /**
   * The largest body that it can keep, in bytes of JSON as UTF-8. A herd refuses larger ones with
   * `InvalidUnit`. Default: no bound. An offer has about 4 MB of bodies at most, unless it is a
   * single unit. A herd claims 64 units at first, then as many as have about 4 MB of bodies by the
   * answer before.
   */
  readonly maxBodyBytes?: number | undefined
  /**
   * Why the source can't keep this unit, if it can't: its priority is out of range, or its body has
   * characters that the database lacks. A herd asks before it offers, and refuses the whole call
   * with `InvalidUnit`. Default: any unit can be kept.
   *
   * @example
   * ```ts
   * import type * as HerdSource from "gofherd/HerdSource"
   *
   * const refusal = ({ priority }: HerdSource.NewUnit): HerdSource.UnitRefusal | undefined =>
   *   Number.isInteger(priority) && priority >= 0 && priority <= 9
   *     ? undefined
   *     : { part: "priority", expected: "an integer from 0 to 9", given: String(priority) }
   * ```
   */
  readonly refusal?: ((unit: NewUnit) => UnitRefusal | undefined) | undefined
  /**
   * How many settlings and claims may be under way at once, an integer from 1, the default. With
   * more, a source that is far away hears of some units while gophers work on others; each time it
   * is told of fewer.
   */
  readonly concurrency?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface OpenOptions {
  /** How long a claim lasts without renewal, for other processes. */
  readonly lease: Duration.Duration
  /** How many crashes bury a unit. */
  readonly maxCrashes: number
}

// ------------------------------------------------------------------------------------------------------ tags

/**
 * Where durable herds keep their units.
 *
 * @since 0.1.0
 * @category tags
 */
export class HerdSource extends Context.Tag("gofherd/HerdSource")<HerdSource, {
  /**
   * Opens the units of the herd of that name, as one owner. When the scope closes it releases what
   * this owner holds. What dead owners held is ready at once where the source can tell that they
   * are dead, otherwise when their leases have run out.
   */
  open(herd: string, options: OpenOptions): Effect.Effect<Queue, SourceError, Scope.Scope>
}>() {}

// ------------------------------------------------------------------------------------------------------ layers

/**
 * @since 0.1.0
 * @category models
 */
export interface MemoryOptions {
  /**
   * How long the id of a unit that is done is remembered. Default 1 hour; may be infinite. A finite
   * one above 100 years counts as 100 years.
   */
  readonly retention?: Duration.DurationInput | undefined
}

/**
 * Keeps units in memory: for tests. They survive the herd, not the layer.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer, Schema } from "effect"
 * import * as DurableHerd from "gofherd/DurableHerd"
 * import * as HerdSource from "gofherd/HerdSource"
 *
 * class Mails extends Context.Tag("mails")<Mails, DurableHerd.DurableHerd<string>>() {}
 *
 * const MailsTest = DurableHerd.layer(Mails, { schema: Schema.String, process: (to) => Effect.log(`mail to ${to}`) }).pipe(
 *   Layer.provide(HerdSource.layerMemory())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<HerdSource> =>
  Layer.sync(HerdSource, () => makeMemory(options))
