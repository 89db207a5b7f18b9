import { Effect } from "effect"
import type { Account } from "./account.ts"
import type { Violations } from "./violations.ts"
import type { Visit } from "./visit.ts"

/** Counts who is inside `process`, from inside, and looks at each start whether it may be. */
export class Census {
  /** What the herd says of itself; there is no herd yet when its options are made. */
  limits: () => { readonly size: number; readonly paused: boolean } = () => ({ size: 0, paused: true })
  /** The most that were ever inside at once. */
  most = 0
  private readonly inside = new Set<number>()
  private readonly name: string
  private readonly account: Account
  private readonly violations: Violations

  constructor(name: string, account: Account, violations: Violations) {
    this.name = name
    this.account = account
    this.violations = violations
  }

  get count(): number {
    return this.inside.size
  }

  readonly counted = <A, E, R>(visit: Visit, attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => this.enter(visit)),
      () => attempt,
      () => Effect.sync(() => this.inside.delete(visit.n))
    )

  private enter(visit: Visit): void {
    const { n } = visit
    if (this.inside.has(n)) {
      this.violations.add("G2", `${this.name}: expected unit ${n} once inside process, got it twice`)
    }
    if (!this.account.isOpen(visit)) this.violations.add("G2", `${this.name}: unit ${n} started and was not open`)
    this.inside.add(n)
    this.most = Math.max(this.most, this.inside.size)
    // A shrink lets units finish, but nothing starts before there are fewer than the size.
    const { paused, size } = this.limits()
    if (this.inside.size > size) {
      this.violations.add("G1", `${this.name}: expected a start with at most ${size} inside, got ${this.inside.size}`)
    }
    if (paused) this.violations.add("G6", `${this.name}: unit ${n} started while the herd was paused`)
  }
}
