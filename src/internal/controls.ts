import * as Effect from "effect/Effect"
import type * as Herd from "../Herd.ts"
import type { Herds } from "../HerdRouter.ts"

/**
 * Herds that are at hand, and so ask for nothing.
 *
 * @internal
 */
export type Controls = readonly [Effect.Effect<Herd.Control>, ...Array<Effect.Effect<Herd.Control>>]

/**
 * Looks the herds up. What they require is what their elements require; the type of a list says `unknown` for it.
 *
 * @internal
 */
export const controlsOf = <H extends Herds>(
  herds: H
): Effect.Effect<Controls, never, Effect.Effect.Context<H[number]>> => {
  const [first, ...others] = herds
  const controls = Effect.zipWith(first, Effect.all(others), (first, others): Controls => [
    Effect.succeed(first),
    ...others.map((other) => Effect.succeed(other))
  ])
  return controls as Effect.Effect<Controls, never, Effect.Effect.Context<H[number]>>
}
