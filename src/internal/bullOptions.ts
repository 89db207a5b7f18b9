import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type { ConnectionOptions, Options, PostgresConnectionOptions, PostgresOptions } from "../HerdSourceBullMQ.ts"
import { openPostgres } from "./bullPostgres.ts"
import { openRedis } from "./bullRedis.ts"
import { checkNow, isObject, optional, readNow } from "./check.ts"
import { isSize } from "./options.ts"
import type { Settings } from "./sourceBullMQ.ts"
import { pollIntervalOf, retentionOf } from "./sourceOptions.ts"

const isText = (value: unknown): boolean => typeof value === "string"

const isSecret = (value: unknown): boolean =>
  isText(value) || Redacted.isRedacted(value) && isText(Redacted.value(value))

const secretOf = (value: string | Redacted.Redacted | undefined): string | undefined =>
  Redacted.isRedacted(value) ? Redacted.value(value) : value

/** What ioredis takes for options, too. */
const queryOf = (url = ""): Readonly<Record<string, string>> =>
  Object.fromEntries(new URLSearchParams(/\?([^#]*)/.exec(url)?.[1] ?? ""))

/** Without what is not given, which a driver would take for given. */
const given = (options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

const checked = <C extends ConnectionOptions | PostgresConnectionOptions>(connection: C): C => {
  const options = readNow(connection, (connection) => ({ ...connection }), "connection")
  for (const name of ["url", "password"] as const) {
    // Messages must not show it.
    const shown = isObject(options[name]) || isText(options[name]) ? "<redacted>" : options[name]
    checkNow(optional(isSecret)(options[name]), `connection.${name}`, "a string, plain or Redacted", shown)
  }
  for (const name of ["host", "username"] as const) {
    checkNow(optional(isText)(options[name]), `connection.${name}`, "a string", options[name])
  }
  const { port } = options
  checkNow(optional((port) => isSize(port, 65_535))(port), "connection.port", "an integer from 0 to 65535", port)
  checkNow(optional(isObject)(options.driver), "connection.driver", "an object", options.driver)
  return options
}

const timesOf = (
  { pollInterval = "500 millis", retention }: {
    readonly pollInterval?: Duration.DurationInput | undefined
    readonly retention?: Duration.DurationInput | undefined
  }
) => ({ pollInterval: pollIntervalOf(pollInterval), retention: retentionOf(retention) })

/**
 * Reads the options for Redis. Throws `InvalidOption`.
 *
 * @internal
 */
export const redisSettings = (options: Options): Settings => {
  const { connection = {}, prefix = "bull", ...times } = readNow(options, (options) => ({ ...options }))
  const { database, driver, password, url, ...rest } = checked(connection)
  checkNow(isText(prefix) && prefix !== "", "prefix", "a string that is not empty", prefix)
  checkNow(
    optional((database) => isSize(database, 65_535))(database),
    "connection.database",
    "an integer from 0",
    database
  )
  checkNow(
    !isObject(driver) || driver["keyPrefix"] === undefined || driver["keyPrefix"] === "",
    "connection.driver.keyPrefix",
    "absent, since option prefix is there for that and BullMQ's keys would be split",
    driver?.["keyPrefix"]
  )
  const { keyPrefix } = queryOf(secretOf(url))
  checkNow(
    keyPrefix === undefined || keyPrefix === "",
    "keyPrefix in connection.url",
    "absent, since option prefix is there for that and BullMQ's keys would be split",
    keyPrefix
  )
  const redis = given({ ...driver, ...rest, url: secretOf(url), password: secretOf(password), db: database })
  return { ...timesOf(times), open: (options) => openRedis(redis, prefix, options) }
}

/**
 * Reads the options for PostgreSQL. Throws `InvalidOption`.
 *
 * @internal
 */
export const postgresSettings = (options: PostgresOptions): Settings => {
  const { connection = {}, migrate = true, schema = "bullmq", ...times } = readNow(
    options,
    (options) => ({ ...options })
  )
  const { database, driver, password, tls, url, username, ...rest } = checked(connection)
  checkNow(optional(isText)(database), "connection.database", "a string", database)
  checkNow(typeof migrate === "boolean", "migrate", "a boolean", migrate)
  checkNow(
    /^[A-Za-z_][A-Za-z0-9_$]{0,62}$/.test(schema),
    "schema",
    "a name of letters, digits and underscores, at most 63",
    schema
  )
  const postgres = given({
    ...driver,
    ...rest,
    connectionString: secretOf(url),
    user: username,
    password: secretOf(password),
    database,
    ssl: tls,
    schema,
    migrate
  })
  return { ...timesOf(times), open: (options) => openPostgres(postgres, options) }
}
