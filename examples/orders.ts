/**
 * What services work on: orders made up for the occasion. Of a hundred attempts ten fail and are
 * repeated, two fail for good.
 */
import { Data, Duration, Effect, Random, Schedule } from "effect"

export class Unavailable extends Data.TaggedError("Unavailable") {}
export class Refused extends Data.TaggedError("Refused") {}

/** An order takes 50 to 350 ms of somebody else's time. */
export const fulfil = (_order: number) =>
  Effect.gen(function*() {
    yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(50, 350)))
    const luck = yield* Random.nextIntBetween(0, 100)
    if (luck < 2) return yield* new Refused()
    if (luck < 12) return yield* new Unavailable()
  })

export const retry = Schedule.exponential("200 millis").pipe(
  Schedule.jittered,
  Schedule.intersect(Schedule.recurs(3)),
  Schedule.whileInput((error: Unavailable | Refused) => error._tag === "Unavailable")
)

/** So many orders a second, which come in at random. */
export const arrivals = <E, R>(perSecond: number, take: (order: number) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    for (let order = 1;; order++) {
      const luck = yield* Random.next
      yield* Effect.sleep(Duration.seconds(-Math.log(1 - luck) / perSecond))
      yield* take(order)
    }
  })
