/**
 * A first-in, first-out list in segments: 8 bytes an element, constant time at both ends, nothing
 * is copied as it grows. `effect/MutableQueue` and `effect/MutableList` hold an object per element,
 * seven times as much.
 */
const SEGMENT = 1024

class Segment<A> {
  items: Array<A | undefined> = []
  read = 0
  write = 0
  next: Segment<A> | undefined = undefined
}

/** @internal */
export class Fifo<A> {
  length = 0
  private head = new Segment<A>()
  private tail = this.head
  /**
   * One emptied segment is kept, so that a queue which hovers around a segment's end does not
   * allocate.
   */
  private spare: Segment<A> | undefined = undefined

  push(element: A): void {
    let tail = this.tail
    if (tail.write === SEGMENT) {
      const next = this.spare ?? new Segment<A>()
      this.spare = undefined
      tail.next = next
      this.tail = tail = next
    }
    tail.items[tail.write++] = element
    this.length++
  }

  unshift(element: A): void {
    let head = this.head
    if (head.read === 0) {
      if (head.write === 0) return this.push(element)
      head = new Segment<A>()
      head.items = Array.from<A | undefined>({ length: SEGMENT })
      head.read = head.write = SEGMENT
      head.next = this.head
      this.head = head
    }
    head.items[--head.read] = element
    this.length++
  }

  /** The first element, which stays; `undefined` without one. */
  peek(): A | undefined {
    return this.head.items[this.head.read]
  }

  /** Takes the first element; only to be called when `length > 0`. */
  shift(): A {
    const head = this.head
    const element = head.items[head.read] as A
    head.items[head.read++] = undefined
    this.length--
    if (head.read === head.write) {
      head.read = head.write = 0
      if (head.next !== undefined) {
        this.head = head.next
        head.next = undefined
        this.spare = head
      }
    }
    return element
  }
}
