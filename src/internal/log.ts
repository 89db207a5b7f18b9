import * as Effect from "effect/Effect"

/**
 * Writes a line of the log. A logger that throws, as one may that can't write what it is given,
 * would otherwise end what the line was to tell of.
 *
 * @internal
 */
export const log = (line: Effect.Effect<void>): Effect.Effect<void> => Effect.catchAllCause(line, () => Effect.void)

/**
 * A line about a herd.
 *
 * @internal
 */
export const logOf = (herd: string, line: Effect.Effect<void>): Effect.Effect<void> =>
  log(Effect.annotateLogs(line, "herd", herd))
