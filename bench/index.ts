/**
 * Trivial units, so that what is measured is the cost of the machinery around them.
 *
 *     npm run bench                  # 200,000 units, size 16
 *     npm run bench -- --quick       # a tenth of that
 *
 * Contenders run in one process, in a new random order in each repetition, after one that warms up and does not count; the
 * sum of the results is checked. Read the ratios: times differ from machine to machine and from run to run.
 */
import { Effect, Exit, Schedule, Stream } from "effect"
import { Herd } from "gofherd"
import PQueue from "p-queue"

const quick = process.argv.includes("--quick")
const UNITS = quick ? 20_000 : 200_000
const SIZE = 16
const REPETITIONS = quick ? 3 : 7

const bodies = Array.from({ length: UNITS }, (_, i) => i)
const expected = bodies.reduce((sum, i) => sum + i + 10, 0)

const kinds: Record<string, {
  readonly effect: (n: number) => Effect.Effect<number>
  readonly promise: (n: number) => Promise<number>
}> = {
  "synchronous": {
    effect: (n) => Effect.succeed(n + 10),
    promise: (n) => Promise.resolve(n + 10)
  },
  "setImmediate": {
    effect: (n) =>
      Effect.async((resume) => {
        setImmediate(() => resume(Exit.succeed(n + 10)))
      }),
    promise: (n) => new Promise((resolve) => setImmediate(() => resolve(n + 10)))
  }
}

type Work = (typeof kinds)[string]

/** A herd with everything on: retries, metrics, isolation, outcomes with backpressure. */
const herd = ({ effect }: Work, feed: (herd: Herd.Herd<number, number>) => Effect.Effect<void, unknown>) =>
  Effect.gen(function*() {
    const retry = Schedule.intersect(Schedule.exponential("5 millis"), Schedule.recurs(3))
    const herd = yield* Herd.make({ process: effect, size: SIZE, retry })
    yield* Effect.forkScoped(Effect.zipRight(feed(herd), herd.close))
    let sum = 0
    yield* Stream.runForEachChunk(herd.outcomes, (outcomes) =>
      Effect.sync(() => {
        for (const { exit } of outcomes) if (Exit.isSuccess(exit)) sum += exit.value
      }))
    return sum
  }).pipe(Effect.scoped, Effect.runPromise)

const contenders: Record<string, (work: Work) => Promise<number>> = {
  "p-queue": async ({ promise }) => {
    const queue = new PQueue({ concurrency: SIZE })
    let sum = 0
    for (const n of bodies) {
      void queue.add(async () => {
        const result = await promise(n)
        sum += result
      })
    }
    await queue.onIdle()
    return sum
  },
  "Effect.forEach": async ({ effect }) => {
    let sum = 0
    const add = (n: number) => Effect.map(effect(n), (result) => sum += result)
    await Effect.runPromise(Effect.forEach(bodies, add, { concurrency: SIZE, discard: true }))
    return sum
  },
  "herd, sendAll": (work) => herd(work, (herd) => herd.sendAll(bodies)),
  "herd, send": (work) => herd(work, (herd) => Effect.forEach(bodies, (n) => herd.send(n), { discard: true }))
}

const shuffled = <A>(items: ReadonlyArray<A>): Array<A> =>
  items.map((item) => ({ item, key: Math.random() })).toSorted((a, b) => a.key - b.key).map(({ item }) => item)

const median = (numbers: ReadonlyArray<number>): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN

for (const [kind, work] of Object.entries(kinds)) {
  const times = new Map(Object.keys(contenders).map((name) => [name, new Array<number>()]))
  for (let repetition = 0; repetition <= REPETITIONS; repetition++) {
    for (const [name, run] of shuffled(Object.entries(contenders))) {
      globalThis.gc?.()
      const began = performance.now()
      const sum = await run(work)
      const millis = performance.now() - began
      if (sum !== expected) throw new Error(`expected ${name} to sum to ${expected}, got ${sum}`)
      if (repetition > 0) times.get(name)?.push(millis)
    }
  }
  const base = median(times.get("p-queue") ?? [])
  console.log(`\n${UNITS.toLocaleString("en")} ${kind} units, size ${SIZE}, median of ${REPETITIONS}`)
  for (const [name, millis] of times) {
    const rate = `${(UNITS / median(millis)).toFixed(0).padStart(6)} units/ms`.replace("units/ms", "k/s")
    const spread = `${Math.min(...millis).toFixed(0)}-${Math.max(...millis).toFixed(0)} ms`
    console.log(`${name.padEnd(16)} ${rate}  ${(base / median(millis)).toFixed(2).padStart(5)} x p-queue  (${spread})`)
  }
}
