import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * Something that comes round again and again, and what is called when it has.
 *
 * @internal
 */
export class Round {
  /** How many have ended. */
  ended = 0
  private readonly calls = new Set<() => void>()

  /** Calls at the end of each; the result stops that. */
  atEnd(call: () => void): () => void {
    this.calls.add(call)
    return () => {
      this.calls.delete(call)
    }
  }

  /**
   * Waits until more than so many have ended: who looks first, and waits from there, misses none in
   * between.
   */
  after(ended: number): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      if (this.ended > ended) return resume(Exit.void)
      const stop = this.atEnd(() => {
        stop()
        resume(Exit.void)
      })
      return Effect.sync(stop)
    })
  }

  /** One has ended. */
  next(): void {
    this.ended++
    for (const call of this.calls) call()
  }
}
