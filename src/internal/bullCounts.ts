/**
 * Exact counts up to a bound, and cached ones beyond it. Counting a million rows costs a database
 * more than a figure that is asked for each second is worth, so such a count runs rarely: the
 * longer it takes, the longer its result is kept.
 *
 * @internal
 */
export class Counts<What extends string> {
  private readonly bound: number
  private readonly count: (what: What) => Promise<number>
  private readonly known = new Map<What, { readonly count: number; readonly until: number }>()

  constructor(options: {
    /** A larger number means that reading stopped at the bound. */
    readonly bound: number
    readonly count: (what: What) => Promise<number>
  }) {
    this.bound = options.bound
    this.count = options.count
  }

  /** The count, given the number that was read up to the bound. */
  async of(what: What, read: number): Promise<number> {
    if (read <= this.bound) {
      this.known.delete(what)
      return read
    }
    const known = this.known.get(what)
    const began = performance.now()
    if (known !== undefined && began < known.until) return Math.max(read, known.count)
    // Callers during this count get the known number.
    this.known.set(what, { count: known?.count ?? read, until: Infinity })
    // A count that fails or times out leaves the known number.
    const count = await this.count(what).catch(() => known?.count ?? read)
    const ended = performance.now()
    this.known.set(what, { count, until: ended + SHARE * (ended - began) })
    return Math.max(read, count)
  }
}

/** How many times longer than its own duration a count is kept. */
const SHARE = 100
