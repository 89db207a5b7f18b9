/**
 * The HTTP contract: what the routes take and answer. It holds no server and no engine, so a client that is made from it
 * loads neither; `HerdClient` is one.
 *
 * Beside what is described here, a known path answers another method with 405, `Allow` and `{msg, _tag: "MethodNotAllowed"}`,
 * and what is no HTTP, or takes too long, is answered by Node with 400, 408 or 431 and no body.
 *
 * @since 0.1.0
 */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
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

/**
 * What `PATCH /herds/:name` takes: a new size, whether to start new work, or both.
 *
 * @since 0.1.0
 * @category schemas
 */
export class HerdUpdate extends Schema.Class<HerdUpdate>("gofherd/HerdUpdate")({
  num: Schema.optional(
    Schema.NonNegativeInt.annotations({ description: "The new size, from 0 to the herd's maxSize" })
  ),
  mode: Schema.optional(
    Schema.Literal("graceful", "interrupt").annotations({
      description: "With num: a shrink lets units finish (graceful, the default) or interrupts and puts them back"
    })
  ),
  paused: Schema.optional(Schema.Boolean.annotations({ description: "true starts nothing new; false goes on" }))
}, { identifier: "HerdUpdate" }) {}

const Count = Schema.NonNegativeInt

/**
 * A change of the size.
 *
 * @since 0.1.0
 * @category schemas
 */
export class Resized extends Schema.Class<Resized>("gofherd/Resized")({
  at: Schema.Date,
  from: Count,
  to: Count,
  mode: Schema.Literal("graceful", "interrupt")
}, { identifier: "Resized" }) {}

/**
 * A unit that failed for good.
 *
 * @since 0.1.0
 * @category schemas
 */
export class Failed extends Schema.Class<Failed>("gofherd/Failed")({
  at: Schema.Date,
  id: Schema.String.annotations({ description: "The unit's" }),
  attempts: Count,
  message: Schema.String.annotations({ description: "What the error says of itself, at most 300 characters" })
}, { identifier: "Failed" }) {}

/**
 * A herd at one instant, with what an operator asks of it: `Herd.HerdState`, the bound of its size, how long attempts
 * take, and what happened last.
 *
 * @since 0.1.0
 * @category schemas
 */
export class HerdState extends Schema.Class<HerdState>("gofherd/HerdState")({
  name: Schema.String,
  at: Schema.Date.annotations({ description: "The instant, by the server's clock" }),
  size: Count.annotations({ description: "The target number of gophers" }),
  maxSize: Count.annotations({ description: "The largest size that is accepted" }),
  live: Count.annotations({ description: "Gophers that exist" }),
  running: Count.annotations({ description: "Units inside process" }),
  queued: Count.annotations({ description: "Units waiting for a gopher" }),
  retrying: Count.annotations({ description: "Units waiting for their backoff" }),
  accepted: Count.annotations({
    description: "Units taken in, ever: queued + running + retrying + succeeded + failed + interrupted"
  }),
  succeeded: Count,
  retried: Count.annotations({ description: "Attempts that failed and were retried" }),
  failed: Count,
  interrupted: Count,
  paused: Schema.Boolean,
  closed: Schema.Boolean.annotations({ description: "Takes no more work" }),
  drained: Schema.Boolean.annotations({ description: "Closed, and every accepted unit has settled" }),
  attemptSeconds: Schema.Struct({
    p50: Schema.NullOr(Schema.Number),
    p95: Schema.NullOr(Schema.Number)
  }).annotations({
    description: "Time of one attempt, over the last minute, by the buckets of the histogram; null without attempts"
  }),
  resizes: Schema.Array(Resized).annotations({ description: "The last 20, newest first" }),
  failures: Schema.Array(Failed).annotations({ description: "The last 20, newest first" })
}, { identifier: "HerdState" }) {}

/**
 * A herd at an earlier instant, as the event stream tells it to those who ask for the past.
 *
 * @since 0.1.0
 * @category schemas
 */
export class HerdSample extends Schema.Class<HerdSample>("gofherd/HerdSample")(
  Schema.Struct(HerdState.fields).pick(
    "at",
    "size",
    "live",
    "running",
    "queued",
    "retrying",
    "succeeded",
    "retried",
    "failed",
    "attemptSeconds"
  ).fields,
  { identifier: "HerdSample" }
) {}

// ------------------------------------------------------------------------------------------------------ errors

const refusal = {
  /** The size, which is unchanged. */
  num: Schema.Int,
  /** Why. */
  msg: Schema.String
}

/**
 * The body is not JSON, or not an object with the right fields.
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

/**
 * The routes were made with `readOnly`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReadOnly extends Schema.TaggedError<ReadOnly>("gofherd/ReadOnly")(
  "ReadOnly",
  refusal,
  HttpApiSchema.annotations({ status: 403, identifier: "ReadOnly" })
) {
  override get message(): string {
    return this.msg
  }
}

/**
 * There is nothing of that name.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotFound extends Schema.TaggedError<NotFound>("gofherd/NotFound")(
  "NotFound",
  { msg: Schema.String },
  HttpApiSchema.annotations({ status: 404, identifier: "NotFound" })
) {
  override get message(): string {
    return this.msg
  }
}

/**
 * The request was sent to a host that is not in `allowedHosts`, or by a page of another site.
 *
 * @since 0.1.0
 * @category errors
 */
export class Forbidden extends Schema.TaggedError<Forbidden>("gofherd/Forbidden")(
  "Forbidden",
  { msg: Schema.String },
  HttpApiSchema.annotations({ status: 403, identifier: "Forbidden" })
) {
  override get message(): string {
    return this.msg
  }
}

/**
 * The routes were made with a `token`, and the request has none or another one.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("gofherd/Unauthorized")(
  "Unauthorized",
  { msg: Schema.String },
  HttpApiSchema.annotations({ status: 401, identifier: "Unauthorized" })
) {
  override get message(): string {
    return this.msg
  }
}

/**
 * As many event streams are open as `maxEventStreams` allows: a place is free again when one of them ends. `Retry-After` says,
 * in seconds, when to ask again.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyEventStreams extends Schema.TaggedError<TooManyEventStreams>("gofherd/TooManyEventStreams")(
  "TooManyEventStreams",
  { msg: Schema.String },
  HttpApiSchema.annotations({ status: 503, identifier: "TooManyEventStreams" })
) {
  override get message(): string {
    return this.msg
  }
}

// ------------------------------------------------------------------------------------------------------ protocols

/**
 * Lets those pass who have the token, and everybody if there is none.
 *
 * @since 0.1.0
 * @category protocols
 */
export class Authorization extends HttpApiMiddleware.Tag<Authorization>()("gofherd/Authorization", {
  failure: Unauthorized,
  security: {
    bearer: HttpApiSecurity.bearer.pipe(
      HttpApiSecurity.annotate(OpenApi.Description, "The token, if the routes were made with one")
    )
  }
}) {}

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
      .annotate(OpenApi.Summary, "The size of the first herd")
  )
  .add(
    HttpApiEndpoint.patch("resize", "/herd")
      .setPayload(HerdPatch)
      .addSuccess(HerdSize)
      .addError(InvalidBody)
      .addError(SizeRefused)
      .addError(BodyTooLarge)
      .addError(ReadOnly)
      .annotate(OpenApi.Summary, "Sets the size of the first herd")
      .annotate(OpenApi.Description, "The body is read as JSON whatever its content type, so that `curl -d` works")
  )
  .middleware(Authorization)
{}

const name = HttpApiSchema.param("name", Schema.String.annotations({ description: "The herd's, percent-encoded" }))

/**
 * `/herds`: all herds that are served, by name.
 *
 * @since 0.1.0
 * @category protocols
 */
export class HerdsGroup extends HttpApiGroup.make("herds")
  .add(
    HttpApiEndpoint.get("list", "/herds")
      .addSuccess(Schema.Array(HerdState))
      .annotate(OpenApi.Summary, "The state of all herds")
  )
  .add(
    HttpApiEndpoint.get("get")`/herds/${name}`
      .addSuccess(HerdState)
      .addError(NotFound)
      .annotate(OpenApi.Summary, "The state of a herd")
  )
  .add(
    HttpApiEndpoint.patch("update")`/herds/${name}`
      .setPayload(HerdUpdate)
      .addSuccess(HerdState)
      .addError(NotFound)
      .addError(InvalidBody)
      .addError(SizeRefused)
      .addError(BodyTooLarge)
      .addError(ReadOnly)
      .annotate(OpenApi.Summary, "Resizes, pauses or resumes a herd")
      .annotate(
        OpenApi.Description,
        "All of it or, with an error, nothing. The body is read as JSON whatever its content type"
      )
  )
  .add(
    HttpApiEndpoint.get("events")`/herds/${name}/events`
      .setUrlParams(Schema.Struct({
        history: Schema.optional(Schema.Literal("true", "false")).annotations({
          description: "Begin with an event `history`: an array of HerdSample, of the last minutes"
        })
      }))
      .addSuccess(HttpApiSchema.Text({ contentType: "text/event-stream" }))
      .addError(NotFound)
      .addError(TooManyEventStreams)
      .annotate(OpenApi.Summary, "The state of a herd, again and again")
      .annotate(
        OpenApi.Description,
        "Server-sent events, each a HerdState as JSON: at once, when it has changed (up to 4 times a second), and every 10 s. "
          + "503 has a Retry-After: as many event streams are open as there may be"
      )
  )
  .middleware(Authorization)
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
  .middleware(Authorization)
{}

/**
 * The dashboard and this description, which hold no data and ask for no token.
 *
 * @since 0.1.0
 * @category protocols
 */
export class PagesGroup extends HttpApiGroup.make("pages")
  .add(
    HttpApiEndpoint.get("dashboard", "/")
      .addSuccess(HttpApiSchema.Text({ contentType: "text/html; charset=utf-8" }))
      .addError(NotFound)
      .annotate(OpenApi.Summary, "The dashboard")
  )
  .add(
    HttpApiEndpoint.get("description", "/openapi.json")
      .addSuccess(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
      .annotate(OpenApi.Summary, "This description")
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
  .add(HerdsGroup)
  .add(MetricsGroup)
  .add(PagesGroup)
  .addError(Forbidden)
  .annotate(OpenApi.Title, "gofherd")
  .annotate(OpenApi.Version, "0.1.0")
  .annotate(
    OpenApi.Description,
    "Watches and steers herds. HEAD is answered as GET, without the body; another method on one of these paths with 405, "
      + "`Allow` and `{msg, _tag: \"MethodNotAllowed\"}`; what is no HTTP or takes too long with 400, 408 or 431 and no body."
  )
{}
