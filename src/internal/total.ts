import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Options } from "../HerdProgress.ts"
import { isSize } from "./options.ts"

/**
 * @internal
 */
export const isTotal = (value: unknown): value is number => isSize(value, Number.MAX_SAFE_INTEGER)

/**
 * The total as it is known by now, which never waits: an Effect that does goes on in the
 * background, and until it gives something what it gave before holds.
 *
 * @internal
 */
export const reader = <R>(
  total: Options<R>["total"]
): Effect.Effect<Effect.Effect<number | undefined>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    if (!Effect.isEffect(total)) return Effect.succeed(total)
    const context = yield* Effect.context<R>()
    const read = Effect.interruptible(Effect.provide(total, context))
    let known: number | undefined
    let broken = false
    let reading: Fiber.RuntimeFiber<number | undefined> | undefined
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => reading === undefined ? Effect.void : Fiber.interrupt(reading))
    )
    return Effect.gen(function*() {
      if (broken) return known
      reading ??= yield* Effect.forkDaemon(read)
      yield* Effect.yieldNow()
      const exit = yield* Fiber.poll(reading)
      if (Option.isNone(exit)) return known
      reading = undefined
      if (Exit.isSuccess(exit.value)) {
        known = isTotal(exit.value.value) ? exit.value.value : undefined
      } else {
        broken = true
        yield* Effect.logWarning("the total can't be read, and is not asked for any more", exit.value.cause)
      }
      return known
    })
  })
