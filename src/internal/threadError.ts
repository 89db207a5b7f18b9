import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as FiberId from "effect/FiberId"
import { holds, isObject } from "./check.ts"
import { show } from "./show.ts"
import { portable } from "./threadClone.ts"
import type { CrossedCause, CrossedError } from "./threadProtocol.ts"

/** Causes of causes of causes, and how many Errors there may be of one. */
const DEEPEST = 100
const MOST = 1_000

/**
 * Of these the first three are no fields, and the others are, although nobody can enumerate them.
 */
const own = new Set(["name", "message", "stack"])
const hidden = ["cause", "errors", "error", "suppressed"]

/**
 * @internal
 */
export const crossing = (value: unknown): CrossedError => {
  const known = new Map<object, CrossedError>()

  const of = (value: unknown, depth: number): CrossedError => {
    if (isObject(value) && known.has(value)) return known.get(value) ?? { isError: false, value: show(value) }
    if (holds(isError, value)) return ofError(value, depth)
    return holds(hasErrors, value) ? ofList(value, depth) : { isError: false, value }
  }
  const ofError = (error: Error, depth: number): CrossedError => {
    if (depth === DEEPEST || known.size === MOST) return { isError: false, value: show(error) }
    const fields: Array<readonly [string, CrossedError]> = []
    const made = {
      isError: true,
      isDom: error instanceof DOMException,
      name: textOf(() => error.name) ?? "Error",
      message: textOf(() => error.message) ?? "",
      stack: textOf(() => error.stack),
      fields
    } as const
    known.set(error, made)
    for (const key of fieldsOf(error)) {
      fields.push([key, readField(error, key, (field) => of(field, depth + 1))])
    }
    return made
  }
  const ofList = (list: ReadonlyArray<unknown>, depth: number): CrossedError => {
    const items: Array<CrossedError> = []
    const made = { isError: false, items } as const
    known.set(list, made)
    for (const item of list) items.push(of(item, depth))
    return made
  }
  return of(value, 0)
}

const isError = (value: unknown): value is Error => value instanceof Error

const hasErrors = (value: unknown): value is ReadonlyArray<unknown> => Array.isArray(value) && value.some(isError)

const fieldsOf = (error: Error): ReadonlyArray<string> => {
  try {
    const keys = Object.keys(error).filter((key) => !own.has(key))
    return [...keys, ...hidden.filter((key) => Object.hasOwn(error, key) && !keys.includes(key))]
  } catch {
    return []
  }
}

/** A user's class may make anything of its members. */
const readField = (error: Error, key: string, of: (field: unknown) => CrossedError): CrossedError => {
  let field: unknown
  try {
    field = Reflect.get(error, key)
  } catch (thrown) {
    return { isError: false, value: `[a getter that throws ${show(thrown)}]` }
  }
  return of(field)
}

const textOf = (read: () => unknown): string | undefined => {
  try {
    const text = read()
    return text === undefined ? undefined : String(text)
  } catch {
    return undefined
  }
}

/**
 * What can cross of it: fields that can't be cloned say so.
 *
 * @internal
 */
export const crossable = (error: CrossedError): CrossedError => {
  const known = new Map<CrossedError, CrossedError>()
  const of = (error: CrossedError, isField: boolean): CrossedError => {
    const made = known.get(error)
    if (made !== undefined) return made
    if ("items" in error) {
      const items: Array<CrossedError> = []
      const made = { ...error, items }
      known.set(error, made)
      for (const item of error.items) items.push(of(item, true))
      return made
    }
    if (!error.isError) {
      const { lost, value } = portable(error.value)
      return { isError: false, value: isField && lost[0] === "" ? `[${String(value)}: it could not be cloned]` : value }
    }
    const fields: Array<readonly [string, CrossedError]> = []
    const copy = { ...error, fields }
    known.set(error, copy)
    for (const [key, field] of error.fields) fields.push([key, of(field, true)])
    return copy
  }
  return of(error, false)
}

const builtIn: Readonly<Record<string, new(message: string) => Error>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError
}

/**
 * What has crossed: an Error of the same name, message, stack and fields, of the class Error unless
 * it is a built-in one.
 *
 * @internal
 */
export const crossed = (error: CrossedError): unknown => arrived(error, new Map())

const arrived = (error: CrossedError, known: Map<CrossedError, unknown>): unknown => {
  if (known.has(error)) return known.get(error)
  if ("items" in error) {
    const items: Array<unknown> = []
    known.set(error, items)
    for (const item of error.items) items.push(arrived(item, known))
    return items
  }
  if (!error.isError) return error.value
  const { fields, isDom, message, name, stack } = error
  const made = isDom ? new DOMException(message, name) : makeError(name, message)
  known.set(error, made)
  const invisible = (value: unknown) => ({ value, enumerable: false, configurable: true, writable: true })
  if (made.name !== name) Object.defineProperty(made, "name", invisible(name))
  Object.defineProperty(made, "stack", invisible(stack))
  for (const [key, field] of fields) {
    Object.defineProperty(made, key, { ...invisible(arrived(field, known)), enumerable: !hidden.includes(key) })
  }
  return made
}

const makeError = (name: string, message: string): Error => {
  if (name === "AggregateError") return new AggregateError([], message)
  return new (Object.hasOwn(builtIn, name) ? builtIn[name] ?? Error : Error)(message)
}

/**
 * @internal
 */
export const crossingCause = (cause: Cause.Cause<unknown>): CrossedCause => {
  const crossings = (errors: Chunk.Chunk<unknown>) => Chunk.toReadonlyArray(errors).map(crossing)
  return {
    failures: crossings(Cause.failures(cause)),
    defects: crossings(Cause.defects(cause)),
    interrupted: Cause.isInterrupted(cause)
  }
}

/**
 * A Cause of what has crossed. What happened at the same time, and what after another, is not told.
 *
 * @internal
 */
export const causeOf = <E>(
  failures: ReadonlyArray<E>,
  defects: ReadonlyArray<unknown>,
  interrupted: boolean
): Cause.Cause<E> => {
  const all = [
    ...failures.map((error) => Cause.fail(error)),
    ...defects.map((defect) => Cause.die(defect)),
    ...(interrupted ? [Cause.interrupt(FiberId.none)] : [])
  ]
  return all.reduce<Cause.Cause<E>>(
    (self, that) => self._tag === "Empty" ? that : Cause.parallel(self, that),
    Cause.empty
  )
}
