import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** How long a state lasts before it is warned of. */
const LASTING = "1 second"

/**
 * Warns, once, of a state that has lasted for a second.
 *
 * @internal
 */
export class LastingState {
  private watch: Fiber.RuntimeFiber<void> | undefined = undefined
  private warned = false
  private readonly state: () => unknown
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  private readonly warn: () => Effect.Effect<void>

  constructor(options: {
    /** `undefined` if all is well. The state has lasted if the same value comes a second later. */
    readonly state: () => unknown
    readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
    readonly warn: () => Effect.Effect<void>
  }) {
    this.state = options.state
    this.fork = options.fork
    this.warn = options.warn
  }

  /** Looks at the state now and, unless all is well, again after a second. */
  check(): void {
    if (this.warned || this.watch !== undefined) return
    const begun = this.state()
    if (begun === undefined) return
    this.watch = this.fork(Effect.zipRight(
      Effect.sleep(LASTING),
      Effect.suspend(() => {
        this.watch = undefined
        if (this.state() !== begun) return Effect.sync(() => this.check())
        this.warned = true
        return this.warn()
      })
    ))
  }

  stop(): void {
    this.watch?.unsafeInterruptAsFork(this.watch.id())
  }
}
