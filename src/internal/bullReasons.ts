import { isObject } from "./check.ts"

const nameOf = (error: unknown): unknown => isObject(error) && "name" in error ? error.name : undefined

/**
 * How ioredis reports a closed connection. Some of its texts name an option that a herd does not
 * have.
 */
const closed = /max retries per request|^Connection is closed|connection close/i

/**
 * The cause of a failed command. For a discarded transaction it is the first refused command; for a
 * closed connection, what closed it, if known.
 *
 * @internal
 */
export const redisReason = (error: unknown, trouble: unknown): unknown => {
  const previous: unknown = isObject(error) && "previousErrors" in error ? error.previousErrors : undefined
  const answers: ReadonlyArray<unknown> = [...Array.isArray(previous) ? previous : [], error]
  // The server's own answer is the clearest.
  const answer = answers.find((error) => nameOf(error) === "ReplyError")
  if (answer !== undefined) return answer
  const reason = trouble ?? error
  return reason instanceof Error && closed.test(reason.message)
    ? new Error("a connection to Redis that was closed before it answered", { cause: reason })
    : reason
}

/** What to do about some errors of PostgreSQL and PgBouncer, by code or part of the message. */
const hints = [
  {
    message: /unsupported startup parameter.*options/i,
    hint: "PgBouncer needs ignore_startup_parameters = options, and the role a search_path: see docs/bullmq.md"
  },
  { code: "25006", hint: "the server, or the user's setting, is read only" },
  { code: "53300", hint: "each open herd has up to `max` connections (10) and one more" }
] as const

/**
 * The cause of a failed statement. If several addresses failed, it is the first one's error,
 * because the AggregateError has no message.
 *
 * @internal
 */
export const postgresReason = (error: unknown): unknown => {
  if (error instanceof AggregateError && error.message === "" && error.errors.length > 0) return error.errors[0]
  if (!(error instanceof Error)) return error
  const code: unknown = "code" in error ? error.code : undefined
  const known = hints.find((one) => "code" in one ? one.code === code : one.message.test(error.message))
  return known === undefined ? error : new Error(`${error.message}: ${known.hint}`, { cause: error })
}

/**
 * The connection does not search the schema that it was told to.
 *
 * @internal
 */
export const searchPathError = (schema: string, found: unknown): Error =>
  new Error(
    `${String(found)} as search_path, where expected ${schema}: PgBouncer in transaction mode drops it, `
      + `so run ALTER ROLE … SET search_path TO ${schema} (see docs/bullmq.md)`
  )
