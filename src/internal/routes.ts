import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Herd from "../Herd.ts"
import { BodyTooLarge, HerdApi, HerdSize, InvalidBody, SizeRefused } from "../HerdApi.ts"
import { readBody } from "./body.ts"
import { fallback } from "./fallback.ts"
import { scrape } from "./prometheus.ts"
import { show } from "./show.ts"

/** The methods of each path, for those who ask with another one. */
const allow = new Map([["/herd", ["GET", "HEAD", "PATCH"]], ["/metrics", ["GET", "HEAD"]]])

/**
 * The routes of one herd, and what is answered where there is none.
 *
 * @internal
 */
export const routes = (herd: Herd.Control, options: {
  /** Is every path of the server ours to answer? */
  readonly answersAll: boolean
}) =>
  HttpLayerRouter.addHttpApi(HerdApi).pipe(
    Layer.provide(Layer.mergeAll(herdHandlers(herd), metricsHandlers)),
    Layer.provide(HttpLayerRouter.disableLogger),
    Layer.merge(fallback({ allow, all: options.answersAll }))
  )

const herdHandlers = (herd: Herd.Control) =>
  HttpApiBuilder.group(HerdApi, "herd", (handlers) =>
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
        })))

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
  (handlers) => handlers.handle("metrics", () => Effect.sync(scrape))
)
