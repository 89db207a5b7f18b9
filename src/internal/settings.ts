import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Herds, Options } from "../HerdRouter.ts"
import { check, read } from "./check.ts"
import { isSize } from "./options.ts"
import type { Settings } from "./routes.ts"
import { checkToken, tokenIn } from "./token.ts"

/**
 * The options of the routes, checked; none of them is a mistake that a program could go on with.
 *
 * @internal
 */
export const settingsOf = (options: Omit<Options<Herds>, "herds">): Effect.Effect<Settings> =>
  Effect.orDie(Effect.gen(function*() {
    const { allowedHosts, dashboard = true, maxEventStreams = 100, prefix = "", readOnly = false, token } = yield* read(
      options,
      ({ allowedHosts, dashboard, maxEventStreams, prefix, readOnly, token }) => ({
        // Taken out too, since who sees them checked must not find others there later.
        allowedHosts: Array.isArray(allowedHosts) ? Array.from(allowedHosts) : allowedHosts,
        dashboard,
        maxEventStreams,
        prefix,
        readOnly,
        token: tokenIn(token)
      })
    )
    yield* check(isPrefix(prefix), "prefix", "a path like \"/ops\", without a slash at its end", prefix)
    yield* check(typeof readOnly === "boolean", "readOnly", "a boolean", readOnly)
    yield* check(typeof dashboard === "boolean", "dashboard", "a boolean", dashboard)
    yield* checkToken(token)
    const areHosts = allowedHosts === undefined || Array.isArray(allowedHosts) && allowedHosts.every(isHost)
    yield* check(areHosts, "allowedHosts", "host names without a port, or \"*\"", allowedHosts)
    const isCount = isSize(maxEventStreams, Number.MAX_SAFE_INTEGER)
    yield* check(isCount, "maxEventStreams", "an integer from 0", maxEventStreams)

    return {
      prefix,
      readOnly,
      dashboard,
      maxEventStreams,
      token: token === undefined ? undefined : Redacted.make(token),
      allowedHosts: allowedHosts?.map((host) => host.toLowerCase())
    }
  }))

const isPrefix = (prefix: unknown): prefix is "" | `/${string}` =>
  prefix === "" || typeof prefix === "string" && /^(?:\/[\w.~-]+)+$/.test(prefix)

/**
 * @internal
 */
export const isHost = (host: unknown): boolean =>
  typeof host === "string" && /^(?:\*|\[[\da-f:.]+\]|[^\s/:@[\]*]+)$/i.test(host)
