/**
 * Every metric of a herd, each with the label `herd`. They appear, at zero, when the herd is made.
 * A herd counts in plain integers and brings the metrics up to date once per turn of the event
 * loop, so a reader sees figures that are at most one turn old.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

/**
 * Seconds, from 100 µs to 5 min: a trivial computation at one end, a call to a slow model at the
 * other.
 */
const seconds = MetricBoundaries.fromIterable([
  0.0001,
  0.0005,
  0.001,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
  60,
  300
])

const counter = (name: string, description: string): Metric.Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true })

/**
 * Units that succeeded.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { HerdMetrics } from "gofherd"
 *
 * const succeeded = Metric.value(HerdMetrics.success.pipe(Metric.tagged("herd", "crawler"))).pipe(
 *   Effect.map((state) => state.count)
 * )
 * ```
 *
 * @since 0.1.0
 * @category metrics
 */
export const success: Metric.Metric.Counter<number> = counter("gofherd_success_total", "Units that succeeded")

/**
 * Failed attempts that were or will be retried.
 *
 * @since 0.1.0
 * @category metrics
 */
export const retry: Metric.Metric.Counter<number> = counter(
  "gofherd_retry_total",
  "Attempts that failed and are retried"
)

/**
 * Units that failed for good.
 *
 * @since 0.1.0
 * @category metrics
 */
export const failure: Metric.Metric.Counter<number> = counter("gofherd_failure_total", "Units that failed for good")

/**
 * Units that were cancelled, or left over when the herd's scope closed.
 *
 * @since 0.1.0
 * @category metrics
 */
export const interrupted: Metric.Metric.Counter<number> = counter(
  "gofherd_interrupted_total",
  "Units that were cancelled or left over when the herd stopped"
)

/**
 * Calls that changed the size.
 *
 * @since 0.1.0
 * @category metrics
 */
export const resizes: Metric.Metric.Counter<number> = counter("gofherd_resizes_total", "Changes of the size")

/**
 * Gophers that could not acquire their resource and are going to try again.
 *
 * @since 0.1.0
 * @category metrics
 */
export const acquireFailures: Metric.Metric.Counter<number> = counter(
  "gofherd_acquire_failures_total",
  "Failed attempts of a gopher to acquire its resource"
)

/**
 * Gophers that were replaced, since their resource broke or a unit died on them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const replacements: Metric.Metric.Counter<number> = counter(
  "gofherd_replacements_total",
  "Gophers that were replaced, since their resource broke or a unit died"
)

/**
 * The size: the target number of gophers.
 *
 * @since 0.1.0
 * @category metrics
 */
export const size: Metric.Metric.Gauge<number> = Metric.gauge("gofherd_size", {
  description: "The target number of gophers"
})

/**
 * Units inside `process`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const running: Metric.Metric.Gauge<number> = Metric.gauge("gofherd_running", {
  description: "Units being processed"
})

/**
 * Units waiting for a gopher.
 *
 * @since 0.1.0
 * @category metrics
 */
export const queued: Metric.Metric.Gauge<number> = Metric.gauge("gofherd_queued", {
  description: "Units waiting for a gopher"
})

/**
 * Units waiting for their backoff.
 *
 * @since 0.1.0
 * @category metrics
 */
export const retrying: Metric.Metric.Gauge<number> = Metric.gauge("gofherd_retrying", {
  description: "Units waiting for their backoff"
})

/**
 * Calls of `send`, `sendAll`, `run` and `stream` that wait for room in the queue. The next unit of
 * each counts in no other metric.
 *
 * @since 0.1.0
 * @category metrics
 */
export const senders: Metric.Metric.Gauge<number> = Metric.gauge("gofherd_senders", {
  description: "Calls that wait for room in the queue"
})

/**
 * 1 while the herd is paused, otherwise 0.
 *
 * @since 0.1.0
 * @category metrics
 */
export const paused: Metric.Metric.Gauge<number> = Metric.gauge("gofherd_paused", {
  description: "Whether the herd is paused: 1 or 0"
})

/**
 * Time of one attempt inside `process`, in seconds.
 *
 * @since 0.1.0
 * @category metrics
 */
export const attemptDuration = Metric.histogram(
  "gofherd_attempt_duration_seconds",
  seconds,
  "Time of one attempt inside process, in seconds"
)

/**
 * Time a unit waited in the queue before an attempt, in seconds. Its backoff is not part of it.
 * Units that enter in the same turn of the event loop share one time of entry.
 *
 * @since 0.1.0
 * @category metrics
 */
export const wait = Metric.histogram(
  "gofherd_wait_seconds",
  seconds,
  "Time in the queue before an attempt, in seconds"
)
