import type * as Tracer from "effect/Tracer"
import type { Outcome } from "../Outcome.ts"
import type { Within } from "./callers.ts"
import type { Gopher } from "./gopher.ts"

/**
 * Where a unit stands. Only a unit with a `Job` knows it; of the others the place they are kept in
 * tells.
 *
 * - `new` not accepted (yet, or at all)
 * - `queued` in the backlog
 * - `running` inside `process`
 * - `retrying` in the retry heap
 * - `settled` done
 */
type Phase = "new" | "queued" | "running" | "retrying" | "settled"

/**
 * What the herd has to remember of a unit beyond its body. Most units have no `Job`: the queue
 * holds their bare body, and one is made when they fail and are retried.
 *
 * @internal
 */
export class Job<In, Out, E> {
  /**
   * Is it one? `instanceof` would ask a body that is a Proxy for its prototype, and that may throw.
   */
  static is<In, Out, E>(unit: Unit<In, Out, E> | undefined): unit is Job<In, Out, E> {
    return typeof unit === "object" && unit !== null && #isJob in unit
  }

  // oxlint-disable-next-line no-unused-private-class-members -- it is looked for, not at
  readonly #isJob = true
  phase: Phase = "new"
  /**
   * By its caller, or by the end of its stream, while a gopher had it: it must not start (again).
   */
  cancelled = false
  id: string | undefined
  readonly body: In
  readonly priority: number
  /**
   * Who gets the outcome; the herd's `outcomes` if undefined. Let go once it has: a cancelled job
   * may stay in the queue for a while, and should not keep its caller, nor all that a stream has
   * left unread.
   */
  settle: ((outcome: Outcome<In, Out, E>) => void) | undefined
  /** The sender's span, the parent of the attempts' spans. */
  readonly parent: Tracer.AnySpan | undefined
  /** Ends its wait for room. */
  withdraw: (() => void) | undefined = undefined
  /** Its number among those that callers brought. */
  arrival = 0
  /** What a unit of `run` inherits of its caller. Let go with `settle`. */
  within: Within | undefined
  /** Attempts that ended, and the time they took. */
  attempts = 0
  millis = 0
  /** Gophers that broke while they were at it. */
  crashes = 0
  /** The state of the user's Schedule for this unit. */
  schedule: unknown = undefined
  /**
   * When its backoff ends, in epoch milliseconds of the Clock, and its place among those due at the
   * same time.
   */
  due = 0
  turn = 0
  /** The gopher that runs it. */
  gopher: Gopher<In, Out, E> | undefined = undefined

  constructor(
    body: In,
    options: {
      readonly id: string | undefined
      readonly priority: number
      readonly parent?: Tracer.AnySpan | undefined
      readonly within?: Within | undefined
      readonly settle?: ((outcome: Outcome<In, Out, E>) => void) | undefined
    }
  ) {
    this.id = options.id
    this.body = body
    this.priority = options.priority
    this.parent = options.parent
    this.within = options.within
    this.settle = options.settle
  }
}

/**
 * What the herd's Queue carries: bare bodies and jobs.
 *
 * @internal
 */
export type Unit<In, Out, E> = In | Job<In, Out, E>
