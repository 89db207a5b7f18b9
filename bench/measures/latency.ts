import { Deferred, Effect, Stream } from "effect"
import * as fastq from "fastq"
import { Herd } from "gofherd"
import PQueue from "p-queue"
import { quantile, shuffled } from "../statistics.ts"
import type { Options, Suite } from "../suite.ts"
import { retry, synchronous } from "./units.ts"

const SIZE = 16
const roundsOf = ({ quick }: Options) => quick ? 5 : 25
const samplesOf = ({ quick }: Options) => quick ? 400 : 2_000
/** Rounds that do not count. */
const WARM_UP = 2

/** Takes samples: the microseconds of each. */
export type Contender = (samples: number) => Promise<ReadonlyArray<number>>

/**
 * Effects are timed on a fiber and promises in an async function, each as those who use them would
 * wait for them.
 */
export const ofEffect = (unit: (n: number) => Effect.Effect<number, unknown>): Contender => (samples) =>
  Effect.runPromise(Effect.gen(function*() {
    const micros = new Array<number>()
    for (let n = 0; n < samples; n++) {
      yield* Effect.promise(turn)
      const began = performance.now()
      const result = yield* unit(n)
      micros.push((performance.now() - began) * 1000)
      check(n, result)
    }
    return micros
  }))

export const ofPromise = (unit: (n: number) => Promise<number>): Contender => async (samples) => {
  const micros = new Array<number>()
  for (let n = 0; n < samples; n++) {
    await turn()
    const began = performance.now()
    const result = await unit(n)
    micros.push((performance.now() - began) * 1000)
    check(n, result)
  }
  return micros
}

/** The next turn of the event loop: what the last sample left to do has been done. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const check = (n: number, result: number): void => {
  if (result !== n + 10) throw new Error(`expected ${n + 10}, got ${result}`)
}

/** Sends a unit, and waits until the herd's one reader has its outcome. */
const sendAndAwait = Effect.gen(function*() {
  const herd = yield* Herd.make({ process: synchronous, size: SIZE, retry })
  let arrival = yield* Deferred.make<number>()
  yield* Effect.forkScoped(
    Stream.runForEach(herd.outcomes, ({ exit }) => Deferred.done(arrival, exit))
  )
  return (n: number) =>
    Effect.flatMap(Deferred.make<number>(), (next) => {
      arrival = next
      return Effect.zipRight(herd.send(n), Deferred.await(next))
    })
})

const contenders = Effect.gen(function*() {
  const herd = yield* Herd.make({ process: synchronous, size: SIZE, retry })
  const semaphore = yield* Effect.makeSemaphore(SIZE)
  const pQueue = new PQueue({ concurrency: SIZE })
  const fastQueue = fastq.promise(async (n: number) => n + 10, SIZE)
  return new Map<string, Contender>([
    ["herd.run", ofEffect((n) => herd.run(n))],
    ["herd.send + outcome", ofEffect(yield* sendAndAwait)],
    ["p-queue.add", ofPromise((n) => pQueue.add(async () => n + 10))],
    ["fastq.promise", ofPromise((n) => fastQueue.push(n))],
    ["Semaphore.withPermits(1)", ofEffect((n) => semaphore.withPermits(1)(synchronous(n)))],
    ["plain Effect, no pool", ofEffect(synchronous)]
  ])
})

/** One unit at a time through something that is idle. */
export const latency: Suite = {
  name: "latency",
  title: (options) =>
    `one synchronous unit at a time, idle, size ${SIZE}, ${
      (roundsOf(options) * samplesOf(options)).toLocaleString("en")
    } samples`,
  columns: ["p50 µs", "p99 µs"],
  run: (options) =>
    Effect.gen(function*() {
      const all = yield* contenders
      const micros = new Map(Array.from(all.keys(), (name) => [name, new Array<number>()]))
      for (let round = 0; round < WARM_UP + roundsOf(options); round++) {
        for (const [name, sample] of shuffled(all)) {
          const taken = yield* Effect.promise(() => sample(samplesOf(options)))
          if (round >= WARM_UP) micros.get(name)?.push(...taken)
        }
      }
      return Array.from(micros, ([name, micros]) => ({
        name,
        values: [quantile(micros, 0.5), quantile(micros, 0.99)]
      }))
    }).pipe(Effect.scoped, Effect.runPromise)
}
