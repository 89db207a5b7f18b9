import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"

/**
 * Effect's own Clock.
 *
 * @internal
 */
export const machine = Context.get(DefaultServices.liveServices, Clock.Clock)

const nanosOf = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos()) / 1e6

/** How far the nanoseconds of Effect's own Clock are ahead of `performance.now()`. */
const origin = nanosOf(machine) - performance.now()

/**
 * The Clock's nanoseconds, in milliseconds. For Effect's own Clock this reads `performance.now()`,
 * the same monotonic time: test tools that replace the timers replace it, too.
 *
 * @internal
 */
export const steadyMillis = (clock: Clock.Clock): number =>
  clock === machine ? origin + performance.now() : nanosOf(clock)

/**
 * A time in milliseconds that never goes back. It is the Clock's nanoseconds, which with Effect's
 * own Clock are those of the machine since it was started: the time of day may be set, and what
 * waits for an instant of it would wait an hour longer.
 *
 * @internal
 */
export class SteadyTime {
  private latest = -Infinity
  /** How far the Clock has gone back, in all. */
  private lag = 0

  read(clock: Clock.Clock): number {
    return this.atLeast(this.latest, clock)
  }

  /** Who has slept until then has seen the time go by, whatever the Clock says. */
  atLeast(time: number, clock: Clock.Clock): number {
    const now = steadyMillis(clock) + this.lag
    if (now < time) this.lag += time - now
    return this.latest = Math.max(now, time)
  }
}
