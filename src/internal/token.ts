import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidOption } from "../HerdError.ts"

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

/**
 * The token that is given, redacted or not.
 *
 * @internal
 */
export const tokenIn = (token: string | Redacted.Redacted | undefined): string | undefined =>
  Redacted.isRedacted(token) ? Redacted.value(token) : token

/**
 * @internal
 */
export const checkToken = (token: unknown): Effect.Effect<void, InvalidOption> =>
  token === undefined || isToken(token)
    ? Effect.void
    : new InvalidOption({ option: "token", expected: TOKEN, given: showToken(token) })
