/** Sends its parent the bytes that each of so many takes: `memoryProbe.ts <case> <count>`. */
import { Effect, Logger, LogLevel } from "effect"
import { gophers, queued } from "./memoryCases.ts"

/** Of the first ones the code that makes them is loaded and compiled. */
const WARM_UP = 100

/** What is alive, once fibers have come to rest and garbage is gone. */
const bytesInUse = Effect.promise(async () => {
  for (let n = 0; n < 3; n++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    globalThis.gc?.()
  }
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
})

const [name = "", count = ""] = process.argv.slice(2)
const fill = { ...queued, ...gophers }[name]
if (fill === undefined || globalThis.gc === undefined) {
  throw new Error(`expected a case and --expose-gc, got "${name}" and "${process.execArgv.join(" ")}"`)
}

const bytesEach = (count: number) =>
  Effect.gen(function*() {
    const before = yield* bytesInUse
    yield* fill(count)
    const after = yield* bytesInUse
    return (after - before) / count
  })

/**
 * Undoing it all would take longer than all of this: the parent kills this process, or has itself
 * been killed.
 */
const untilKilled = Effect.async<never>(() => {
  process.once("disconnect", () => process.exit())
})

const probe = Effect.gen(function*() {
  yield* Effect.scoped(bytesEach(WARM_UP))
  const bytes = yield* bytesEach(Number(count))
  process.send?.([bytes])
  return yield* untilKilled
})

// What the herd of the warm-up leaves over is not worth a warning.
await Effect.runPromise(Effect.scoped(Logger.withMinimumLogLevel(probe, LogLevel.None)))
