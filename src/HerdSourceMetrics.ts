/**
 * The metrics that a durable herd has beside those of every herd, each with the label `herd`. What
 * its source has is looked at every five seconds; each process that has the herd tells of it, so of
 * several take the largest: `max by (herd, state) (gofherd_source_units)`.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Units that were not the herd's any more when it had done with them, or before: their leases had
 * run out, and they run again.
 *
 * @since 0.1.0
 * @category metrics
 */
export const leaseLost: Metric.Metric.Counter<number> = Metric.counter("gofherd_lease_lost_total", {
  description: "Units whose lease ran out while the herd held them",
  incremental: true
})

/**
 * What the herd asked of its source in vain; it goes on asking.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sourceErrors: Metric.Metric.Counter<number> = Metric.counter("gofherd_source_errors_total", {
  description: "Failed operations of the herd's source",
  incremental: true
})

/**
 * Units that the source has, of all processes, with the label `state`: `ready`, `delayed`, `held`
 * or `dead`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sourceUnits: Metric.Metric.Gauge<number> = Metric.gauge("gofherd_source_units", {
  description: "Units that the herd's source has, by state: ready, delayed, held or dead"
})

/**
 * For how long the unit has been ready, in seconds, that has been for longest; 0 if none is.
 *
 * @since 0.1.0
 * @category metrics
 */
export const oldestWait: Metric.Metric.Gauge<number> = Metric.gauge("gofherd_source_oldest_wait_seconds", {
  description: "How long the unit has waited that has been ready for longest, in seconds"
})
