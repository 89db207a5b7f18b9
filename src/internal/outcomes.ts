import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { Condition } from "./condition.ts"

/**
 * A waiting reader is woken when so many are there: waking it costs as much as several small units.
 */
const BATCH = 64

/**
 * With fewer, it is woken at the end of the turn if there are but a few or it was a long one, and
 * otherwise after so many turns.
 */
const FEW = 8
const TURNS = 4

/**
 * Results on their way to a reader, who swaps the whole buffer out. It never refuses one: who fills
 * it looks at `full` before starting what will produce another.
 *
 * @internal
 */
export class Outcomes<A, E = never> {
  private items: Array<A> = []
  private readonly capacity: number
  private readonly batch: number
  private readonly onTaken: () => void
  private readonly arrival = new Condition(() => this.items.length > 0 || this.ending !== undefined)
  private ending: Exit.Exit<unknown, E> | undefined = undefined
  /** Where further results come from when the buffer is empty and nothing will be added. */
  private rest: Iterator<A> | undefined = undefined
  /** How many times a reader has come. */
  reads = 0
  /** Turns that ended while a reader waited beside what is there. */
  private turns = 0

  constructor(options: {
    readonly capacity: number
    /** A reader made room. */
    readonly onTaken: () => void
  }) {
    this.capacity = options.capacity
    this.batch = Math.min(BATCH, options.capacity)
    this.onTaken = options.onTaken
  }

  get length(): number {
    return this.items.length
  }

  get full(): boolean {
    return this.items.length >= this.capacity
  }

  push(item: A): void {
    if (this.items.push(item) >= this.batch) this.arrival.check()
  }

  /**
   * To be called at the end of a turn, perhaps a long one; `true` if it has to be called at the end
   * of the next one, too.
   */
  flush(long: boolean): boolean {
    if (!this.arrival.awaited || this.items.length === 0) return false
    if (!long && this.items.length >= FEW && ++this.turns < TURNS) return true
    this.arrival.check()
    return false
  }

  /** Nothing is added any more. What is there, and what `rest` yields, can still be taken. */
  end(exit: Exit.Exit<unknown, E>, rest?: Iterator<A>): void {
    if (this.ending !== undefined) return
    this.ending = exit
    this.rest = rest
    this.arrival.check()
  }

  /** All that is there, at least one; fails with `None` after the end. */
  readonly take: Effect.Effect<Chunk.Chunk<A>, Option.Option<E>> = Effect.suspend(() => {
    this.reads++
    this.turns = 0
    if (this.items.length > 0) {
      const items = this.items
      this.items = []
      this.onTaken()
      return Exit.succeed(Chunk.unsafeFromArray(items))
    }
    if (this.ending === undefined) return Effect.zipRight(this.arrival.await, this.take)
    const items = this.fromRest()
    if (items.length > 0) return Exit.succeed(Chunk.unsafeFromArray(items))
    return Exit.isSuccess(this.ending)
      ? Effect.fail(Option.none())
      : Effect.failCause(Cause.map(this.ending.cause, Option.some))
  })

  private fromRest(): Array<A> {
    const items: Array<A> = []
    while (this.rest !== undefined && items.length < this.capacity) {
      const next = this.rest.next()
      if (next.done === true) this.rest = undefined
      else items.push(next.value)
    }
    return items
  }
}
