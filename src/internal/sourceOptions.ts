import * as Duration from "effect/Duration"
import type { ListOptions } from "../HerdSource.ts"
import { checkNow, readNow } from "./check.ts"
import { boundedDuration } from "./longest.ts"
import { checkDurationNow, isCount, isSize } from "./options.ts"

/**
 * How long units that are done are remembered. Throws `InvalidOption`.
 *
 * @internal
 */
export const retentionOf = (retention: unknown = "1 hour"): Duration.Duration =>
  boundedDuration(checkDurationNow("retention", "a duration", retention))

/**
 * Which dead letters are listed. Throws `InvalidOption`, for an Effect to make a defect of it.
 *
 * @internal
 */
export const listOptions = (options: ListOptions = {}) => {
  const { limit = 100, maxBody = Number.MAX_SAFE_INTEGER, offset = 0 } = readNow(
    options,
    ({ limit, maxBody, offset }) => ({ limit, maxBody, offset })
  )
  checkNow(isCount(limit), "limit", "an integer from 1", limit)
  checkNow(isSize(offset, Number.MAX_SAFE_INTEGER), "offset", "an integer from 0", offset)
  checkNow(isSize(maxBody, Number.MAX_SAFE_INTEGER), "maxBody", "an integer from 0", maxBody)
  return { limit, offset, maxBody }
}

/**
 * How often a source is asked that does not tell. Throws `InvalidOption`.
 *
 * @internal
 */
export const pollIntervalOf = (pollInterval: unknown = "100 millis"): Duration.Duration =>
  boundedDuration(checkDurationNow("pollInterval", "a duration of more than 0", pollInterval, Duration.greaterThan(0)))

/**
 * The largest body that databases keep, in bytes of JSON. Escaped once more in a parameter it is
 * twice as long at most: a string of JavaScript, a value of SQLite and a `jsonb` of PostgreSQL can
 * be that long.
 *
 * @internal
 */
export const MAX_BODY_BYTES = 100_000_000
