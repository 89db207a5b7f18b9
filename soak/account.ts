import type { Outcome } from "gofherd"
import type { Violations } from "./violations.ts"
import type { Visit } from "./visit.ts"

type Status = Outcome.Outcome.Status

/**
 * The soak's own books of one herd: which units are open, and how many have settled how. It
 * remembers nothing of a unit that has settled, and still knows a second outcome when it sees one:
 * its unit is not open.
 */
export class Account {
  readonly settled: Record<Status, number> = { success: 0, failure: 0, interrupted: 0 }
  /**
   * Units that their sender took back: the herd may have settled them in any way, or never have
   * accepted them.
   */
  cancelled = 0
  private readonly open = new Map<number, Visit>()
  private numbered = 0
  private readonly name: string
  private readonly violations: Violations

  constructor(name: string, violations: Violations) {
    this.name = name
    this.violations = violations
  }

  /** A unit that is about to be sent. */
  give(visit: Omit<Visit, "n">): Visit {
    const given = { ...visit, n: ++this.numbered }
    this.open.set(given.n, given)
    return given
  }

  /** The herd has refused it. */
  refused({ n }: Visit): void {
    if (!this.open.delete(n)) this.violations.add("G9", `${this.name}: unit ${n} was refused and settled`)
  }

  /** Its sender does not wait any more. */
  cancel({ n }: Visit): void {
    if (this.open.delete(n)) this.cancelled++
    else this.violations.add("G2", `${this.name}: unit ${n} was cancelled and had settled`)
  }

  /** Its outcome has arrived there. */
  settle({ n, to }: Visit, status: Status, there: string): void {
    this.settled[status]++
    if (to !== there) {
      this.violations.add("G2", `${this.name}: expected the outcome of ${n} at ${to}, got it at ${there}`)
    }
    if (!this.open.delete(n)) this.violations.add("G2", `${this.name}: expected one outcome of unit ${n}, got a second`)
  }

  isOpen({ n }: Visit): boolean {
    return this.open.has(n)
  }

  get openCount(): number {
    return this.open.size
  }

  /** Some of the units that have not settled, in words. */
  get openOnes(): string {
    const some = Array.from(this.open.values()).slice(0, 5)
    return some.map(({ fate, n, target, to }) => `${n} (${target}, ${fate}, for ${to})`).join(", ")
  }
}
