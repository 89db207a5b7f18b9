import * as Effect from "effect/Effect"
import { InvalidOption } from "../HerdError.ts"
import { show } from "./show.ts"

/**
 * Is it so? Not of what throws when it is looked at, as a Proxy may.
 *
 * @internal
 */
export function holds<A, B extends A>(is: (value: A) => value is B, value: A): value is B
export function holds<A>(is: (value: A) => boolean, value: A): boolean
export function holds<A>(is: (value: A) => boolean, value: A): boolean {
  try {
    return is(value)
  } catch {
    return false
  }
}

/**
 * @internal
 */
export const check = (
  ok: boolean,
  option: string,
  expected: string,
  value: unknown
): Effect.Effect<void, InvalidOption> => ok ? Effect.void : new InvalidOption({ option, expected, given: show(value) })

/**
 * The same, where there is no time for an Effect: throws `InvalidOption`.
 *
 * @internal
 */
export const checkNow = (ok: boolean, option: string, expected: string, value: unknown): void => {
  if (!ok) throw new InvalidOption({ option, expected, given: show(value) })
}

/**
 * @internal
 */
export const isFunction = (value: unknown): boolean => typeof value === "function"

/**
 * Is it so, or is there nothing?
 *
 * @internal
 */
export const optional = (is: (value: unknown) => boolean) => (value: unknown): boolean =>
  value === undefined || holds(is, value)

/**
 * @internal
 */
export const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/**
 * @internal
 */
export const isIterable = (value: unknown): boolean =>
  value !== undefined && value !== null && typeof Object(value)[Symbol.iterator] === "function"

const unreadable = (error: unknown, option = "options"): InvalidOption =>
  new InvalidOption({
    option,
    expected: "an object that can be read",
    given: `one that throws ${show(error)}`
  })

/**
 * Takes out of an object of options what is needed of it: once, so that it does not matter what
 * becomes of the object.
 *
 * @internal
 */
export const read = <O, A>(
  options: O,
  take: (options: O) => A,
  option = "options"
): Effect.Effect<A, InvalidOption> =>
  Effect.try({
    try: () => readNow(options, take, option),
    catch: (error) => error instanceof InvalidOption ? error : unreadable(error, option)
  })

/**
 * The same, where there is no time for an Effect: throws `InvalidOption`.
 *
 * @internal
 */
export const readNow = <O, A>(options: O, take: (options: O) => A, option = "options"): A => {
  if (!isObject(options)) throw new InvalidOption({ option, expected: "an object", given: show(options) })
  try {
    return take(options)
  } catch (error) {
    throw unreadable(error, option)
  }
}

/**
 * Is it a name? It stands in paths, where `.` and `..` mean something else and half a surrogate
 * pair can't be written.
 *
 * @internal
 */
export const isName = (name: unknown): name is string => {
  if (typeof name !== "string" || name === "" || name === "." || name === "..") return false
  try {
    encodeURIComponent(name)
    return true
  } catch {
    return false
  }
}
