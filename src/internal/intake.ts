import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { SendAllOptions, SendOptions } from "../Herd.ts"
import { HerdClosed, InvalidOption } from "../HerdError.ts"
import type { Outcome } from "../Outcome.ts"
import type { Backlog } from "./backlog.ts"
import type { Callers, Within } from "./callers.ts"
import { holds, isIterable, isObject, readNow } from "./check.ts"
import type { Worker } from "./inside.ts"
import { insideOf } from "./inside.ts"
import type { Unit } from "./job.ts"
import { Job } from "./job.ts"
import { show } from "./show.ts"
import { streamThrough } from "./stream.ts"
import type { Turn } from "./turn.ts"

/** How many units a `sendAll` enters at a time. */
const BATCH = 1024

/**
 * What the intake asks of its herd.
 *
 * @internal
 */
export interface Host<In, Out, E> {
  readonly name: string
  readonly tracing: boolean
  readonly callers: Callers
  readonly queue: Queue.Enqueue<Unit<In, Out, E>>
  readonly backlog: Backlog<In, Out, E>
  readonly turn: Turn
  /** The gopher's unit calls `run` of this herd. The result is to be called when that returns. */
  runsInside(gopher: Worker): () => void
  /** How many units could start at once. */
  freeGophers(): number
  /**
   * Takes a job that was accepted out of the herd, at once. The result waits until that is done.
   */
  cancel(job: Job<In, Out, E>): Effect.Effect<void>
  /** Brings the metrics up to date. */
  flush(): void
  /** Looks whether the herd is idle or drained. */
  checkEnd(): void
}

/** What is said of a unit beside its body. */
type Entry = Pick<SendOptions, "id" | "priority">

/** The options, checked; `undefined` if they say nothing. */
const entryOf = (options: SendOptions | undefined): Entry | undefined => {
  if (options === undefined) return undefined
  const { id, priority } = readNow(options, ({ id, priority }): Entry => ({ id, priority }))
  if (id === undefined && priority === undefined) return undefined
  if (priority !== undefined && !Number.isFinite(priority)) {
    throw new InvalidOption({ option: "priority", expected: "a finite number", given: show(priority) })
  }
  if (id !== undefined && typeof id !== "string") {
    throw new InvalidOption({ option: "id", expected: "a string", given: show(id) })
  }
  return { id, priority }
}

const iteratorOf = <A>(bodies: Iterable<A>): Iterator<A> => {
  const iterator: unknown = holds(isIterable, bodies) ? bodies[Symbol.iterator]() : undefined
  if (isIterator<A>(iterator)) return iterator
  throw new InvalidOption({ option: "bodies", expected: "an iterable", given: show(bodies) })
}

const isIterator = <A>(value: unknown): value is Iterator<A> =>
  isObject(value) && "next" in value && typeof value.next === "function"

/** Is that the end? Some iterators say nothing of it until then. */
const isEnd = (result: IteratorResult<unknown, unknown>): boolean => {
  if (isObject(result)) return Boolean(result.done)
  throw new InvalidOption({
    option: "bodies",
    expected: "an iterable whose iterator gives objects",
    given: `one that gives ${show(result)}`
  })
}

/** Effect takes an Effect for a Stream of one. */
const isStream = (value: unknown): boolean => Effect.isEffect(value) || isObject(value) && Stream.StreamTypeId in value

/**
 * The ways for work to get into a herd.
 *
 * @internal
 */
export class Intake<In, Out, E> {
  private readonly host: Host<In, Out, E>
  /** Calls that have more units to bring. */
  entering = 0

  constructor(host: Host<In, Out, E>) {
    this.host = host
  }

  send(body: In, options?: SendOptions): Effect.Effect<void, HerdClosed> {
    return Effect.suspend(() => {
      const { backlog, queue } = this.host
      const unit = this.unit(body, entryOf(options))
      if (backlog.closed) return this.closed(0)
      if (this.enters(unit)) return Exit.void
      return Effect.flatMap(Queue.offer(queue, unit), (accepted) => accepted ? Exit.void : this.closed(0))
    })
  }

  sendAll(bodies: Iterable<In>, options?: SendAllOptions): Effect.Effect<void, HerdClosed> {
    return Effect.suspend(() => {
      const given = entryOf(options)
      const iterator = iteratorOf(bodies)
      // As with `for of`: neither the end nor a throw of `next` is followed by a `return`.
      let over = false
      const entering = this.enterAll(() => {
        over = true
        const next = iterator.next()
        if (next?.done !== false && isEnd(next)) return undefined
        over = false
        return { unit: this.unit(next.value, given) }
      })
      return Effect.ensuring(entering, Effect.sync(() => over || iterator.return?.()))
    })
  }

  trySend(body: In, options?: SendOptions): Effect.Effect<boolean, HerdClosed> {
    return Effect.suspend(() => {
      const { backlog } = this.host
      const unit = this.unit(body, entryOf(options))
      if (backlog.closed) return this.closed(0)
      return Effect.succeed(backlog.lending(this.host.freeGophers(), () => this.enters(unit)))
    })
  }

  run(body: In, options?: SendOptions): Effect.Effect<Out, E | HerdClosed> {
    return Effect.async<Out, E | HerdClosed>((resume) => {
      const { backlog } = this.host
      const inside = insideOf(backlog)
      let returned: (() => void) | undefined
      const job = this.job(body, entryOf(options), ({ exit }) => {
        returned?.()
        this.host.flush()
        resume(exit)
      }, this.host.callers.within)
      if (backlog.closed) return resume(this.closed(0))
      if (inside !== undefined) returned = this.host.runsInside(inside)
      if (!this.enters(job)) {
        backlog.wait([job], (accepted) => {
          if (!accepted) resume(this.closed(0))
        })
      }
      return Effect.suspend(() => this.host.cancel(job))
    })
  }

  stream<E2, R2>(input: Stream.Stream<In, E2, R2>): Stream.Stream<Outcome<In, Out, E>, E2, R2> {
    if (!holds(isStream, input)) {
      return Stream.die(new InvalidOption({ option: "input", expected: "a Stream", given: show(input) }))
    }
    return streamThrough(input, {
      jobOf: (body, settle) => this.job(body, undefined, settle),
      enter: (jobs) => {
        let next = 0
        return this.enterAll(() => {
          const unit = jobs[next++]
          return unit === undefined ? undefined : { unit }
        })
      },
      cancel: (job) => this.host.cancel(job),
      turn: this.host.turn
    })
  }

  /**
   * Enters units as there is room, until there are no more; takes one more than fits, and suspends
   * with it.
   */
  private enterAll(next: () => { readonly unit: Unit<In, Out, E> } | undefined): Effect.Effect<void, HerdClosed> {
    const { backlog, queue, turn } = this.host
    let accepted = 0
    let exhausted = false
    let full = false
    let began = false
    // Entering and counting is one step: between two of them the herd may be closed.
    const enterBatch = () => {
      // With a queue that takes a million there is nothing else to suspend for.
      const rests = full && turn.spent
      full = false
      if (rests) return turn.passed
      if (backlog.closed) return this.closed(accepted)
      for (let n = 0; n < BATCH; n++) {
        const entry = next()
        exhausted = entry === undefined
        if (entry === undefined) break
        if (!this.enters(entry.unit)) {
          return Effect.flatMap(Queue.offer(queue, entry.unit), (entered) => {
            if (!entered) return this.closed(accepted)
            accepted++
            return Exit.void
          })
        }
        accepted++
      }
      full = true
      return Exit.void
    }
    const entering = Effect.suspend(() => {
      began = true
      this.entering++
      return Effect.whileLoop({ while: () => !exhausted, body: enterBatch, step: () => {} })
    })
    return Effect.ensuring(
      entering,
      Effect.sync(() => {
        if (began) this.entering--
        this.host.checkEnd()
      })
    )
  }

  /** Enters the unit if there is room, or if it comes from inside one of the herd's own units. */
  private enters(unit: Unit<In, Out, E>): boolean {
    const { backlog, queue } = this.host
    if (Queue.unsafeOffer(queue, unit)) return true
    if (backlog.closed || insideOf(backlog) === undefined) return false
    backlog.enter(unit)
    return true
  }

  /**
   * Most units are their bare body; a `Job` is made for those that the herd has to remember more
   * of.
   */
  private unit(body: In, entry: Entry | undefined): Unit<In, Out, E> {
    return entry === undefined && !this.host.tracing ? body : this.job(body, entry, undefined)
  }

  private job(
    body: In,
    entry: Entry | undefined,
    settle: ((outcome: Outcome<In, Out, E>) => void) | undefined,
    within?: Within
  ): Job<In, Out, E> {
    const { id, priority = 0 } = entry ?? {}
    const parent = this.host.tracing ? Option.getOrUndefined(Fiber.getCurrentFiber())?.currentSpan : undefined
    return new Job<In, Out, E>(body, { id, priority, parent, settle, within })
  }

  private closed(accepted: number): Effect.Effect<never, HerdClosed> {
    return Effect.fail(new HerdClosed({ herd: this.host.name, accepted }))
  }
}
