import { Effect } from "effect"
import * as HerdThread from "gofherd/HerdThread"
import { Worker } from "node:worker_threads"
import { herdPool, type Opened, piscinaPool, poolifierPool } from "../contenders/threads.ts"
import { median, quantile, shuffled } from "../statistics.ts"
import type { Options, Suite } from "../suite.ts"
import type * as tripHerd from "../threads/tripHerd.ts"
import { type Contender, ofEffect, ofPromise } from "./latency.ts"

const roundsOf = ({ quick }: Options) => quick ? 5 : 25
const samplesOf = ({ quick }: Options) => quick ? 400 : 2_000
/** Rounds that do not count. */
const WARM_UP = 2

const gopher = HerdThread.gopher<typeof tripHerd>(new URL("../threads/tripHerd.ts", import.meta.url))

/** A thread without anything around it: less than this no pool can cost. */
const rawThread: Opened<(n: number) => Promise<number>> = Effect.gen(function*() {
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(new URL("../threads/raw.mjs", import.meta.url))),
    (worker) => Effect.promise(() => worker.terminate())
  )
  let answer = (_: number) => {}
  worker.on("message", (n: number) => answer(n))
  return (n) =>
    new Promise((resolve) => {
      answer = resolve
      worker.postMessage(n, [])
    })
})

const contenders = Effect.gen(function*() {
  const herd = yield* herdPool(gopher, 1)
  const piscina = yield* piscinaPool("trip", 1)
  const poolifier = yield* poolifierPool(1)
  const raw = yield* rawThread
  return new Map<string, Contender>([
    ["herd.run", ofEffect((n) => herd.run(n))],
    ["piscina.run", ofPromise((n) => piscina.run(n))],
    ["poolifier.execute", ofPromise((n) => poolifier.execute(n, "trip"))],
    ["postMessage, no pool", ofPromise(raw)]
  ])
})

type Rounds = ReadonlyArray<ReadonlyArray<number>>

/** Of two in the same round, so that both had the same of what else went on in the machine. */
const ratioOfMedians = (own: Rounds, other: Rounds): number =>
  median(own.map((micros, round) => median(micros) / median(other[round] ?? [])))

/** A trivial unit, there and back, while nothing else is on its way. */
export const threadTrip: Suite = {
  name: "threadTrip",
  title: (options) =>
    `one trivial unit at a time to an idle thread and back, ${
      (roundsOf(options) * samplesOf(options)).toLocaleString("en")
    } samples`,
  columns: ["p50 µs", "p90 µs", "p99 µs", "p50 x piscina"],
  run: (options) =>
    Effect.gen(function*() {
      const all = yield* contenders
      const rounds = new Map(Array.from(all.keys(), (name) => [name, new Array<ReadonlyArray<number>>()]))
      for (let round = 0; round < WARM_UP + roundsOf(options); round++) {
        for (const [name, sample] of shuffled(all)) {
          const micros = yield* Effect.promise(() => sample(samplesOf(options)))
          if (round >= WARM_UP) rounds.get(name)?.push(micros)
        }
      }
      const piscina = rounds.get("piscina.run") ?? []
      return Array.from(rounds, ([name, own]) => ({
        name,
        values: [...[0.5, 0.9, 0.99].map((share) => quantile(own.flat(), share)), ratioOfMedians(own, piscina)]
      }))
    }).pipe(Effect.scoped, Effect.runPromise)
}
