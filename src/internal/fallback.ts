import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Access } from "./access.ts"
import { guarded } from "./access.ts"

/**
 * Answers requests that no route takes: 405 for another method on a known path, whatever its name,
 * and 404 for names that the router refuses, and for other paths if they are nobody else's.
 *
 * @internal
 */
export const fallback = (options: {
  /** The methods of each path, such as `/herds/:name`. */
  readonly methods: ReadonlyMap<string, ReadonlySet<string>>
  /** Is every path without a route ours to answer? */
  readonly all: boolean
  readonly access: Access
}): Layer.Layer<never, never, HttpLayerRouter.HttpRouter> => {
  const known = Array.from(options.methods, ([path, methods]) => ({
    path: segmentsOf(path),
    methods,
    allow: Array.from(methods).toSorted().join(", ")
  }))
  return HttpLayerRouter.middleware(
    (app) =>
      Effect.catchAll(app, (error) => {
        if (!(error instanceof HttpServerError.RouteNotFound)) return Effect.fail(error)
        const { method, url } = error.request
        const segments = segmentsOf(pathOf(url))
        const found = known.find(({ path }) => matches(path, segments))
        if (found === undefined && !options.all) return Effect.fail(error)
        // The router takes no name that is too long, or not encoded as it should be.
        const refused = found === undefined || found.methods.has(method) ? notFound : notAllowed(method, found.allow)
        return HttpMiddleware.withLoggerDisabled(guarded(options.access)(Effect.succeed(refused)))
      }),
    { global: true }
  )
}

const notAllowed = (method: string, allow: string) =>
  HttpServerResponse.unsafeJson(
    { msg: `expected one of ${allow}, got ${method}`, _tag: "MethodNotAllowed" },
    { status: 405, headers: { allow } }
  )

const notFound = HttpServerResponse.unsafeJson({ msg: "there is nothing at this path", _tag: "NotFound" }, {
  status: 404
})

/**
 * The path as the router reads it: no authority, no query, no slash twice or at the end, decoded,
 * in lower case.
 */
const pathOf = (url: string): string =>
  url.replace(/^https?:\/\/[^/?]*/i, "").replace(/[?;#].*$/s, "").replace(/\/+/g, "/").replace(/(?<=.)\/$/, "")

const segmentsOf = (path: string): ReadonlyArray<string> =>
  path.split("/").slice(1).map((segment) => {
    try {
      return decodeURIComponent(segment).toLowerCase()
    } catch {
      return segment
    }
  })

const matches = (path: ReadonlyArray<string>, segments: ReadonlyArray<string>) =>
  path.length === segments.length
  && path.every((expected, i) => expected.startsWith(":") ? segments[i] !== "" : expected === segments[i])
