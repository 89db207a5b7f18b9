import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import type { Inside } from "./inside.ts"
import { insideRef } from "./inside.ts"

/** A Map that knows whether it has been copied. */
class WatchedMap<K, V> extends Map<K, V> {
  copied = false

  override [Symbol.iterator]() {
    this.copied = true
    return super[Symbol.iterator]()
  }
}

/**
 * The FiberRefs that a fiber has begun with, and should have between two units.
 *
 * To set them back costs as much as all else that is done for a small unit, and few units change
 * any. No API tells which, but FiberRefs are immutable, and nothing in Effect changes those of a
 * fiber without copying the Map of them all. So this Map notices when it is copied.
 *
 * @internal
 */
export class InitialRefs {
  /** Sets them back. */
  readonly reset: Effect.Effect<void>
  private readonly locals: { readonly copied: boolean }

  constructor(fiber: Fiber.RuntimeFiber<unknown, unknown>, inside?: Inside) {
    const locals = new WatchedMap(fiber.getFiberRefs().locals)
    if (inside !== undefined) locals.set(insideRef, [[fiber.id(), inside]])
    const refs = FiberRefs.unsafeMake(locals)
    // Until the first reset, the fiber has others.
    locals.copied = true
    this.locals = locals
    this.reset = Effect.updateFiberRefs(() => {
      locals.copied = false
      return refs
    })
  }

  /** May the fiber have others by now? */
  get changed(): boolean {
    return this.copied || !copiesShow()
  }

  get copied(): boolean {
    return this.locals.copied
  }
}

/**
 * Is it so in the Effect that is in use? If not, all units count as if they had changed something.
 */
const copiesShow = (): boolean => shown ??= Effect.runSync(probe)

let shown: boolean | undefined

const probe: Effect.Effect<boolean> = Effect.withFiberRuntime((fiber) => {
  const refs = new InitialRefs(fiber)
  return Effect.gen(function*() {
    yield* refs.reset
    const before = refs.copied
    yield* FiberRef.set(FiberRef.unsafeMake(0), 1)
    return !before && refs.copied
  })
})
