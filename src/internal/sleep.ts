import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * The longest that a timer takes, in milliseconds. Effect's Clock sleeps for ever if it is given
 * more.
 */
const LONGEST = 2 ** 31 - 1

/**
 * Sleeps on the Clock for any duration: a long one in slices that a timer takes.
 *
 * @internal
 */
export const sleep = (duration: Duration.DurationInput): Effect.Effect<void> => {
  const millis = Duration.toMillis(duration)
  if (millis === Infinity) return Effect.never
  if (millis <= LONGEST) return Effect.sleep(duration)
  return Effect.zipRight(Effect.sleep(LONGEST), Effect.suspend(() => sleep(millis - LONGEST)))
}

/**
 * What it yields if it does so in time, whatever the duration.
 *
 * @internal
 */
export const inTime = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.DurationInput
): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.raceFirst(Effect.asSome(effect), Effect.as(sleep(duration), Option.none()))
