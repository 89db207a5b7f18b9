import type * as HttpServerError from "@effect/platform/HttpServerError"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** How much is swallowed, so that the client reads an answer and not a reset connection. */
const DRAIN = 16 * 1024 * 1024

/**
 * The request's body as text, `None` if it has more bytes than that. The platform's own limit
 * resets the connection, and its decoding goes by the content type, which is a form's for
 * `curl -d`.
 *
 * @internal
 */
export const readBody = (
  request: HttpServerRequest.HttpServerRequest,
  max: number
): Effect.Effect<Option.Option<string>, HttpServerError.RequestError> =>
  Effect.gen(function*() {
    if (Number(request.headers["content-length"] ?? 0) > DRAIN) return Option.none()
    const chunks: Array<Uint8Array> = []
    let length = 0
    yield* Stream.runForEachWhile(request.stream, (chunk) =>
      Effect.sync(() => {
        length += chunk.length
        if (length <= max) chunks.push(chunk)
        return length <= DRAIN
      }))
    return length > max ? Option.none() : Option.some(new TextDecoder().decode(concat(chunks, length)))
  })

const concat = (chunks: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const whole = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}
