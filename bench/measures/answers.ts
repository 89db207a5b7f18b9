import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { Herd } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { quantile } from "../statistics.ts"
import type { Options, Suite } from "../suite.ts"
import { numbersOf } from "./child.ts"
import { naturals, retry, synchronous } from "./units.ts"

const SIZE = 16
/** Fewer units in all that time are not what is to be measured. */
const SATURATED = 10_000
/** How long the client asks for. */
const millisOf = ({ quick }: Options) => quick ? 500 : 3_000

class Numbers extends Context.Tag("Numbers")<Numbers, Herd.Herd<number, number>>() {}

const served = HerdServer.layer({ herds: [Numbers], port: 0 }).pipe(
  Layer.provideMerge(Herd.layer(Numbers, { process: synchronous, size: SIZE, retry }))
)

/** Keeps the herd at work meanwhile. */
const saturated = <A>(herd: Herd.Herd<number, number>, meanwhile: Effect.Effect<A>) =>
  Effect.gen(function*() {
    yield* Effect.forkScoped(Stream.runDrain(herd.outcomes))
    const sender = yield* Effect.fork(herd.sendAll(naturals(Number.POSITIVE_INFINITY)))
    const result = yield* meanwhile
    yield* Fiber.interrupt(sender)
    yield* herd.awaitIdle
    return result
  })

/** Another process asks, so that its own work does not count. */
const answersOf = (url: string, options: Options) =>
  Effect.promise(() =>
    numbersOf(new URL("answersClient.ts", import.meta.url), `${url}/herd`, String(millisOf(options)))
  )

const measured = (options: Options) =>
  Effect.gen(function*() {
    const { url } = yield* HerdServer.HerdServer
    const herd = yield* Numbers
    const answers = answersOf(url, options)
    const rows = new Map([["GET /herd, herd at rest", yield* answers]])
    rows.set("GET /herd, herd saturated", yield* saturated(herd, answers))
    const { succeeded } = yield* herd.state
    if (succeeded < SATURATED) throw new Error(`expected ${SATURATED} units or more meanwhile, got ${succeeded}`)
    return rows
  }).pipe(Effect.provide(served), Effect.scoped)

export const answers: Suite = {
  name: "answers",
  title: (options) => `one request after the other, for ${millisOf(options) / 1000} s, while synchronous units run`,
  columns: ["p50 ms", "p99 ms"],
  run: async (options) => {
    const rows = await Effect.runPromise(measured(options))
    return Array.from(rows, ([name, millis]) => ({
      name,
      values: [quantile(millis, 0.5), quantile(millis, 0.99)]
    }))
  }
}
