import { holds, isObject } from "./check.ts"
import { reasonOf, show } from "./show.ts"

/** How many values of one message are looked at one by one, and how deep. */
const MOST = 10_000
const DEEPEST = 100

/** A copy of a value that can cross between threads, and what could not. */
export interface Portable {
  readonly value: unknown
  /**
   * Where the parts sit that could not: `""` is the value itself, others are such as
   * `.items[3].retry`.
   */
  readonly lost: ReadonlyArray<string>
}

/**
 * What of a value can cross. A text that says so takes the place of each part that can't.
 *
 * @internal
 */
export const portable = (value: unknown): Portable => {
  const lost: Array<string> = []
  const copies = new Map<object, unknown>()

  const without = (value: unknown, path: string) => {
    lost.push(path)
    return path === "" ? show(value) : `[${show(value)}: it could not be cloned]`
  }
  const copy = (value: unknown, path: string, depth: number): unknown => {
    if (typeof value === "function" || typeof value === "symbol") return without(value, path)
    if (!isObject(value)) return value
    if (copies.has(value)) return copies.get(value)
    if (!holds(isWalked, value)) return cloned(value, path)
    if (depth === DEEPEST || copies.size === MOST) return without(value, path)
    const made = Array.isArray(value) ? [] : value instanceof Map ? new Map() : value instanceof Set ? new Set() : {}
    copies.set(value, made)
    const inside = (part: unknown, name: string) => copy(part, `${path}${name}`, depth + 1)
    if (made instanceof Map && value instanceof Map) {
      for (const [key, part] of value) made.set(inside(key, " (a key)"), inside(part, `.get(${show(key)})`))
    } else if (made instanceof Set && value instanceof Set) {
      for (const part of value) made.add(inside(part, " (an element)"))
    } else {
      for (const key of Object.keys(value)) {
        const name = Array.isArray(value) ? `[${key}]` : /^[\w$]+$/.test(key) ? `.${key}` : `[${show(key)}]`
        // Not by assignment, which to `__proto__` means another thing.
        const part = { value: read(value, key, (part) => inside(part, name)), enumerable: true }
        Object.defineProperty(made, key, { ...part, configurable: true, writable: true })
      }
      if (Array.isArray(made) && Array.isArray(value)) made.length = value.length
    }
    return made
  }
  const read = (value: object, key: string, copy: (part: unknown) => unknown): unknown => {
    let part: unknown
    try {
      part = Reflect.get(value, key)
    } catch (error) {
      return `[a getter that throws ${show(error)}]`
    }
    return copy(part)
  }
  const cloned = (value: object, path: string) => {
    try {
      return structuredClone(value)
    } catch {
      return without(value, path)
    }
  }
  return { value: cloneOf(value, () => copy(value, "", 0)), lost }
}

const cloneOf = (value: unknown, otherwise: () => unknown): unknown => {
  try {
    return structuredClone(value)
  } catch {
    return otherwise()
  }
}

/** Is it made of its elements or its fields, as far as it can cross? */
const isWalked = (value: object): boolean =>
  Array.isArray(value) || value instanceof Map || value instanceof Set
  || Object.prototype.toString.call(value) === "[object Object]" && Object.keys(value).length > 0

/**
 * Why a value could not cross, and where the part sits that can't be cloned.
 *
 * @internal
 */
export const whyNot = (error: unknown, value: unknown): string => {
  const [place = ""] = portable(value).lost
  return place === "" ? reasonOf(error) : `${reasonOf(error)} It is at ${place}`
}
