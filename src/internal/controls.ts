import * as Effect from "effect/Effect"
import type * as Herd from "../Herd.ts"
import type { Herds } from "../HerdRouter.ts"

/**
 * Looks the herds up. What they require is what their elements require; the type of a list says `unknown` for it.
 *
 * @internal
 */
export const controlsOf = <H extends Herds>(
  herds: H
): Effect.Effect<readonly [Herd.Control, ...Array<Herd.Control>], never, Effect.Effect.Context<H[number]>> => {
  const [first, ...others] = herds
  const controls = Effect.zipWith(first, Effect.all(others), (first, others) => [first, ...others] as const)
  return controls as Effect.Effect<Effect.Effect.Success<typeof controls>, never, Effect.Effect.Context<H[number]>>
}
