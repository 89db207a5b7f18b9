import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"

/** A gopher, as far as it matters here: the unit it is at. */
export interface Worker {
  readonly work: object | undefined
  /** How many attempts it has begun. */
  readonly begun: number
}

/**
 * The unit that a fiber belongs to. A gopher's own fiber belongs to whatever unit the gopher is at,
 * and what a unit forks belongs to that unit: a daemon that outlives it does not.
 *
 * @internal
 */
export class Inside {
  /** Held weakly: a daemon keeps its FiberRefs for as long as it lives. */
  private readonly herd: WeakRef<object>
  private readonly worker: WeakRef<Worker>
  /** The attempt, as the gopher counts them; undefined on the gopher's own fiber. */
  private readonly attempt: number | undefined
  /** A herd may be made inside a unit of another one. */
  readonly outer: Inside | undefined

  constructor(herd: WeakRef<object>, worker: WeakRef<Worker>, outer: Inside | undefined, attempt?: number) {
    this.herd = herd
    this.worker = worker
    this.outer = outer
    this.attempt = attempt
  }

  /** The gopher, if this is inside the unit that it is at, and the herd is its herd. */
  gopherOf(herd: object): Worker | undefined {
    const gopher = this.worker.deref()
    const holds = this.herd.deref() === herd && gopher?.work !== undefined
      && (this.attempt === undefined || this.attempt === gopher.begun)
    return holds ? gopher : undefined
  }

  get forked(): Inside {
    if (this.attempt !== undefined) return this
    const gopher = this.worker.deref()
    return gopher?.work === undefined
      ? this
      : new Inside(this.herd, this.worker, this.outer?.forked, gopher.begun)
  }
}

/**
 * @internal
 */
export const insideRef: FiberRef.FiberRef<Inside | undefined> = FiberRef.unsafeMake<Inside | undefined>(undefined, {
  fork: (inside) => inside?.forked
})

/**
 * The gopher of the herd whose unit the current fiber belongs to.
 *
 * @internal
 */
export const insideOf = (herd: object): Worker | undefined => {
  const fiber = Fiber.getCurrentFiber()
  if (Option.isNone(fiber)) return undefined
  for (let inside = fiber.value.getFiberRef(insideRef); inside !== undefined; inside = inside.outer) {
    const gopher = inside.gopherOf(herd)
    if (gopher !== undefined) return gopher
  }
  return undefined
}
