/**
 * Random numbers that follow from a seed. Everybody who acts at random has a Chance of its own, so
 * that what one does does not depend on when another did something.
 */
export class Chance {
  private state: number

  constructor(seed: number, name: string) {
    this.state = seed
    for (const character of name) this.state = Math.imul(this.state ^ character.charCodeAt(0), 0x01000193)
  }

  /** From 0 to below 1, by mulberry32. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** An integer, both ends included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  /** True in that share of the cases. */
  happens(share: number): boolean {
    return this.next() < share
  }

  one<A>(items: readonly [A, ...Array<A>]): A {
    return items[this.between(0, items.length - 1)] ?? items[0]
  }
}
