import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as HerdMetrics from "../HerdMetrics.ts"

type Labels = ReadonlyArray<MetricLabel.MetricLabel>

/** Carries a total to a counter, which adds what it is told. */
const counting = (counter: Metric.Metric.Counter<number>, labels: Labels) => {
  let told = 0
  return (total: number): void => {
    if (total === told) return
    counter.unsafeUpdate(total - told, labels)
    told = total
  }
}

/** Carries a value to a gauge, where an earlier herd of the same name may have left one. */
const showing = (gauge: Metric.Metric.Gauge<number>, labels: Labels) => {
  let told = Number.NaN
  return (value: number): void => {
    if (value === told) return
    gauge.unsafeUpdate(value, labels)
    told = value
  }
}

/**
 * What a herd counts. Counting is adding to an integer; `flush` carries the differences to the
 * metrics, since an update by Effect costs 40 times as much and one by `unsafeUpdate` as much as a
 * small unit.
 *
 * @internal
 */
export class Tally {
  succeeded = 0
  failed = 0
  interrupted = 0
  retried = 0
  private readonly labels: Labels
  private over = false
  private readonly show: Readonly<
    Record<
      | "success"
      | "retry"
      | "failure"
      | "interrupted"
      | "size"
      | "running"
      | "queued"
      | "retrying"
      | "senders"
      | "paused",
      (value: number) => void
    >
  >

  constructor(name: string) {
    const labels = this.labels = Object.freeze([MetricLabel.make("herd", name)])
    this.show = {
      success: counting(HerdMetrics.success, labels),
      retry: counting(HerdMetrics.retry, labels),
      failure: counting(HerdMetrics.failure, labels),
      interrupted: counting(HerdMetrics.interrupted, labels),
      size: showing(HerdMetrics.size, labels),
      running: showing(HerdMetrics.running, labels),
      queued: showing(HerdMetrics.queued, labels),
      retrying: showing(HerdMetrics.retrying, labels),
      senders: showing(HerdMetrics.senders, labels),
      paused: showing(HerdMetrics.paused, labels)
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
    if (this.over) return
    HerdMetrics.resizes.unsafeUpdate(1, this.labels)
  }

  acquireFailed(): void {
    HerdMetrics.acquireFailures.unsafeUpdate(1, this.labels)
  }

  replaced(): void {
    HerdMetrics.replacements.unsafeUpdate(1, this.labels)
  }

  /** No metric changes any more: a stopped herd's name may be another one's by now. */
  stop(): void {
    this.over = true
  }

  flush(now: {
    readonly size: number
    readonly running: number
    readonly queued: number
    readonly retrying: number
    readonly senders: number
    readonly paused: boolean
  }): void {
    if (this.over) return
    const { show } = this
    show.success(this.succeeded)
    show.retry(this.retried)
    show.failure(this.failed)
    show.interrupted(this.interrupted)
    show.size(now.size)
    show.running(now.running)
    show.queued(now.queued)
    show.retrying(now.retrying)
    show.senders(now.senders)
    show.paused(now.paused ? 1 : 0)
  }
}
