import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Herd from "../Herd.ts"
import { BodyTooLarge, InvalidBody, ReadOnly } from "../HerdApi.ts"
import { readBody } from "./body.ts"
import { show } from "./show.ts"

export type Request = HttpServerRequest.HttpServerRequest

/** Why a request that is to change something is not even looked at. */
export type Unreadable = InvalidBody | BodyTooLarge | ReadOnly

/** The fields of a body. */
export type Fields = Readonly<Record<string, unknown>>

/**
 * Reads the JSON object of a request that is to change something, whatever its content type.
 *
 * @internal
 */
export const readCommand = (request: Request, herd: Herd.Control, options: {
  readonly readOnly: boolean
  /** The longest body, in bytes. */
  readonly max: number
  /** What a body looks like. */
  readonly example: string
}): Effect.Effect<Fields, Unreadable> =>
  Effect.gen(function*() {
    const { max, readOnly } = options
    if (readOnly) {
      const msg = `expected a request that changes nothing, got ${request.method}: these routes are read-only`
      return yield* new ReadOnly({ num: yield* herd.size, msg })
    }
    const refuse = (expected: string, given: string) =>
      Effect.flatMap(herd.size, (num) => new InvalidBody({ num, msg: `expected ${expected}, got ${given}` }))
    const body = yield* Effect.catchAll(readBody(request, max), (error) => refuse("a body", error.message))
    if (Option.isNone(body)) {
      return yield* new BodyTooLarge({
        num: yield* herd.size,
        msg: `expected a body of at most ${max} bytes, got more`
      })
    }
    const example = `a JSON object like ${options.example}`
    const given = body.value === "" ? "an empty body" : "something that is not JSON"
    const value = yield* Effect.catchAll(
      Effect.try((): unknown => JSON.parse(body.value)),
      () => refuse(example, given)
    )
    return isFields(value) ? value : yield* refuse(example, show(value))
  })

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)
