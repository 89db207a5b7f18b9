/**
 * What the page knows of a herd, and what it works out of that. Nothing here touches the document.
 */
import type { DeadLetter, HerdSample, HerdState, SourceState } from "../../HerdApi.ts"

export type State = typeof HerdState.Encoded
export type Sample = typeof HerdSample.Encoded
export type Source = typeof SourceState.Encoded
export type Letter = typeof DeadLetter.Encoded

/** A herd at an instant, by the server's clock. */
export interface Point {
  /** Seconds since 1970. */
  readonly time: number
  readonly size: number
  readonly running: number
  readonly queued: number
  readonly retrying: number
  readonly senders: number
  readonly succeeded: number
  readonly retried: number
  readonly failed: number
  /** Seconds, `null` if there was no attempt in the minute before. */
  readonly p50: number | null
  readonly p95: number | null
}

export interface Rates {
  /** Per second. */
  readonly success: number
  readonly retry: number
  readonly failure: number
}

/** How far back the charts go, in seconds. */
const WINDOW = 300

/** How far back they go at least, in seconds, while there is little to show. */
const SHORTEST = 60

/** Over so many seconds the server tells the times of attempts. */
const MINUTE = 60

/** A rate is taken over so many seconds, or a little more. */
const RATE_WINDOW = 5

/** Points are kept so far apart, in seconds, as those are that the server has kept. */
const STEP = 0.9

/** Points of a herd that changes are less than this apart, in seconds. */
const GAP = 2

export const pointOf = (sample: Sample | State, time = Date.parse(sample.at) / 1_000): Point => ({
  time,
  size: sample.size,
  running: sample.running,
  queued: sample.queued,
  retrying: sample.retrying,
  senders: sample.senders ?? 0,
  succeeded: sample.succeeded,
  retried: sample.retried,
  failed: sample.failed,
  p50: sample.attemptSeconds.p50,
  p95: sample.attemptSeconds.p95
})

/**
 * The points with one more, without those that have left the window. Between distant points nothing
 * has changed; of close ones the latest stays.
 */
export const append = (points: ReadonlyArray<Point>, point: Point): ReadonlyArray<Point> => {
  const last = points.at(-1)
  if (last !== undefined && point.time <= last.time) return points
  const before = points.at(-2)
  if (last !== undefined && before !== undefined && last.time - before.time < STEP) {
    return [...points.slice(0, -1), point]
  }
  const rested = last !== undefined && point.time - last.time > GAP ? rest(last, point.time) : []
  // One point beyond the window's edge stays, for the line to come in from.
  const from = Math.max(0, points.findLastIndex(({ time }) => time < point.time - WINDOW - RATE_WINDOW))
  return [...points.slice(from), ...rested, point]
}

/**
 * A herd without news was as it was, second by second; of attempts older than a minute nothing is
 * told.
 */
const rest = (last: Point, until: number): ReadonlyArray<Point> => {
  const points: Array<Point> = []
  for (let time = Math.max(last.time, until - WINDOW - RATE_WINDOW) + 1; time <= until - 1; time++) {
    points.push(time - last.time > MINUTE ? { ...last, time, p50: null, p95: null } : { ...last, time })
  }
  return points
}

/** From when to when the charts go. */
export const spanOf = (times: ReadonlyArray<number>): readonly [from: number, to: number] => {
  const to = times.at(-1) ?? 0
  return [Math.max(to - WINDOW, Math.min(times[0] ?? to, to - SHORTEST)), to]
}

/** What came about per second before the point of this index. */
export const ratesAt = (points: ReadonlyArray<Point>, index: number): Rates => {
  const to = points[index]
  if (to === undefined) return { success: 0, retry: 0, failure: 0 }
  let earlier = index
  while (earlier > 0 && to.time - (points[earlier]?.time ?? 0) < RATE_WINDOW) earlier--
  const from = points[earlier] ?? to
  const seconds = to.time - from.time
  const rate = (count: (point: Point) => number) => seconds > 0 ? Math.max(0, count(to) - count(from)) / seconds : 0
  return {
    success: rate(({ succeeded }) => succeeded),
    retry: rate(({ retried }) => retried),
    failure: rate(({ failed }) => failed)
  }
}

/** What is in the herd, and what there is for it to claim. */
export const unitsLeft = ({ queued, retrying, running, source }: State): number =>
  queued + retrying + running + (source?.ready ?? 0)

/** Seconds until that has settled; `null` without any, `Infinity` if nothing settles. */
export const timeLeft = (state: State, { failure, success }: Rates): number | null => {
  const left = unitsLeft(state)
  return left === 0 ? null : left / (success + failure)
}

export type Condition = "working" | "idle" | "paused" | "holding" | "closing" | "closed" | "drained"

/** What the herd is doing, in a word. */
export const conditionOf = (state: State): Condition => {
  const { closed, drained, paused, queued, retrying, running, senders = 0, size, source } = state
  if (drained) return "drained"
  if (paused) return "paused"
  if (size === 0 && queued + senders > 0) return "holding"
  // What is ready in the source is there for others, too.
  if (!closed && running === 0 && (size === 0 || source?.fleet === 0) && (source?.ready ?? 0) > 0) return "holding"
  if (running + queued + retrying + senders > 0) return closed ? "closing" : "working"
  return closed ? "closed" : "idle"
}

/** The longest text that is shown as it is. */
const LONGEST_LINE = 160

/** Its first line, or the beginning of that. */
export const headOf = (text: string): string => {
  const [line = ""] = text.split("\n", 1)
  return line.length > LONGEST_LINE ? line.slice(0, LONGEST_LINE).replace(/[\ud800-\udbff]$/, "") : line
}

/** Does such a resize deserve a second thought? Why, if so. */
export const doubt = (from: number, to: number, mode: "graceful" | "interrupt"): string | undefined => {
  if (to === from) return undefined
  if (to === 0) return "Size 0 starts nothing: work waits until the size is raised again."
  if (from > 0 && to >= from * 10) return `That is ${Math.floor(to / from)} times the size.`
  if (to * 10 <= from) return `That is a ${Math.floor(from / to)}th of the size.`
  if (to < from && mode === "interrupt") return "Running units are interrupted, and begin again later."
  return undefined
}

/**
 * The end of the slider: about twice the size, in round steps, so that a small herd can be set to
 * the unit.
 */
export const sliderEnd = (size: number, maxSize: number): number => {
  for (let magnitude = 10;; magnitude *= 10) {
    for (const step of [1, 2, 5]) {
      if (step * magnitude >= size * 2) return Math.min(maxSize, step * magnitude)
    }
  }
}
