import type * as Clock from "effect/Clock"
import { SteadyTime } from "./steadyTime.ts"

/** A larger difference, in milliseconds, means that the time of day was set. */
const SET = 5

/** Tries to read both times without a pause of the process in between. */
const READS = 3

interface Reading {
  readonly steady: SteadyTime
  /** How far the store's time is ahead of the steady one. */
  readonly offset: number
  /** How far the store's time is ahead of the time of day: 0 until that is set. */
  shift: number
  latest: number
}

/**
 * A store's time, in whole milliseconds: the Clock's time of day, corrected whenever that is set.
 * It runs like the Clock's steady time, and never goes back.
 *
 * @internal
 */
export class StoreTime {
  private readonly offsetOf: (clock: Clock.Clock) => number
  private readonly readings = new WeakMap<Clock.Clock, Reading>()

  /**
   * The function returns how far the store's time is ahead of the Clock's nanoseconds. It is called
   * once for each Clock.
   */
  constructor(offsetOf: (clock: Clock.Clock) => number) {
    this.offsetOf = offsetOf
  }

  now(clock: Clock.Clock): number {
    return this.read(clock).latest
  }

  /** The store's time at which it is `at` by the Clock. */
  due(clock: Clock.Clock, at: number): number {
    return Math.ceil(at + this.read(clock).shift)
  }

  /** What the Clock would have said at a past time of the store, had nobody set it since. */
  toClock(clock: Clock.Clock, time: number): number {
    return Math.min(clock.unsafeCurrentTimeMillis(), time - this.read(clock).shift)
  }

  private read(clock: Clock.Clock): Reading {
    const reading = this.readingOf(clock)
    for (let reads = 1; reads <= READS; reads++) {
      const millis = clock.unsafeCurrentTimeMillis()
      const shift = Math.round(reading.steady.read(clock) + reading.offset - millis)
      const isSet = Math.abs(shift - reading.shift) > SET
      if (isSet && reads < READS) continue
      if (isSet) reading.shift = shift
      reading.latest = Math.max(reading.latest, Math.floor(millis) + reading.shift)
      break
    }
    return reading
  }

  private readingOf(clock: Clock.Clock): Reading {
    const known = this.readings.get(clock)
    if (known !== undefined) return known
    const reading = { steady: new SteadyTime(), offset: this.offsetOf(clock), shift: 0, latest: -Infinity }
    this.readings.set(clock, reading)
    return reading
  }
}
