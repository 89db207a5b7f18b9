import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Herd from "../Herd.ts"
import { InvalidOption } from "../HerdError.ts"
import type { Herds } from "../HerdRouter.ts"
import { check, holds, isName, isObject, read } from "./check.ts"
import { show } from "./show.ts"

/**
 * Looks the herds up. What they require is what their elements require; the type of a list says
 * `unknown` for it.
 *
 * @internal
 */
export const controlsOf = <H extends Herds>(
  options: { readonly herds: H }
): Effect.Effect<readonly [Herd.Control, ...Array<Herd.Control>], never, Effect.Effect.Context<H[number]>> => {
  const controls = Effect.orDie(Effect.gen(function*() {
    const herds = yield* read(options, ({ herds }) => Array.isArray(herds) ? Array.from(herds) : herds)
    yield* check(holds(areEffects, herds), "herds", "tags of herds, one at least", herds)
    const [first, ...others] = herds
    const controls = [yield* controlOf(first), ...(yield* Effect.forEach(others, controlOf))] as const
    const names = new Set<string>()
    for (const control of controls) {
      yield* holds(isControl, control) ? Effect.void : refuse("tags of herds", `one of ${show(control)}`)
      const { name } = control
      yield* names.has(name) ? refuse("herds with different names", `${show(name)} twice`) : Effect.void
      names.add(name)
    }
    return controls
  }))
  return controls as Effect.Effect<Effect.Effect.Success<typeof controls>, never, Effect.Effect.Context<H[number]>>
}

const areEffects = (herds: unknown): boolean => Array.isArray(herds) && herds.length > 0 && herds.every(Effect.isEffect)

/** Who is given may be no herd of `make`. Every herd has a path with its name. */
const controlOf = <R>(herd: Effect.Effect<Herd.Control, never, R>): Effect.Effect<Herd.Control, InvalidOption, R> =>
  Effect.tap(herd, (control) =>
    Effect.gen(function*() {
      yield* holds(isObject, control) ? Effect.void : refuse("tags of herds", `one of ${show(control)}`)
      const name = yield* read(control, ({ name }) => name, "herds")
      yield* holds(isName, name) ? Effect.void : refuse("herds with names that can be in a path", show(name))
    }))

const refuse = (expected: string, given: string) => new InvalidOption({ option: "herds", expected, given })

/**
 * Can it be watched and steered?
 *
 * @internal
 */
export const isControl = (control: Herd.Control): boolean =>
  [control.size, control.state, control.history, control.pause, control.resume, control.drain].every(Effect.isEffect)
  && Stream.StreamTypeId in control.changes
  && typeof control.resize === "function"
