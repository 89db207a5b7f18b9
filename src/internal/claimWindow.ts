import type { Claim } from "../HerdSource.ts"
import { BATCH_BYTES } from "./batches.ts"

/** The first and the largest number of units that are claimed at a time. */
const FIRST = 64
const MOST = 10_000

/**
 * How many units are claimed at a time. It follows the size of the bodies, so that a claim has
 * about as many bytes as a batch. A failure halves it, since the answer may be too large for a
 * store or its driver.
 *
 * @internal
 */
export class ClaimWindow {
  size = FIRST

  claimed(claims: ReadonlyArray<Claim>): void {
    const bytes = claims.reduce((sum, { body }) => sum + body.length, 0)
    if (bytes > BATCH_BYTES) this.size = Math.max(1, Math.floor(claims.length * BATCH_BYTES / bytes))
    else if (bytes <= BATCH_BYTES / 2 && claims.length === this.size) this.size = Math.min(MOST, this.size * 2)
  }

  failed(asked: number): void {
    if (asked > 0) this.size = Math.max(1, Math.floor(Math.min(asked, this.size) / 2))
  }
}
