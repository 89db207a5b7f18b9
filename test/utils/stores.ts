/**
 * Stores of units for tests, and who works on them.
 */
import { it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Logger, LogLevel, Scope } from "effect"
import type { HerdError } from "gofherd"
import * as HerdSource from "gofherd/HerdSource"
import type { SourceName } from "../fixtures/sources.ts"
import { until } from "./stage.ts"

export interface Store {
  /** Built once for each that works on the store, as by a process of its own. */
  readonly layer: Layer.Layer<HerdSource.HerdSource, HerdError.SourceError>
  /** The herd that is on it. */
  readonly herd: string
  /** How a program gets to it, if one can. */
  readonly program: readonly [SourceName, string] | undefined
}

export interface Subject {
  readonly name: string
  /** A new one, with nothing in it. */
  readonly store: Effect.Effect<Store, never, Scope.Scope>
  /** Do programs get to it? */
  readonly programs: boolean
  /**
   * Does it hold up the event loop? Then its tests run one after the other, since leases of the
   * others would run out meanwhile.
   */
  readonly blocks?: boolean
  /** Is there nothing to run it on? */
  readonly skipped?: boolean
}

/** Milliseconds: of leases that are to run out, and of those that are not. */
export const SHORT = 400
export const LONG = 30_000

/** Tests, each on a store of its own. */
export const testing =
  (store: Subject["store"]) => (what: string, test: (store: Store) => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.scopedLive(what, () => Effect.flatMap(store, test).pipe(Logger.withMinimumLogLevel(LogLevel.None)), 60_000)

/** A source, with some of what its queues do replaced. */
export const altered = (
  source: Context.Tag.Service<HerdSource.HerdSource>,
  alter: (queue: HerdSource.Queue) => Partial<HerdSource.Queue>
): Context.Tag.Service<HerdSource.HerdSource> => ({
  open: (herd, options) => Effect.map(source.open(herd, options), (queue) => ({ ...queue, ...alter(queue) }))
})

/** The same of the source on a store. */
export const alteredStore = (store: Store, alter: (queue: HerdSource.Queue) => Partial<HerdSource.Queue>): Store => ({
  ...store,
  layer: Layer.map(
    store.layer,
    (context) => Context.make(HerdSource.HerdSource, altered(Context.get(context, HerdSource.HerdSource), alter))
  )
})

// ------------------------------------------------------------------------------------------------------ owners

/** Something made on a store by a process of its own, which the test may end. */
export const alone = <A, E>(store: Store, make: Effect.Effect<A, E, HerdSource.HerdSource | Scope.Scope>) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const source = yield* Layer.buildWithScope(store.layer, scope)
    const made = yield* make.pipe(Effect.provide(source), Scope.extend(scope))
    return { made, close: Scope.close(scope, Exit.void) }
  })

/** The queue, as one owner has it. */
export const open = (store: Store, { lease = LONG, maxCrashes = 3 } = {}) =>
  Effect.map(
    alone(
      store,
      Effect.flatMap(
        HerdSource.HerdSource,
        (source) => source.open(store.herd, { lease: Duration.millis(lease), maxCrashes })
      )
    ),
    ({ close, made: queue }) => ({ queue, close })
  )

/** Two owners in one process, of one source. */
export const openTwice = (store: Store, { lease = LONG, maxCrashes = 3 } = {}) =>
  Effect.map(
    alone(
      store,
      Effect.flatMap(HerdSource.HerdSource, (source) => {
        const opened = source.open(store.herd, { lease: Duration.millis(lease), maxCrashes })
        return Effect.all([opened, opened])
      })
    ),
    ({ made }) => made
  )

export const unit = (id: string, more: Partial<HerdSource.NewUnit> = {}): HerdSource.NewUnit => ({
  id,
  body: JSON.stringify(`body of ${id}`),
  priority: 0,
  runAt: undefined,
  ...more
})

export const units = (...ids: ReadonlyArray<string>) => ids.map((id) => unit(id))

export const idsOf = (claims: ReadonlyArray<{ readonly id: string }>) => claims.map(({ id }) => id)

export const ack = (claim: HerdSource.Claim): HerdSource.Settlement => ({ _tag: "Ack", claim })
export const release = (claim: HerdSource.Claim): HerdSource.Settlement => ({ _tag: "Release", claim })
export const bury = (claim: HerdSource.Claim, cause = "broken"): HerdSource.Settlement => ({
  _tag: "Bury",
  claim,
  cause
})
export const retry = (claim: HerdSource.Claim, at: number, firstFailureAt = 1_000): HerdSource.Settlement => ({
  _tag: "Retry",
  claim,
  at,
  firstFailureAt,
  cause: "again"
})

/** Claims until it has got so many. */
export const claimSoon = (queue: HerdSource.Queue, count: number) =>
  Effect.gen(function*() {
    const claims: Array<HerdSource.Claim> = []
    yield* until(Effect.map(queue.claim(count - claims.length), (more) => claims.push(...more) >= count))
    return claims
  })

export const claimOne = (queue: HerdSource.Queue) =>
  Effect.map(claimSoon(queue, 1), ([claim]) => {
    if (claim === undefined) throw new Error("expected a claim, got none")
    return claim
  })

export const counts = ({ dead, delayed, held, ready }: HerdSource.Depth) => ({ ready, delayed, held, dead })
