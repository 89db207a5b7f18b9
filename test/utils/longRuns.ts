import { Data, Deferred, Effect, Fiber, Metric, Schedule, type Scope, Stream } from "effect"
import { Herd } from "gofherd"
import { turn, turns } from "./stage.ts"

/** Something done so often that what it leaves behind shows. */
export interface LongRun {
  readonly count: number
  /**
   * How many bytes of the heap each may seem to leave. The least that it could leave is a slot of 8
   * bytes.
   */
  readonly limit: number
  /** How many series of metrics each adds to Effect's registry, which forgets none; default 0. */
  readonly series?: number
  /** Made once; then does so many of them at a time, at whose end nothing is under way. */
  readonly make: Effect.Effect<Batch, never, Scope.Scope>
}

/** Does `count` of them, the first of which has the number `from`. */
type Batch = (count: number, from: number) => Effect.Effect<void>

/**
 * `Effect.never` would have a timer of its own, and without its parameter this an AbortController.
 */
const waiting = Effect.async<never>((_resume) => {})

function* bodies(from: number, count: number) {
  for (let n = from; n < from + count; n++) yield { n }
}

class Odd extends Data.TaggedError("Odd")<{ readonly message: string }> {}

/**
 * A unit in 64 fails once and one in 256 for good, each failure with an id and an Error of its own.
 */
const units: LongRun["make"] = Effect.gen(function*() {
  const herd = yield* Herd.make({
    name: "units",
    process: ({ n }: { readonly n: number }, { attempt }) =>
      n % 64 === 0 && (attempt === 1 || n % 256 === 0)
        ? Effect.fail(new Odd({ message: `unit ${n}` }))
        : Effect.succeed({ n }),
    size: 16,
    retry: Schedule.intersect(Schedule.recurs(1), Schedule.forever)
  })
  let read = 0
  let goal = Number.NaN
  let reached = yield* Deferred.make<void>()
  yield* Effect.forkScoped(Stream.runForEachChunk(herd.outcomes, (chunk) =>
    Effect.sync(() => {
      read += chunk.length
      if (read === goal) Deferred.unsafeDone(reached, Effect.void)
    })))
  return (count, from) =>
    Effect.gen(function*() {
      reached = yield* Deferred.make<void>()
      goal = read + count
      yield* Effect.orDie(herd.sendAll(bodies(from, count)))
      yield* Deferred.await(reached)
      yield* expectAll(herd, from + count, (state) => state.succeeded + state.failed)
    })
})

const GROUP = 300

/**
 * Of each group a third is retrying when it is cancelled, some run, and the rest is queued; each
 * with a priority and an id.
 */
const cancelled: LongRun["make"] = Effect.gen(function*() {
  const herd = yield* Herd.make({
    name: "cancelled",
    process: (n: number) => n % 3 === 0 ? Effect.fail("again") : waiting,
    retry: Schedule.spaced("1 hour"),
    size: 20
  })
  const running = (n: number) => Effect.fork(herd.run(n, { id: `unit ${n}`, priority: -(n % 100_003) }))
  const group = (from: number, count: number) =>
    Effect.gen(function*() {
      const numbers = Array.from({ length: count }, (_, i) => from + i)
      const failing = yield* Effect.forEach(numbers.filter((n) => n % 3 === 0), running)
      yield* turns
      const others = yield* Effect.forEach(numbers.filter((n) => n % 3 !== 0), running)
      yield* turns
      const state = yield* herd.state
      if (state.retrying !== failing.length || state.running !== 20 || state.queued !== others.length - 20) {
        return yield* Effect.dieMessage(`expected some retrying, running and queued, got ${JSON.stringify(state)}`)
      }
      yield* Fiber.interruptAll([...failing, ...others])
    })
  return (count, from) =>
    Effect.gen(function*() {
      for (let n = 0; n < count; n += GROUP) yield* group(from + n, Math.min(GROUP, count - n))
      yield* expectAll(herd, from + count, (state) => state.interrupted)
    })
})

/** While the herd is paused, one a turn; every other has a priority of its own. */
const cancelledInPause: LongRun["make"] = Effect.gen(function*() {
  const herd = yield* Herd.make({ name: "paused", process: (n: number) => Effect.succeed(n) })
  yield* herd.pause
  const one = (n: number) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(herd.run(n, { priority: n % 2 === 0 ? 0 : -n }))
      yield* turn
      yield* Fiber.interrupt(fiber)
    })
  return (count, from) =>
    Effect.gen(function*() {
      for (let n = from; n < from + count; n++) yield* one(n)
      yield* expectAll(herd, from + count, (state) => state.interrupted)
    })
})

/**
 * One outcome is read, and the rest of the input is left: queued, running, retrying or not yet
 * taken.
 */
const streams: LongRun["make"] = Effect.gen(function*() {
  const herd = yield* Herd.make({
    name: "streams",
    process: (n: number) => n === 1 ? Effect.succeed(n) : n === 2 ? Effect.fail("again") : waiting,
    retry: Schedule.spaced("1 hour"),
    size: 4
  })
  const input = Stream.concat(Stream.make(1, 2, 3, 4, 5), Stream.fromEffect(waiting))
  const one = Stream.runDrain(Stream.take(herd.stream(input), 1))
  return (count) => Effect.repeatN(one, count - 1)
})

/** A herd is made, does something (if `bare`, one unit), and is closed. */
const herds = (name: (n: number) => string, bare: boolean): LongRun["make"] =>
  Effect.sync(() => {
    const one = (n: number) =>
      Effect.scoped(Effect.gen(function*() {
        const herd = yield* Herd.make({
          name: name(n),
          process: (n: number) => n < 4 ? Effect.succeed(n) : n === 4 ? Effect.fail("again") : waiting,
          retry: Schedule.spaced("1 hour"),
          size: 2
        })
        yield* Effect.orDie(herd.run(1))
        if (bare) return
        yield* Effect.orDie(herd.sendAll([2, 3, 4, 5, 6, 7]))
        yield* Stream.runDrain(Stream.take(herd.outcomes, 2))
        yield* Effect.orDie(herd.resize(3))
      }))
    return (count, from) =>
      Effect.gen(function*() {
        for (let n = from; n < from + count; n++) yield* one(n)
      })
  })

const expectAll = (herd: Herd.Control, expected: number, settled: (state: Herd.HerdState) => number) =>
  Effect.flatMap(herd.state, (state) =>
    settled(state) === expected && state.accepted === expected
      ? Effect.void
      : Effect.dieMessage(`expected ${expected} units to have settled, got ${JSON.stringify(state)}`))

/** The longest first: they run two at a time. */
export const longRuns: Readonly<Record<string, LongRun>> = {
  "runs cancelled": { count: 1_000_000, limit: 2, make: cancelled },
  "herds made and closed": { count: 10_000, limit: 128, make: herds(() => "herds", false) },
  "units through one herd": { count: 5_000_000, limit: 1, make: units },
  "streams ended early": { count: 8_000, limit: 512, make: streams },
  "herds, each of a new name": { count: 4_000, limit: 12_000, series: 15, make: herds((n) => `herd ${n}`, true) },
  "runs cancelled in a pause": { count: 48_000, limit: 16, make: cancelledInPause }
}

/** What the measuring has to find. */
export interface Planted extends LongRun {
  /** So many bytes of each are remembered. */
  readonly bytes: number
  /** It is found to within so many. */
  readonly within: number
}

/** Remembers objects of one field, of 32 bytes. */
const leaking = (run: Planted): Planted => ({
  ...run,
  make: Effect.map(run.make, (batch) => {
    let last: object | undefined
    return (count, from) =>
      Effect.map(batch(count, from), () => {
        for (let n = 0; n < count * run.bytes / 32; n++) last = { last }
      })
  })
})

export const planted: Readonly<Record<string, Planted>> = {
  "units, each remembered": leaking({ count: 500_000, limit: 1, bytes: 32, within: 8, make: units }),
  "herds, a part of each remembered": leaking({
    count: 4_000,
    limit: 128,
    bytes: 1024,
    within: 384,
    make: herds(() => "herds", false)
  }),
  "streams, a part of each remembered": leaking({ count: 4_000, limit: 512, bytes: 2048, within: 768, make: streams })
}

/** How many times the heap is looked at, at even intervals: a divisor of every count. */
const SAMPLES = 16

export interface Measured {
  /** Bytes of the heap after two full collections, at each sample. */
  readonly heaps: ReadonlyArray<number>
  /** How many series Effect's registry of metrics has, at each sample. */
  readonly series: ReadonlyArray<number>
  /** Of wall time, and of processor time. */
  readonly seconds: number
  readonly cpu: number
}

const heapInUse = Effect.gen(function*() {
  for (let n = 0; n < 2; n++) {
    yield* turns
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
})

export const measure = ({ count, make }: LongRun): Effect.Effect<Measured> =>
  Effect.scoped(Effect.gen(function*() {
    const began = performance.now()
    const batch = yield* make
    const heaps: Array<number> = []
    const series: Array<number> = []
    for (let n = 0; n < SAMPLES; n++) {
      yield* batch(count / SAMPLES, n * count / SAMPLES)
      heaps.push(yield* heapInUse)
      series.push(Metric.unsafeSnapshot().length)
    }
    const { system, user } = process.cpuUsage()
    return { heaps, series, seconds: (performance.now() - began) / 1e3, cpu: (user + system) / 1e6 }
  }))

/**
 * Bytes that each seems to have left: the slope of the heap by the number of those done, as the
 * median of the slopes between any two samples (Theil 1950, Sen 1968), which a few odd ones don't
 * change. The first half is for warming up.
 */
export const bytesEach = ({ count }: LongRun, { heaps }: Measured): number => {
  const steady = heaps.slice(heaps.length / 2)
  const slopes = steady.flatMap((heap, i) => steady.slice(i + 1).map((later, n) => (later - heap) / (n + 1)))
  slopes.sort((self, that) => self - that)
  return (slopes[slopes.length >> 1] ?? Number.NaN) / (count / SAMPLES)
}
