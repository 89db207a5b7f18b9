import * as Cause from "effect/Cause"
import type { DeadLetter } from "../HerdSource.ts"
import { cut } from "./show.ts"

/**
 * The longest cause that is kept, or listed.
 *
 * @internal
 */
export const LONGEST_CAUSE = 4_000

/**
 * Why a unit failed, as a source keeps it: with the stack, but of limited length, and of characters
 * that any database takes.
 *
 * @internal
 */
export const causeText = (cause: Cause.Cause<unknown>): string =>
  cutCause(Cause.pretty(cause).replace(/[\p{Surrogate}\0]/gu, "\ufffd"))

/**
 * A cause as it is listed. Other programs may have kept longer ones.
 *
 * @internal
 */
export const cutCause = (text: string): string => cut(text, LONGEST_CAUSE, "…")

/**
 * A dead letter with no more of its body than that. A store may have given a little more, to show
 * that there is more.
 *
 * @internal
 */
export const cutBody = (letter: DeadLetter, maxBody: number): DeadLetter =>
  letter.body.length > maxBody ? { ...letter, body: cut(letter.body, maxBody, ""), cut: true } : letter

/**
 * Why a unit was buried whose owners did not live to settle it.
 *
 * @internal
 */
export const crashText = "expected a process to settle it, got none: each that had it ended, or lost its lease"
