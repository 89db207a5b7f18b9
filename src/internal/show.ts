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
    const text = JSON.stringify(value)
    return text.length > 80 ? `${text.slice(0, 77)}...` : text
  } catch {
    return `a value of type ${typeof value}`
  }
}
