import type { Worker } from "./inside.ts"

/** A gopher's unit, and how many calls of `run` it waits for. */
interface Waiting {
  readonly work: object | undefined
  runs: number
}

/**
 * The gophers whose units wait for a `run` of their own herd.
 *
 * @internal
 */
export class SelfWaiting {
  private readonly waiting = new Map<Worker, Waiting>()

  /** The gopher's unit calls `run`. The result is to be called when that returns. */
  runs(gopher: Worker): () => void {
    const { work } = gopher
    const known = this.waiting.get(gopher)
    const waiting = known !== undefined && known.work === work ? known : { work, runs: 0 }
    waiting.runs++
    this.waiting.set(gopher, waiting)
    return () => {
      if (--waiting.runs === 0 && this.waiting.get(gopher) === waiting) this.waiting.delete(gopher)
    }
  }

  /** How many gophers wait. */
  get size(): number {
    return this.waiting.size
  }

  /** Whether all gophers of a herd of this size wait. */
  isAll(size: number): boolean {
    if (this.waiting.size < size) return false
    // A daemon may still wait for a `run` after the unit that forked it has ended.
    for (const [gopher, { work }] of this.waiting) if (gopher.work !== work) this.waiting.delete(gopher)
    return this.waiting.size > 0 && this.waiting.size >= size
  }
}
