import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as LogLevel from "effect/LogLevel"
import type { ReplaceOptions } from "../Gopher.ts"
import { checkNow, optional, readNow } from "./check.ts"
import type { Crew } from "./crew.ts"
import type { Gopher } from "./gopher.ts"
import { isCount } from "./options.ts"
import { cutId, reasonOf } from "./show.ts"
import type { Tally } from "./tally.ts"
import type { Turn } from "./turn.ts"

/** For a fiber that can't be interrupted where it is, too. */
const interrupted = Effect.failCause(Cause.interrupt(FiberId.none))

/** Throws for `Effect.suspend` to make a defect of it. */
const maxCrashesOf = (options: ReplaceOptions = {}): number => {
  const { maxCrashes } = readNow(options, ({ maxCrashes }) => ({ maxCrashes }))
  checkNow(optional(isCount)(maxCrashes), "maxCrashes", "an integer from 1", maxCrashes)
  return maxCrashes ?? Infinity
}

/**
 * What becomes of a herd's gophers by what they own: it can't be acquired or released, or it
 * breaks.
 *
 * @internal
 */
export class Resources<In, Out, E> {
  private readonly crew: Crew<In, Out, E>
  private readonly tally: Tally
  private readonly turn: Turn
  private readonly log: (level: LogLevel.LogLevel, message: string, cause?: Cause.Cause<never>) => Effect.Effect<void>
  /** Why acquiring failed last, if it has not succeeded since. */
  private reported: string | undefined = undefined

  constructor(options: {
    readonly crew: Crew<In, Out, E>
    readonly tally: Tally
    readonly turn: Turn
    readonly log: (level: LogLevel.LogLevel, message: string, cause?: Cause.Cause<never>) => Effect.Effect<void>
  }) {
    this.crew = options.crew
    this.tally = options.tally
    this.turn = options.turn
    this.log = options.log
  }

  /** It was acquired. */
  acquired(): void {
    this.reported = undefined
  }

  /** It could not be acquired, so many times in a row, and will be tried again after the delay. */
  acquireFailed(cause: Cause.Cause<never>, failures: number, delay: Duration.Duration): Effect.Effect<void> {
    this.tally.acquireFailed()
    const when = `next attempt in ${Duration.format(delay)}`
    // Told once: of all gophers, and of all attempts until one has succeeded.
    const reason = reasonOf(Cause.squash(cause))
    const level = reason === this.reported ? LogLevel.Debug : LogLevel.Warning
    this.reported = reason
    return this.log(level, `a gopher failed to acquire its resource, ${failures} in a row, ${when}`, cause)
  }

  /** What was acquired, perhaps in part, could not be released. */
  releaseFailed(cause: Cause.Cause<never>): Effect.Effect<void> {
    return this.log(LogLevel.Warning, "a gopher failed to release its resource", cause)
  }

  /** It is broken. */
  replace(gopher: Gopher<In, Out, E>, options: ReplaceOptions | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      gopher.maxCrashes = Math.min(gopher.maxCrashes, maxCrashesOf(options))
      return this.replaceNow(gopher)
    })
  }

  /** It was broken before it got the unit. */
  putBack(gopher: Gopher<In, Out, E>): Effect.Effect<never> {
    return Effect.suspend(() => {
      const replacing = this.replaceNow(gopher)
      const { finish, work } = gopher
      if (work === undefined || finish !== undefined) return Effect.zipRight(replacing, interrupted)
      gopher.putBack = true
      return Effect.zipRight(
        replacing,
        Effect.suspend(() => {
          // What is logged may have taken its time.
          if (gopher.work === work && gopher.finish === undefined) this.crew.interrupt(gopher)
          return interrupted
        })
      )
    })
  }

  private replaceNow(gopher: Gopher<In, Out, E>): Effect.Effect<void> {
    const unit = gopher.work === undefined ? "" : ` at unit ${cutId(gopher.work.id)}`
    const news = this.crew.replaces(gopher)
    this.crew.replace(gopher)
    if (!news) return Effect.void
    this.tally.replaced()
    this.turn.begin()
    return this.log(LogLevel.Info, `a gopher is replaced, since its resource broke${unit}`)
  }
}
