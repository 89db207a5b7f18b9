/** What units compute, the same in all threads and in the main one. */
import { createHash } from "node:crypto"

/** Nothing but computing: no memory, and no more than a number on the way there and back. */
export const fib = (n: number): number => n < 2 ? n : fib(n - 1) + fib(n - 2)

/** The first bytes of the hash, so that there is something to add up. */
export const sha256 = (bytes: Uint8Array): number => createHash("sha256").update(bytes).digest().readUInt32BE()

/** Nothing to do, so that what is measured is the way there and back. */
export const trip = (n: number): number => n + 10
