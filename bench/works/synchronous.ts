import { Effect } from "effect"
import { ofNumbers, resultOf } from "../work.ts"

/** Nothing to do, so that what is measured is the machinery around it. */
export const synchronous = ofNumbers({
  size: 16,
  effect: (n) => Effect.succeed(resultOf(n)),
  promise: (n) => Promise.resolve(resultOf(n))
})

/** The same, but what a unit does is done when its Effect runs, not before. */
export const suspended = ofNumbers({
  size: 16,
  effect: (n) => Effect.sync(() => resultOf(n)),
  promise: async (n) => resultOf(n)
})
