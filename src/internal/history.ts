import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Failed, HerdHistory, Resized } from "../Herd.ts"
import type { Outcome } from "../Outcome.ts"
import { cut, reasonOf } from "./show.ts"

/** How many of each are kept. */
const KEPT = 20

/** The longest message that is told. */
const LONGEST = 300

/** A failure that has not been put into words. */
type Untold = Omit<Failed, "message"> & { readonly cause: Cause.Cause<unknown> }

/**
 * The last resizes and failures of a herd. Failed units are put into words at the end of a turn,
 * the last of them only: a herd may fail 100,000 units a second, but what an error holds on to,
 * such as the unit's body, must not outlive the unit.
 *
 * @internal
 */
export class History {
  private readonly resizes: Array<Resized> = []
  private failures: ReadonlyArray<Failed> = []
  private readonly untold: Array<Untold> = []

  resized(from: number, to: number, mode: "graceful" | "interrupt"): void {
    this.resizes.push({ at: new Date(), from, to, mode })
    if (this.resizes.length > KEPT) this.resizes.shift()
  }

  failed({ attempts, exit, work }: Outcome<unknown, unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    this.untold.push({ at: new Date(), id: work.id, attempts, cause: exit.cause })
    if (this.untold.length > KEPT) this.untold.shift()
  }

  /** Keeps of the failures no more than what is told of them. */
  tell(): void {
    if (this.untold.length === 0) return
    const told = this.untold.splice(0).map(({ at, attempts, cause, id }) => ({
      at,
      id,
      attempts,
      message: messageOf(cause)
    }))
    this.failures = [...this.failures, ...told].slice(-KEPT)
  }

  read(): HerdHistory {
    this.tell()
    return { resizes: this.resizes.toReversed(), failures: this.failures.toReversed() }
  }
}

/** What a failure says of itself, on one line. */
const messageOf = (cause: Cause.Cause<unknown>): string => {
  // Cut beforehand too: a message may be a whole page.
  const text = textOf(Cause.squash(cause)).slice(0, 10 * LONGEST).replace(/\s+/g, " ").trim()
  return cut(text, LONGEST, "…")
}

const textOf = (error: unknown): string => typeof error === "string" ? error : reasonOf(error)
