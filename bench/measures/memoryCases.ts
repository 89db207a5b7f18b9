import { queue as asyncQueue } from "async"
import type { Scope } from "effect"
import { Deferred, Effect, Queue, Stream } from "effect"
import * as fastq from "fastq"
import { Herd } from "gofherd"
import PQueue from "p-queue"
import { naturals } from "./units.ts"

/** Makes so many of something, which its scope keeps alive. */
type Fill = (count: number) => Effect.Effect<void, unknown, Scope.Scope>

/** `Effect.never` would have a timer of its own. */
const waiting = Effect.async<never>(() => {})

const running = (herd: Herd.Control, count: number) =>
  Stream.runDrain(Stream.takeUntil(herd.changes, (state) => state.running === count))

const queuedInHerd: Fill = (count) =>
  Effect.gen(function*() {
    const herd = yield* Herd.make({ process: () => waiting, size: 0, capacity: count })
    yield* herd.sendAll(naturals(count))
  })

/** A queue that is given units and starts none. */
const queuedIn = <Q>(make: () => Q, add: (queue: Q, n: number) => unknown): Fill => (count) =>
  Effect.gen(function*() {
    const queue = make()
    yield* Effect.addFinalizer(() => Effect.sync(() => queue))
    for (let n = 0; n < count; n++) add(queue, n)
  })

const task = async () => {}

export const queued: Record<string, Fill> = {
  "queued unit": queuedInHerd,
  "queued unit, Queue.unbounded": queuedIn(
    () => Effect.runSync(Queue.unbounded<number>()),
    (queue, n) => Queue.unsafeOffer(queue, n)
  ),
  "queued unit, async.queue": queuedIn(() => {
    const queue = asyncQueue<number>(task)
    queue.pause()
    return queue
  }, (queue, n) => queue.push(n)),
  "queued unit, fastq.promise": queuedIn(() => {
    const queue = fastq.promise(task, 1)
    queue.pause()
    return queue
  }, (queue, n) => queue.push(n)),
  "queued unit, p-queue": queuedIn(() => new PQueue({ concurrency: 1, autoStart: false }), (queue) => queue.add(task))
}

/**
 * Gophers have all been at work, and then have nothing to do: those without a resource end, save
 * 64.
 */
const idle: Fill = (count) =>
  Effect.gen(function*() {
    const end = yield* Deferred.make<void>()
    const herd = yield* Herd.make({
      process: () => Deferred.await(end),
      size: count,
      capacity: count,
      outcomes: "discard"
    })
    yield* herd.sendAll(naturals(count))
    yield* running(herd, count)
    yield* Deferred.succeed(end, undefined)
    yield* herd.awaitIdle
  })

const idleWithResource: Fill = (count) =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<void>()
    let acquired = 0
    const gopher = Effect.suspend(() =>
      Effect.as(++acquired === count ? Deferred.succeed(ready, undefined) : Effect.void, () => waiting)
    )
    yield* Herd.make({ gopher, size: count })
    yield* Deferred.await(ready)
  })

const busy: Fill = (count) =>
  Effect.gen(function*() {
    const herd = yield* Herd.make({ process: () => waiting, size: count, capacity: count })
    yield* herd.sendAll(naturals(count))
    yield* running(herd, count)
  })

const idleWorkers: Fill = (count) =>
  Effect.gen(function*() {
    const queue = yield* Queue.unbounded<number>()
    for (let n = 0; n < count; n++) yield* Effect.forkScoped(Effect.forever(Queue.take(queue)))
  })

export const gophers: Record<string, Fill> = {
  "idle gopher": idle,
  "idle gopher with a resource": idleWithResource,
  "idle worker, forkScoped(forever(take))": idleWorkers,
  "busy gopher": busy
}
