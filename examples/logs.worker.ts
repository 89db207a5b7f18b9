/**
 * What logs.ts does with each file. A module that calls `serve` may be imported like any other:
 * logs.ts takes `summarize` from here, to race the threads with.
 */
import { Data, Effect, Schema } from "effect"
import * as HerdThread from "gofherd/HerdThread"
import { readFileSync } from "node:fs"

export class NoLog extends Data.TaggedError("NoLog")<{ readonly path: string; readonly reason: string }> {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

const Entry = Schema.Struct({
  time: Schema.String,
  path: Schema.String,
  status: Schema.Number,
  bytes: Schema.Number,
  ms: Schema.Number
})
export type Entry = typeof Entry.Type

const isLog = Schema.is(Schema.Array(Entry))

export interface Summary {
  readonly entries: number
  readonly errors: number
  readonly bytes: number
  /** The five that were asked for most. */
  readonly paths: ReadonlyArray<{
    readonly path: string
    readonly entries: number
    readonly p50: number
    readonly p99: number
  }>
}

/** Megabytes in, some lines out: all that crosses between the threads is a path and a Summary. */
export const summarize = (path: string): Effect.Effect<Summary, NoLog> =>
  Effect.try({
    try: () => summaryOf(JSON.parse(readFileSync(path, "utf8"))),
    catch: (cause) => new NoLog({ path, reason: cause instanceof Error ? cause.message : String(cause) })
  })

const summaryOf = (log: unknown): Summary => {
  if (!isLog(log)) throw new Error("expected an array of { time, path, status, bytes, ms }, got other JSON")
  const times = new Map<string, Array<number>>()
  for (const { ms, path } of log) {
    const known = times.get(path)
    if (known === undefined) times.set(path, [ms])
    else known.push(ms)
  }
  const paths = Array.from(times, ([path, times]) => {
    const sorted = Float64Array.from(times).toSorted()
    const quantile = (q: number) => sorted[Math.ceil(q * sorted.length) - 1] ?? 0
    return { path, entries: sorted.length, p50: quantile(0.5), p99: quantile(0.99) }
  })
  return {
    entries: log.length,
    errors: log.filter(({ status }) => status >= 500).length,
    bytes: log.reduce((sum, { bytes }) => sum + bytes, 0),
    paths: paths.toSorted((self, that) => that.entries - self.entries).slice(0, 5)
  }
}

export default HerdThread.serve(summarize)
