import type { Clock, Duration } from "effect"
import { Effect } from "effect"

/**
 * Counts the sleeps that are under way in an effect and all that it forks. Those of the TestClock
 * stay when they are interrupted.
 */
export const countingSleeps = <A, E, R>(
  use: (sleeps: () => number) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.clockWith((clock) => {
    let sleeps = 0
    const counting: Clock.Clock = Object.assign(Object.create(clock), {
      sleep: (duration: Duration.Duration) =>
        Effect.acquireUseRelease(
          Effect.sync(() => sleeps++),
          () => clock.sleep(duration),
          () => Effect.sync(() => sleeps--)
        )
    })
    return Effect.withClock(use(() => sleeps), counting)
  })
