import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Outcomes } from "./outcomes.ts"

/** How long outcomes may hold up the gophers before the herd says so. */
const UNREAD = Duration.seconds(1)

/**
 * Says, once, that nothing starts because nobody reads the outcomes.
 *
 * @internal
 */
export class UnreadWatch {
  private watch: Fiber.RuntimeFiber<void> | undefined = undefined
  private warned = false
  private readonly outcomes: Outcomes<unknown>
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  private readonly warn: (unread: number) => Effect.Effect<void>

  constructor(options: {
    readonly outcomes: Outcomes<unknown>
    readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
    readonly warn: (unread: number) => Effect.Effect<void>
  }) {
    this.outcomes = options.outcomes
    this.fork = options.fork
    this.warn = options.warn
  }

  /** Outcomes hold up a gopher. */
  heldUp(): void {
    if (this.warned || this.watch !== undefined) return
    const { reads } = this.outcomes
    this.watch = this.fork(Effect.zipRight(
      Effect.sleep(UNREAD),
      Effect.suspend(() => {
        this.watch = undefined
        if (!this.outcomes.full) return Effect.void
        if (this.outcomes.reads !== reads) return Effect.sync(() => this.heldUp())
        this.warned = true
        return this.warn(this.outcomes.length)
      })
    ))
  }

  stop(): void {
    this.watch?.unsafeInterruptAsFork(this.watch.id())
  }
}
