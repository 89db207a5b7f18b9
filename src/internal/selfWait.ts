import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Worker } from "./inside.ts"

/** How long all gophers may wait for units of their own herd before the herd says so. */
const STUCK = Duration.seconds(1)

/** A unit, and how many `run` of its own herd have not returned. */
interface Waiting {
  readonly work: object | undefined
  runs: number
}

/**
 * Says, once, that nothing starts because the unit of each gopher waits for a `run` of its own
 * herd.
 *
 * @internal
 */
export class SelfWaitWatch {
  private watch: Fiber.RuntimeFiber<void> | undefined = undefined
  private readonly waiting = new Map<Worker, Waiting>()
  private readonly size: () => number
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  private readonly warn: (gophers: number) => Effect.Effect<void>

  constructor(options: {
    readonly size: () => number
    readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
    readonly warn: (gophers: number) => Effect.Effect<void>
  }) {
    this.size = options.size
    this.fork = options.fork
    this.warn = options.warn
  }

  /**
   * The gopher's unit calls `run` of its own herd. The result is to be called when that returns.
   */
  runs(gopher: Worker): () => void {
    const known = this.waiting.get(gopher)
    const waiting = known?.work === gopher.work && known !== undefined ? known : { work: gopher.work, runs: 0 }
    waiting.runs++
    this.waiting.set(gopher, waiting)
    this.look()
    return () => {
      if (--waiting.runs === 0 && this.waiting.get(gopher) === waiting) this.waiting.delete(gopher)
    }
  }

  stop(): void {
    this.watch?.unsafeInterruptAsFork(this.watch.id())
  }

  private look(): void {
    if (this.watch !== undefined || !this.isStuck()) return
    this.watch = this.fork(Effect.zipRight(
      Effect.sleep(STUCK),
      Effect.suspend(() => {
        if (this.isStuck()) return this.warn(this.waiting.size)
        this.watch = undefined
        return Effect.void
      })
    ))
  }

  private isStuck(): boolean {
    if (this.waiting.size < this.size()) return false
    // A daemon may still run one, though the unit that forked it has ended.
    for (const [gopher, { work }] of this.waiting) if (gopher.work !== work) this.waiting.delete(gopher)
    return this.waiting.size > 0 && this.waiting.size >= this.size()
  }
}
