import { Data } from "effect"

export const targetNames = ["fast", "slow", "failing", "resetting", "vanishing"] as const
export type TargetName = typeof targetNames[number]

/** The body of a unit. */
export interface Visit {
  /** No other unit of its herd has it. */
  readonly n: number
  readonly target: TargetName
  /**
   * Where its outcome has to arrive: at the readers of `outcomes`, at a caller, in a stream, or
   * with nobody.
   */
  readonly to: string
  /** What `process` does instead of visiting. */
  readonly fate: "visits" | "dies" | "interrupts itself"
}

/** What a target answered. */
export interface Page {
  readonly n: number
}

export class Unfetched extends Data.TaggedError("Unfetched")<{ readonly n: number; readonly why: string }> {}
