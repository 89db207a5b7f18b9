import { Clock, Duration, Effect, Logger, LogLevel, Runtime, type Scheduler, TestClock, TestContext } from "effect"

/** Where a herd lives, and its time, which passes when the test says so. */
export interface Time {
  readonly runtime: Runtime.Runtime<never>
  /** Lets everything happen that is due by then, in order. */
  readonly set: (now: number) => Promise<void>
  /** How many fibers sleep. */
  readonly sleeping: () => number
}

const silent = Logger.withMinimumLogLevel(LogLevel.None)

/** By a clock of our own, and so in next to no time. */
export const virtual = (scheduler?: Scheduler.Scheduler): Time => {
  const clock = new VirtualClock()
  const here = Effect.runtime<never>().pipe(Effect.withClock(clock), silent)
  return {
    runtime: Effect.runSync(scheduler === undefined ? here : Effect.withScheduler(here, scheduler)),
    set: (now) => Promise.resolve(clock.set(now)),
    sleeping: () => clock.sleeping
  }
}

/** By Effect's `TestClock`. */
export const testClock = (): Time => {
  const runtime = Effect.runSync(Effect.runtime<never>().pipe(Effect.provide(TestContext.TestContext), silent))
  const run = Runtime.runPromise(runtime)
  return {
    runtime,
    set: (now) => run(TestClock.setTime(now)),
    // It does not forget those that were interrupted.
    sleeping: () => 0
  }
}

interface Sleep {
  readonly due: number
  readonly wake: () => void
}

/**
 * A clock that is set by hand. `TestClock` waits, by real timers, until every fiber is suspended,
 * which takes 5 to 10 ms for each step: a hundred times as long as what happens in it.
 */
class VirtualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  private now = 0
  private readonly sleeps = new Set<Sleep>()

  /** Sleeps that have not ended. */
  get sleeping(): number {
    return this.sleeps.size
  }

  readonly unsafeCurrentTimeMillis = () => this.now
  readonly unsafeCurrentTimeNanos = () => BigInt(this.now) * 1_000_000n
  readonly currentTimeMillis = Effect.sync(this.unsafeCurrentTimeMillis)
  readonly currentTimeNanos = Effect.sync(this.unsafeCurrentTimeNanos)

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    if (Duration.toMillis(duration) <= 0) return Effect.void
    return Effect.async<void>((resume) => {
      const sleep = { due: this.now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      this.sleeps.add(sleep)
      return Effect.sync(() => {
        this.sleeps.delete(sleep)
      })
    })
  }

  /** Ends what is due by then, in order. */
  set(now: number): void {
    this.now = now
    const due = Array.from(this.sleeps).filter((sleep) => sleep.due <= now).toSorted((self, that) =>
      self.due - that.due
    )
    for (const sleep of due) {
      this.sleeps.delete(sleep)
      sleep.wake()
    }
  }
}
