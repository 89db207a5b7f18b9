import type { SuiteResult } from "./results.ts"
import { figure } from "./table.ts"

/** What the benchmark is to show. */
interface Target {
  readonly work: string
  readonly against: string
  /** Where the figure is. */
  readonly suite: string
  readonly row: string
  readonly column: string
  readonly better: "more" | "less"
  readonly unit: string
  readonly atLeast: number
  /** Without one, at least is all that is asked for. */
  readonly aim?: number
}

export interface Judged extends Target {
  readonly measured: number
  readonly verdict: "aim" | "met" | "missed" | "not measured"
}

/** How many times as fast as another contender. */
const ratio = (
  work: string,
  suite: string,
  row: string,
  against: string,
  atLeast: number,
  aim?: number
): Target => ({
  work,
  against,
  suite,
  row,
  column: `x ${against}`,
  better: "more",
  unit: "x",
  atLeast,
  ...(aim !== undefined && { aim })
})

const cpuOfRequest = (against: string): Target => ({
  work: "HTTP request, CPU",
  against,
  suite: "http",
  row: "herd, sendAll",
  column: `CPU x ${against}`,
  better: "less",
  unit: "x",
  atLeast: 1,
  aim: 0.99
})

/** Threads of the herd: fib, since there the threads are all that counts. */
const speedUp = (threads: number, against: string, atLeast: number, aim?: number): Target =>
  ratio(`fib, ${threads} threads`, "fib", `herd, ${threads} threads`, against, atLeast, aim)

/** Less of something, compared with nothing. */
const bound = (
  work: string,
  suite: string,
  row: string,
  column: string,
  unit: string,
  atLeast: number,
  aim: number
): Target => ({ work, against: "", suite, row, column, better: "less", unit, atLeast, aim })

const targets: ReadonlyArray<Target> = [
  ratio("synchronous", "sync", "herd, sendAll", "p-queue", 4, 8),
  ratio("synchronous", "sync", "herd, sendAll", "fastq.promise", 1.5, 4),
  ratio("synchronous", "sync", "herd, sendAll", "Effect.forEach", 1.5, 2.5),
  ratio("setImmediate", "immediate", "herd, sendAll", "p-queue", 1.5, 2.5),
  ratio("setImmediate", "immediate", "herd, sendAll", "Effect.forEach", 1, 1.3),
  ratio("setImmediate", "immediate", "herd, sendAll", "async.queue", 0.8, 1),
  ratio("setImmediate", "immediate", "herd, sendAll", "async.queue, callbacks", 0.8, 1),
  ratio("1 ms, Effect.sleep", "timer", "herd, sendAll", "p-queue", 0.5, 1),
  ratio("1 ms, Effect.sleep", "timer", "herd, sendAll", "Effect.forEach", 1.2, 1.5),
  ratio("1 ms, raw timer", "rawTimer", "herd, sendAll", "p-queue", 1.4),
  ratio("1 ms, raw timer", "rawTimer", "herd, sendAll", "Effect.forEach", 1.2, 1.5),
  ratio("10 % fail, no backoff", "failing", "herd, sendAll", "Effect.forEach + retry", 3, 8),
  ratio("10 % fail, backoff", "backoff", "herd, sendAll", "Effect.forEach + retry", 3, 8),
  ratio("run, 64 callers", "run", "herd, run", "p-queue.add", 0.8, 1.2),
  cpuOfRequest("p-queue"),
  cpuOfRequest("Effect.forEach"),
  ratio("stream", "stream", "herd, stream", "Stream.mapEffect", 100, 300),
  bound("memory of a queued unit", "memory", "queued unit", "bytes", "B", 16, 8),
  bound("memory of an idle gopher", "memory", "idle gopher", "bytes", "B", 4_096, 0),
  bound("resize to 10,000", "resize", "0 to 10,000", "µs to return", "µs", 5_000, 1_000),
  bound("longest block, synchronous", "eventLoop", "herd.sendAll", "longest block ms", "ms", 40, 15),
  bound("GET /herd while saturated, p99", "answers", "GET /herd, herd saturated", "p99 ms", "ms", 100, 30),
  bound("cost of a unit at 5M units, by 10k", "growthByUnits", "5,000,000 units", "x the first", "x", 1.3, 1.1),
  speedUp(2, "1 fiber", 1.7, 2),
  speedUp(2, "piscina", 0.9, 1),
  speedUp(4, "piscina", 0.9, 1),
  {
    ...bound("round trip to a thread, p50", "threadTrip", "herd.run", "p50 x piscina", "x", 1, 0.9),
    against: "piscina"
  }
]

const verdict = ({ aim, atLeast, better }: Target, measured: number): Judged["verdict"] => {
  const reaches = (target: number) => better === "more" ? measured >= target : measured <= target
  if (Number.isNaN(measured)) return "not measured"
  if (aim !== undefined && reaches(aim)) return "aim"
  return reaches(atLeast) ? "met" : "missed"
}

/** Leaves out what is of suites that were not run. */
export const judge = (results: ReadonlyArray<SuiteResult>): ReadonlyArray<Judged> =>
  targets.flatMap((target) => {
    const suite = results.find(({ name }) => name === target.suite)
    if (suite === undefined) return []
    const column = suite.columns.indexOf(target.column)
    const measured = suite.rows.find(({ name }) => name === target.row)?.values[column] ?? Number.NaN
    return [{ ...target, measured, verdict: verdict(target, measured) }]
  })

export const targetColumns = ["target", "against", "verdict", "measured", "at least", "aim"]

export const targetRow = (judged: Judged): ReadonlyArray<string> => {
  const { against, aim, atLeast, better, measured, unit, verdict, work } = judged
  const bound = (value: number) => `${better === "less" ? "≤ " : ""}${value.toLocaleString("en")} ${unit}`
  return [
    work,
    against,
    verdict,
    Number.isNaN(measured) ? "" : `${figure(measured)} ${unit}`,
    bound(atLeast),
    aim === undefined ? "" : bound(aim)
  ]
}
