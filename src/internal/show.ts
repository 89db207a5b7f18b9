/** The longest text, in UTF-16 code units. */
const LONGEST = 80

/** As many values can't be shorter than that. */
const MOST = LONGEST / 2

/**
 * A value as an error message names it: short, on one line, and never a throw. What takes long to
 * write down, such as a list of a million elements, is not looked at beyond what is told of it.
 *
 * @internal
 */
export const show = (value: unknown): string => {
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value)
  // The digits of a longer one take long to make.
  if (typeof value === "bigint") {
    return BigInt.asIntN(256, value) === value
      ? `${value}n`
      : "a bigint of more than 256 bits"
  }
  if (typeof value === "function") return "a function"
  if (typeof value === "symbol" || value === undefined || value === null) return cut(String(value), LONGEST, "...")
  try {
    return cut(textOf(value), LONGEST, "...")
  } catch {
    return `a value of type ${typeof value}`
  }
}

/**
 * A text of at most so many UTF-16 code units; one that was longer ends in the mark.
 *
 * @internal
 */
export const cut = (text: string, longest: number, mark: string): string =>
  // No half of a character at the cut.
  text.length > longest ? `${text.slice(0, longest - mark.length).replace(/[\ud800-\udbff]$/, "")}${mark}` : text

/**
 * A unit's id as the log has it: it may be of any length.
 *
 * @internal
 */
export const cutId = (id: string): string => cut(id, 100, "…")

const textOf = (value: unknown): string => {
  const text = jsonOf(saidBy(value) ?? value)
  if (value instanceof Error) return text ?? "an Error"
  // Of a Promise, a Map, a date that is none, JSON says nothing, or something wrong.
  return text === undefined || text === "null" || text === "{}" ? kindOf(value) ?? text ?? "an object" : text
}

/** The JSON of a value, without most of what would be cut off. */
const jsonOf = (value: unknown): string | undefined => {
  // Each object takes two characters at least, and so does, with its comma, whatever is in one.
  let left = MOST
  const short = (value: unknown): unknown => {
    if (typeof value === "string") return value.slice(0, LONGEST + 1)
    if (typeof value !== "object" || value === null) return value
    if (left-- <= 0) return undefined
    if (Array.isArray(value)) return value.slice(0, MOST).map(bytesOrElse)
    const member = (key: string) => [key.slice(0, LONGEST + 1), bytesOrElse(Reflect.get(value, key))] as const
    return Object.fromEntries(Object.keys(value).slice(0, MOST).map(member))
  }
  return ArrayBuffer.isView(value) ? undefined : JSON.stringify(value, (_, value: unknown) => short(value))
}

/** Bytes would be written down one by one. */
const bytesOrElse = (value: unknown): unknown => ArrayBuffer.isView(value) ? kindOf(value) : value

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
    // A user's class may make anything of these. Errors tagged by Effect are called by their tag,
    // and often have nothing to add.
    const said: ReadonlyArray<unknown> = error instanceof Error ? [error.message, error.name] : []
    return said.find((text): text is string => typeof text === "string" && text !== "")
  } catch {
    // A getter of the user's that throws.
    return undefined
  }
}

/**
 * Why, in the words of what was thrown or failed with, whatever that is.
 *
 * @internal
 */
export const reasonOf = (error: unknown): string => saidBy(error) ?? show(error)
