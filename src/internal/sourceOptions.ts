import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { ListOptions } from "../HerdSource.ts"
import { checkNow, readNow } from "./check.ts"
import { durationOf, isCount, isSize } from "./options.ts"

/**
 * How long units that are done are remembered. Throws `InvalidOption`.
 *
 * @internal
 */
export const retentionOf = (retention: unknown = "1 hour"): Duration.Duration => {
  const duration = durationOf(retention)
  checkNow(Option.isSome(duration), "retention", "a duration", retention)
  return Option.getOrElse(duration, () => Duration.zero)
}

/**
 * Which dead letters are listed. Throws `InvalidOption`, for an Effect to make a defect of it.
 *
 * @internal
 */
export const listOptions = (options: ListOptions = {}): { readonly limit: number; readonly offset: number } => {
  const { limit = 100, offset = 0 } = readNow(options, ({ limit, offset }) => ({ limit, offset }))
  checkNow(isCount(limit), "limit", "an integer from 1", limit)
  checkNow(isSize(offset, Number.MAX_SAFE_INTEGER), "offset", "an integer from 0", offset)
  return { limit, offset }
}

/**
 * How often a source is asked that does not tell. Throws `InvalidOption`.
 *
 * @internal
 */
export const pollIntervalOf = (pollInterval: unknown = "100 millis"): Duration.Duration => {
  const duration = durationOf(pollInterval)
  checkNow(Option.exists(duration, Duration.greaterThan(0)), "pollInterval", "a duration of more than 0", pollInterval)
  return Option.getOrElse(duration, () => Duration.zero)
}
