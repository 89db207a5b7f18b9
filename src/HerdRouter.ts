/**
 * The routes by which running herds are watched and steered, as a layer for an `HttpLayerRouter`
 * application.
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
import type * as Redacted from "effect/Redacted"
import type * as Herd from "./Herd.ts"
import { controlsOf } from "./internal/controls.ts"
import { routes } from "./internal/routes.ts"
import { settingsOf } from "./internal/settings.ts"

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
  /**
   * The herds; `/herd` is the first one. A router finds names of up to 100 characters, unless its
   * `maxParamLength` says otherwise; `HerdServer` finds any.
   */
  readonly herds: H
  /** What all paths begin with, such as `"/ops"`. Default: nothing. */
  readonly prefix?: "" | `/${string}` | undefined
  /** Nobody may change anything, and the dashboard shows no controls. Default `false`. */
  readonly readOnly?: boolean | undefined
  /**
   * Who wants to see or change anything must send it, as `Authorization: Bearer …`; one or more
   * visible ASCII characters. The dashboard asks for it. Default: none, everybody may.
   */
  readonly token?: string | Redacted.Redacted | undefined
  /**
   * The host names, without a port, by which these routes may be reached; `"*"` for any. Default:
   * any with a `token`; otherwise `localhost` and IP addresses, because a page of another site can
   * make its own name mean this machine. A request without a `Host` is answered with a `token` or
   * `"*"` only.
   */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /** Serve the dashboard. Default `true`. */
  readonly dashboard?: boolean | undefined
  /**
   * How many event streams of all herds together may be open at once, such as those of open
   * dashboards; an integer from 0. Further ones are answered with 503 and `Retry-After`, so that
   * they leave connections to the other requests. A place is free again when its stream has ended.
   * Through a web handler that is also when the signal of its `Request` aborts, and when nobody has
   * read the stream for a minute. Default 100.
   */
  readonly maxEventStreams?: number | undefined
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
 * Adds the routes to the router of an application: `/herd`, `/herds`, `/metrics`, the dashboard at
 * `/` and `/openapi.json`, as `HerdApi` has them. The page of the dashboard is at `prefix`, and
 * needs nothing from elsewhere.
 *
 * - The state of a durable herd has what its source has, of all processes; its dead letters are
 *   listed, redriven and discarded below `/herds/:name/dead`.
 * - A herd with slashes in its name is also found by its decoded name,
 *   `/herds/@app/Crawler/events`, as proxies send it. The shortest name counts that is followed by
 *   a path of the contract, or by nothing. An application's own route at exactly such a path is
 *   never reached: the herd answers.
 * - Other methods on these paths are answered with 405 and `Allow`. Requests that these routes
 *   answer are not logged.
 * - Requests to a host that is not allowed, and those that come from a page of another site, are
 *   answered with 403, also where the application sends CORS headers. A link on such a page may
 *   lead here, and with the `token` it may read.
 * - Options out of their bounds are a defect, `InvalidOption`.
 *
 * To see how herds drain when the application stops, let them drain before its server closes, by a
 * layer on top:
 * `Layer.provideMerge(Layer.scopedDiscard(Effect.acquireRelease(Crawler, (herd) => herd.drain)), Serving)`.
 *
 * For a classic `HttpRouter`, mount the app that `HttpLayerRouter.toHttpEffect` makes of it: with
 * `HttpRouter.mountApp(prefix, app, { includePrefix: true })`. Several of these layers, each with a
 * prefix of its own, can be on one router.
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
  Layer.unwrapEffect(Effect.zipWith(
    settingsOf(options),
    controlsOf(options),
    (settings, herds) => routes(herds, settings, { answersAll: false })
  ))
