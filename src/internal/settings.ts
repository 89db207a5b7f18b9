import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidOption } from "../HerdError.ts"
import type { Herds, Options } from "../HerdRouter.ts"
import { isSize } from "./options.ts"
import type { Settings } from "./routes.ts"
import { show } from "./show.ts"

/**
 * The options of the routes, checked; none of them is a mistake that a program could go on with.
 *
 * @internal
 */
export const settingsOf = (options: Omit<Options<Herds>, "herds">): Effect.Effect<Settings> =>
  Effect.orDie(Effect.gen(function*() {
    const { allowedHosts, dashboard = true, maxEventStreams = 100, prefix = "", readOnly = false } = options
    const check = (ok: boolean, option: string, expected: string, given: string) =>
      ok ? Effect.void : new InvalidOption({ option, expected, given })
    const isBoolean = (value: unknown) => typeof value === "boolean"

    yield* check(isPrefix(prefix), "prefix", "a path like \"/ops\", without a slash at its end", show(prefix))
    yield* check(isBoolean(readOnly), "readOnly", "a boolean", show(readOnly))
    yield* check(isBoolean(dashboard), "dashboard", "a boolean", show(dashboard))
    const token = Redacted.isRedacted(options.token) ? Redacted.value(options.token) : options.token
    yield* check(token === undefined || isToken(token), "token", TOKEN, showToken(token))
    const areHosts = allowedHosts === undefined || Array.isArray(allowedHosts) && allowedHosts.every(isHost)
    yield* check(areHosts, "allowedHosts", "host names without a port, or \"*\"", show(allowedHosts))
    const isCount = isSize(maxEventStreams, Number.MAX_SAFE_INTEGER)
    yield* check(isCount, "maxEventStreams", "an integer from 0", show(maxEventStreams))

    return {
      prefix,
      readOnly,
      dashboard,
      maxEventStreams,
      token: token === undefined ? undefined : Redacted.make(token),
      allowedHosts: allowedHosts?.map((host) => host.toLowerCase())
    }
  }))

/**
 * What a token has to be.
 *
 * @internal
 */
export const TOKEN = "one or more visible ASCII characters"

/**
 * What was given for a token, without giving it away.
 *
 * @internal
 */
export const showToken = (token: unknown): string => token === "" ? "none" : "something else"

/**
 * @internal
 */
export const isToken = (token: unknown): boolean => typeof token === "string" && /^[!-~]+$/.test(token)

const isPrefix = (prefix: unknown): prefix is "" | `/${string}` =>
  prefix === "" || typeof prefix === "string" && /^(?:\/[\w.~-]+)+$/.test(prefix)

/**
 * @internal
 */
export const isHost = (host: unknown): boolean =>
  typeof host === "string" && /^(?:\*|\[[\da-f:.]+\]|[^\s/:@[\]*]+)$/i.test(host)
