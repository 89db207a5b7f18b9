import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { OfferAllOptions, OfferOptions, Options } from "../DurableHerd.ts"
import type { InvalidOption } from "../HerdError.ts"
import { InvalidUnit } from "../HerdError.ts"
import { check, checkNow, holds, isFunction, optional, read, readNow } from "./check.ts"
import { encoderOf } from "./jsonBody.ts"
import { bounded, boundedDuration } from "./longest.ts"
import {
  checkDuration,
  checkDurationNow,
  isCount,
  type Settings as HerdSettings,
  validate as validateHerd
} from "./options.ts"
import { resumable } from "./replay.ts"
import { show } from "./show.ts"

/** The longest id of a unit and name of a herd, in UTF-16 code units: databases index by both. */
const LONGEST_KEY = 255

/** What a durable herd works with. */
export interface Settings<In, Out, E, R> {
  readonly herd: HerdSettings<In, Out, E, R>
  readonly lease: Duration.Duration
  readonly maxCrashes: number
  /** From JSON, and to it; what they fail with is why. */
  readonly decode: (body: string) => Effect.Effect<In, { readonly message: string }>
  readonly encode: (body: In) => Effect.Effect<string, { readonly message: string }>
}

/**
 * @internal
 */
export const validate = <In, Encoded, Out, E, R, RS, RC>(
  options: Options<In, Encoded, Out, E, R, RS, RC>,
  defaultName: string
): Effect.Effect<Settings<In, Out, E, R | RS | RC>, InvalidOption> =>
  Effect.gen(function*() {
    const given = yield* read(options, (options) => ({ ...options }))
    const { lease = "30 seconds", maxCrashes = 3, schema } = given
    // Units wait in the source.
    const herd = yield* validateHerd<In, Out, E, R, RS, RC>(
      { ...given, capacity: Number.MAX_SAFE_INTEGER, outcomes: "discard" },
      defaultName
    )
    const { name } = herd
    yield* check(
      name.length <= LONGEST_KEY && isStorable(name),
      "name",
      `a string of at most ${LONGEST_KEY} characters, without NUL`,
      name
    )
    yield* check(holds(Schema.isSchema, schema), "schema", "a Schema", schema)
    const leased = yield* checkDuration(
      "lease",
      "a finite duration of more than 0",
      lease,
      (lease) => Duration.greaterThan(lease, 0) && Duration.isFinite(lease)
    )
    yield* check(isCount(maxCrashes), "maxCrashes", "an integer from 1", maxCrashes)
    const [decode, encode] = [Schema.decode(Schema.parseJson(schema)), encoderOf(schema)]
    return {
      herd: { ...herd, retry: herd.retry && resumable(herd.retry) },
      lease: boundedDuration(leased),
      maxCrashes,
      // Either may throw, as the functions of a transformation do.
      decode: (body) => Effect.suspend(() => decode(body)),
      encode: (body) => Effect.suspend(() => encode(body))
    }
  })

/** Where and when a unit is to start. */
export interface Entry {
  readonly priority: number
  /** In milliseconds. */
  readonly delay: number
}

const entryOf = (priority: unknown = 0, delay: unknown = 0): Entry => {
  checkNow(Number.isFinite(priority), "priority", "a finite number", priority)
  const duration = checkDurationNow("delay", "a finite duration", delay, Duration.isFinite)
  // No source keeps the sign of -0.
  return { priority: Number(priority) + 0, delay: bounded(Duration.toMillis(duration)) }
}

/**
 * What is said of a unit that is offered. Throws `InvalidOption`.
 *
 * @internal
 */
export const offerOptions = (
  options: OfferOptions = {}
): Entry & { readonly id: string | undefined } => {
  const given = readNow(options, ({ delay, id, priority }) => ({ delay, id, priority }))
  return { ...entryOf(given.priority, given.delay), id: given.id }
}

/**
 * What is said of units that are offered. Throws `InvalidOption`.
 *
 * @internal
 */
export const offerAllOptions = <In>(
  options: OfferAllOptions<In> = {}
): Entry & { readonly id: ((body: In) => string) | undefined } => {
  const given = readNow(options, ({ delay, id, priority }) => ({ delay, id, priority }))
  checkNow(optional(isFunction)(given.id), "id", "a function", given.id)
  return { ...entryOf(given.priority, given.delay), id: given.id }
}

/** Neither half a character nor NUL, which not every database takes. */
const isStorable = (text: string): boolean => !/[\p{Surrogate}\0]/u.test(text)

/**
 * Those that a unit may have: of the others a database need not hear.
 *
 * @internal
 */
export const storableIds = (ids: ReadonlyArray<string> | "all"): ReadonlyArray<string> | "all" =>
  ids === "all" ? ids : ids.filter(isStorable)

/**
 * Is it an id?
 *
 * @internal
 */
export const checkId = (herd: string, id: unknown): Effect.Effect<string, InvalidUnit> =>
  typeof id === "string" && id !== "" && id.length <= LONGEST_KEY && isStorable(id)
    ? Effect.succeed(id)
    : new InvalidUnit({
      herd,
      part: "id",
      expected: `a well-formed string of 1 to ${LONGEST_KEY} characters`,
      given: show(id)
    })
