/**
 * The routes by which a running herd is watched and resized, as a layer for an `HttpLayerRouter` application.
 *
 * @since 0.1.0
 */
import type * as Etag from "@effect/platform/Etag"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import type * as HttpPlatform from "@effect/platform/HttpPlatform"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Herd from "./Herd.ts"
import { BodyTooLarge, HerdApi, HerdSize, InvalidBody, SizeRefused } from "./HerdApi.ts"
import { readBody } from "./internal/body.ts"
import { controlsOf } from "./internal/controls.ts"
import { fallback } from "./internal/fallback.ts"
import { scrape } from "./internal/prometheus.ts"
import { show } from "./internal/show.ts"

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
  Layer.unwrapEffect(
    Effect.map(controlsOf(options.herds), ([herd]) => Layer.mergeAll(routes(herd), fallback({ allow, all: false })))
  )

/** The methods of each path, for those who ask with another one. */
const allow = new Map([["/herd", ["GET", "HEAD", "PATCH"]], ["/metrics", ["GET", "HEAD"]]])

const routes = (herd: Effect.Effect<Herd.Control>) =>
  HttpLayerRouter.addHttpApi(HerdApi).pipe(
    Layer.provide(Layer.mergeAll(herdHandlers(herd), metricsHandlers)),
    Layer.provide(HttpLayerRouter.disableLogger)
  )

const herdHandlers = (herd: Effect.Effect<Herd.Control>) =>
  HttpApiBuilder.group(HerdApi, "herd", (handlers) =>
    Effect.map(
      herd,
      (herd) =>
        handlers
          .handle("get", () => Effect.map(herd.size, (num) => new HerdSize({ num, msg: "success" })))
          .handleRaw("resize", ({ request }) =>
            Effect.gen(function*() {
              const before = yield* herd.size
              const body = yield* Effect.mapError(readBody(request), (error) =>
                new InvalidBody({ num: before, msg: `expected a body, got ${error.message}` }))
              if (Option.isNone(body)) {
                return yield* new BodyTooLarge({ num: before, msg: "expected a body of at most 4096 bytes, got more" })
              }
              const num = yield* parseNum(body.value, before)
              if (num < 0) {
                return yield* new SizeRefused({ num: before, msg: "Herd size cannot be negative" })
              }
              yield* Effect.mapError(herd.resize(num), ({ message, size }) =>
                new SizeRefused({ num: size, msg: message }))
              return new HerdSize({ num, msg: num === before ? `Herd size already ${num}` : "success" })
            }))
    ))

const parseNum = (body: string, before: number): Effect.Effect<number, InvalidBody> => {
  const refuse = (expected: string, given: string) =>
    new InvalidBody({ num: before, msg: `expected ${expected}, got ${given}` })
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return refuse("a JSON object like {\"num\": 10}", body === "" ? "an empty body" : "something that is not JSON")
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refuse("a JSON object like {\"num\": 10}", show(value))
  }
  const num: unknown = "num" in value ? value.num : undefined
  return typeof num === "number" && Number.isInteger(num)
    ? Effect.succeed(num)
    : refuse("num to be an integer", show(num))
}

const metricsHandlers = HttpApiBuilder.group(
  HerdApi,
  "metrics",
  (handlers) =>
    handlers.handle(
      "metrics",
      () =>
        Effect.succeed(HttpServerResponse.text(scrape(), { contentType: "text/plain; version=0.0.4; charset=utf-8" }))
    )
)
