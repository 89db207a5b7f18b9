import { Effect, type Scope } from "effect"

/**
 * Hears, until the scope closes, of the Promises that nobody has taken: the program would end with
 * the first.
 */
export const unhandledRejections: Effect.Effect<ReadonlyArray<unknown>, never, Scope.Scope> = Effect.suspend(() => {
  const reasons: Array<unknown> = []
  const hear = (reason: unknown) => reasons.push(reason)
  return Effect.as(
    Effect.acquireRelease(
      Effect.sync(() => process.on("unhandledRejection", hear)),
      () => Effect.sync(() => process.off("unhandledRejection", hear))
    ),
    reasons
  )
})
