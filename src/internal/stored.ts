import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Control } from "../Herd.ts"
import type { Stored } from "../HerdSource.ts"
import { holds, isFunction, isObject } from "./check.ts"

/** A herd whose units are kept by a source. */
export type StoredControl = Control & Stored

/**
 * Does a source keep the units of this herd? By what it has, since the routes load no engine.
 *
 * @internal
 */
export const isStored = (control: Control): control is StoredControl => holds(hasSource, control)

const hasSource = (control: object): boolean =>
  "depth" in control
  && Effect.isEffect(control.depth)
  && "dead" in control
  && isObject(control.dead)
  && ["list", "redrive", "discard"].every((name) => isFunction(Reflect.get(Object(control.dead), name)))
  && "fleet" in control
  && Option.isOption(control.fleet)
