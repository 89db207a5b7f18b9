/**
 * The HTTP contract: what the routes take and answer. It holds no server and no engine, so a client
 * that is made from it loads neither; `HerdClient` is one.
 *
 * Beside what is described here, a known path answers another method with 405, `Allow` and
 * `{msg, _tag: "MethodNotAllowed"}`, and what is no HTTP, or takes too long, is answered by Node
 * with 400, 408 or 431 and no body.
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
import { show } from "./internal/show.ts"

// ------------------------------------------------------------------------------------------------------ schemas

/**
 * What `GET /herd` and `PATCH /herd` answer: the size as it is now, and what has become of the
 * request.
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
 * What `PATCH /herds/:name` takes: a new size, whether to start new work, a new fleet size, or
 * several of them.
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
  paused: Schema.optional(Schema.Boolean.annotations({ description: "true starts nothing new; false goes on" })),
  fleet: Schema.optional(
    Schema.NullOr(Schema.NonNegativeInt).annotations({
      description:
        "How many units all processes together may hold, null for no bound; of herds whose source has such a bound"
    })
  )
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
 * What the source of a durable herd has of it, all processes together: up to a second old.
 *
 * @since 0.1.0
 * @category schemas
 */
export class SourceState extends Schema.Class<SourceState>("gofherd/SourceState")({
  ready: Count.annotations({ description: "Units that could be claimed now" }),
  delayed: Count.annotations({
    description: "Units that wait for their time: for their backoff, or as they were offered"
  }),
  held: Count.annotations({ description: "Units that are claimed" }),
  dead: Count.annotations({ description: "Dead letters" }),
  oldestSeconds: Schema.NullOr(Schema.NonNegative).annotations({
    description: "How long the unit has been ready that has been for longest, by the server's clock; null without one"
  }),
  fleet: Schema.optional(
    Schema.NullOr(Count).annotations({
      description:
        "How many units all processes together may hold, null for no bound; absent if the source has no such bound"
    })
  )
}, { identifier: "SourceState" }) {}

/**
 * A herd at one instant, with what an operator asks of it: `Herd.HerdState`, the bound of its size,
 * how long attempts take, what happened last, and what the source of a durable herd has.
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
  senders: Schema.optionalWith(Count, { default: () => 0 }).annotations({
    description: "Calls of send, sendAll, run and stream that wait for room"
  }),
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
  failures: Schema.Array(Failed).annotations({ description: "The last 20, newest first" }),
  source: Schema.optional(
    SourceState.annotations({ description: "Of a durable herd, unless its source does not tell" })
  )
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
    "senders",
    "succeeded",
    "retried",
    "failed",
    "attemptSeconds"
  ).fields,
  { identifier: "HerdSample" }
) {}

/**
 * A unit of a durable herd that failed for good and is kept, until it is redriven or discarded.
 *
 * @since 0.1.0
 * @category schemas
 */
export class DeadLetter extends Schema.Class<DeadLetter>("gofherd/DeadLetter")({
  id: Schema.String,
  body: Schema.String.annotations({
    description: "The unit as JSON, in a text of at most 10,000 characters: one that was longer ends in …"
  }),
  priority: Schema.Number,
  attempts: Count.annotations({ description: "How often it was claimed without being released" }),
  crashes: Count.annotations({ description: "How many of these ended with their process, or with their lease" }),
  cause: Schema.String.annotations({ description: "Why it was buried" }),
  diedAt: Schema.Date.annotations({ description: "When it was buried" })
}, { identifier: "DeadLetter" }) {}

/**
 * Which dead letters are redriven or discarded. Ids that are no dead letter's are passed over.
 *
 * @since 0.1.0
 * @category schemas
 */
export class DeadSelection extends Schema.Class<DeadSelection>("gofherd/DeadSelection")({
  ids: Schema.Union(Schema.Literal("all"), Schema.Array(Schema.String)).annotations({
    description: "Those of these ids, or all"
  })
}, { identifier: "DeadSelection" }) {}

/**
 * How many dead letters were redriven or discarded.
 *
 * @since 0.1.0
 * @category schemas
 */
export class DeadCount extends Schema.Class<DeadCount>("gofherd/DeadCount")({
  count: Count
}, { identifier: "DeadCount" }) {}

/** An integer in a query, and what it is for. */
const integer = (
  name: string,
  options: { readonly min: number; readonly max: number; readonly description: string }
) => {
  const { description, max, min } = options
  const bounds = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`
  const digits = Schema.String.pipe(Schema.pattern(/^\d+$/)).annotations({
    description: `${description}: an integer ${bounds}`
  })
  return Schema.optional(
    Schema.parseNumber(digits).pipe(Schema.int(), Schema.between(min, max)).annotations({
      message: ({ actual }) => ({
        message: `expected ${name} to be an integer ${bounds}, got ${show(actual)}`,
        override: true
      })
    })
  )
}

/**
 * Which dead letters are listed, as a query has it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const DeadPage = Schema.Struct({
  limit: integer("limit", { min: 1, max: 1_000, description: "How many at most, by default 100" }),
  offset: integer("offset", {
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    description: "How many to pass over, by default none"
  })
})

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
 * The body is longer than 4096 bytes, or, where it is to say which dead letters, than 65,536.
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
 * There is nothing of that name, or it is no durable herd that is asked for dead letters.
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
 * As many event streams are open as `maxEventStreams` allows: a place is free again when one of
 * them ends. `Retry-After` says, in seconds, when to ask again.
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

/**
 * The source of a durable herd could not do what it was asked for, as `HerdError.SourceError` says.
 * `Retry-After` says, in seconds, when to ask again.
 *
 * @since 0.1.0
 * @category errors
 */
export class SourceFailed extends Schema.TaggedError<SourceFailed>("gofherd/SourceFailed")(
  "SourceError",
  { msg: Schema.String },
  HttpApiSchema.annotations({ status: 503, identifier: "SourceError" })
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
      .addError(SourceFailed)
      .annotate(OpenApi.Summary, "Resizes, pauses or resumes a herd, and sets the fleet size of a durable one")
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
        "Server-sent events, each a HerdState as JSON: at once, when it has changed (up to 4 times a second; its source is looked "
          + "at once a second), and every 10 s. 503 has a Retry-After: as many event streams are open as there may be"
      )
  )
  .middleware(Authorization)
{}

/**
 * `/herds/:name/dead`: the units of a durable herd that failed for good.
 *
 * @since 0.1.0
 * @category protocols
 */
export class DeadGroup extends HttpApiGroup.make("dead")
  .add(
    HttpApiEndpoint.get("list")`/herds/${name}/dead`
      .setUrlParams(DeadPage)
      .addSuccess(Schema.Array(DeadLetter))
      .addError(NotFound)
      .addError(SourceFailed)
      .annotate(OpenApi.Summary, "The dead letters of a durable herd, the last buried first")
  )
  .add(
    HttpApiEndpoint.post("redrive")`/herds/${name}/dead/redrive`
      .setPayload(DeadSelection)
      .addSuccess(DeadCount)
      .addError(NotFound)
      .addError(InvalidBody)
      .addError(BodyTooLarge)
      .addError(ReadOnly)
      .addError(SourceFailed)
      .annotate(OpenApi.Summary, "Makes dead letters ready again, as if they had just been offered")
      .annotate(OpenApi.Description, "The body is read as JSON whatever its content type, so that `curl -d` works")
  )
  .add(
    HttpApiEndpoint.post("discard")`/herds/${name}/dead/discard`
      .setPayload(DeadSelection)
      .addSuccess(DeadCount)
      .addError(NotFound)
      .addError(InvalidBody)
      .addError(BodyTooLarge)
      .addError(ReadOnly)
      .addError(SourceFailed)
      .annotate(OpenApi.Summary, "Removes dead letters for good")
      .annotate(OpenApi.Description, "The body is read as JSON whatever its content type, so that `curl -d` works")
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
  .add(DeadGroup)
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
