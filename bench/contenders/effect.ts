import { Deferred, Effect, Queue, Stream } from "effect"
import type { Contender } from "../race.ts"
import { byFibers, sumByFibers, sumOfEach } from "./callers.ts"

export const forEach: Contender = {
  name: "Effect.forEach",
  run: (work) => Effect.runPromise(sumOfEach(work, work.effect, work.size))
}

/** The callers, without anything that they call. */
export const callersOnly: Contender = {
  name: "callers, no pool",
  run: (work) => Effect.runPromise(byFibers(work, work.effect))
}

export const forEachRetry: Contender = {
  name: "Effect.forEach + retry",
  run: (work) => Effect.runPromise(sumOfEach(work, (n) => Effect.retry(work.effect(n), work.retry.schedule), work.size))
}

/**
 * No pool at all, but as many fibers that share an index: less than this no pool of fibers can
 * cost.
 */
export const bareFibers: Contender = {
  name: "bare fibers",
  run: (work) => Effect.runPromise(sumByFibers(work, work.effect, work.size))
}

/**
 * As many fibers want its permits as there are callers elsewhere: one for each unit would all be
 * alive at once.
 */
export const semaphore: Contender = {
  name: "Semaphore",
  run: (work) =>
    Effect.runPromise(
      Effect.flatMap(
        Effect.makeSemaphore(work.size),
        (semaphore) => byFibers(work, (n) => semaphore.withPermits(1)(work.effect(n)))
      )
    )
}

export const streamMapEffect: Contender = {
  name: "Stream.mapEffect",
  run: ({ bodies, effect, size }) =>
    Stream.fromIterable(bodies).pipe(
      Stream.mapEffect(effect, { concurrency: size, unordered: true }),
      Stream.runSum,
      Effect.runPromise
    )
}

/**
 * A queue with backpressure, and fibers that take from it for ever, until the last unit is done:
 * without retries.
 */
export const boundedQueue: Contender = {
  name: "Queue.bounded + workers",
  run: ({ bodies, effect, size }) =>
    Effect.gen(function*() {
      const queue = yield* Queue.bounded<number>(1_024)
      const done = yield* Deferred.make<void>()
      let sum = 0
      let left = bodies.length
      const worker = Queue.take(queue).pipe(
        Effect.flatMap(effect),
        Effect.flatMap((result) => {
          sum += result
          return --left === 0 ? Deferred.succeed(done, undefined) : Effect.void
        }),
        Effect.forever
      )
      const workers = Effect.all(Array.from({ length: size }, () => worker), {
        concurrency: "unbounded",
        discard: true
      })
      const sender = Effect.forEach(bodies, (n) => Queue.offer(queue, n), { discard: true })
      // A worker that fails ends it all, and the end of it all interrupts the workers.
      yield* Effect.raceFirst(workers, Effect.zipRight(sender, Deferred.await(done)))
      return sum
    }).pipe(Effect.runPromise)
}
