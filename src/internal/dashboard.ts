import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"

/**
 * @internal
 */
export const page = (_settings: { readonly readOnly: boolean }): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.succeed(HttpServerResponse.html("<!doctype html><title>gofherd</title>"))
