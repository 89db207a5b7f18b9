import * as Effect from "effect/Effect"
import type * as Herd from "../Herd.ts"
import { InvalidOption } from "../HerdError.ts"
import type { Herds } from "../HerdRouter.ts"
import { isName } from "./options.ts"
import { show } from "./show.ts"

/**
 * Looks the herds up. What they require is what their elements require; the type of a list says `unknown` for it.
 *
 * @internal
 */
export const controlsOf = <H extends Herds>(
  herds: H
): Effect.Effect<readonly [Herd.Control, ...Array<Herd.Control>], never, Effect.Effect.Context<H[number]>> => {
  const [first, ...others] = herds
  const controls = Effect.zipWith(first, Effect.all(others), (first, others) => [first, ...others] as const).pipe(
    Effect.tap((controls) => Effect.orDie(Effect.forEach(controls, checkName)))
  )
  return controls as Effect.Effect<Effect.Effect.Success<typeof controls>, never, Effect.Effect.Context<H[number]>>
}

/** Every herd has a path with its name; who is given may be no herd of `make`. */
const checkName = ({ name }: Herd.Control) =>
  isName(name)
    ? Effect.void
    : new InvalidOption({ option: "herds", expected: "herds with names that can be in a path", given: show(name) })
