import { stripVTControlCharacters, styleText } from "node:util"
import type { Progress } from "./progress.ts"
import { truncate, width } from "./width.ts"

/**
 * @internal
 */
export interface Names {
  /** What stands first on a terminal; may be empty. */
  readonly label: string
  /** What a unit of work is, in the plural; may be empty. */
  readonly unit: string
}

type Style = Parameters<typeof styleText>[0]

interface Part {
  readonly text: string
  readonly style?: Style
  /** The lower, the longer it stays where there is little room. */
  readonly rank: number
  /** Belongs to the count before it: only one space between, and not there without it. */
  readonly joined?: true
}

// ------------------------------------------------------------------------------------------------------ words

const format = new Intl.NumberFormat("en")

const count = (n: number) => format.format(n)

const rateText = (perSecond: number): string => {
  const [rate, per] = perSecond >= 1
    ? [perSecond, "s"]
    : perSecond * 60 >= 1
    ? [perSecond * 60, "min"]
    : [perSecond * 3_600, "h"]
  return `${rate < 9.95 ? rate.toFixed(1) : count(Math.round(rate))}/${per}`
}

/** The two largest units of it. */
const durationText = (seconds: number): string => {
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours} h ${minutes % 60} min`
  return `${count(Math.floor(hours / 24))} d ${hours % 24} h`
}

/** Beyond this a forecast is a joke. */
const FAR = 100 * 86_400

const leftText = ({ left, total }: Progress): string | undefined =>
  left === undefined || left >= FAR
    ? undefined
    : `${total === undefined ? "≥ " : ""}${durationText(Math.max(1, Math.ceil(left)))} left`

const elapsedText = (elapsed: number): string =>
  elapsed < 59_950 ? `${(elapsed / 1_000).toFixed(1)} s` : durationText(Math.round(elapsed / 1_000))

const percent = (done: number, total: number): number => total === 0 ? 100 : Math.floor(done * 100 / total)

const some = (n: number, what: string, rank: number, style: Style): ReadonlyArray<Part> =>
  n > 0 ? [{ text: `${count(n)} ${what}`, rank, style }] : []

/** What stands after the count, as it goes on and at the end. */
const troubles = (progress: Progress): ReadonlyArray<Part> => [
  ...some(progress.failed, "failed", 3, "red"),
  ...some(progress.interrupted, "interrupted", 6, "yellow")
]

const figures = (progress: Progress): ReadonlyArray<Part> => {
  const left = leftText(progress)
  return [
    ...(progress.rate === undefined ? [] : [{ text: rateText(progress.rate), rank: 8, style: "dim" } as const]),
    ...(progress.paused
      ? [{ text: "paused", rank: 0, style: "yellow" } as const]
      : left === undefined
      ? []
      : [{ text: left, rank: 4 }]),
    progress.size === 0
      ? { text: "size 0", rank: 0, style: "yellow" }
      : { text: `size ${count(progress.size)}`, rank: 7, style: "dim" },
    ...troubles(progress),
    ...some(progress.retrying, "retrying", 9, "yellow"),
    ...(progress.total === undefined ? some(progress.inside - progress.retrying, "in the herd", 10, "dim") : [])
  ]
}

const outcome = (progress: Progress): ReadonlyArray<Part> => {
  const { done, elapsed } = progress
  return [
    { text: `in ${elapsedText(elapsed)}`, rank: 3, joined: true },
    ...(done > 0 && elapsed > 0
      ? [{ text: rateText(done * 1_000 / elapsed), rank: 8, style: "dim" } as const]
      : []),
    ...troubles(progress)
  ]
}

/** Of how many, if not of itself. */
const finalCount = ({ done, inside, interrupted, total }: Progress): string => {
  const all = total ?? done + interrupted + inside
  return all > done ? `${count(done)}/${count(all)}` : count(done)
}

/** Names come from anywhere: on one line, without a say in colours, and not all of it. */
const clean = (name: string, limit: number): string =>
  truncate(stripVTControlCharacters(name).replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim(), limit)

const unitPart = (unit: string): ReadonlyArray<Part> =>
  unit === "" ? [] : [{ text: clean(unit, 20), rank: 11, joined: true }]

// ------------------------------------------------------------------------------------------------------ a terminal's line

const BAR_MIN = 8
const BAR_MAX = 40

/** Holds the place of the bar, which then takes what room is left. */
const barPart: Part = { text: "━".repeat(BAR_MIN), rank: 5 }

const COUNT = 1

interface Layout {
  readonly columns: number
  readonly colors: boolean
}

/**
 * Puts the parts in a row, the most needed first. `bar` is what share of the bar before the others
 * is full.
 */
const row = (
  { bar, label, parts }: { readonly label: string; readonly bar?: number; readonly parts: ReadonlyArray<Part> },
  { colors, columns }: Layout
): string => {
  // The last column stays free, since some terminals wrap when it is written to.
  let room = Math.max(0, columns - 1)
  const name = clean(label, Math.max(10, Math.floor(columns / 4)))
  const all: ReadonlyArray<Part> = [
    ...(name === "" ? [] : [{ text: name, rank: 12, style: "bold" } as const]),
    ...(bar === undefined ? [] : [barPart]),
    ...parts
  ]
  const gapOf = (part: Part) => part.joined === true ? " " : "  "
  const byRank = all.toSorted((self, that) => self.rank - that.rank)
  const kept = new Set<Part>()
  let counted = false
  for (const part of byRank) {
    const needs = width(part.text) + (kept.size === 0 ? 0 : gapOf(part).length)
    if (needs > room || (part.joined === true && !counted)) continue
    kept.add(part)
    room -= needs
    counted ||= part.rank === COUNT
  }
  if (kept.size === 0) return truncate(byRank[0]?.text.trim() ?? "", room)

  const paint = (text: string, style: Style | undefined) =>
    colors && style !== undefined && text !== "" ? styleText(style, text, { validateStream: false }) : text
  const drawn = (part: Part) => {
    if (bar === undefined || part !== barPart) return paint(part.text, part.style)
    const length = Math.max(BAR_MIN, Math.min(BAR_MAX, Math.floor(columns / 4), BAR_MIN + room))
    const full = Math.floor(length * bar)
    return paint("━".repeat(full), "green") + paint("─".repeat(length - full), "dim")
  }
  return all.filter((part) => kept.has(part)).map((part, n) => `${n === 0 ? "" : gapOf(part)}${drawn(part)}`).join("")
}

/**
 * How far a herd is, in less than so many columns.
 *
 * @internal
 */
export const progressLine = (progress: Progress, names: Names, layout: Layout): string => {
  const { done, total } = progress
  const rest = [...unitPart(names.unit), ...figures(progress)]
  if (total === undefined) {
    return row({ label: names.label, parts: [{ text: count(done), rank: COUNT }, ...rest] }, layout)
  }
  // Padded, so that what stands behind it does not move as it grows.
  const counted = `${count(done).padStart(count(total).length)}/${count(total)}`
  return row({
    label: names.label,
    bar: total === 0 ? 1 : done / total,
    parts: [
      { text: `${percent(done, total)}%`.padStart(3), rank: 2 },
      { text: counted, rank: COUNT },
      ...rest
    ]
  }, layout)
}

/**
 * What a herd has done, when the watching ends, in less than so many columns.
 *
 * @internal
 */
export const finalLine = (progress: Progress, names: Names, layout: Layout): string =>
  row({
    label: names.label,
    parts: [{ text: finalCount(progress), rank: COUNT }, ...unitPart(names.unit), ...outcome(progress)]
  }, layout)

// ------------------------------------------------------------------------------------------------------ a log's line

const sentence = (parts: ReadonlyArray<Part>): string =>
  parts.map(({ joined, text }, n) => `${n === 0 ? "" : joined === true ? " " : ", "}${text}`).join("")

/**
 * @internal
 */
export const progressLog = (progress: Progress, { unit }: Names): string => {
  const { done, total } = progress
  const share: ReadonlyArray<Part> = total === undefined
    ? []
    : [{ text: `(${percent(done, total)}%)`, rank: 2, joined: true }]
  const counted = total === undefined ? count(done) : `${count(done)}/${count(total)}`
  return sentence([{ text: counted, rank: COUNT }, ...unitPart(unit), ...share, ...figures(progress)])
}

/**
 * @internal
 */
export const finalLog = (progress: Progress, { unit }: Names): string =>
  sentence([{ text: finalCount(progress), rank: COUNT }, ...unitPart(unit), ...outcome(progress)])
