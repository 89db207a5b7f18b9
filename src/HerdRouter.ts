/**
 * The routes by which a running herd is watched and resized, as a layer for an `HttpLayerRouter` application.
 *
 * @since 0.1.0
 */
import type * as Etag from "@effect/platform/Etag"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import type * as HttpPlatform from "@effect/platform/HttpPlatform"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Herd from "./Herd.ts"
import { controlsOf } from "./internal/controls.ts"
import { routes } from "./internal/routes.ts"

// ------------------------------------------------------------------------------------------------------ models

/**
 * Herds, each given by its tag (or by any Effect of it).
 *
 * @since 0.1.0
 * @category models
 */
export type Herds = readonly [
  Effect.Effect<Herd.Control, never, unknown>,
  ...Array<Effect.Effect<Herd.Control, never, unknown>>
]

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<H extends Herds> {
  /** The herds; `/herd` is the first one. */
  readonly herds: H
}

/**
 * What the routes need: a router, what the platform's server layer provides, and the herds.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements<H extends Herds> =
  | HttpLayerRouter.HttpRouter
  | Etag.Generator
  | FileSystem.FileSystem
  | HttpPlatform.HttpPlatform
  | Path.Path
  | Effect.Effect.Context<H[number]>

// ------------------------------------------------------------------------------------------------------ layers

/**
 * Adds the routes to the router of an application.
 *
 * - `GET /herd` answers `{"num": 10, "msg": "success"}`.
 * - `PATCH /herd` with `{"num": 10}` sets the size, whatever the content type. A body that is not understood or a size that
 *   is not accepted is answered with 400, a body over 4096 bytes with 413, and the size stays.
 * - `GET /metrics` answers the metrics of all herds of the process in Prometheus' text format.
 * - Other methods on these paths are answered with 405 and `Allow`.
 *
 * Requests that these routes answer are not logged. They are not authenticated either: serve them where only operators get to.
 *
 * @example
 * ```ts
 * import { HttpLayerRouter } from "@effect/platform"
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Context, Effect, Layer } from "effect"
 * import { Herd, HerdRouter } from "gofherd"
 * import { createServer } from "node:http"
 *
 * class Crawler extends Context.Tag("Crawler")<Crawler, Herd.Herd<string, number>>() {}
 * const CrawlerLive = Herd.layer(Crawler, { process: (url) => Effect.succeed(url.length) })
 *
 * const Main = HttpLayerRouter.serve(HerdRouter.layer({ herds: [Crawler] })).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 2112, host: "127.0.0.1" })),
 *   Layer.provide(CrawlerLive)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <const H extends Herds>(options: Options<H>): Layer.Layer<never, never, Requirements<H>> =>
  Layer.unwrapEffect(Effect.map(controlsOf(options.herds), ([herd]) => routes(herd, { answersAll: false })))
