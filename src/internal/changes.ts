import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Condition } from "./condition.ts"
import type { Round } from "./round.ts"

/**
 * The state at once, and again after each turn that changed something. Only a version number is
 * kept for a reader, so a slow one costs nothing and reads the latest.
 *
 * @internal
 */
export const changesOf = <A>(options: {
  readonly turn: Round
  readonly state: () => A
  /** There will be no further changes. */
  readonly stopped: () => boolean
}): Stream.Stream<A> => {
  const { state, stopped, turn } = options
  return Stream.unwrapScoped(Effect.suspend(() => {
    let seen = -1
    const changed = new Condition(() => turn.ended !== seen || stopped())
    const next: Effect.Effect<A, Option.Option<never>> = Effect.suspend(() => {
      if (turn.ended !== seen) {
        seen = turn.ended
        return Effect.sync(state)
      }
      return stopped() ? Effect.fail(Option.none()) : Effect.zipRight(changed.await, next)
    })
    const watching = Effect.acquireRelease(
      Effect.sync(() => turn.atEnd(() => changed.check())),
      (stop) => Effect.sync(stop)
    )
    return Effect.as(watching, Stream.repeatEffectOption(next))
  }))
}
