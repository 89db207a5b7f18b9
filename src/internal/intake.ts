import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Stream from "effect/Stream"
import type { SendAllOptions, SendOptions } from "../Herd.ts"
import { HerdClosed, InvalidOption } from "../HerdError.ts"
import type { Outcome } from "../Outcome.ts"
import type { Backlog, Nothing } from "./backlog.ts"
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
  readonly queue: Queue.Enqueue<Unit<In, Out, E> | Nothing>
  readonly backlog: Backlog<In, Out, E>
  readonly turn: Turn
  /** How many units could start at once. */
  freeGophers(): number
  /** Takes a job that was accepted out of the herd, and waits until that is done. */
  cancel(job: Job<In, Out, E>): Effect.Effect<void>
  /** Brings the metrics up to date. */
  flush(): void
}

/**
 * The ways for work to get into a herd.
 *
 * @internal
 */
export class Intake<In, Out, E> {
  private readonly host: Host<In, Out, E>

  constructor(host: Host<In, Out, E>) {
    this.host = host
  }

  send(body: In, options?: SendOptions): Effect.Effect<void, HerdClosed> {
    return Effect.suspend(() => {
      const { backlog, queue } = this.host
      const unit = this.unit(body, options)
      if (backlog.closed) return this.closed(0)
      if (Queue.unsafeOffer(queue, unit)) return Exit.void
      return Effect.flatMap(Queue.offer(queue, unit), (accepted) => accepted ? Exit.void : this.closed(0))
    })
  }

  sendAll(bodies: Iterable<In>, options?: SendAllOptions): Effect.Effect<void, HerdClosed> {
    return Effect.suspend(() => {
      const iterator = bodies[Symbol.iterator]()
      let done = false
      const entering = this.enterAll(() => {
        const next = iterator.next()
        done = next.done === true
        return next.done === true ? undefined : { unit: this.unit(next.value, options) }
      })
      return Effect.ensuring(entering, Effect.sync(() => done || iterator.return?.()))
    })
  }

  trySend(body: In, options?: SendOptions): Effect.Effect<boolean, HerdClosed> {
    return Effect.suspend(() => {
      const { backlog, queue } = this.host
      const unit = this.unit(body, options)
      if (backlog.closed) return this.closed(0)
      return Effect.succeed(backlog.lending(this.host.freeGophers(), () => Queue.unsafeOffer(queue, unit)))
    })
  }

  run(body: In, options?: SendOptions): Effect.Effect<Out, E | HerdClosed> {
    return Effect.async<Out, E | HerdClosed>((resume) => {
      const { backlog, queue } = this.host
      const job = this.job(body, options, ({ exit }) => {
        this.host.flush()
        resume(exit)
      })
      if (backlog.closed) return resume(this.closed(0))
      const withdraw = Queue.unsafeOffer(queue, job) ? undefined : backlog.wait([job], (accepted) => {
        if (!accepted) resume(this.closed(0))
      })
      return Effect.suspend(() => {
        withdraw?.()
        return this.host.cancel(job)
      })
    })
  }

  stream<E2, R2>(input: Stream.Stream<In, E2, R2>): Stream.Stream<Outcome<In, Out, E>, E2, R2> {
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

  /** Enters units as there is room, until there are no more; takes one more than fits, and suspends with it. */
  private enterAll(next: () => { readonly unit: Unit<In, Out, E> } | undefined): Effect.Effect<void, HerdClosed> {
    const { backlog, queue } = this.host
    let accepted = 0
    let exhausted = false
    // Entering and counting is one step: between two of them the herd may be closed.
    const enterBatch = () => {
      if (backlog.closed) return this.closed(accepted)
      for (let n = 0; n < BATCH; n++) {
        const entry = next()
        exhausted = entry === undefined
        if (entry === undefined) break
        if (!Queue.unsafeOffer(queue, entry.unit)) {
          return Effect.flatMap(Queue.offer(queue, entry.unit), (entered) => {
            if (!entered) return this.closed(accepted)
            accepted++
            return Exit.void
          })
        }
        accepted++
      }
      return Exit.void
    }
    return Effect.whileLoop({ while: () => !exhausted, body: enterBatch, step: () => {} })
  }

  /** Most units are their bare body; a `Job` is made for those that the herd has to remember more of. */
  private unit(body: In, options: SendOptions | undefined): Unit<In, Out, E> {
    const plain = options === undefined || (options.id === undefined && options.priority === undefined)
    return plain && !this.host.tracing ? body : this.job(body, options, undefined)
  }

  private job(
    body: In,
    options: SendOptions | undefined,
    settle: ((outcome: Outcome<In, Out, E>) => void) | undefined
  ): Job<In, Out, E> {
    const { id, priority = 0 } = options ?? {}
    if (!Number.isFinite(priority)) {
      throw new InvalidOption({ option: "priority", expected: "a finite number", given: show(priority) })
    }
    if (id !== undefined && typeof id !== "string") {
      throw new InvalidOption({ option: "id", expected: "a string", given: show(id) })
    }
    const parent = this.host.tracing ? Option.getOrUndefined(Fiber.getCurrentFiber())?.currentSpan : undefined
    return new Job<In, Out, E>(body, { id, priority, parent, settle })
  }

  private closed(accepted: number): Effect.Effect<never, HerdClosed> {
    return Effect.fail(new HerdClosed({ herd: this.host.name, accepted }))
  }
}
