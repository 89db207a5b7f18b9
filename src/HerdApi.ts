/**
 * The HTTP contract: what the routes take and answer. It holds no server and no engine, so a client that is made from it
 * loads neither.
 *
 * @since 0.1.0
 */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Schema from "effect/Schema"

// ------------------------------------------------------------------------------------------------------ schemas

/**
 * What `GET /herd` and `PATCH /herd` answer: the size as it is now, and what has become of the request.
 *
 * @since 0.1.0
 * @category schemas
 */
export class HerdSize extends Schema.Class<HerdSize>("gofherd/HerdSize")({
  num: Schema.Int.annotations({ description: "The size of the herd" }),
  msg: Schema.String.annotations({ description: "success, or what there is to say" })
}, { identifier: "HerdSize" }) {}

/**
 * What `PATCH /herd` takes: the new size.
 *
 * @since 0.1.0
 * @category schemas
 */
export class HerdPatch extends Schema.Class<HerdPatch>("gofherd/HerdPatch")({
  num: Schema.NonNegativeInt.annotations({ description: "The new size, from 0 to the herd's maxSize" })
}, { identifier: "HerdPatch" }) {}

// ------------------------------------------------------------------------------------------------------ errors

const refusal = {
  /** The size, which is unchanged. */
  num: Schema.Int,
  /** Why. */
  msg: Schema.String
}

/**
 * The body is not JSON, or not an object with an integer `num`.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidBody extends Schema.TaggedError<InvalidBody>("gofherd/InvalidBody")(
  "InvalidBody",
  refusal,
  HttpApiSchema.annotations({ status: 400, identifier: "InvalidBody" })
) {
  override get message(): string {
    return this.msg
  }
}

/**
 * `num` is negative, or more than the herd's `maxSize`.
 *
 * @since 0.1.0
 * @category errors
 */
export class SizeRefused extends Schema.TaggedError<SizeRefused>("gofherd/SizeRefused")(
  "InvalidSize",
  refusal,
  HttpApiSchema.annotations({ status: 400, identifier: "InvalidSize" })
) {
  override get message(): string {
    return this.msg
  }
}

/**
 * The body is longer than 4096 bytes.
 *
 * @since 0.1.0
 * @category errors
 */
export class BodyTooLarge extends Schema.TaggedError<BodyTooLarge>("gofherd/BodyTooLarge")(
  "BodyTooLarge",
  refusal,
  HttpApiSchema.annotations({ status: 413, identifier: "BodyTooLarge" })
) {
  override get message(): string {
    return this.msg
  }
}

// ------------------------------------------------------------------------------------------------------ protocols

/**
 * `GET /herd` and `PATCH /herd`, for the first of the herds that are served.
 *
 * @since 0.1.0
 * @category protocols
 */
export class HerdGroup extends HttpApiGroup.make("herd")
  .add(
    HttpApiEndpoint.get("get", "/herd")
      .addSuccess(HerdSize)
      .annotate(OpenApi.Summary, "The size of the herd")
  )
  .add(
    HttpApiEndpoint.patch("resize", "/herd")
      .setPayload(HerdPatch)
      .addSuccess(HerdSize)
      .addError(InvalidBody)
      .addError(SizeRefused)
      .addError(BodyTooLarge)
      .annotate(OpenApi.Summary, "Sets the size of the herd")
      .annotate(OpenApi.Description, "The body is read as JSON whatever its content type, so that `curl -d` works")
  )
{}

/**
 * `GET /metrics`: the metrics of all herds of the process, as Prometheus reads them.
 *
 * @since 0.1.0
 * @category protocols
 */
export class MetricsGroup extends HttpApiGroup.make("metrics", { topLevel: true })
  .add(
    HttpApiEndpoint.get("metrics", "/metrics")
      .addSuccess(HttpApiSchema.Text({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
      .annotate(OpenApi.Summary, "Prometheus text format 0.0.4")
  )
{}

/**
 * The whole contract.
 *
 * @example
 * ```ts
 * import { FetchHttpClient, HttpApiClient } from "@effect/platform"
 * import { Effect } from "effect"
 * import { HerdApi } from "gofherd"
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* HttpApiClient.make(HerdApi.HerdApi, { baseUrl: "http://127.0.0.1:2112" })
 *   yield* client.herd.resize({ payload: new HerdApi.HerdPatch({ num: 10 }) })
 * }).pipe(Effect.provide(FetchHttpClient.layer))
 * ```
 *
 * @since 0.1.0
 * @category protocols
 */
export class HerdApi extends HttpApi.make("gofherd")
  .add(HerdGroup)
  .add(MetricsGroup)
  .annotate(OpenApi.Title, "gofherd")
{}
