import * as Effect from "effect/Effect"
import { show } from "./show.ts"

/**
 * What is due to a function of the user's that has returned something else than an Effect.
 *
 * @internal
 */
export const noEffect = (name: string, value: unknown): Effect.Effect<never> => {
  disown(value)
  return Effect.dieMessage(`expected ${name} to return an Effect, got ${show(value)}`)
}

/**
 * A Promise that nobody takes, as that of an async function, ends the process if it is rejected.
 */
const disown = (value: unknown): void => {
  try {
    if (value instanceof Promise) value.catch(() => {})
  } catch {
    // A Proxy that does not say what it is.
  }
}
