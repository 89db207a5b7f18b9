import type { Claim } from "../HerdSource.ts"
import { BATCH_BYTES } from "./batches.ts"

/** How many units are claimed at a time: at first, and at most. */
const FIRST = 64
const MOST = 10_000

/**
 * How many units are claimed at a time, so that their bodies are about as large together as a batch
 * may be. An answer can be too large for a store or its driver: after a failure it is half as many.
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
