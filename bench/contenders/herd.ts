import type { Chunk } from "effect"
import { Effect, Exit, Stream } from "effect"
import { Herd, type Outcome } from "gofherd"
import type { Contender } from "../race.ts"
import type { Work } from "../work.ts"
import { byFibers } from "./callers.ts"

/** Everything is on: retries, metrics, durations, isolation, outcomes with backpressure. */
const make = ({ effect, retry, size }: Work) => Herd.make({ process: effect, size, retry: retry.schedule })

type Outcomes<E> = Stream.Stream<Outcome.Outcome<unknown, number, unknown>, E>

/** Reads them to their end, and adds up what succeeded. */
export const sumOf = <E>(outcomes: Outcomes<E>): Effect.Effect<number, E> =>
  Stream.runFold(Stream.chunks(outcomes), 0, (sum, chunk) => sum + sumOfChunk(chunk))

const sumOfChunk = (outcomes: Chunk.Chunk<Outcome.Outcome<unknown, number, unknown>>): number => {
  let sum = 0
  for (const { exit } of outcomes) if (Exit.isSuccess(exit)) sum += exit.value
  return sum
}

/** Units go in on one fiber while another one reads outcomes. */
const fed = (
  name: string,
  feed: (herd: Herd.Herd<number, number, Error>, work: Work) => Effect.Effect<void, unknown>
): Contender => ({
  name,
  run: (work) =>
    Effect.gen(function*() {
      const herd = yield* make(work)
      yield* Effect.forkScoped(Effect.zipRight(feed(herd, work), herd.close))
      return yield* sumOf(herd.outcomes)
    }).pipe(Effect.scoped, Effect.runPromise)
})

export const herdSend = fed(
  "herd, send",
  (herd, { bodies }) => Effect.forEach(bodies, (n) => herd.send(n), { discard: true })
)

export const herdSendAll = fed("herd, sendAll", (herd, { bodies }) => herd.sendAll(bodies))

export const herdRun: Contender = {
  name: "herd, run",
  run: (work) =>
    Effect.flatMap(make(work), (herd) => byFibers(work, (n) => herd.run(n))).pipe(Effect.scoped, Effect.runPromise)
}

export const herdStream: Contender = {
  name: "herd, stream",
  run: (work) =>
    Effect.flatMap(make(work), (herd) => sumOf(herd.stream(Stream.fromIterable(work.bodies)))).pipe(
      Effect.scoped,
      Effect.runPromise
    )
}

/**
 * The sum is made where the units are processed, since nothing comes out: by an `Effect.map`, which
 * others don't pay.
 */
export const herdDiscard: Contender = {
  name: "herd, sendAll, outcomes discarded",
  run: ({ bodies, effect, retry, size }) =>
    Effect.gen(function*() {
      let sum = 0
      const process = (n: number) => Effect.map(effect(n), (result) => sum += result)
      const herd = yield* Herd.make({ process, size, retry: retry.schedule, outcomes: "discard" })
      yield* herd.sendAll(bodies)
      yield* herd.close
      yield* herd.awaitDrained
      return sum
    }).pipe(Effect.scoped, Effect.runPromise)
}
