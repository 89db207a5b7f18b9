import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Failed, HerdHistory, Resized } from "../Herd.ts"
import type { Outcome } from "../Outcome.ts"
import { show } from "./show.ts"

/** How many of each are kept. */
const KEPT = 20

/** The longest message that is told. */
const LONGEST = 300

/**
 * The last resizes and failures of a herd. Of a failed unit its cause is kept, and put into words when somebody reads: a
 * herd may fail 100,000 units a second.
 *
 * @internal
 */
export class History {
  private readonly resizes: Array<Resized> = []
  private readonly failures: Array<Omit<Failed, "message"> & { readonly cause: Cause.Cause<unknown> }> = []

  resized(from: number, to: number, mode: "graceful" | "interrupt"): void {
    this.resizes.push({ at: new Date(), from, to, mode })
    if (this.resizes.length > KEPT) this.resizes.shift()
  }

  failed({ attempts, exit, work }: Outcome<unknown, unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    this.failures.push({ at: new Date(), id: work.id, attempts, cause: exit.cause })
    if (this.failures.length > KEPT) this.failures.shift()
  }

  read(): HerdHistory {
    return {
      resizes: this.resizes.toReversed(),
      failures: this.failures.toReversed().map(({ at, attempts, cause, id }) => ({
        at,
        id,
        attempts,
        message: messageOf(cause)
      }))
    }
  }
}

/** What a failure says of itself, on one line. */
const messageOf = (cause: Cause.Cause<unknown>): string => {
  // Cut beforehand too: a message may be a whole page.
  const text = textOf(Cause.squash(cause)).slice(0, 10 * LONGEST).replace(/\s+/g, " ").trim()
  // No half of a character at the cut.
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1).replace(/[\ud800-\udbff]$/, "")}…` : text
}

const textOf = (error: unknown): string => {
  if (typeof error === "string") return error
  try {
    // A user's class may make anything of these. Errors tagged by Effect are called by their tag, and often have nothing to add.
    const said: ReadonlyArray<unknown> = error instanceof Error ? [error.message, error.name] : []
    const text = said.find((text) => typeof text === "string" && text !== "")
    if (typeof text === "string") return text
  } catch {
    // A getter of the user's that throws.
  }
  return show(error)
}
