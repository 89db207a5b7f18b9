/** As many digits of a number as say something: 0.0034, 0.52, 15.3, 1,234. */
export const figure = (value: number): string => {
  if (!Number.isFinite(value)) return "–"
  if (Math.abs(value) < 0.1) return value.toLocaleString("en", { maximumSignificantDigits: 2 })
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** Lines of a table: the first `left` columns are words, the others are to the right. */
export const table = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  left = 1
): string => {
  const widths = header.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)))
  return [header, ...rows].map((row) =>
    widths.map((width, column) => {
      const cell = row[column] ?? ""
      return column < left ? cell.padEnd(width) : cell.padStart(width)
    }).join("  ").trimEnd()
  ).join("\n")
}
