import { Cause, Exit } from "effect"

/** What a user would read of a failure. */
export const pretty = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "success"
