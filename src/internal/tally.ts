import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as HerdMetrics from "../HerdMetrics.ts"

type Counter = Metric.Metric.Counter<number>
type Gauge = Metric.Metric.Gauge<number>

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
  private readonly shown = new Map<Counter | Gauge, number>()

  constructor(name: string) {
    this.labels = Object.freeze([MetricLabel.make("herd", name)])
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
    this.count(HerdMetrics.success, this.succeeded)
    this.count(HerdMetrics.retry, this.retried)
    this.count(HerdMetrics.failure, this.failed)
    this.count(HerdMetrics.interrupted, this.interrupted)
    this.gauge(HerdMetrics.size, now.size)
    this.gauge(HerdMetrics.running, now.running)
    this.gauge(HerdMetrics.queued, now.queued)
    this.gauge(HerdMetrics.retrying, now.retrying)
    this.gauge(HerdMetrics.paused, now.paused ? 1 : 0)
  }

  private count(counter: Counter, total: number): void {
    const shown = this.shown.get(counter)
    if (shown === total) return
    counter.unsafeUpdate(total - (shown ?? 0), this.labels)
    this.shown.set(counter, total)
  }

  private gauge(gauge: Gauge, value: number): void {
    if (this.shown.get(gauge) === value) return
    gauge.unsafeUpdate(value, this.labels)
    this.shown.set(gauge, value)
  }
}
