/** How many units are offered at a time. */
const BATCH = 1_000

/**
 * How many bytes the bodies of units have together that are offered, or claimed, at a time. A
 * single larger body is a batch of its own.
 *
 * @internal
 */
export const BATCH_BYTES = 4_194_304

/**
 * Parts of a list, in order, none of which is too long, or has too many bytes of bodies.
 *
 * @internal
 */
export const batches = <A extends { readonly body: string }>(
  units: ReadonlyArray<A>
): ReadonlyArray<ReadonlyArray<A>> => {
  const parts: Array<Array<A>> = []
  let part: Array<A> = []
  let bytes = 0
  for (const unit of units) {
    const more = Buffer.byteLength(unit.body)
    if (part.length === BATCH || part.length > 0 && bytes + more > BATCH_BYTES) {
      parts.push(part)
      part = []
      bytes = 0
    }
    part.push(unit)
    bytes += more
  }
  return part.length === 0 ? parts : [...parts, part]
}
