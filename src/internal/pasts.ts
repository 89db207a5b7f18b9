import type { Claim, Settlement } from "../HerdSource.ts"
import { Failure, Past } from "./replay.ts"

/** The most units whose Schedule is remembered. */
const MOST_UNITS = 10_000

/**
 * How far the Schedule of `retry` has gone with the units that failed last in this process. A unit
 * that comes back here need not be replayed from its first attempt.
 *
 * @internal
 */
export class Pasts {
  private readonly kept = new Map<
    string,
    { readonly attempt: number; readonly firstFailureAt: number; readonly past: Past }
  >()

  /** Remembers the state that a failure has left the Schedule in, until the unit is done. */
  follow(settlement: Settlement, state: unknown): void {
    const { _tag, claim: { attempt, id } } = settlement
    if (_tag === "Release") return
    this.kept.delete(id)
    if (_tag !== "Retry" || !(state instanceof Past)) return
    this.kept.set(id, { attempt, firstFailureAt: settlement.firstFailureAt, past: state })
    // The oldest unit makes room.
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= MOST_UNITS) return
      this.kept.delete(oldest)
    }
  }

  /** Where the Schedule is to go on, should the claim fail. */
  failureOf({ attempt, firstFailureAt, id }: Claim): Failure {
    const kept = this.kept.get(id)
    // A unit that was redriven, or offered again under its id, has begun anew.
    const isSame = kept !== undefined && kept.firstFailureAt === firstFailureAt && kept.attempt < attempt
    return new Failure(attempt, firstFailureAt, isSame ? kept.past : undefined)
  }
}
