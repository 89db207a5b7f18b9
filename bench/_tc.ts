import { Effect, TestClock, TestContext } from "effect"
const p = Effect.gen(function*() {
  yield* Effect.fork(Effect.forever(Effect.sleep("10 millis")))
  const t = performance.now()
  for (let i = 0; i < 100; i++) yield* TestClock.adjust("10 millis")
  console.log((performance.now() - t) / 100, "ms an adjust")
}).pipe(Effect.provide(TestContext.TestContext))
Effect.runPromise(p)
