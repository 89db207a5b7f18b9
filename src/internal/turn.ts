import * as Effect from "effect/Effect"
import { Round } from "./round.ts"

/** Milliseconds that a herd keeps the event loop at a time. */
const SLICE = 8

/** Looked up once: as a global it is a getter. */
const clock = performance

/**
 * The herd's share of one turn of the event loop. A turn begins with the first thing that happens
 * in it, and its end, a `setImmediate` later, is where everything is done that would cost too much
 * for each unit: metrics, waking readers.
 *
 * Effect's scheduler resumes fibers in microtasks, so gophers and senders that keep each other busy
 * would let no timer and no socket through; `over` says when the herd has had its share.
 *
 * @internal
 */
export class Turn extends Round {
  /** The share is used up: nothing may start before the next turn. */
  over = false
  /** It was in the turn that has just ended. */
  wasOver = false
  private open = false
  /** Something has started or ended in this turn. */
  private used = false
  private began = 0

  /** Something happened: there will be an end. */
  begin(): void {
    if (this.open) return
    this.open = true
    this.began = clock.now()
    setImmediate(this.end)
  }

  /** The time in milliseconds, by the monotonic clock, at the precision of a turn. */
  get now(): number {
    this.begin()
    return this.began
  }

  /**
   * The time in milliseconds, looked up: a unit starts or ends. That is also when the herd notices
   * that it has had its share, but not at the first in a turn, since one may always start.
   */
  look(): number {
    this.begin()
    const now = clock.now()
    if (this.used && now - this.began > SLICE) this.over = true
    this.used = true
    return now
  }

  /** Has the turn taken its share, whatever it was used for? */
  get spent(): boolean {
    return clock.now() - this.now > SLICE
  }

  /** Waits for its end. */
  readonly passed: Effect.Effect<void> = Effect.suspend(() => {
    this.begin()
    return this.after(this.ended)
  })

  private readonly end = () => {
    this.open = false
    this.wasOver = this.over
    this.over = false
    this.used = false
    this.next()
  }
}
