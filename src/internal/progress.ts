import type { HerdState } from "../Herd.ts"

/**
 * How far a herd is: what a line about it is made of.
 *
 * @internal
 */
export interface Progress {
  /** Units that succeeded or failed. */
  readonly done: number
  /** Units there will be, as far as known. */
  readonly total: number | undefined
  /** Units that are queued, running or retrying. */
  readonly inside: number
  readonly failed: number
  readonly interrupted: number
  readonly retrying: number
  readonly size: number
  readonly paused: boolean
  /** Done per second of late; `undefined` while there is none to speak of. */
  readonly rate: number | undefined
  /** Seconds until all is done; without a total, until what is in the herd is done. */
  readonly left: number | undefined
  /** Milliseconds since the beginning. */
  readonly elapsed: number
}

/**
 * The rate is that of the last so many milliseconds, or of the last so many units where those take
 * longer.
 */
const WINDOW = 5_000
const UNITS = 10

/** Rate and time left stand still for so many milliseconds, so that they can be read. */
const HOLD = 1_000

const doneOf = (state: HerdState) => state.succeeded + state.failed

/**
 * Watches the states of a herd go by, and knows the rate.
 *
 * @internal
 */
export class Meter {
  /** When so many were done; the oldest is where the window begins. */
  private samples: Array<{ readonly at: number; readonly done: number }>
  private changed: number
  private figures: { readonly at: number; readonly rate: number | undefined; readonly left: number | undefined }
  private readonly first: HerdState
  private readonly began: number

  constructor(first: HerdState, began: number) {
    this.first = first
    this.began = began
    this.changed = began
    this.samples = [{ at: began, done: 0 }]
    this.figures = { at: began, rate: undefined, left: undefined }
  }

  observe(state: HerdState, expected: number | undefined, now: number): Progress {
    const done = doneOf(state) - doneOf(this.first)
    const interrupted = state.interrupted - this.first.interrupted
    const inside = state.queued + state.running + state.retrying
    const seen = done + interrupted + inside
    // The herd knows better than a total that is too small.
    const total = expected !== undefined ? Math.max(expected, seen) : state.closed ? seen : undefined
    const remaining = total === undefined ? inside : total - done - interrupted
    this.measure({ done, remaining, now, held: state.paused || state.size === 0, idle: inside === 0 })
    return {
      done,
      total,
      inside,
      failed: state.failed - this.first.failed,
      interrupted,
      retrying: state.retrying,
      size: state.size,
      paused: state.paused,
      rate: this.figures.rate,
      left: remaining > 0 ? this.figures.left : undefined,
      elapsed: now - this.began
    }
  }

  private measure(
    { done, held, idle, now, remaining }: {
      readonly done: number
      readonly remaining: number
      readonly now: number
      readonly held: boolean
      readonly idle: boolean
    }
  ): void {
    const last = this.samples.at(-1)
    if (last === undefined || done > last.done) {
      this.samples.push({ at: now, done })
      this.changed = now
    }
    // What stands still says nothing about how fast it will go on.
    if (held || (idle && now - this.changed >= WINDOW)) {
      this.samples = [{ at: now, done }]
      this.figures = { at: now, rate: undefined, left: undefined }
      return
    }
    if (now - this.figures.at < HOLD) return
    const stale = (sample: { readonly at: number; readonly done: number } | undefined) =>
      sample !== undefined && now - sample.at >= WINDOW && done - sample.done >= UNITS
    let begin = 0
    while (stale(this.samples[begin + 1])) begin++
    this.samples.splice(0, begin)
    const { at, done: before } = this.samples[0] ?? { at: now, done }
    const rate = done > before && now > at ? (done - before) * 1_000 / (now - at) : undefined
    this.figures = { at: now, rate, left: rate === undefined ? undefined : remaining / rate }
  }
}
