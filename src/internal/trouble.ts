import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import { SourceError } from "../HerdError.ts"
import type { SourceTally } from "./sourceTally.ts"

/** Milliseconds: the shortest and the longest that a source that fails is left alone. */
const SHORTEST = 100
const LONGEST = 5_000

/**
 * What a herd makes of a source that fails: it counts that, tells of it once until something else
 * is the matter, and leaves the source alone for a while, the longer the more often it has failed
 * in a row.
 *
 * @internal
 */
export class Trouble {
  private readonly tally: SourceTally
  private readonly log: (level: LogLevel.LogLevel, message: string) => Effect.Effect<void>
  private failures = 0
  private told: string | undefined = undefined

  constructor(options: {
    readonly tally: SourceTally
    readonly log: (level: LogLevel.LogLevel, message: string) => Effect.Effect<void>
  }) {
    this.tally = options.tally
    this.log = options.log
  }

  /**
   * Asks the source for something. One that dies has failed: the herd would stand still without a
   * word.
   */
  ask<A>(question: Effect.Effect<A, SourceError>): Effect.Effect<A, SourceError> {
    return Effect.catchAllDefect(
      question,
      (cause) => new SourceError({ source: "herd's", operation: "answer", cause })
    )
  }

  /** It has failed. */
  with({ message }: SourceError): Effect.Effect<void> {
    this.tally.failed()
    const level = message === this.told ? LogLevel.Debug : LogLevel.Warning
    this.told = message
    const rest = Duration.millis(Math.min(LONGEST, SHORTEST * 2 ** this.failures++))
    return Effect.zipRight(this.log(level, `${message}; next attempt in ${Duration.format(rest)}`), Effect.sleep(rest))
  }

  /** It has answered. */
  over(): void {
    this.failures = 0
    this.told = undefined
  }
}
