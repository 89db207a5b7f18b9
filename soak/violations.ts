export interface Violation {
  /** Seconds since the start. */
  readonly at: number
  /** What was not as it has to be, by its guarantee or a word. */
  readonly check: string
  readonly detail: string
}

/** So many are kept of each check: what goes wrong each second says nothing new after that. */
const KEPT = 10

export class Violations {
  readonly kept: Array<Violation> = []
  readonly counts = new Map<string, number>()
  private readonly began = performance.now()

  add(check: string, detail: string): void {
    const count = (this.counts.get(check) ?? 0) + 1
    this.counts.set(check, count)
    if (count <= KEPT) this.kept.push({ at: (performance.now() - this.began) / 1000, check, detail })
  }

  addAll(check: string, details: ReadonlyArray<string>): void {
    for (const detail of details) this.add(check, detail)
  }

  get count(): number {
    let sum = 0
    for (const count of this.counts.values()) sum += count
    return sum
  }
}
