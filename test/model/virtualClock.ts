import { Clock, Duration, Effect } from "effect"

interface Sleep {
  readonly due: number
  readonly wake: () => void
}

/**
 * A clock that is set by hand. `TestClock` waits, by real timers, until every fiber is suspended, which takes some 5 ms
 * for each step: a hundred times as long as what happens in it.
 */
export class VirtualClock implements Clock.Clock {
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
    const due = Array.from(this.sleeps).filter((sleep) => sleep.due <= now).sort((self, that) => self.due - that.due)
    for (const sleep of due) {
      this.sleeps.delete(sleep)
      sleep.wake()
    }
  }
}
