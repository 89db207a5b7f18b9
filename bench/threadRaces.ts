/**
 * Pools of threads at units that compute, against one fiber in the main thread. All of them live
 * for the whole suite.
 */
import { Effect } from "effect"
import * as HerdThread from "gofherd/HerdThread"
import { randomFillSync } from "node:crypto"
import {
  type Batch,
  herdThreads,
  herdTransfer,
  oneFiber,
  type Opened,
  piscinaMove,
  piscinaThreads,
  poolifierThreads,
  type Threads,
  type UnitName
} from "./contenders/threads.ts"
import { figure, medianRatio, nameOf, type Timing, timings } from "./race.ts"
import { median } from "./statistics.ts"
import type { Options, Row, Suite } from "./suite.ts"
import type * as fibHerd from "./threads/fibHerd.ts"
import type * as sha256Herd from "./threads/sha256Herd.ts"
import { fib, sha256 } from "./threads/units.ts"

interface ThreadRace<Body> {
  readonly name: UnitName
  /** What a unit is. Their number is put before it. */
  readonly of: string
  readonly units: number
  readonly contenders: ReadonlyArray<Opened<Threads<Body>>>
  /** Called once, when the race begins. */
  readonly batches: () => Batches<Body>
}

/** So many units, and fresh bodies where the contender moves them. */
type Batches<Body> = (units: number, moves: boolean) => Batch<Body>

/**
 * Many and short ones: on all cores at once, what else goes on in the machine tells more than
 * elsewhere.
 */
const repetitionsOf = ({ quick }: Options) => quick ? 2 : 20

const fasterThan = (own: ReadonlyArray<Timing>, other: ReadonlyArray<Timing> | undefined): number =>
  medianRatio(own, other, (own, other) => other.wall / own.wall)

const threadRace = <Body>(race: ThreadRace<Body>): Suite => {
  const unitsOf = ({ atMost = race.units }: Threads<Body>) => Math.min(race.units, atMost)
  const row = (contender: Threads<Body>, all: Map<string, ReadonlyArray<Timing>>): Row => {
    const own = all.get(contender.name) ?? []
    const perSecond = own.map(({ wall }) => 1e6 / wall)
    return {
      name: nameOf(contender, unitsOf(contender), "unit"),
      values: [
        median(perSecond),
        Math.min(...perSecond),
        Math.max(...perSecond),
        median(own.map(({ cpu }) => cpu / 1_000)),
        fasterThan(own, all.get("1 fiber")),
        fasterThan(own, all.get(contender.peer ?? ""))
      ]
    }
  }
  return {
    name: race.name,
    title: (options) =>
      `${figure(race.units)} ${race.of}, median of ${repetitionsOf(options)}; ` +
      "piscina is the one with as many threads, and for transfer the one that moves",
    columns: ["units/s", "min", "max", "CPU ms/unit", "x 1 fiber", "x piscina"],
    run: (options) =>
      Effect.gen(function*() {
        const batches = race.batches()
        const batchOf = (contender: Threads<Body>) => batches(unitsOf(contender), contender.moves ?? false)
        // One after the other: threads that all start at once take each other's time.
        const contenders = yield* Effect.forEach(
          race.contenders,
          Effect.tap((contender) => Effect.promise(() => contender.run(batchOf(contender))))
        )
        const all = yield* Effect.promise(() => timings(contenders, batchOf, options, repetitionsOf(options)))
        return contenders.map((contender) => row(contender, all))
      }).pipe(Effect.scoped, Effect.runPromise)
  }
}

/** Also more threads than cores. */
const SIZES = [1, 2, 4]
/** Of those that move the bodies. */
const MOVERS = 2

const eachSize = <Body>(open: (threads: number) => Opened<Threads<Body>>): ReadonlyArray<Opened<Threads<Body>>> =>
  SIZES.map(open)

/** Those that compute on one core take twice as long. */
const FEW = 20
const few = <Body>(contender: Threads<Body>): Threads<Body> => ({ ...contender, atMost: FEW })
const fewOnOne = <Body>(open: (threads: number) => Opened<Threads<Body>>) => (threads: number): Opened<Threads<Body>> =>
  threads === 1 ? Effect.map(open(threads), few) : open(threads)

const fibGopher = HerdThread.gopher<typeof fibHerd>(new URL("threads/fibHerd.ts", import.meta.url))
const N = 32

const fibs = threadRace<number>({
  name: "fib",
  of: `units of fib(${N}) by recursion`,
  units: 40,
  contenders: [
    Effect.succeed(few(oneFiber(fib))),
    ...eachSize(fewOnOne((threads) => herdThreads(fibGopher, threads))),
    ...eachSize(fewOnOne((threads) => piscinaThreads("fib", threads))),
    ...eachSize(fewOnOne((threads) => poolifierThreads("fib", threads)))
  ],
  batches: () => (units) => ({ bodies: Array.from({ length: units }, () => N), sum: units * fib(N) })
})

const sha256Url = new URL("threads/sha256Herd.ts", import.meta.url)
const copying = HerdThread.gopher<typeof sha256Herd>(sha256Url)
const moving = HerdThread.gopher<typeof sha256Herd>(sha256Url, { transfer: ({ buffer }) => [buffer] })

const BYTES = 2 ** 20
type Bytes = Uint8Array<ArrayBuffer>
/** More of them than the processor's caches hold. */
const BUFFERS = 64

const buffers = (): Batches<Bytes> => {
  const some = Array.from({ length: BUFFERS }, () => randomFillSync(new Uint8Array(BYTES)))
  const hashed = some.map((bytes) => ({ bytes, hash: sha256(bytes) }))
  return (units, moves) => {
    const chosen = Array.from({ length: Math.ceil(units / BUFFERS) }, () => hashed).flat().slice(0, units)
    return {
      bodies: chosen.map(({ bytes }) => moves ? bytes.slice() : bytes),
      sum: chosen.reduce((sum, { hash }) => sum + hash, 0)
    }
  }
}

const sha256s = threadRace<Bytes>({
  name: "sha256",
  of: "units of SHA-256 of 1 MiB",
  units: 400,
  contenders: [
    Effect.succeed(oneFiber(sha256)),
    ...eachSize((threads) => herdThreads(copying, threads)),
    herdTransfer(moving, MOVERS),
    ...eachSize((threads) => piscinaThreads("sha256", threads)),
    piscinaMove("sha256", MOVERS),
    ...eachSize((threads) => poolifierThreads("sha256", threads))
  ],
  batches: buffers
})

export const threadRaces: ReadonlyArray<Suite> = [fibs, sha256s]
