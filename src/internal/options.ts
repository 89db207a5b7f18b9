import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { CommonOptions, Options, Process } from "../Herd.ts"
import { InvalidOption } from "../HerdError.ts"
import { check, checkNow, holds, isFunction, isName, isObject, optional, read } from "./check.ts"
import type { Acquire } from "./gopher.ts"
import { show } from "./show.ts"

/** What processes the units: a function, or one per gopher. */
type Worker<In, Out, E, R> =
  | { readonly process: Process<In, Out, E, R>; readonly gopher?: undefined }
  | { readonly gopher: Acquire<In, Out, E, R> }

/** What `make` works with: every option present and in its bounds. */
export interface Settings<In, Out, E, R>
  extends Pick<CommonOptions<In, Out, E, R, R>, "retry" | "onSuccess" | "onRetry" | "onFailure">
{
  readonly name: string
  readonly size: number
  readonly maxSize: number
  readonly capacity: number
  /** `undefined` is `"discard"`. */
  readonly outcomes: number | undefined
  readonly gracePeriod: Duration.Duration
  readonly tracing: boolean
  readonly worker: Worker<In, Out, E, R>
}

/**
 * Is it a size? `-0` is one, and the same as 0.
 *
 * @internal
 */
export const isSize = (value: unknown, maxSize: number): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= maxSize

/**
 * Is it an integer from 1?
 *
 * @internal
 */
export const isCount = (value: unknown): value is number => isSize(value, Number.MAX_SAFE_INTEGER) && value > 0

/** The number that a capacity is. No herd reaches that of "unbounded". */
const checkCapacity = (
  option: string,
  least: number,
  capacity: number | "unbounded"
): Effect.Effect<number, InvalidOption> => {
  const most = Number.MAX_SAFE_INTEGER
  const number = capacity === "unbounded" ? most : capacity
  const isValid = isSize(number, most) && number >= least
  return Effect.as(check(isValid, option, `an integer from ${least} to ${most} or "unbounded"`, capacity), number)
}

/** Effect takes what is no number, and what is negative, for 0. */
const isNatural = (value: unknown): boolean => {
  if (typeof value === "string") return !/^-.*[1-9]/.test(value)
  return typeof value !== "number" && typeof value !== "bigint" || value >= 0
}

/** The duration that is meant, if one is. */
const durationOf = (value: unknown): Option.Option<Duration.Duration> =>
  holds((value) => isNatural(value) && (!Array.isArray(value) || value.every(isNatural)), value)
    ? Option.flatten(Option.liftThrowable(Duration.decodeUnknown)(value))
    : Option.none()

const anyDuration = () => true

/**
 * The duration that an option is, which has to be one, and in its bounds.
 *
 * @internal
 */
export const checkDuration = (
  option: string,
  expected: string,
  value: unknown,
  isIn: (duration: Duration.Duration) => boolean = anyDuration
): Effect.Effect<Duration.Duration, InvalidOption> => {
  const duration = Option.filter(durationOf(value), isIn)
  return Effect.as(
    check(Option.isSome(duration), option, expected, value),
    Option.getOrElse(duration, () => Duration.zero)
  )
}

/**
 * The same, where there is no time for an Effect: throws `InvalidOption`.
 *
 * @internal
 */
export const checkDurationNow = (
  option: string,
  expected: string,
  value: unknown,
  isIn: (duration: Duration.Duration) => boolean = anyDuration
): Duration.Duration => {
  const duration = Option.filter(durationOf(value), isIn)
  checkNow(Option.isSome(duration), option, expected, value)
  return Option.getOrElse(duration, () => Duration.zero)
}

/**
 * What is given, each option read once: a herd stays as it was made, whatever becomes of the
 * object.
 *
 * @internal
 */
export const validate = <In, Out, E, R, RS, RC>(
  options: Options<In, Out, E, R, RS, RC>,
  defaultName: string
): Effect.Effect<Settings<In, Out, E, R | RS | RC>, InvalidOption> =>
  Effect.gen(function*() {
    const given = yield* read(options, (options) => ({
      name: options.name,
      size: options.size,
      maxSize: options.maxSize,
      capacity: options.capacity,
      retry: options.retry,
      onSuccess: options.onSuccess,
      onRetry: options.onRetry,
      onFailure: options.onFailure,
      outcomes: options.outcomes,
      gracePeriod: options.gracePeriod,
      tracing: options.tracing,
      process: options.process,
      gopher: options.gopher
    }))
    const { capacity = 1024, gracePeriod = 0, maxSize = 10_000, name = defaultName, size = 1, tracing = false } = given
    yield* check(isName(name), "name", `a string that is not empty, ".", ".." or malformed Unicode`, name)
    yield* check(isCount(maxSize), "maxSize", "an integer from 1", maxSize)
    yield* check(isSize(size, maxSize), "size", `an integer from 0 to ${maxSize}`, size)
    const waiting = yield* checkCapacity("capacity", 0, capacity)

    const { outcomes = {} } = given
    yield* check(outcomes === "discard" || isObject(outcomes), "outcomes", `"discard" or { capacity }`, outcomes)
    const buffer = outcomes === "discard"
      ? undefined
      : yield* Effect.flatMap(
        read(outcomes, ({ capacity = 1024 }) => capacity, "outcomes"),
        (capacity) => checkCapacity("outcomes.capacity", 1, capacity)
      )

    const worker = yield* workerOf(given)
    yield* check(optional(Schedule.isSchedule)(given.retry), "retry", "a Schedule", given.retry)
    for (const option of ["onSuccess", "onRetry", "onFailure"] as const) {
      yield* check(optional(isFunction)(given[option]), option, "a function", given[option])
    }
    yield* check(typeof tracing === "boolean", "tracing", "a boolean", tracing)
    const grace = yield* checkDuration("gracePeriod", "a duration", gracePeriod)

    return {
      name,
      size: size + 0,
      maxSize,
      capacity: waiting,
      outcomes: buffer,
      gracePeriod: grace,
      tracing,
      worker,
      retry: given.retry,
      onSuccess: given.onSuccess,
      onRetry: given.onRetry,
      onFailure: given.onFailure
    }
  })

/** Exactly one of the two. */
const workerOf = <In, Out, E, R>(
  { gopher, process }: {
    readonly process: Process<In, Out, E, R> | undefined
    readonly gopher: Acquire<In, Out, E, R> | undefined
  }
): Effect.Effect<Worker<In, Out, E, R>, InvalidOption> => {
  if (process === undefined && gopher !== undefined) {
    return Effect.as(
      check(holds(Effect.isEffect, gopher), "gopher", "an Effect of a function", gopher),
      { gopher }
    )
  }
  if (process !== undefined && gopher === undefined && isFunction(process)) return Effect.succeed({ process })
  return new InvalidOption({
    option: "process",
    expected: "a function (or else gopher an Effect of one)",
    given: gopher === undefined ? show(process) : `${show(process)} beside gopher ${show(gopher)}`
  })
}
