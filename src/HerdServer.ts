/**
 * The routes of `HerdRouter` on a Node server of their own. Not part of the barrel, since it needs
 * `@effect/platform-node`: `import * as HerdServer from "gofherd/HerdServer"`.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { Server } from "node:http"
import { isIP } from "node:net"
import type * as Herd from "./Herd.ts"
import { ListenError, UnprotectedHost } from "./HerdError.ts"
import type * as HerdRouter from "./HerdRouter.ts"
import { check, read } from "./internal/check.ts"
import { controlsOf } from "./internal/controls.ts"
import { gracefulServer as makeGracefulServer } from "./internal/gracefulServer.ts"
import { log } from "./internal/log.ts"
import { isSize } from "./internal/options.ts"
import { routes } from "./internal/routes.ts"
import { isHost, settingsOf } from "./internal/settings.ts"
import { show } from "./internal/show.ts"
import { isToken, showToken, TOKEN } from "./internal/token.ts"

// ------------------------------------------------------------------------------------------------------ models

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<H extends HerdRouter.Herds> extends HerdRouter.Options<H> {
  /**
   * The address to listen on. Default `"127.0.0.1"`: only this machine gets to it. For any that
   * others can reach there has to be a `token`, or `readOnly`.
   */
  readonly host?: string | undefined
  /** From 0 to 65535; 0 takes any free port. Default 2112. */
  readonly port?: number | undefined
  /**
   * For a server that stops together with its herds, as in a program that ends: before it stops it
   * closes them, and goes on answering until each is drained, for the herd's own `gracePeriod` at
   * most. Default `false`: the server, which depends on the herds, stops first and leaves them as
   * they are, and nobody sees how they drain.
   */
  readonly drain?: boolean | undefined
}

// ------------------------------------------------------------------------------------------------------ tags

/**
 * The running server: where it listens.
 *
 * @since 0.1.0
 * @category tags
 */
export class HerdServer extends Context.Tag("gofherd/HerdServer")<HerdServer, {
  /** Such as `http://127.0.0.1:2112`. */
  readonly url: string
}>() {}

// ------------------------------------------------------------------------------------------------------ layers

const HOST = "the name or the address of a host"
const PORT = "an integer from 0 to 65535"

/**
 * Serves herds: the routes of `HerdRouter.layer` on a Node server of their own, as `gracefulServer`
 * makes it. Fails with `ListenError` if the port is in use, and with `UnprotectedHost` if everybody
 * who gets to the host could resize.
 *
 * When its scope closes it ends its event streams, answers what is in flight and closes; with
 * `drain`, it lets the herds finish first and answers meanwhile.
 *
 * @example
 * ```ts
 * import { NodeRuntime } from "@effect/platform-node"
 * import { Context, Effect, Layer } from "effect"
 * import { Herd } from "gofherd"
 * import * as HerdServer from "gofherd/HerdServer"
 *
 * class Crawler extends Context.Tag("Crawler")<Crawler, Herd.Herd<string, number>>() {}
 * const CrawlerLive = Herd.layer(Crawler, { process: (url) => Effect.succeed(url.length), size: 8 })
 *
 * const Main = HerdServer.layer({ herds: [Crawler], port: 2112 }).pipe(Layer.provide(CrawlerLive))
 *
 * Layer.launch(Main).pipe(NodeRuntime.runMain)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <const H extends HerdRouter.Herds>(
  options: Options<H>
): Layer.Layer<HerdServer, ListenError | UnprotectedHost, Effect.Effect.Context<H[number]>> =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const { drain = false, host = "127.0.0.1", port = 2112 } = yield* Effect.orDie(
      Effect.tap(
        read(options, ({ drain, host, port }) => ({ drain, host, port })),
        ({ drain, host, port }) =>
          Effect.all([
            check(host === undefined || typeof host === "string" && host !== "", "host", HOST, host),
            check(port === undefined || isSize(port, 65_535), "port", PORT, port),
            check(drain === undefined || typeof drain === "boolean", "drain", "a boolean", drain)
          ])
      )
    )
    const settings = yield* settingsOf(options)
    if (!isLoopback(host) && settings.token === undefined && !settings.readOnly) {
      return yield* new UnprotectedHost({ host })
    }
    const herds = yield* controlsOf(options)
    const listening = NodeHttpServer.layer(makeGracefulServer, { host, port }).pipe(
      Layer.mapError(({ cause }) => new ListenError({ host, port, cause }))
    )
    // On a router of its own, wherever else in the application there is one.
    const serving = Layer.fresh(
      HttpLayerRouter.serve(routes(herds, settings, { answersAll: true }), {
        disableLogger: true,
        disableListenLog: true,
        // A name may be as long as a request's head.
        routerConfig: { maxParamLength: 8_192 }
      })
    )
    const served = Layer.provideMerge(serving, address(settings.prefix)).pipe(Layer.provide(listening))
    return drain ? Layer.provideMerge(draining(herds), served) : served
  }))

/**
 * `layer` with what the environment says: `GOFHERD_HOST`, `GOFHERD_PORT`, `GOFHERD_TOKEN`,
 * `GOFHERD_READ_ONLY` (`true` or `false`) and `GOFHERD_ALLOWED_HOSTS` (separated by commas), each
 * in place of the option of that name. What makes no sense, such as an empty token, fails with a
 * `ConfigError`.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer } from "effect"
 * import { Herd } from "gofherd"
 * import * as HerdServer from "gofherd/HerdServer"
 *
 * class Crawler extends Context.Tag("Crawler")<Crawler, Herd.Herd<string, number>>() {}
 * const CrawlerLive = Herd.layer(Crawler, { process: (url) => Effect.succeed(url.length), size: 8 })
 *
 * // GOFHERD_HOST=0.0.0.0 GOFHERD_TOKEN=… node crawler.js
 * const Main = HerdServer.layerConfig({ herds: [Crawler] }).pipe(Layer.provide(CrawlerLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <const H extends HerdRouter.Herds>(
  options: Options<H>
): Layer.Layer<
  HerdServer,
  ListenError | UnprotectedHost | ConfigError.ConfigError,
  Effect.Effect.Context<H[number]>
> =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const given = yield* Effect.orDie(read(options, (options) => ({ ...options })))
    return layer({ ...given, ...(yield* environment(given)) })
  }))

/** A variable of the environment; without it, the option. */
const variable = <A, D>(
  name: string,
  fallback: D,
  expected: string,
  read: (text: string) => A | undefined,
  got = show
) =>
  Config.string(name).pipe(
    Config.mapOrFail((text) =>
      Either.fromNullable(
        read(text),
        () => ConfigError.InvalidData([], `expected ${expected}, got ${got(text)}`)
      )
    ),
    Config.withDefault(fallback)
  )

const environment = (options: Omit<Options<HerdRouter.Herds>, "herds">) =>
  Config.all({
    host: variable("GOFHERD_HOST", options.host, HOST, (text) => text === "" ? undefined : text),
    port: variable(
      "GOFHERD_PORT",
      options.port,
      PORT,
      (text) => /^\d+$/.test(text) && isSize(Number(text), 65_535) ? Number(text) : undefined
    ),
    token: variable(
      "GOFHERD_TOKEN",
      options.token,
      TOKEN,
      (text) => isToken(text) ? Redacted.make(text) : undefined,
      showToken
    ),
    readOnly: variable(
      "GOFHERD_READ_ONLY",
      options.readOnly,
      "true or false",
      (text) => text === "true" ? true : text === "false" ? false : undefined
    ),
    allowedHosts: variable(
      "GOFHERD_ALLOWED_HOSTS",
      options.allowedHosts,
      "host names without a port, separated by commas, or *",
      (text) => {
        const hosts = text.split(",").map((host) => host.trim())
        return hosts.every(isHost) ? hosts : undefined
      }
    )
  })

const isLoopback = (host: string) =>
  host === "localhost" || host === "::1" || isIP(host) === 4 && host.startsWith("127.")

/** Released before what it is provided with, which answers meanwhile. */
const draining = (herds: ReadonlyArray<Herd.Control>) =>
  Layer.scopedDiscard(
    Effect.addFinalizer(() => Effect.forEach(herds, ({ drain }) => drain, { concurrency: "unbounded", discard: true }))
  )

const address = (prefix: string) =>
  Layer.effect(
    HerdServer,
    Effect.flatMap(HttpServer.HttpServer, ({ address }) => {
      const url = `${originOf(address)}${prefix}`
      return Effect.as(log(Effect.logDebug(`serving ${url}`)), HerdServer.of({ url }))
    })
  )

const originOf = (address: HttpServer.Address): string => {
  if (address._tag === "UnixAddress") return `unix:${address.path}`
  return `http://${address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname}:${address.port}`
}

// ------------------------------------------------------------------------------------------------------ servers

/**
 * A Node HTTP server for an application of your own, in place of `createServer` of `node:http`: it
 * gives slow and idle clients little to hold on to, and its `close` ends as soon as the responses
 * in flight have ended, for which it waits up to 5 s.
 *
 * - Node's own `close` waits for every connection, also for one that a browser opened in advance
 *   and sends nothing on.
 * - Headers have 10 s to arrive and requests 30 s; headers may have 8 KiB.
 * - There are at most 256 connections at once; who comes then takes the place of the one that has
 *   been idle longest. The hundredth answer on a connection tells the client to close it.
 * - A connection that was upgraded counts as idle.
 * - Without an application to answer, before it is there and when it has gone, requests are
 *   answered with 503.
 *
 * @example
 * ```ts
 * import { HttpLayerRouter } from "@effect/platform"
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Context, Effect, Layer } from "effect"
 * import { Herd, HerdRouter } from "gofherd"
 * import * as HerdServer from "gofherd/HerdServer"
 *
 * class Crawler extends Context.Tag("Crawler")<Crawler, Herd.Herd<string, number>>() {}
 * const CrawlerLive = Herd.layer(Crawler, { process: (url) => Effect.succeed(url.length) })
 *
 * const Main = HttpLayerRouter.serve(HerdRouter.layer({ herds: [Crawler], prefix: "/ops" })).pipe(
 *   Layer.provide(NodeHttpServer.layer(HerdServer.gracefulServer, { port: 3000 })),
 *   Layer.provide(CrawlerLive)
 * )
 * ```
 *
 * @since 0.1.0
 * @category servers
 */
export const gracefulServer = (): Server => makeGracefulServer()
