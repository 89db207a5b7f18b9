/**
 * The routes of `HerdRouter` on a Node server of their own. Not part of the barrel, since it needs `@effect/platform-node`:
 * `import * as HerdServer from "gofherd/HerdServer"`.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Herd from "./Herd.ts"
import { InvalidOption, ListenError } from "./HerdError.ts"
import type * as HerdRouter from "./HerdRouter.ts"
import { controlsOf } from "./internal/controls.ts"
import { gracefulServer } from "./internal/gracefulServer.ts"
import { isSize } from "./internal/options.ts"
import { routes } from "./internal/routes.ts"
import { show } from "./internal/show.ts"

// ------------------------------------------------------------------------------------------------------ models

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<H extends HerdRouter.Herds> extends HerdRouter.Options<H> {
  /** The address to listen on. Default `"127.0.0.1"`: only this machine gets to it. There is no authentication. */
  readonly host?: string | undefined
  /** From 0 to 65535; 0 takes any free port. Default 2112. */
  readonly port?: number | undefined
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

/**
 * Serves herds: `/herd` and `/metrics`, see `HerdRouter.layer`. Fails with `ListenError` if the port is in use. When its
 * scope closes, responses in flight are finished, for up to 5 s.
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
): Layer.Layer<HerdServer, ListenError, Effect.Effect.Context<H[number]>> => {
  const { host = "127.0.0.1", port = 2112 } = options
  if (!isSize(port, 65_535)) {
    return Layer.die(new InvalidOption({ option: "port", expected: "an integer from 0 to 65535", given: show(port) }))
  }
  const listening = NodeHttpServer.layer(gracefulServer, { host, port }).pipe(
    Layer.mapError(({ cause }) => new ListenError({ host, port, cause }))
  )
  return Layer.unwrapEffect(
    Effect.map(
      controlsOf(options.herds),
      ([herd]) => Layer.provideMerge(Layer.fresh(serve(herd)), address).pipe(Layer.provide(listening))
    )
  )
}

/** On a router of its own, wherever else in the application there is one. */
const serve = (herd: Herd.Control) =>
  HttpLayerRouter.serve(routes(herd, { answersAll: true }), { disableLogger: true, disableListenLog: true })

const address = Layer.effect(
  HerdServer,
  HttpServer.addressFormattedWith((url) =>
    Effect.as(Effect.logDebug(`serving ${url}/herd and ${url}/metrics`), HerdServer.of({ url }))
  )
)
