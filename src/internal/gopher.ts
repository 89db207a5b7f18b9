import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { Gopher as GopherTag } from "../Gopher.ts"
import type { Process } from "../Herd.ts"
import type { Work } from "../Work.ts"
import type { Attempts } from "./attempts.ts"
import type { Backlog } from "./backlog.ts"
import { Inside, insideRef } from "./inside.ts"
import { InitialRefs } from "./isolation.ts"
import type { Job } from "./job.ts"
import type { Resources } from "./resources.ts"
import { show } from "./show.ts"

/**
 * One worker fiber of a herd, as the herd sees it.
 *
 * @internal
 */
export class Gopher<In, Out, E> {
  /** The attempt it is at, and the job if the unit has one. */
  work: Work<In> | undefined = undefined
  job: Job<In, Out, E> | undefined = undefined
  startedAt = 0
  /** How many attempts it has begun. */
  begun = 0
  /**
   * What to do with the unit if the fiber ends now: set once the attempt has ended and only
   * callbacks are left.
   */
  finish: (() => void) | undefined = undefined
  /** It stops at the next opportunity. */
  retired = false
  /**
   * It was interrupted by a shrink, or its resource broke before the unit came to it: so its unit
   * goes back.
   */
  putBack = false
  /** Its resource is broken. */
  broken = false
  /** The unit at work fails for good if it has been at work on so many gophers while they broke. */
  maxCrashes = Infinity
  /** An attempt has ended on it, and it was not broken. */
  proven = false
  /** How many gophers before it broke in a row without being proven. */
  readonly breaks: number
  /** It has what it needs, and takes units. */
  ready = false
  /** Something has run on the fiber since its FiberRefs were looked at. */
  touched = true
  /** The fiber has forked, so the last units may have left children. */
  forked = false
  /** Children that are no unit's: those of its resource. */
  own: ReadonlyArray<Fiber.RuntimeFiber<unknown, unknown>> = []
  /** Ends its idleness; undefined while it is not idle. */
  wake: (() => void) | undefined = undefined
  fiber: Fiber.RuntimeFiber<void> | undefined = undefined

  constructor(breaks: number) {
    this.breaks = breaks
  }
}

/**
 * What a gopher asks of its herd.
 *
 * @internal
 */
export interface Host<In, Out, E, R> {
  readonly backlog: Backlog<In, Out, E>
  readonly attempts: Attempts<In, Out, E, R>
  /** Should the gopher take a unit now? It may find itself retired instead. */
  wants(gopher: Gopher<In, Out, E>): boolean
  /** The gopher has nothing to do and would be woken; `false` if it should look again. */
  park(gopher: Gopher<In, Out, E>, wake: () => void): boolean
  /** Of gophers that own one. */
  readonly resources: Resources<In, Out, E>
}

/**
 * What acquires a gopher's resource.
 *
 * @internal
 */
export type Acquire<In, Out, E, R> = Effect.Effect<Process<In, Out, E, R>, never, R | Scope.Scope | GopherTag>

/**
 * What the fiber of a gopher with a plain `process` runs.
 *
 * @internal
 */
export const live = <In, Out, E, R>(
  host: Host<In, Out, E, R>,
  gopher: Gopher<In, Out, E>,
  process: Process<In, Out, E, R>
): Effect.Effect<void, never, R> => Effect.withFiberRuntime((fiber) => loop(host, gopher, process, fiber))

/**
 * What the fiber of a gopher with a resource runs: acquire, live, release. It takes its time if
 * those before it broke.
 *
 * @internal
 */
export const liveWith = <In, Out, E, R>(
  host: Host<In, Out, E, R>,
  gopher: Gopher<In, Out, E>,
  acquire: Acquire<In, Out, E, R>
): Effect.Effect<void, never, R> => {
  const { resources } = host
  const provided = Effect.provideService(acquire, GopherTag, {
    replace: (options) => resources.replace(gopher, options),
    putBack: resources.putBack(gopher)
  })
  const life = Effect.flatMap(Effect.flatMap(provided, asProcess), (process) => {
    resources.acquired()
    const children = gopher.fiber?.children ?? Effect.succeed([])
    return Effect.flatMap(children, (own) => {
      gopher.own = own
      return live(host, gopher, process)
    })
  })
  const scoped = Effect.acquireUseRelease(
    Scope.make(),
    (scope) => Scope.extend(life, scope),
    // Not a reason to end: a gopher whose acquiring failed too would follow at once, and so on.
    (scope, exit) => Effect.catchAllCause(Scope.close(scope, exit), (cause) => resources.releaseFailed(cause))
  )
  const once = Effect.matchCause(scoped, {
    onSuccess: () => Option.none(),
    // Of a unit that died the log has told; the failure told the scope how the gopher came to its
    // end.
    onFailure: (cause) => gopher.ready ? Option.none() : Option.some(cause)
  })
  const again = (failures: number): Effect.Effect<void, never, R> =>
    Effect.flatMap(once, (failed) => {
      if (Option.isNone(failed)) return Effect.void
      const delay = backoff(failures)
      const waiting = Effect.zipRight(resources.acquireFailed(failed.value, failures, delay), Effect.sleep(delay))
      return Effect.zipRight(waiting, again(failures + 1))
    })
  return gopher.breaks === 0 ? again(1) : Effect.zipRight(Effect.sleep(backoff(gopher.breaks)), again(1))
}

const asProcess = <A>(process: A): Effect.Effect<A> =>
  typeof process === "function"
    ? Effect.succeed(process)
    : Effect.dieMessage(`expected gopher to yield a function, got ${show(process)}`)

/** 100 ms, 200 ms, 400 ms, … 30 s. */
const backoff = (failures: number): Duration.Duration => Duration.millis(Math.min(30_000, 100 * 2 ** (failures - 1)))

/**
 * One `Effect.whileLoop` over the backlog and `process`, with one failure frame around the whole
 * loop, so that a unit that succeeds pays nothing for failure. `Effect.forever` would yield after
 * each unit. A unit is taken and begun in one synchronous step: no other gopher can begin a later
 * one in between (G15).
 */
const loop = <In, Out, E, R>(
  host: Host<In, Out, E, R>,
  gopher: Gopher<In, Out, E>,
  process: Process<In, Out, E, R>,
  fiber: Fiber.RuntimeFiber<unknown, unknown>
): Effect.Effect<void, never, R> => {
  const { attempts, backlog } = host
  const refs = new InitialRefs(
    fiber,
    new Inside(new WeakRef(backlog), new WeakRef(gopher), fiber.getFiberRef(insideRef))
  )
  // Effect suspends a fiber after a number of operations. Half of them are left to each unit for
  // its start.
  const mostOps = fiber.getFiberRef(FiberRef.currentMaxOpsBeforeYield) / 2
  const park = Effect.async<void>((resume) => {
    const wake = () => resume(Exit.void)
    if (!host.park(gopher, wake)) wake()
  })

  const units = Effect.whileLoop({
    while: () => !gopher.retired,
    body: (): Effect.Effect<unknown, E, R> => {
      if (gopher.forked) return interruptChildren(gopher)
      if (gopher.touched) {
        gopher.touched = false
        if (refs.changed) return refs.reset
      }
      if (!host.wants(gopher)) return park
      if (fiber.currentOpCount > mostOps) return Effect.yieldNow()
      return attempts.start(gopher, process, backlog.take())
    },
    step: (value) => {
      if (gopher.work !== undefined) attempts.succeeded(gopher, value as Out)
    }
  })
  const self: Effect.Effect<void, never, R> = Effect.catchAllCause(
    units,
    (cause) => Effect.zipRight(attempts.failed(gopher, cause), self)
  )
  gopher.ready = true
  return self
}

/**
 * What a unit has forked ends with it. An Effect that interrupts them by forking would be noticed
 * as a fork again.
 */
const interruptChildren = <In, Out, E>(gopher: Gopher<In, Out, E>): Effect.Effect<void> => {
  const { fiber, own } = gopher
  gopher.forked = false
  if (fiber === undefined) return Effect.void
  return Effect.flatMap(fiber.children, (children) => {
    const left = children.filter((child) => !own.includes(child))
    for (const child of left) child.unsafeInterruptAsFork(fiber.id())
    return Effect.forEach(left, Fiber.await, { discard: true })
  })
}
