import * as Effect from "effect/Effect"

/**
 * Waits for the next turn of the event loop, by which all that has come in meanwhile has been
 * heard.
 *
 * @internal
 */
export const nextTurn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})
