import { Logger, LogLevel } from "effect"
import type { Violations } from "./violations.ts"

/**
 * Instead of lines on the console: how many lines of each level. There is nothing to say at Error
 * or above.
 */
export class Logs {
  readonly counts = new Map<string, number>()
  readonly layer

  constructor(violations: Violations) {
    this.layer = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ cause, logLevel, message }) => {
        this.counts.set(logLevel.label, (this.counts.get(logLevel.label) ?? 0) + 1)
        if (LogLevel.greaterThanEqual(logLevel, LogLevel.Error)) {
          violations.add("logs", `${String(message)} ${String(cause)}`)
        }
      })
    )
  }
}
