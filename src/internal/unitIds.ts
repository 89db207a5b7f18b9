import { randomBytes } from "node:crypto"

/** Digits of the running number. They may become more: ids then only are no longer in order. */
const DIGITS = 7

/**
 * Ids for units, each used once in the world. Those of one process follow each other, which spares
 * a database the random places in its index that random ids would have.
 *
 * @internal
 */
export const makeUnitIds = (now: number): () => string => {
  const prefix = `${now.toString(36)}-${randomBytes(8).toString("hex")}`
  let ever = 0
  return () => `${prefix}-${String(++ever).padStart(DIGITS, "0")}`
}
