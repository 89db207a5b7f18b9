import measure from "fast-string-truncated-width"

/**
 * How many columns a text takes on a terminal; colours take none.
 *
 * @internal
 */
export const width = (text: string): number => measure(text).width

/**
 * The beginning of a text, at most so many columns wide, with an ellipsis where something is
 * missing.
 *
 * @internal
 */
export const truncate = (text: string, limit: number): string => {
  const { ellipsed, index, truncated } = measure(text, { limit, ellipsis: "…" })
  return truncated ? `${text.slice(0, index)}${ellipsed ? "…" : ""}` : text
}
