import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { InvalidOption } from "../HerdError.ts"
import type { Options, Terminal } from "../HerdProgress.ts"
import { check, holds, read } from "./check.ts"
import { checkDuration } from "./options.ts"
import type { Names } from "./progressLine.ts"
import { isTotal } from "./total.ts"

/** What `HerdProgress.layer` works with: every option present and in its bounds. */
export interface Settings<R> {
  readonly names: Names
  readonly total: Options<R>["total"]
  readonly interval: Duration.Duration
  readonly summary: boolean
  readonly stream: Terminal
}

const isTerminal = (value: unknown): value is Terminal =>
  typeof value === "object" && value !== null && "write" in value && typeof value.write === "function"

/**
 * @internal
 */
export const validate = <R>(options: Options<R>, name: string): Effect.Effect<Settings<R>, InvalidOption> =>
  Effect.gen(function*() {
    const { interval = "10 seconds", label = name, stream = process.stderr, summary = true, total, unit = "" } =
      yield* read(options, ({ interval, label, stream, summary, total, unit }) => ({
        interval,
        label,
        stream,
        summary,
        total,
        unit
      }))
    yield* check(
      total === undefined || holds(Effect.isEffect, total) || isTotal(total),
      "total",
      "an integer from 0, or an Effect of one",
      total
    )
    yield* check(typeof label === "string", "label", "a string", label)
    yield* check(typeof unit === "string", "unit", "a string", unit)
    const between = yield* checkDuration(
      "interval",
      "a duration of more than 0",
      interval,
      Duration.greaterThan(Duration.zero)
    )
    yield* check(typeof summary === "boolean", "summary", "a boolean", summary)
    yield* check(holds(isTerminal, stream), "stream", "a stream to write to", stream)

    return {
      names: { label, unit },
      total,
      interval: between,
      summary,
      stream
    }
  })
