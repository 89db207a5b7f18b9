/**
 * A value as an error message names it: short, on one line, and never a throw.
 *
 * @internal
 */
export const show = (value: unknown): string => {
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value)
  if (typeof value === "bigint") return `${value}n`
  if (typeof value === "function") return "a function"
  if (typeof value === "symbol" || value === undefined || value === null) return String(value)
  try {
    const text = textOf(value)
    // No half of a character at the cut.
    return text.length > 80 ? `${text.slice(0, 77).replace(/[\ud800-\udbff]$/, "")}...` : text
  } catch {
    return `a value of type ${typeof value}`
  }
}

const textOf = (value: unknown): string => {
  const text: string | undefined = JSON.stringify(saidBy(value) ?? value)
  if (value instanceof Error) return text ?? "an Error"
  // Of a Promise, a Map, a date that is none, JSON says nothing, or something wrong.
  return text === undefined || text === "null" || text === "{}" ? kindOf(value) ?? text ?? "an object" : text
}

/** What a value is called, where it is more than a plain object. */
const kindOf = (value: unknown): string | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null || prototype === Object.prototype) return undefined
  const name: unknown = typeof value.constructor === "function" ? value.constructor.name : undefined
  // Generators have no such constructor.
  const kind = name ?? Reflect.get(value, Symbol.toStringTag)
  return typeof kind === "string" && kind !== "" ? `an instance of ${kind}` : undefined
}

/**
 * What an Error says of itself; `undefined` if that is nothing, and for everything else.
 *
 * @internal
 */
export const saidBy = (error: unknown): string | undefined => {
  try {
    // A user's class may make anything of these. Errors tagged by Effect are called by their tag, and often have nothing to add.
    const said: ReadonlyArray<unknown> = error instanceof Error ? [error.message, error.name] : []
    return said.find((text): text is string => typeof text === "string" && text !== "")
  } catch {
    // A getter of the user's that throws.
    return undefined
  }
}
