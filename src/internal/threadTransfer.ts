import type { Transferable } from "node:worker_threads"

/**
 * What is to be moved; throws if some of it has been before, which Node would send as an empty one.
 *
 * @internal
 */
export const movable = (transfer: ReadonlyArray<Transferable>): ReadonlyArray<Transferable> => {
  if (transfer.some(isGone)) throw new Error("an ArrayBuffer that has been moved before")
  return transfer
}

const isGone = (value: unknown): boolean => {
  if (!(value instanceof ArrayBuffer) || value.byteLength > 0) return false
  try {
    return new Uint8Array(value).length > 0
  } catch {
    return true
  }
}
