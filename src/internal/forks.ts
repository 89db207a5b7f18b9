import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Supervisor from "effect/Supervisor"

/** A fiber that may have forked. */
type Parent = Fiber.RuntimeFiber<unknown, unknown>

/** Tells which fibers fork. */
export class ForkWatch extends Supervisor.AbstractSupervisor<void> {
  readonly value = Effect.void
  private onFork: ((parent: Parent) => void) | undefined

  constructor(onFork: (parent: Parent) => void) {
    super()
    this.onFork = onFork
  }

  override onStart<A, E, R>(
    _context: Context.Context<R>,
    _effect: Effect.Effect<A, E, R>,
    parent: Option.Option<Parent>
  ): void {
    if (Option.isSome(parent)) this.onFork?.(parent.value)
  }

  /** Daemons keep their supervisor for as long as they live: it must not keep the herd. */
  stop(): void {
    this.onFork = undefined
  }
}

/**
 * A runtime that tells which of its fibers, and of their descendants, fork. Asking a fiber for its
 * children costs more than a small unit, so that a gopher asks only once it has forked; a
 * supervisor per gopher would cost 2 kB each.
 *
 * @internal
 */
export const watchingForks = <R>(runtime: Runtime.Runtime<R>, watch: ForkWatch): Runtime.Runtime<R> => {
  const supervisor = FiberRefs.getOrDefault(runtime.fiberRefs, FiberRef.currentSupervisor)
  return Runtime.setFiberRef(runtime, FiberRef.currentSupervisor, supervisor.zip(watch))
}
