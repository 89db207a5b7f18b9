import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Herd from "../Herd.ts"
import { BodyTooLarge, HerdSize, InvalidBody, ReadOnly, SizeRefused } from "../HerdApi.ts"
import { readBody } from "./body.ts"
import { show } from "./show.ts"

type Request = HttpServerRequest.HttpServerRequest
type Refused = InvalidBody | SizeRefused | BodyTooLarge | ReadOnly

/**
 * `{"num": 10}` sets the size, and the answer says what has come of it.
 *
 * @internal
 */
export const resizeBy = (
  request: Request,
  herd: Herd.Control,
  options: { readonly readOnly: boolean }
): Effect.Effect<HerdSize, Refused> =>
  Effect.gen(function*() {
    const body = yield* readPatch(request, herd, options)
    // Only now: a body may take its time, and others resize meanwhile.
    const before = yield* herd.size
    const num = yield* sizeIn(body, before)
    yield* resize(herd, num)
    return new HerdSize({ num, msg: num === before ? `Herd size already ${num}` : "success" })
  })

/**
 * `{"num": 10, "mode": "interrupt", "paused": false}`, or some of it. Nothing is changed unless all of it can be.
 *
 * @internal
 */
export const updateBy = (
  request: Request,
  herd: Herd.Control,
  options: { readonly readOnly: boolean }
): Effect.Effect<void, Refused> =>
  Effect.gen(function*() {
    const body = yield* readPatch(request, herd, options)
    const before = yield* herd.size
    const { mode, num, paused } = body
    const refuse = (expected: string, given: unknown) =>
      new InvalidBody({ num: before, msg: `expected ${expected}, got ${show(given)}` })
    if (num === undefined && paused === undefined) return yield* refuse("num or paused", body)
    if (paused !== undefined && typeof paused !== "boolean") return yield* refuse("paused to be a boolean", paused)
    if (mode !== undefined && mode !== "graceful" && mode !== "interrupt") {
      return yield* refuse("mode to be \"graceful\" or \"interrupt\"", mode)
    }
    if (mode !== undefined && num === undefined) return yield* refuse("mode together with num", body)
    if (num !== undefined) yield* resize(herd, yield* sizeIn(body, before), mode)
    if (paused !== undefined) yield* paused ? herd.pause : herd.resume
  })

const readPatch = (
  request: Request,
  herd: Herd.Control,
  { readOnly }: { readonly readOnly: boolean }
): Effect.Effect<Readonly<Record<string, unknown>>, Refused> =>
  Effect.gen(function*() {
    if (readOnly) {
      return yield* new ReadOnly({
        num: yield* herd.size,
        msg: "expected a request that changes nothing, got PATCH: these routes are read-only"
      })
    }
    const refuse = (expected: string, given: string) =>
      Effect.flatMap(herd.size, (num) => new InvalidBody({ num, msg: `expected ${expected}, got ${given}` }))
    const body = yield* Effect.catchAll(readBody(request), (error) => refuse("a body", error.message))
    if (Option.isNone(body)) {
      return yield* new BodyTooLarge({ num: yield* herd.size, msg: "expected a body of at most 4096 bytes, got more" })
    }
    const example = "a JSON object like {\"num\": 10}"
    const given = body.value === "" ? "an empty body" : "something that is not JSON"
    const value = yield* Effect.catchAll(
      Effect.try((): unknown => JSON.parse(body.value)),
      () => refuse(example, given)
    )
    return isObject(value) ? value : yield* refuse(example, show(value))
  })

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const sizeIn = (
  body: Readonly<Record<string, unknown>>,
  before: number
): Effect.Effect<number, InvalidBody | SizeRefused> => {
  const num = Object.hasOwn(body, "num") ? body["num"] : undefined
  if (typeof num !== "number" || !Number.isInteger(num)) {
    return new InvalidBody({ num: before, msg: `expected num to be an integer, got ${show(num)}` })
  }
  return num < 0
    ? new SizeRefused({ num: before, msg: "Herd size cannot be negative" })
    : Effect.succeed(num)
}

const resize = (herd: Herd.Control, num: number, mode?: "graceful" | "interrupt"): Effect.Effect<void, SizeRefused> =>
  Effect.mapError(herd.resize(num, { mode }), ({ message, size }) => new SizeRefused({ num: size, msg: message }))
