import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as FiberId from "effect/FiberId"
import { show } from "./show.ts"
import type { CrossedCause, CrossedError } from "./threadProtocol.ts"

/** Causes of causes of causes. */
const DEEPEST = 10

const own = new Set(["name", "message", "stack"])

/**
 * @internal
 */
export const crossing = (value: unknown, depth = 0): CrossedError => {
  try {
    return crossingNow(value, depth)
  } catch {
    // A user's class may make anything of its members.
    return { isError: false, value: show(value) }
  }
}

const crossingNow = (value: unknown, depth: number): CrossedError => {
  if (!(value instanceof Error)) return { isError: false, value }
  const keys = Object.keys(value).filter((key) => !own.has(key))
  if (Object.hasOwn(value, "cause") && !keys.includes("cause")) keys.push("cause")
  return {
    isError: true,
    name: String(value.name),
    message: String(value.message),
    stack: value.stack,
    fields: depth === DEEPEST ? [] : keys.map((key) => [key, crossing(Reflect.get(value, key), depth + 1)])
  }
}

const builtIn = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }

/**
 * What has crossed: an Error of the same name, message, stack and fields, of the class Error unless it is a built-in one.
 *
 * @internal
 */
export const crossed = (error: CrossedError): unknown => {
  if (!error.isError) return error.value
  const { fields, message, name, stack } = error
  const made = new (Object.entries(builtIn).find(([known]) => known === name)?.[1] ?? Error)(message)
  const hidden = (value: unknown) => ({ value, enumerable: false, configurable: true, writable: true })
  if (made.name !== name) Object.defineProperty(made, "name", hidden(name))
  Object.defineProperty(made, "stack", hidden(stack))
  for (const [key, value] of fields) {
    const descriptor = hidden(crossed(value))
    Object.defineProperty(made, key, key === "cause" ? descriptor : { ...descriptor, enumerable: true })
  }
  return made
}

/**
 * @internal
 */
export const crossingCause = (cause: Cause.Cause<unknown>): CrossedCause => {
  const crossings = (errors: Chunk.Chunk<unknown>) => Chunk.toReadonlyArray(errors).map((error) => crossing(error))
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
