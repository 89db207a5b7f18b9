import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type { Queue } from "../HerdSource.ts"
import { Round } from "./round.ts"

/** How often a source is asked that does not tell of its changes. */
const LOOK = "100 millis"

/**
 * Waits until a source has nothing ready, delayed or held. All waiters share one question. A waiter
 * never gets the answer to a question that was asked before it came.
 *
 * @internal
 */
export class Idleness {
  private readonly queue: Queue
  private readonly waiters = new Set<Deferred.Deferred<void>>()
  /** A waiter has come, or the last one has gone. */
  private readonly stirred = new Round()
  private asking = false

  constructor(queue: Queue) {
    this.queue = queue
  }

  readonly await: Effect.Effect<void> = Effect.suspend(() => {
    const idle = Deferred.unsafeMake<void>(FiberId.none)
    this.waiters.add(idle)
    this.stirred.next()
    const begin = this.asking ? Effect.void : Effect.forkDaemon(Effect.interruptible(this.ask))
    this.asking = true
    return Effect.ensuring(
      Effect.zipRight(begin, Deferred.await(idle)),
      Effect.sync(() => {
        this.waiters.delete(idle)
        if (this.waiters.size === 0) this.stirred.next()
      })
    )
  })

  private get awaited(): boolean {
    this.asking = this.waiters.size > 0
    return this.asking
  }

  private readonly ask: Effect.Effect<void> = Effect.suspend(() =>
    Effect.whileLoop({ while: () => this.awaited, body: () => this.askOnce, step: () => {} })
  )

  private readonly askOnce: Effect.Effect<void> = Effect.gen(this, function*() {
    const waiters = Array.from(this.waiters)
    const { ended } = this.stirred
    const { changes } = this.queue
    const seen = changes === undefined ? 0 : yield* changes.count
    if (yield* this.isIdle) {
      for (const idle of waiters) {
        this.waiters.delete(idle)
        Deferred.unsafeDone(idle, Exit.void)
      }
    } else {
      const change = changes === undefined ? Effect.sleep(LOOK) : changes.after(seen)
      yield* Effect.raceFirst(change, this.stirred.after(ended))
    }
  })

  /** What the source fails to tell it is asked for again. */
  private readonly isIdle: Effect.Effect<boolean> = Effect.suspend(() => {
    const { depth, idle = Effect.map(depth, ({ delayed, held, ready }) => ready + delayed + held === 0) } = this.queue
    return idle
  }).pipe(Effect.catchAllCause(() => Effect.succeed(false)))
}
