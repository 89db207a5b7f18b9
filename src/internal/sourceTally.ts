import * as MetricLabel from "effect/MetricLabel"
import type { Depth } from "../HerdSource.ts"
import * as HerdSourceMetrics from "../HerdSourceMetrics.ts"

const STATES = ["ready", "delayed", "held", "dead"] as const

type Labels = ReadonlyArray<MetricLabel.MetricLabel>

/**
 * What a herd tells of its source in metrics.
 *
 * @internal
 */
export class SourceTally {
  private readonly labels: Labels
  private readonly byState: ReadonlyArray<readonly [typeof STATES[number], Labels]>

  constructor(herd: string) {
    const label = MetricLabel.make("herd", herd)
    this.labels = Object.freeze([label])
    this.byState = STATES.map((state) => [state, Object.freeze([label, MetricLabel.make("state", state)])])
    // A series that exists from the start is one that `rate()` and alerts can work with.
    HerdSourceMetrics.leaseLost.unsafeValue(this.labels)
    HerdSourceMetrics.sourceErrors.unsafeValue(this.labels)
    this.stop()
  }

  leaseLost(): void {
    HerdSourceMetrics.leaseLost.unsafeUpdate(1, this.labels)
  }

  failed(): void {
    HerdSourceMetrics.sourceErrors.unsafeUpdate(1, this.labels)
  }

  show(depth: Depth, now: number): void {
    for (const [state, labels] of this.byState) HerdSourceMetrics.sourceUnits.unsafeUpdate(depth[state], labels)
    const { oldestAt = now } = depth
    HerdSourceMetrics.oldestWait.unsafeUpdate(Math.max(0, now - oldestAt) / 1_000, this.labels)
  }

  /** Nobody looks any more; others may. */
  stop(): void {
    this.show({ ready: 0, delayed: 0, held: 0, dead: 0, oldestAt: undefined }, 0)
  }
}
