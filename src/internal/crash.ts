import { reasonOf } from "./show.ts"

/** How a thread came to its end. */
export interface Crash {
  /** It called `process.exit`, threw what nobody caught, or needed more memory than it may take. */
  readonly reason: "exit" | "error" | "memory"
  readonly exitCode: number
  /** What was thrown, if anything was. */
  readonly cause?: unknown
}

/**
 * A crash in the words of an error: what was got.
 *
 * @internal
 */
export const crashOf = ({ cause, exitCode, reason }: Crash): string => {
  if (reason === "exit") return `its exit with code ${exitCode}`
  const said = reasonOf(cause)
  if (reason === "memory") return said
  return cause instanceof Error && cause.name !== said ? `an uncaught ${cause.name}: ${said}` : `an uncaught ${said}`
}
