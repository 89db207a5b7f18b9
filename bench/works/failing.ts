import { Effect } from "effect"
import { ofNumbers, resultOf, type Retry, type Works } from "../work.ts"

/** One for all: to take the stack of each would cost more than all else of a unit. */
const failure = new Error("expected a later attempt")

/** Every tenth unit fails, by turns once, twice and three times, and then succeeds. */
const failuresOf = (n: number): number => n % 10 === 0 ? 1 + n / 10 % 3 : 0

export const failing = (retry: Retry): Works => (units) => {
  const left = Uint8Array.from({ length: units }, (_, n) => failuresOf(n))
  const fails = (n: number): boolean => {
    const failures = left[n] ?? 0
    if (failures > 0) left[n] = failures - 1
    return failures > 0
  }
  return ofNumbers({
    size: 16,
    retry,
    effect: (n) => Effect.suspend(() => fails(n) ? Effect.fail(failure) : Effect.succeed(resultOf(n))),
    promise: (n) => fails(n) ? Promise.reject(failure) : Promise.resolve(resultOf(n))
  })(units)
}
