import * as Effect from "effect/Effect"
import { Condition } from "./condition.ts"

/** How long one period is. A unit is tried again after 1 period, then after 2, 4 and so on. */
const PERIOD = "5 seconds"

/** The longest wait between two attempts, in periods: 5 minutes. */
const LONGEST = 60

/** More than these units are never put aside. */
const MOST = 1_000

/**
 * Units whose settlement a source refuses while it takes others. Each waits here, longer after
 * every refusal, and is then tried again on its own.
 *
 * @internal
 */
export class Refusals<A> {
  private readonly units = new Map<A, { refusals: number; periods: number }>()
  private readonly ready = new Set<A>()
  private readonly some = new Condition(() => this.units.size > 0)

  get size(): number {
    return this.units.size
  }

  get full(): boolean {
    return this.units.size >= MOST
  }

  get all(): ReadonlyArray<A> {
    return Array.from(this.units.keys())
  }

  /** A unit whose wait is over. */
  get due(): A | undefined {
    return this.ready.size === 0 ? undefined : this.ready.values().next().value
  }

  /** Notes a refusal: the first one or a further one. */
  add(unit: A): void {
    const { refusals } = this.units.get(unit) ?? { refusals: 0 }
    this.units.set(unit, { refusals: refusals + 1, periods: Math.min(LONGEST, 2 ** refusals) })
    this.ready.delete(unit)
    this.some.check()
  }

  /** Whether the unit was here. */
  delete(unit: A): boolean {
    this.ready.delete(unit)
    return this.units.delete(unit)
  }

  /** Lets one period pass, once there are units. */
  readonly period: Effect.Effect<void> = Effect.suspend(() =>
    Effect.zipRight(
      this.some.await,
      Effect.map(Effect.sleep(PERIOD), () => {
        for (const [unit, wait] of this.units) if (--wait.periods <= 0) this.ready.add(unit)
      })
    )
  )
}
