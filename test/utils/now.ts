import { Effect, type Scope } from "effect"
import { vi } from "vitest"

/** Until the scope closes, `performance.now` says this. */
export const pretendNow = (now: () => number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => vi.spyOn(performance, "now").mockImplementation(now)),
    (clock) => Effect.sync(() => clock.mockRestore())
  ))
