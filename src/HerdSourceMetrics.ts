/**
 * The metrics that a durable herd has beside those of every herd, each with the label `herd`.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Units that were not the herd's any more when it had done with them, or before: their leases had run out, and they run again.
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
