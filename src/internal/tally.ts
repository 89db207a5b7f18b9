import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as HerdMetrics from "../HerdMetrics.ts"

type Metered = Metric.Metric.Counter<number> | Metric.Metric.Gauge<number>

/** One metric of one herd, which is only told of changes. */
class Series {
  private told: number
  private readonly metric: Metered
  private readonly labels: ReadonlyArray<MetricLabel.MetricLabel>

  private constructor(metric: Metered, labels: ReadonlyArray<MetricLabel.MetricLabel>, told: number) {
    this.metric = metric
    this.labels = labels
    this.told = told
  }

  static counter(metric: Metric.Metric.Counter<number>, labels: ReadonlyArray<MetricLabel.MetricLabel>): Series {
    return new Series(metric, labels, 0)
  }

  /** An earlier herd of the same name may have left a value. */
  static gauge(metric: Metric.Metric.Gauge<number>, labels: ReadonlyArray<MetricLabel.MetricLabel>): Series {
    return new Series(metric, labels, Number.NaN)
  }

  /** A counter adds what it is told. */
  add(total: number): void {
    if (total === this.told) return
    this.metric.unsafeUpdate(total - this.told, this.labels)
    this.told = total
  }

  set(value: number): void {
    if (value === this.told) return
    this.metric.unsafeUpdate(value, this.labels)
    this.told = value
  }
}

/**
 * What a herd counts. Counting is adding to an integer; `flush` carries the differences to the metrics, since an update by
 * Effect costs 40 times as much and one by `unsafeUpdate` as much as a small unit.
 *
 * @internal
 */
export class Tally {
  succeeded = 0
  failed = 0
  interrupted = 0
  retried = 0
  private readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  private readonly counters: Readonly<Record<"success" | "retry" | "failure" | "interrupted", Series>>
  private readonly gauges: Readonly<Record<"size" | "running" | "queued" | "retrying" | "paused", Series>>

  constructor(name: string) {
    const labels = this.labels = Object.freeze([MetricLabel.make("herd", name)])
    this.counters = {
      success: Series.counter(HerdMetrics.success, labels),
      retry: Series.counter(HerdMetrics.retry, labels),
      failure: Series.counter(HerdMetrics.failure, labels),
      interrupted: Series.counter(HerdMetrics.interrupted, labels)
    }
    this.gauges = {
      size: Series.gauge(HerdMetrics.size, labels),
      running: Series.gauge(HerdMetrics.running, labels),
      queued: Series.gauge(HerdMetrics.queued, labels),
      retrying: Series.gauge(HerdMetrics.retrying, labels),
      paused: Series.gauge(HerdMetrics.paused, labels)
    }
    // A series that exists from the start is one that `rate()` and alerts can work with.
    for (const metric of Object.values(HerdMetrics)) metric.unsafeValue(this.labels)
  }

  /** Units that will not change any more. */
  get settled(): number {
    return this.succeeded + this.failed + this.interrupted
  }

  attempt(millis: number): void {
    HerdMetrics.attemptDuration.unsafeUpdate(millis / 1000, this.labels)
  }

  waited(millis: number): void {
    HerdMetrics.wait.unsafeUpdate(millis / 1000, this.labels)
  }

  resized(): void {
    HerdMetrics.resizes.unsafeUpdate(1, this.labels)
  }

  acquireFailed(): void {
    HerdMetrics.acquireFailures.unsafeUpdate(1, this.labels)
  }

  flush(now: {
    readonly size: number
    readonly running: number
    readonly queued: number
    readonly retrying: number
    readonly paused: boolean
  }): void {
    const { counters, gauges } = this
    counters.success.add(this.succeeded)
    counters.retry.add(this.retried)
    counters.failure.add(this.failed)
    counters.interrupted.add(this.interrupted)
    gauges.size.set(now.size)
    gauges.running.set(now.running)
    gauges.queued.set(now.queued)
    gauges.retrying.set(now.retrying)
    gauges.paused.set(now.paused ? 1 : 0)
  }
}
