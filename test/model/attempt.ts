/** What attempts at units do, wherever they run. */
import { Effect, Exit } from "effect"
import type { Attempt, End } from "./commands.ts"

/** Those that need nobody else, or `wait` for the test. */
export type Plain = Exclude<Attempt, "throw" | "nonsense" | "break" | "go back">

export const attempted = (
  n: number,
  attempt: Plain,
  wait: Effect.Effect<number, "no">
): Effect.Effect<number, "no"> => {
  switch (attempt) {
    case "succeed":
      return Effect.succeed(n)
    case "fail":
      return Effect.fail("no")
    case "die":
      return Effect.die("died")
    case "interrupt itself":
      return Effect.interrupt
    case "wait":
      return wait
    case "hold":
      return Effect.uninterruptible(wait)
  }
}

/** How one that waits ends as the test says. */
export const endOfWait = (n: number, as: End): Exit.Exit<number, "no"> =>
  as === "succeed" ? Exit.succeed(n) : as === "fail" ? Exit.fail("no") : Exit.die("died")
