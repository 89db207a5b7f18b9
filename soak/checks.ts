import { Schema } from "effect"
import { type Herd, HerdApi } from "gofherd"
import type { Account } from "./account.ts"

/**
 * What has to hold, as functions of what was observed: each gives what does not, in words.
 */
type Complaints = ReadonlyArray<string>

const complain = (...complaints: ReadonlyArray<string | false>): Complaints =>
  complaints.filter((complaint) => complaint !== false)

// ------------------------------------------------------------------------------------------------------ states

/**
 * What states and their events have of counts; the rest of them is left to `HerdClient`, which
 * takes its time to read it.
 */
export const Counts = Schema.Struct(HerdApi.HerdState.fields).pick(
  "name",
  "size",
  "live",
  "running",
  "queued",
  "retrying",
  "senders",
  "accepted",
  "succeeded",
  "retried",
  "failed",
  "interrupted"
)
type Counts = typeof Counts.Type

/** G3, and that nothing is below zero. */
export const unbalanced = (state: Counts): Complaints => {
  const { accepted, failed, interrupted, name, queued, retrying, running, senders, succeeded } = state
  const sum = queued + running + retrying + succeeded + failed + interrupted
  const least = Math.min(queued, running, retrying, senders, succeeded, failed, interrupted)
  return complain(
    sum !== accepted && `${name}: expected accepted to be the sum of the others, ${sum}, got ${accepted}`,
    least < 0 && `${name}: expected counts from 0, got ${least}`
  )
}

/**
 * G4, and what of G1 shows in a state. A unit enters only while fewer than `capacity` wait; those
 * that run beside may all come to be retried or put back. No gopher is made beyond the size, and
 * each unit that runs has a gopher.
 */
export const overfull = (
  { live, name, queued, retrying, running }: Counts,
  { capacity, largest }: { readonly capacity: number; readonly largest: number }
): Complaints => {
  const inside = queued + retrying + running
  return complain(
    inside > capacity + largest &&
      `${name}: expected at most ${capacity} + ${largest} units in the herd, got ${inside}`,
    running > live && `${name}: expected as many gophers as units that run, ${running}, or more, got ${live}`,
    live > largest && `${name}: expected at most ${largest} gophers, got ${live}`
  )
}

const counters = ["accepted", "succeeded", "retried", "failed", "interrupted"] as const

/** A later state of the same herd counts no less. */
export const receding = (before: Counts, after: Counts): Complaints =>
  counters.flatMap((counter) =>
    complain(
      after[counter] < before[counter]
        && `${after.name}: expected ${counter} not to fall below ${before[counter]}, got ${after[counter]}`
    )
  )

// ------------------------------------------------------------------------------------------------------ metrics

/** What `/metrics` says of a herd, by the names of the metrics. */
export const metricsOf = (text: string, herd: string): ReadonlyMap<string, number> =>
  new Map(
    Array.from(text.matchAll(/^(gofherd_\w+)\{herd="([^"]*)"\} (\S+)$/gm)).flatMap(([, name = "", label, value]) =>
      label === herd ? [[name, Number(value)]] : []
    )
  )

const totals = [
  ["gofherd_success_total", "succeeded"],
  ["gofherd_retry_total", "retried"],
  ["gofherd_failure_total", "failed"],
  ["gofherd_interrupted_total", "interrupted"]
] as const

const gauges = [
  ["gofherd_size", "size"],
  ["gofherd_running", "running"],
  ["gofherd_queued", "queued"],
  ["gofherd_retrying", "retrying"],
  ["gofherd_senders", "senders"]
] as const

/**
 * The counters of an answer lie between those of the states before the question and after the
 * answer; each attempt that has ended was timed.
 */
export const metricsOff = (metrics: ReadonlyMap<string, number>, before: Counts, after: Counts): Complaints => {
  const of = (name: string) => metrics.get(name) ?? Number.NaN
  const ended = of("gofherd_success_total") + of("gofherd_retry_total") + of("gofherd_failure_total")
  const timed = of("gofherd_attempt_duration_seconds_count")
  return [
    ...totals.flatMap(([name, counter]) =>
      complain(
        !(of(name) >= before[counter] && of(name) <= after[counter])
          && `${after.name}: expected ${name} from ${before[counter]} to ${after[counter]}, got ${of(name)}`
      )
    ),
    ...gauges.flatMap(([name]) =>
      complain(!(of(name) >= 0) && `${after.name}: expected ${name} from 0, got ${of(name)}`)
    ),
    ...complain(!(timed >= ended) && `${after.name}: expected times of ${ended} attempts or more, got ${timed}`)
  ]
}

/** When nothing happens, they are the state. */
export const metricsDiffer = (metrics: ReadonlyMap<string, number>, state: Counts): Complaints =>
  [...totals, ...gauges].flatMap(([name, key]) =>
    complain(
      metrics.get(name) !== state[key] &&
        `${state.name}: expected ${name} to be ${state[key]}, got ${metrics.get(name)}`
    )
  )

// ------------------------------------------------------------------------------------------------------ progress

/**
 * Longer than anything that may hold a herd up: absent readers (4 s), operators who stop it (1.5
 * s), connections that can't be acquired while a target is away (6 s, then the backoff may be as
 * long again).
 */
export const MOST_STILL_SECONDS = 25

/**
 * There was something to do and everything to do it with, for so many seconds, and nothing was
 * done.
 */
export const stuck = ({ name, queued, size }: Counts, seconds: number): Complaints =>
  complain(
    seconds > MOST_STILL_SECONDS &&
      `${name}: expected one of ${queued} units to start with size ${size}, got none in ${seconds} s`
  )

// ------------------------------------------------------------------------------------------------------ the end

/**
 * G2: every unit has settled, and as often in each way as senders and readers have been told. Of
 * the units that their senders took back nobody was told.
 */
export const booksOff = (
  state: Counts & Pick<Herd.HerdState, "drained">,
  { cancelled, openCount, openOnes, settled }: Pick<Account, "cancelled" | "openCount" | "openOnes" | "settled">
): Complaints => {
  const { accepted, drained, failed, interrupted, name, succeeded } = state
  const told = settled.success + settled.failure + settled.interrupted
  const within = (what: string, got: number, least: number) =>
    !(got >= least && got <= least + cancelled)
    && `${name}: expected ${what} to be ${least}, or up to ${cancelled} more, got ${got}`
  return complain(
    !drained && `${name}: expected it to be drained, got ${accepted - succeeded - failed - interrupted} units left`,
    openCount > 0 && `${name}: expected an outcome of every unit, got none of ${openCount}: ${openOnes}`,
    within("accepted", accepted, told),
    within("succeeded", succeeded, settled.success),
    within("failed", failed, settled.failure),
    within("interrupted", interrupted, settled.interrupted)
  )
}

/** What there is more of than before, such as sockets and timers. */
export const leftOver = (
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>
): Complaints =>
  Object.entries(after).flatMap(([what, count]) =>
    complain(
      count > (before[what] ?? 0) && `expected ${before[what] ?? 0} of ${what}, as before the start, got ${count}`
    )
  )

// ------------------------------------------------------------------------------------------------------ limits

/**
 * Answers of a herd at work take some 20 ms at the 99th percentile
 * (`npm run bench -- --only answers`), a collection of the whole heap, as the soak makes them, some
 * 100 ms. What takes half a second waits for something: for units, of which each target that does
 * not answer makes one of 700 ms, or for a herd that keeps the event loop to itself.
 *
 * Where other programs want the processors, too, that says nothing: with eight for each, answers
 * were seen to take 8 s. What an answer then takes of the processor is still that of this program,
 * and no more than a few turns of its event loop. A percentile is that of code that is compiled,
 * and of enough answers.
 */
const MOST_P99_MILLIS = 500
const CROWDED = 1.5
const ENOUGH_FOR_P99 = 1_000

interface Times {
  readonly count: number
  /** How many programs wanted a processor, on average, for each that there is. */
  readonly crowd: number
  /** Of the clock. */
  readonly p99: number
  /** Of the processor. */
  readonly processorP99: number
}

export const slow = (what: string, { count, crowd, p99, processorP99 }: Times): Complaints => {
  if (count < ENOUGH_FOR_P99) return []
  const over = (millis: number, kind: string) =>
    millis > MOST_P99_MILLIS
    && `expected ${what} of at most ${MOST_P99_MILLIS} ms${kind} at the 99th percentile, got ${Math.round(millis)}`
  return complain(crowd <= CROWDED && over(p99, ""), over(processorP99, " of the processor"))
}

/**
 * How late the event loop comes to a timer, in milliseconds: seen were 43 at the 99th percentile. A
 * herd keeps it for 8 at a time, and a collection of the whole heap for 100.
 */
const MOST_DELAY_MILLIS = 200

/** Only where it has the processors to itself. */
export const late = ({ crowd, p99 }: Pick<Times, "crowd" | "p99">): Complaints =>
  complain(
    crowd <= CROWDED && p99 > MOST_DELAY_MILLIS
      && `expected an event loop late by ${MOST_DELAY_MILLIS} ms at most at the 99th percentile, got ${Math.round(p99)}`
  )

/**
 * Everything that the herds and their server hold is bounded: some hundred units, 300 samples and
 * 20 failures of each herd, 256 connections. When warm that is there, and what comes and goes of
 * it, with what fetch keeps of connections, is a few MB. 100 B lost with each of half a million
 * units would be 50 MB.
 */
const MOST_GROWTH_MB = 16

/**
 * Resident memory was 280 MB in runs of minutes, and up to 525 MB in 30 minutes, with a heap of
 * 80 MB: most of it is code, room for young objects, and what has been collected and not given
 * back.
 */
export const MOST_RESIDENT_MB = 600

/** With so many minutes, the slope says something; it is what would fill 16 MB in an hour. */
const SLOPE_MINUTES = 10
const MOST_SLOPE_KB = 256

export interface HeapSample {
  readonly minute: number
  /** After a collection. */
  readonly bytes: number
}

/** By least squares, in kB a minute. */
export const slope = (samples: ReadonlyArray<HeapSample>): number => {
  const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length
  const minute = mean(samples.map(({ minute }) => minute))
  const bytes = mean(samples.map(({ bytes }) => bytes))
  const over = mean(samples.map((sample) => (sample.minute - minute) * (sample.bytes - bytes)))
  return over / mean(samples.map((sample) => (sample.minute - minute) ** 2)) / 1024
}

/** Samples are those from the end of the warm-up on. */
export const growing = (samples: ReadonlyArray<HeapSample>): Complaints => {
  const first = samples[0]
  const last = samples.at(-1)
  if (first === undefined || last === undefined) return []
  const growth = (last.bytes - first.bytes) / 2 ** 20
  const minutes = last.minute - first.minute
  const kilobytes = slope(samples)
  return complain(
    growth > MOST_GROWTH_MB &&
      `expected a heap at most ${MOST_GROWTH_MB} MB larger than when warm, got ${growth.toFixed(1)} MB`,
    minutes >= SLOPE_MINUTES && kilobytes > MOST_SLOPE_KB
      && `expected a heap that grows by at most ${MOST_SLOPE_KB} kB a minute, got ${Math.round(kilobytes)} kB`
  )
}

/**
 * 92 gophers, some 40 who give work, operate and read, and for each a handful of fibers at a time:
 * requests, timers, streams.
 */
export const MOST_FIBERS = 1_000
/**
 * Connections to targets are as many as units that run, up to twice (those of fetch idle for 4 s);
 * those to the server some 40.
 */
export const MOST_RESOURCES = 1_000

export const tooMany = (what: string, count: number, most: number): Complaints =>
  complain(count > most && `expected at most ${most} ${what}, got ${count}`)
