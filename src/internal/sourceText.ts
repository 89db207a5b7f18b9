import * as Cause from "effect/Cause"
import { cut } from "./show.ts"

/** The longest cause that is kept. */
const LONGEST = 4_000

/**
 * Why a unit failed, as a source keeps it: with the stack, but of limited length, and of characters that any database takes.
 *
 * @internal
 */
export const causeText = (cause: Cause.Cause<unknown>): string =>
  cut(Cause.pretty(cause).replace(/[\p{Surrogate}\0]/gu, "\ufffd"), LONGEST, "…")

/**
 * Why a unit was buried whose owners did not live to settle it.
 *
 * @internal
 */
export const crashText = "expected a process to settle it, got none: each that had it ended, or lost its lease"
