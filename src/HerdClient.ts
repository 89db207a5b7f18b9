/**
 * A client of the routes of `HerdRouter` and `HerdServer`, in this process or another one. It loads
 * no engine and no server: where nothing else is wanted, import it as `gofherd/HerdClient`.
 *
 * @since 0.1.0
 */
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import type * as HttpApiError from "@effect/platform/HttpApiError"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createParser } from "eventsource-parser"
import type { BodyTooLarge, DeadLetter, HerdSize, InvalidBody, ReadOnly, SizeRefused, SourceFailed } from "./HerdApi.ts"
import {
  DeadPage,
  DeadSelection,
  Forbidden,
  HerdApi,
  HerdPatch,
  HerdState,
  HerdUpdate,
  NotFound,
  TooManyEventStreams,
  Unauthorized
} from "./HerdApi.ts"
import { check, holds, isName, read } from "./internal/check.ts"
import { show } from "./internal/show.ts"
import { checkToken, tokenIn } from "./internal/token.ts"

// ------------------------------------------------------------------------------------------------------ models

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Where the routes are, with their prefix: `http://127.0.0.1:2112`, or `https://example.com/ops`.
   */
  readonly baseUrl: string
  /** The token that the routes were made with. Default: none. */
  readonly token?: string | Redacted.Redacted | undefined
}

/**
 * Whatever a request can fail with: no connection, no answer as the contract has it
 * (`RequestError`, `ResponseError`, `ParseError`, `HttpApiDecodeError`), a host that is not allowed
 * (`Forbidden`), or a token that is missing or wrong (`Unauthorized`).
 *
 * @since 0.1.0
 * @category models
 */
export type Failure =
  | HttpClientError.HttpClientError
  | HttpApiError.HttpApiDecodeError
  | ParseResult.ParseError
  | Forbidden
  | Unauthorized

/**
 * Why nothing was changed.
 *
 * @since 0.1.0
 * @category models
 */
export type Refusal = InvalidBody | SizeRefused | BodyTooLarge | ReadOnly

/**
 * Why no dead letter was redriven or discarded.
 *
 * @since 0.1.0
 * @category models
 */
export type DeadFailure = Failure | Exclude<Refusal, SizeRefused> | NotFound | SourceFailed

/**
 * @since 0.1.0
 * @category models
 */
export interface HerdClient {
  /** The size of the first herd: `GET /herd`. */
  readonly size: Effect.Effect<HerdSize, Failure>
  /**
   * Sets the size of the first herd: `PATCH /herd`. A size that is no natural number fails before
   * it is sent.
   */
  resize(num: number): Effect.Effect<HerdSize, Failure | Refusal>
  /** The state of all herds: `GET /herds`. */
  readonly herds: Effect.Effect<ReadonlyArray<HerdState>, Failure>
  /** The state of a herd: `GET /herds/:name`. */
  herd(name: string): Effect.Effect<HerdState, Failure | NotFound>
  /**
   * Resizes, pauses or resumes a herd, or sets its fleet size, all of it or nothing:
   * `PATCH /herds/:name`.
   */
  update(name: string, update: Update): Effect.Effect<HerdState, Failure | Refusal | NotFound | SourceFailed>
  /**
   * The state of a herd now, when it changes (up to 4 times a second) and every 10 s:
   * `GET /herds/:name/events`. Ends when the herd's scope or the server closes, and to Node's
   * `fetch` also when the server is killed. Fails if nothing has come for 30 s, and with
   * `TooManyEventStreams` while as many are open as the server allows. To connect again,
   * `Stream.retry` it with a Schedule, and `Stream.repeat` it.
   */
  changes(name: string): Stream.Stream<HerdState, Failure | NotFound | TooManyEventStreams>
  /**
   * The dead letters of a durable herd, the last buried first: `GET /herds/:name/dead`. Of another
   * herd there are none: `NotFound`.
   */
  dead(name: string, page?: Page): Effect.Effect<ReadonlyArray<DeadLetter>, Failure | NotFound | SourceFailed>
  /**
   * Makes dead letters ready again, as if they had just been offered, and returns how many it were:
   * `POST /herds/:name/dead/redrive`. Ids that are no dead letter's are passed over; those of one
   * call, as JSON, may have 64 kB.
   */
  redrive(name: string, ids: ReadonlyArray<string> | "all"): Effect.Effect<number, DeadFailure>
  /**
   * Removes dead letters for good, and returns how many it were: `POST /herds/:name/dead/discard`.
   * Otherwise as `redrive`.
   */
  discard(name: string, ids: ReadonlyArray<string> | "all"): Effect.Effect<number, DeadFailure>
  /** The metrics, as Prometheus reads them: `GET /metrics`. */
  readonly metrics: Effect.Effect<string, Failure>
}

/**
 * What `update` changes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Update {
  /** The new size. */
  readonly num?: number | undefined
  /** With `num`: what a shrink does to busy gophers. Default `"graceful"`. */
  readonly mode?: "graceful" | "interrupt" | undefined
  /** Whether nothing new is started. */
  readonly paused?: boolean | undefined
  /**
   * How many units all processes together may hold, an integer from 0; `null` for no bound. Of a
   * herd whose source has such a bound.
   */
  readonly fleet?: number | null | undefined
}

/**
 * Which dead letters `dead` lists.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page {
  /** How many at most; an integer from 1 to 1000, default 100. */
  readonly limit?: number | undefined
  /** How many to pass over; an integer from 0, default 0. */
  readonly offset?: number | undefined
}

// ------------------------------------------------------------------------------------------------------ constructors

/**
 * Makes a client. Nothing is sent before one of its members is run.
 *
 * @example
 * ```ts
 * import { FetchHttpClient } from "@effect/platform"
 * import { Console, Effect, Stream } from "effect"
 * import { HerdClient } from "gofherd"
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* HerdClient.make({ baseUrl: "http://127.0.0.1:2112" })
 *   const [herd] = yield* client.herds
 *   if (herd === undefined) return
 *   yield* client.update(herd.name, { num: herd.size * 2 })
 *   yield* Stream.runForEach(client.changes(herd.name), ({ queued, running }) => Console.log(running, queued))
 * }).pipe(Effect.provide(FetchHttpClient.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<HerdClient, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const { baseUrl, token } = yield* Effect.orDie(
      Effect.tap(
        read(options, ({ baseUrl, token }) => ({ baseUrl, token: tokenIn(token) })),
        ({ baseUrl, token }) =>
          Effect.zipRight(check(typeof baseUrl === "string", "baseUrl", "a string", baseUrl), checkToken(token))
      )
    )
    const authorized = token === undefined
      ? identity<HttpClient.HttpClient>
      : HttpClient.mapRequest(HttpClientRequest.bearerToken(Redacted.make(token)))
    const http = authorized(yield* HttpClient.HttpClient)
    const api = yield* HttpApiClient.make(HerdApi, { baseUrl, transformClient: authorized })
    const events = (name: string) => `${baseUrl.replace(/\/$/, "")}/herds/${name}/events`

    return {
      size: api.herd.get(),
      resize: (num) => Effect.flatMap(decodePatch({ num: plain(num) }), (payload) => api.herd.resize({ payload })),
      herds: api.herds.list(),
      herd: (name) => Effect.flatMap(encoded(name), (name) => api.herds.get({ path: { name } })),
      update: (name, update) =>
        Effect.flatMap(
          Effect.all([encoded(name), Effect.flatMap(updateIn(update), decodeUpdate)]),
          ([name, payload]) => api.herds.update({ path: { name }, payload })
        ),
      changes: (name) =>
        encoded(name).pipe(
          Effect.flatMap((name) => http.get(events(name), { accept: "text/event-stream" })),
          Effect.flatMap(HttpClientResponse.matchStatus({
            200: (response) =>
              isEvents(response) ? Effect.succeed(statesOf(response)) : Effect.fail(broken(response, "another answer")),
            401: refused,
            403: refused,
            404: refused,
            503: unavailable,
            orElse: unexpected
          })),
          Stream.unwrap
        ),
      dead: (name, page = {}) =>
        Effect.flatMap(
          Effect.all([encoded(name), pageIn(page)]),
          ([name, urlParams]) => api.dead.list({ path: { name }, urlParams })
        ),
      redrive: (name, ids) =>
        Effect.flatMap(
          Effect.all([encoded(name), selectionIn(ids)]),
          ([name, payload]) => Effect.map(api.dead.redrive({ path: { name }, payload }), ({ count }) => count)
        ),
      discard: (name, ids) =>
        Effect.flatMap(
          Effect.all([encoded(name), selectionIn(ids)]),
          ([name, payload]) => Effect.map(api.dead.discard({ path: { name }, payload }), ({ count }) => count)
        ),
      metrics: api.metrics()
    }
  })

/**
 * As the platform's client doesn't encode it. What can't be in a path, or means another one there,
 * is no herd's name.
 */
const encoded = (name: string): Effect.Effect<string, NotFound> =>
  holds(isName, name)
    ? Effect.succeed(encodeURIComponent(name))
    : new NotFound({ msg: `expected the name of a herd, got ${show(name)}` })

const decodePatch = Schema.decodeUnknown(HerdPatch)
const updateIn = (update: Update) =>
  Effect.orDie(
    read(update, ({ fleet, mode, num, paused }) => ({
      fleet: fleet === null ? null : plain(fleet),
      mode: plain(mode),
      num: plain(num),
      paused: plain(paused)
    }), "update")
  )
const decodeUpdate = Schema.decodeUnknown(HerdUpdate)

const validatePage = Schema.decodeUnknown(Schema.typeSchema(DeadPage))
const pageIn = (page: Page) =>
  Effect.flatMap(
    Effect.orDie(read(page, ({ limit, offset }) => ({ limit: plain(limit), offset: plain(offset) }), "page")),
    (page) => validatePage(page)
  )

const decodeSelection = Schema.decodeUnknown(DeadSelection)
const selectionIn = (ids: ReadonlyArray<string> | "all") =>
  Effect.flatMap(
    Effect.orDie(read({ ids }, ({ ids }) => Array.isArray(ids) ? Array.from<unknown>(ids) : ids, "ids")),
    (ids: unknown) => decodeSelection({ ids: Array.isArray(ids) && ids.every(isText) ? ids : plain(ids) })
  )
const isText = (value: unknown): boolean => typeof value === "string"

/**
 * No field is an object, and one that throws when it is shown would make the error that says so
 * throw too.
 */
const plain = (value: unknown): unknown =>
  typeof value === "object" || typeof value === "function" ? show(value) : value

const decodeState = Schema.decode(Schema.parseJson(HerdState))

/** What may come instead of an event stream. */
const Refused = Schema.Union(NotFound, Unauthorized, Forbidden)

const refused = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.flatMap(HttpClientResponse.schemaBodyJson(Refused)(response), Effect.fail)

const unexpected = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.fail(broken(response, `status ${response.status}`))

/**
 * By the routes, or by a server or a proxy that has none, which says nothing that is known here.
 */
const unavailable = (response: HttpClientResponse.HttpClientResponse) =>
  HttpClientResponse.schemaBodyJson(TooManyEventStreams)(response).pipe(
    Effect.matchEffect({ onFailure: () => unexpected(response), onSuccess: Effect.fail })
  )

/** Such as the page of a proxy that asks who comes, which has no events and would be an end. */
const isEvents = ({ headers }: HttpClientResponse.HttpClientResponse) =>
  headers["content-type"]?.startsWith("text/event-stream") === true

const broken = (response: HttpClientResponse.HttpClientResponse, got: string) =>
  new HttpClientError.ResponseError({
    request: response.request,
    response,
    reason: "Decode",
    description: `expected an event every 10 s, got ${got}`
  })

/** A state has some 5,000 characters; what never ends must not fill the memory. */
const LONGEST_EVENT = 1_000_000

/** The server's events without a name of their own, each a state. */
const statesOf = (response: HttpClientResponse.HttpClientResponse): Stream.Stream<HerdState, Failure> =>
  Stream.suspend(() => {
    let complete: Array<string> = []
    let endless = false
    const parser = createParser({
      maxBufferSize: LONGEST_EVENT,
      onError: ({ type }) => {
        endless ||= type === "max-buffer-size-exceeded"
      },
      onEvent: ({ data, event }) => {
        if (event === undefined) complete.push(data)
      }
    })
    return response.stream.pipe(
      // A connection can be gone without a word.
      Stream.timeoutFail(() => broken(response, "none for 30 s"), "30 seconds"),
      Stream.decodeText(),
      Stream.mapConcatEffect((text) => {
        parser.feed(text)
        const events = complete
        complete = []
        return endless
          ? Effect.fail(broken(response, `one of more than ${LONGEST_EVENT} characters`))
          : Effect.succeed(events)
      }),
      Stream.mapEffect((data) => decodeState(data))
    )
  })
