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

  /** One has ended. */
  next(): void {
    this.ended++
    for (const call of this.calls) call()
  }
}
