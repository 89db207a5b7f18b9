import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"

/**
 * Answers requests that no route takes: 405 for another method on a known path, whatever its name, and 404 for other paths if
 * they are nobody else's.
 *
 * @internal
 */
export const fallback = (options: {
  /** The methods that the routes of a path take. */
  readonly allow: ReadonlyMap<string, ReadonlyArray<string>>
  /** Is every path without a route ours to answer? */
  readonly all: boolean
}): Layer.Layer<never, never, HttpLayerRouter.HttpRouter> =>
  HttpLayerRouter.middleware(
    (app) => Effect.catchAll(app, (error) => answer(options, error) ?? Effect.fail(error)),
    { global: true }
  )

const answer = (
  options: { readonly allow: ReadonlyMap<string, ReadonlyArray<string>>; readonly all: boolean },
  error: unknown
): Effect.Effect<HttpServerResponse.HttpServerResponse> | undefined => {
  if (!(error instanceof HttpServerError.RouteNotFound)) return undefined
  const { method, url } = error.request
  const allow = options.allow.get(pathOf(url))?.join(", ")
  if (allow !== undefined) {
    const body = { msg: `expected one of ${allow}, got ${method}`, _tag: "MethodNotAllowed" }
    return Effect.succeed(HttpServerResponse.unsafeJson(body, { status: 405, headers: { allow } }))
  }
  if (!options.all) return undefined
  return Effect.succeed(
    HttpServerResponse.unsafeJson({ msg: "there is nothing at this path", _tag: "NotFound" }, { status: 404 })
  )
}

/** The path as the router reads it: no authority, no query, no slash twice or at the end, decoded, in lower case. */
const pathOf = (url: string): string => {
  const path = url.replace(/^https?:\/\/[^/?]*/i, "").replace(/[?;#].*$/s, "").replace(/\/+/g, "/").replace(
    /(?<=.)\/$/,
    ""
  )
  try {
    return decodeURIComponent(path).toLowerCase()
  } catch {
    return path
  }
}
