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
  /**
   * Host names in lower case, `"*"` for any; `undefined` for those that no page of another site can
   * be served from.
   */
  readonly allowedHosts: ReadonlyArray<string> | undefined
}

// ------------------------------------------------------------------------------------------------------ hosts, sites

/**
 * Lets requests through that were sent to an allowed host, and not by a page of another site; a
 * link on such a page may lead here. Every answer says that it is to be taken for what it is, and
 * kept to its own site.
 *
 * The host is looked at because of DNS rebinding: a page of evil.example whose name has come to
 * mean 127.0.0.1 is, to the browser, of the same site as these routes. An IP address can't be made
 * to mean another machine. The site is looked at also where nothing is changed, unless that takes a
 * token, since an application may send CORS headers with all that it answers.
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

const refusal = (request: HttpServerRequest.HttpServerRequest, access: Access): string | undefined => {
  const hosts = hostsOf(request)
  const host = hosts.find((host) => !isAllowed(nameOf(host), access))
  if (host !== undefined || hosts.length === 0 && needsHost(access)) {
    return `expected Host to be in allowedHosts, got ${show(host ?? "")}`
  }
  return isForeign(request, hosts[0]) && !isLink(request) && !(access.token !== undefined && isRead(request))
    ? `expected a request of this site, got one of ${
      show(request.headers["origin"] ?? request.headers["sec-fetch-site"])
    }`
    : undefined
}

/**
 * Where the request was sent to: by its header, and by its first line if that says so, as it does
 * to a proxy.
 */
const hostsOf = ({ headers, originalUrl }: HttpServerRequest.HttpServerRequest): ReadonlyArray<string> =>
  [headers["host"], /^https?:\/\/([^/?#]*)/i.exec(originalUrl)?.[1]]
    .flatMap((host) => host === undefined || host === "" ? [] : host.toLowerCase())

/**
 * Health checks by HTTP/1.0 name no host. Browsers always do, and without a token nothing else
 * tells them apart.
 */
const needsHost = ({ allowedHosts, token }: Access): boolean =>
  token === undefined && allowedHosts?.includes("*") !== true

const nameOf = (host: string) => host.replace(/:\d*$/, "").replace(/\.$/, "")

const isAllowed = (name: string, { allowedHosts, token }: Access): boolean =>
  allowedHosts === undefined
    // Who lures a browser here by another name does not have the token.
    ? token !== undefined || name === "localhost" || name.endsWith(".localhost") || isIP(unbracketed(name)) !== 0
    : allowedHosts.includes("*") || allowedHosts.includes(name)

const unbracketed = (name: string) => name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name

/**
 * Browsers send `Sec-Fetch-Site` to trustworthy origins only, and `Origin` always. Who sends
 * neither is no browser.
 */
const isForeign = ({ headers }: HttpServerRequest.HttpServerRequest, host: string | undefined): boolean => {
  const site = headers["sec-fetch-site"]
  if (site !== undefined) return site !== "same-origin" && site !== "none"
  return headers["origin"] !== undefined && (host === undefined || !isOf(headers["origin"], host))
}

/** What asks for nothing to be changed, and is answered to who has the token, if there is one. */
const isRead = ({ method }: HttpServerRequest.HttpServerRequest): boolean => method === "GET" || method === "HEAD"

/** Is the answer a page of its own, which no other can read? */
const isLink = ({ headers, method }: HttpServerRequest.HttpServerRequest): boolean =>
  method === "GET" && headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document"

/** Parsed, since either may name the port that goes without saying. */
const isOf = (origin: string, host: string): boolean => {
  if (!URL.canParse(origin)) return false
  const { host: ours, protocol } = new URL(origin)
  return URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === ours
}

const encodeForbidden = ({ msg }: { readonly msg: string }) => Schema.encodeSync(Forbidden)(new Forbidden({ msg }))

/** Seconds. */
const RETRY_AFTER = "5"

const sealed = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.setHeaders(response, {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    ...(response.status === 401 ? { "www-authenticate": "Bearer realm=\"gofherd\"" } : {}),
    ...(response.status === 503 ? { "retry-after": RETRY_AFTER } : {})
  })

// ------------------------------------------------------------------------------------------------------ the token

/**
 * The platform hands over what stands from the eighth character on, whatever comes before, so the
 * header is read here.
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
