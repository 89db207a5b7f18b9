/** Three digits or more of a number: 0.52, 15.3, 1,234. */
export const figure = (value: number): string => {
  if (!Number.isFinite(value)) return "–"
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
