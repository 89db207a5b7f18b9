/** So few dead elements are not worth a look at all. */
const SLACK = 64

/**
 * A binary heap (J. W. J. Williams, Algorithm 232, 1964): the element that comes before all others
 * is at hand in constant time, adding and removing take logarithmic time.
 *
 * @internal
 */
export class Heap<A> {
  private readonly items: Array<A> = []
  private readonly before: (self: A, that: A) => boolean

  constructor(before: (self: A, that: A) => boolean) {
    this.before = before
  }

  get size(): number {
    return this.items.length
  }

  peek(): A | undefined {
    return this.items[0]
  }

  push(element: A): void {
    this.items.push(element)
    this.rise(this.items.length - 1)
  }

  pop(): A | undefined {
    const top = this.items[0]
    const last = this.items.pop()
    if (this.items.length > 0) {
      this.items[0] = last as A
      this.sink(0)
    }
    return top
  }

  /** Keeps the elements that satisfy the predicate, in linear time. */
  retain(predicate: (element: A) => boolean): void {
    const kept = this.items.filter(predicate)
    this.items.length = 0
    for (const element of kept) this.items.push(element)
    for (let i = (kept.length >> 1) - 1; i >= 0; i--) this.sink(i)
  }

  /**
   * Elements that died where they are stay until they come to the top. Once they outnumber the live
   * ones by some, to be called after each death, they are dropped: constant time a death, over all
   * of them.
   */
  prune(live: number, isLive: (element: A) => boolean): void {
    if (this.items.length > 2 * live + SLACK) this.retain(isLive)
  }

  private rise(from: number): void {
    const items = this.items
    const element = items[from] as A
    let i = from
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!this.before(element, items[parent] as A)) break
      items[i] = items[parent] as A
      i = parent
    }
    items[i] = element
  }

  private sink(from: number): void {
    const items = this.items
    const element = items[from] as A
    const size = items.length
    let i = from
    while (true) {
      let child = 2 * i + 1
      if (child >= size) break
      if (child + 1 < size && this.before(items[child + 1] as A, items[child] as A)) child++
      if (!this.before(items[child] as A, element)) break
      items[i] = items[child] as A
      i = child
    }
    items[i] = element
  }
}
