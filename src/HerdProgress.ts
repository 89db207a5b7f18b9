/**
 * How far a herd is, while it runs: one line in the terminal, or now and then one in the log. Not
 * part of the barrel, since it is for Node's terminals:
 * `import * as HerdProgress from "gofherd/HerdProgress"`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Herd from "./Herd.ts"
import { InvalidOption } from "./HerdError.ts"
import { check, holds } from "./internal/check.ts"
import { isControl } from "./internal/controls.ts"
import { logOf } from "./internal/log.ts"
import { Meter, type Progress } from "./internal/progress.ts"
import { finalLine, finalLog, progressLine, progressLog } from "./internal/progressLine.ts"
import { type Settings, validate } from "./internal/progressOptions.ts"
import { show } from "./internal/show.ts"
import { sleep } from "./internal/sleep.ts"
import { SteadyTime } from "./internal/steadyTime.ts"
import { TerminalLine } from "./internal/terminalLine.ts"
import { reader } from "./internal/total.ts"

// ------------------------------------------------------------------------------------------------------ models

/**
 * What it needs of a stream: `process.stderr` and `process.stdout` are such.
 *
 * @since 0.1.0
 * @category models
 */
export interface Terminal {
  readonly isTTY?: boolean | undefined
  /** Default 80. Read each time, so that it follows a change. */
  readonly columns?: number | undefined
  write(text: string): unknown
  /** Whether it shows colours, in an environment such as `process.env`. Default: it does not. */
  hasColors?(environment?: object): boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<R = never> {
  /**
   * How many units there will be: an integer from 0, or an Effect of it where it is known late or
   * grows. The Effect is run again each time; while it gives `undefined`, or has given nothing yet,
   * the total counts as unknown. Default: unknown until the herd is closed. Without a total there
   * is no bar, and the time left is that of what is in the herd.
   */
  readonly total?: number | Effect.Effect<number | undefined, never, R> | undefined
  /** What stands at the beginning of the line. Default: the herd's name; `""` for nothing. */
  readonly label?: string | undefined
  /** What the units are, in the plural, such as `"files"`. Default: nothing. */
  readonly unit?: string | undefined
  /** Between two log lines, where there is no terminal. More than 0; default 10 s. */
  readonly interval?: Duration.DurationInput | undefined
  /**
   * Whether a last line with the totals stays when it ends; `false` leaves nothing behind. Default
   * true.
   */
  readonly summary?: boolean | undefined
  /** Where to draw, and whose `isTTY` says whether to. Default `process.stderr`. */
  readonly stream?: Terminal | undefined
}

// ------------------------------------------------------------------------------------------------------ layers

/**
 * Shows how far a herd is, for as long as the layer lives. It counts from when it is built.
 *
 * On a terminal it is one line, drawn again in its place, at most ten times a second and only if it
 * has changed: a bar if the total is known, what is done, the rate of the last 5 s, the time left,
 * the size, what failed and what is retrying. What has no room in the terminal's width is left out,
 * the least needed first. What is written to `process.stdout` and `process.stderr` meanwhile, logs
 * too, comes above the line: for that their `write` is wrapped until the layer ends. In the end,
 * however that comes, a line with the totals takes its place. A terminal has room for one: a second
 * one logs.
 *
 * Elsewhere, also where `TERM` is `dumb`, it logs at Info, annotated with `herd`: a line each
 * `interval` in which something has happened, and the totals in the end.
 *
 * Options out of their bounds are a defect, `InvalidOption`.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer, Stream } from "effect"
 * import { Herd } from "gofherd"
 * import * as HerdProgress from "gofherd/HerdProgress"
 *
 * class Crawler extends Context.Tag("Crawler")<Crawler, Herd.Herd<string, number>>() {}
 * const CrawlerLive = Herd.layer(Crawler, { process: (url) => Effect.succeed(url.length), size: 8 })
 *
 * const crawl = (urls: ReadonlyArray<string>) =>
 *   Effect.flatMap(Crawler, (herd) => Stream.runCollect(herd.stream(Stream.fromIterable(urls)))).pipe(
 *     Effect.provide(HerdProgress.layer(Crawler, { total: urls.length, unit: "pages" })),
 *     Effect.provide(CrawlerLive)
 *   )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R, RTotal = never>(
  herd: Effect.Effect<Herd.Control, never, R>,
  options: Options<RTotal> = {}
): Layer.Layer<never, never, Exclude<R | RTotal, Scope.Scope>> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const control = yield* Effect.orDie(controlIn(herd))
    const settings = yield* Effect.orDie(validate(options, control.name))
    const total = yield* reader(settings.total)
    const time = new SteadyTime()
    const now = Effect.clockWith((clock) => Effect.sync(() => time.read(clock)))
    const meter = new Meter(yield* control.state, yield* now)
    const progress = Effect.gen(function*() {
      const expected = yield* total
      return meter.observe(yield* control.state, expected, yield* now)
    })
    const line = yield* Effect.acquireRelease(
      Effect.sync(() => openLine(settings.stream)),
      (line) => line === undefined ? Effect.void : Effect.map(progress, closeLine(line, settings))
    )
    yield* line === undefined ? logLines(progress, settings, control.name) : drawLine(progress, line, settings)
  }))

const controlIn = <R>(herd: Effect.Effect<Herd.Control, never, R>) =>
  Effect.gen(function*() {
    yield* check(holds(Effect.isEffect, herd), "herd", "the tag of a herd", herd)
    const control = yield* herd
    yield* holds(isControl, control)
      ? Effect.void
      : new InvalidOption({ option: "herd", expected: "the tag of a herd", given: `one of ${show(control)}` })
    return control
  })

const happened = ({ done, inside, interrupted }: Progress) => done + inside + interrupted > 0

const isTerminal = (stream: Terminal) => holds(isTty, stream) && process.env["TERM"] !== "dumb"

const isTty = (stream: Terminal) => stream.isTTY === true

const openLine = (stream: Terminal) =>
  isTerminal(stream) ? TerminalLine.open(stream, [process.stdout, process.stderr].filter(isTerminal)) : undefined

const drawLine = <R>(progress: Effect.Effect<Progress>, line: TerminalLine, { names }: Settings<R>) =>
  Effect.map(progress, (progress) => line.show(progressLine(progress, names, line))).pipe(
    Effect.repeat(Schedule.spaced("100 millis")),
    Effect.interruptible,
    Effect.forkScoped
  )

const closeLine = <R>(line: TerminalLine, { names, summary }: Settings<R>) => (progress: Progress) =>
  line.close(summary && happened(progress) ? finalLine(progress, names, line) : undefined)

const logLines = <R>(
  progress: Effect.Effect<Progress>,
  { interval, names, summary }: Settings<R>,
  herd: string
) =>
  Effect.gen(function*() {
    const log = (message: string) => logOf(herd, Effect.logInfo(message))
    // Time alone is no news.
    const newsOf = (progress: Progress) => progressLog({ ...progress, rate: undefined, left: undefined }, names)
    let last = newsOf(yield* progress)
    const report = Effect.flatMap(progress, (progress) => {
      const news = newsOf(progress)
      if (news === last) return Effect.void
      last = news
      return log(progressLog(progress, names))
    })
    yield* Effect.addFinalizer(() =>
      Effect.flatMap(
        progress,
        (progress) => summary && happened(progress) ? log(finalLog(progress, names)) : Effect.void
      )
    )
    yield* Effect.zipRight(sleep(interval), report).pipe(Effect.forever, Effect.interruptible, Effect.forkScoped)
  })
