import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createHash, timingSafeEqual } from "node:crypto"
import { isIP } from "node:net"
import { Authorization, Forbidden, Unauthorized } from "../HerdApi.ts"
import { show } from "./show.ts"

/** Who may ask. */
export interface Access {
  readonly token: Redacted.Redacted | undefined
  /** Host names in lower case, `"*"` for any; `undefined` for those that no page of another site can be served from. */
  readonly allowedHosts: ReadonlyArray<string> | undefined
}

// ------------------------------------------------------------------------------------------------------ hosts, sites

/**
 * Lets requests through that were sent to an allowed host and, if they may change something, not by a page of another site.
 * Every answer says that it is to be taken for what it is, and kept to its own site.
 *
 * The host is looked at because of DNS rebinding: a page of evil.example whose name has come to mean 127.0.0.1 is, to the
 * browser, of the same site as these routes. An IP address can't be made to mean another machine.
 *
 * @internal
 */
export const guarded = (access: Access) =>
<E, R>(
  app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const refused = refusal(request, access)
    if (refused === undefined) return Effect.map(app, sealed)
    return Effect.succeed(sealed(HttpServerResponse.unsafeJson(encodeForbidden({ msg: refused }), { status: 403 })))
  })

const refusal = (request: HttpServerRequest.HttpServerRequest, { allowedHosts, token }: Access): string | undefined => {
  const host = hostOf(request)
  const name = nameOf(host)
  const allowed = allowedHosts === undefined
    // Who lures a browser here by another name does not have the token.
    ? token !== undefined || name === "localhost" || name.endsWith(".localhost") || isIP(unbracketed(name)) !== 0
    : allowedHosts.includes("*") || allowedHosts.includes(name)
  if (!allowed) return `expected Host to be in allowedHosts, got ${show(host)}`
  if (request.method === "GET" || request.method === "HEAD") return undefined
  const site = request.headers["sec-fetch-site"]
  const origin = request.headers["origin"]
  // Browsers send the one to trustworthy origins only, and the other always. Who sends neither is no browser.
  if (site === undefined ? origin === undefined || isOf(origin, host) : site === "same-origin" || site === "none") {
    return undefined
  }
  return `expected a request of this site, got one of ${show(origin ?? site)}`
}

const encodeForbidden = ({ msg }: { readonly msg: string }) => Schema.encodeSync(Forbidden)(new Forbidden({ msg }))

/** A request without a socket has its host in its URL, of which a router may have cut off the beginning. */
const hostOf = ({ headers, originalUrl }: HttpServerRequest.HttpServerRequest): string =>
  (headers["host"] ?? /^https?:\/\/([^/?#]*)/i.exec(originalUrl)?.[1] ?? "").toLowerCase()

const nameOf = (host: string) => host.replace(/:\d*$/, "").replace(/\.$/, "")

const unbracketed = (name: string) => name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name

const isOf = (origin: string, host: string) => origin.toLowerCase().replace(/^https?:\/\//, "") === host

const sealed = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.setHeaders(response, {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    ...(response.status === 401 ? { "www-authenticate": "Bearer realm=\"gofherd\"" } : {})
  })

// ------------------------------------------------------------------------------------------------------ the token

/**
 * The platform hands over what stands from the eighth character on, whatever comes before, so the header is read here.
 *
 * @internal
 */
export const authorization = ({ token }: Access): Layer.Layer<Authorization> =>
  Layer.sync(Authorization, () => {
    const expected = token && sha256(Redacted.value(token))
    const bearer = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) => {
      const given = /^Bearer +(.*)$/i.exec(headers["authorization"] ?? "")?.[1]
      // Hashes are of one length, and take as long to compare wherever they differ.
      if (expected === undefined || given !== undefined && timingSafeEqual(sha256(given), expected)) return Effect.void
      const msg = `expected the header Authorization: Bearer with the token, got ${
        given === undefined ? "none" : "another one"
      }`
      return new Unauthorized({ msg })
    })
    return { bearer: () => bearer }
  })

const sha256 = (text: string) => createHash("sha256").update(text).digest()
