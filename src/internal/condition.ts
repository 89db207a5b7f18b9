import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * Something fibers wait for: they go on when it holds, which is looked at when they come and at
 * every `check`.
 *
 * @internal
 */
export class Condition {
  readonly holds: () => boolean
  private readonly waiters = new Set<() => void>()

  constructor(holds: () => boolean) {
    this.holds = holds
  }

  readonly await: Effect.Effect<void> = Effect.async<void>((resume) => {
    if (this.holds()) return resume(Exit.void)
    const waiter = () => resume(Exit.void)
    this.waiters.add(waiter)
    return Effect.sync(() => {
      this.waiters.delete(waiter)
    })
  })

  get awaited(): boolean {
    return this.waiters.size > 0
  }

  /** Lets one of them go on. */
  checkFirst(): void {
    const [first] = this.waiters
    if (first === undefined || !this.holds()) return
    this.waiters.delete(first)
    first()
  }

  check(): void {
    if (this.waiters.size === 0 || !this.holds()) return
    const waiters = Array.from(this.waiters)
    this.waiters.clear()
    for (const waiter of waiters) waiter()
  }
}
