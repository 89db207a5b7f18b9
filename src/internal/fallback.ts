import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Access } from "./access.ts"
import { guarded } from "./access.ts"

/**
 * Answers requests that no route takes: 405 for another method on a known path, whatever its name, and 404 for other paths if
 * they are nobody else's.
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
    allow: Array.from(methods).toSorted().join(", ")
  }))
  return HttpLayerRouter.middleware(
    (app) =>
      Effect.catchAll(app, (error) => {
        if (!(error instanceof HttpServerError.RouteNotFound)) return Effect.fail(error)
        const { method, url } = error.request
        const segments = segmentsOf(pathOf(url))
        const allow = known.find(({ path }) => matches(path, segments))?.allow
        if (allow !== undefined) return guarded(options.access)(Effect.succeed(notAllowed(method, allow)))
        return options.all ? guarded(options.access)(Effect.succeed(notFound)) : Effect.fail(error)
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

/** The path as the router reads it: no authority, no query, no slash twice or at the end, decoded, in lower case. */
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
