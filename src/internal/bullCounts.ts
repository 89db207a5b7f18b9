/**
 * Numbers that are read off up to a bound, and counted whole beyond it, as seldom as that takes long: a count of a million rows costs a
 * database more than whoever looks at it each second is worth. Between two counts the last one is told.
 *
 * @internal
 */
export class Counts<What extends string> {
  private readonly bound: number
  private readonly count: (what: What) => Promise<number>
  private readonly known = new Map<What, { readonly count: number; readonly until: number }>()

  constructor(options: {
    /** A number above it is one that was not read to its end. */
    readonly bound: number
    readonly count: (what: What) => Promise<number>
  }) {
    this.bound = options.bound
    this.count = options.count
  }

  /** What there is, of which so much was read off. */
  async of(what: What, read: number): Promise<number> {
    if (read <= this.bound) {
      this.known.delete(what)
      return read
    }
    const known = this.known.get(what)
    const began = performance.now()
    if (known !== undefined && began < known.until) return Math.max(read, known.count)
    // Whoever asks meanwhile is told what is known.
    this.known.set(what, { count: known?.count ?? read, until: Infinity })
    // A count that takes too long is no reason to tell nothing.
    const count = await this.count(what).catch(() => known?.count ?? read)
    const ended = performance.now()
    this.known.set(what, { count, until: ended + SHARE * (ended - began) })
    return Math.max(read, count)
  }
}

/** How much longer than it takes a count is told. */
const SHARE = 100
