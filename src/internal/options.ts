import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Options } from "../Herd.ts"
import { InvalidOption } from "../HerdError.ts"
import { show } from "./show.ts"

/** What `make` works with: every option present and in its bounds. */
export interface Settings {
  readonly name: string
  readonly size: number
  readonly maxSize: number
  readonly capacity: number
  /** `undefined` is `"discard"`. */
  readonly outcomes: number | undefined
  readonly gracePeriod: Duration.Duration
  readonly tracing: boolean
}

/**
 * Is it a size? `-0` is one, and the same as 0.
 *
 * @internal
 */
export const isSize = (value: unknown, maxSize: number): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= maxSize

/**
 * Is it a name? It stands in paths, where `.` and `..` mean something else and half a surrogate pair can't be written.
 *
 * @internal
 */
export const isName = (name: unknown): boolean => {
  if (typeof name !== "string" || name === "" || name === "." || name === "..") return false
  try {
    encodeURIComponent(name)
    return true
  } catch {
    return false
  }
}

const isFunction = (value: unknown) => typeof value === "function"

/**
 * @internal
 */
export const validate = <In, Out, E, R, RS, RC>(
  options: Options<In, Out, E, R, RS, RC>
): Effect.Effect<Settings, InvalidOption> =>
  Effect.gen(function*() {
    const check = (ok: boolean, option: string, expected: string, value: unknown) =>
      ok ? Effect.void : new InvalidOption({ option, expected, given: show(value) })
    const optional = (value: unknown, is: (value: unknown) => boolean) => value === undefined || is(value)

    const { capacity = 1024, gracePeriod = 0, maxSize = 10_000, name = "herd", size = 1, tracing = false } = options
    yield* check(isName(name), "name", `a string that is not empty, ".", ".." or malformed Unicode`, name)
    yield* check(isSize(maxSize, Number.MAX_SAFE_INTEGER) && maxSize > 0, "maxSize", "an integer from 1", maxSize)
    yield* check(isSize(size, maxSize), "size", `an integer from 0 to ${maxSize}`, size)
    yield* check(isSize(capacity, Number.MAX_SAFE_INTEGER), "capacity", "an integer from 0", capacity)

    const outcomes = options.outcomes ?? {}
    const buffer = outcomes === "discard" ? undefined : outcomes.capacity ?? 1024
    yield* check(
      outcomes === "discard" || typeof outcomes === "object",
      "outcomes",
      `"discard" or { capacity }`,
      outcomes
    )
    yield* check(
      optional(buffer, (buffer) => isSize(buffer, Number.MAX_SAFE_INTEGER) && buffer > 0),
      "outcomes.capacity",
      "an integer from 1",
      buffer
    )

    yield* check(
      isFunction(options.process) !== Effect.isEffect(options.gopher),
      "process",
      "a function (or else gopher an Effect of one)",
      options.process
    )
    yield* check(optional(options.retry, Schedule.isSchedule), "retry", "a Schedule", options.retry)
    for (const option of ["onSuccess", "onRetry", "onFailure"] as const) {
      yield* check(optional(options[option], isFunction), option, "a function", options[option])
    }
    yield* check(typeof tracing === "boolean", "tracing", "a boolean", tracing)
    const grace = Duration.decodeUnknown(gracePeriod)
    yield* check(Option.isSome(grace), "gracePeriod", "a duration", gracePeriod)

    return {
      name,
      size: size + 0,
      maxSize,
      capacity,
      outcomes: buffer,
      gracePeriod: Option.getOrElse(grace, () => Duration.zero),
      tracing
    }
  })
