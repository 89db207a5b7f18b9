import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { DurableHerd, OfferAllOptions, OfferOptions, Options } from "../DurableHerd.ts"
import type { SourceError } from "../HerdError.ts"
import { InvalidUnit } from "../HerdError.ts"
import type { HerdSource, NewUnit, Queue } from "../HerdSource.ts"
import { batches } from "./batches.ts"
import { check, checkNow, holds, isIterable, optional } from "./check.ts"
import { Custody } from "./custody.ts"
import type { Entry, Settings } from "./durableOptions.ts"
import { checkId, offerAllOptions, offerOptions, storableIds, validate } from "./durableOptions.ts"
import { makeWith, publicControlOf } from "./herd.ts"
import { Idleness } from "./idleness.ts"
import { isCount } from "./options.ts"
import { makeUnitIds } from "./unitIds.ts"

/** How units get from a herd's users to its source. */
class Offers<In> {
  private readonly herd: string
  private readonly queue: Queue
  private readonly encode: (body: In) => Effect.Effect<string, { readonly message: string }>
  private readonly newId: () => string

  constructor(options: {
    readonly herd: string
    readonly queue: Queue
    readonly encode: (body: In) => Effect.Effect<string, { readonly message: string }>
    readonly newId: () => string
  }) {
    this.herd = options.herd
    this.queue = options.queue
    this.encode = options.encode
    this.newId = options.newId
  }

  readonly offer = (body: In, options?: OfferOptions): Effect.Effect<string, InvalidUnit | SourceError> =>
    Effect.gen(this, function*() {
      const { id = this.newId(), ...entry } = offerOptions(options)
      const unit = yield* this.unit(body, id, entry, yield* Clock.currentTimeMillis)
      yield* this.queue.offer([unit])
      return id
    })

  readonly offerAll = (
    bodies: Iterable<In>,
    options?: OfferAllOptions<In>
  ): Effect.Effect<ReadonlyArray<string>, InvalidUnit | SourceError> =>
    Effect.gen(this, function*() {
      const { id: idOf = this.newId, ...entry } = offerAllOptions(options)
      checkNow(holds(isIterable, bodies), "bodies", "an iterable", bodies)
      const now = yield* Clock.currentTimeMillis
      const units = yield* Effect.forEach(bodies, (body) => this.unit(body, idOf(body), entry, now))
      for (const batch of batches(units)) yield* this.queue.offer(batch)
      return units.map(({ id }) => id)
    })

  private unit(body: In, id: unknown, { delay, priority }: Entry, now: number): Effect.Effect<NewUnit, InvalidUnit> {
    return Effect.flatMap(checkId(this.herd, id), (id) =>
      Effect.matchEffect(this.encode(body), {
        onFailure: ({ message }) => this.refused(message),
        onSuccess: (text) => {
          const { maxBodyBytes = Infinity } = this.queue
          const bytes = Buffer.byteLength(text)
          if (bytes > maxBodyBytes) {
            return this.refused(`${bytes} bytes of it`, `one of at most ${maxBodyBytes} bytes of JSON`)
          }
          const unit = { id, body: text, priority, runAt: delay === 0 ? undefined : now + delay }
          const refusal = this.queue.refusal?.(unit)
          if (refusal !== undefined) return this.refused(refusal.given, refusal.expected, refusal.part)
          return Effect.succeed(unit)
        }
      }))
  }

  private refused(
    given: string,
    expected = "one that its schema encodes to JSON",
    part: InvalidUnit["part"] = "body"
  ): InvalidUnit {
    return new InvalidUnit({ herd: this.herd, part, expected, given })
  }
}

/**
 * @internal
 */
export const make = <In, Encoded, Out, E, R, RRetry, RCallback>(
  source: Context.Tag.Service<HerdSource>,
  options: Options<In, Encoded, Out, E, R, RRetry, RCallback>,
  defaultName: string
): Effect.Effect<DurableHerd<In>, SourceError, R | RRetry | RCallback | Scope.Scope> =>
  Effect.flatMap(Effect.orDie(validate(options, defaultName)), (settings) => start(source, settings))

const start = <In, Out, E, R>(
  source: Context.Tag.Service<HerdSource>,
  { decode, encode, herd: settings, lease, maxCrashes }: Settings<In, Out, E, R>
): Effect.Effect<DurableHerd<In>, SourceError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const { name } = settings
    const clock = yield* Effect.clock
    const queue = yield* source.open(name, { lease, maxCrashes })
    const { concurrency, maxBodyBytes } = queue
    yield* Effect.orDie(check(optional(isCount)(concurrency), "concurrency", "an integer from 1", concurrency))
    yield* Effect.orDie(check(optional(isCount)(maxBodyBytes), "maxBodyBytes", "an integer from 1", maxBodyBytes))
    const herd = yield* makeWith(settings, (herd) => new Custody({ herd, queue, clock, decode, lease }))
    const newId = makeUnitIds(clock.unsafeCurrentTimeMillis())
    const { offer, offerAll } = new Offers({ herd: name, queue, encode, newId })
    const idleness = new Idleness(queue)
    return {
      ...publicControlOf(herd),
      // Its own gophers hear of it a moment later than the source.
      awaitIdle: Effect.zipRight(idleness.await, herd.awaitIdle),
      offer,
      offerAll,
      depth: queue.depth,
      // A source may have made it a class.
      dead: {
        list: (options) => queue.dead.list(options),
        redrive: (ids) => queue.dead.redrive(storableIds(ids)),
        discard: (ids) => queue.dead.discard(storableIds(ids))
      },
      fleet: Option.map(queue.fleet, (fleet) => ({ size: fleet.size, resize: (size) => fleet.resize(size) }))
    }
  })
