import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * Rung when something has happened. Who listens says up to when it has looked, so that nothing is missed in between.
 *
 * @internal
 */
export class Bell {
  /** How often it was rung. */
  rung = 0
  private readonly listeners = new Set<() => void>()

  ring(): void {
    this.rung++
    const listeners = Array.from(this.listeners)
    this.listeners.clear()
    for (const listener of listeners) listener()
  }

  /** Waits until it has been rung more often than that. */
  after(rung: number): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      if (this.rung > rung) return resume(Exit.void)
      const listener = () => resume(Exit.void)
      this.listeners.add(listener)
      return Effect.sync(() => {
        this.listeners.delete(listener)
      })
    })
  }
}
