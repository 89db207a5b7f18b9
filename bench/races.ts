/**
 * Who races at what. Every contender is used as its own documentation recommends. One that is slow
 * gets fewer of the units: its name then says how many.
 */
import { asyncQueue, asyncQueueCallback } from "./contenders/asyncQueue.ts"
import { bottleneck } from "./contenders/bottleneck.ts"
import {
  bareFibers,
  boundedQueue,
  callersOnly,
  forEach,
  forEachRetry,
  semaphore,
  streamMapEffect
} from "./contenders/effect.ts"
import { fastqPromise } from "./contenders/fastq.ts"
import { herdDiscard, herdRun, herdSend, herdSendAll, herdStream } from "./contenders/herd.ts"
import { pLimitMap } from "./contenders/pLimit.ts"
import { pQueue, pQueueAdd, pQueueRetry } from "./contenders/pQueue.ts"
import { atMost, type Contender, type Race, race, stagedRace } from "./race.ts"
import type { Suite } from "./suite.ts"
import { withBackoff, withoutBackoff } from "./work.ts"
import { immediate, rawTimer, timer } from "./works/callbacks.ts"
import { failing } from "./works/failing.ts"
import { files } from "./works/files.ts"
import { requests } from "./works/requests.ts"
import { suspended, synchronous } from "./works/synchronous.ts"

const promises: ReadonlyArray<Contender> = [pQueue, pLimitMap, fastqPromise, asyncQueue]
const slow: ReadonlyArray<Contender> = [atMost(200, bottleneck), atMost(2_000, streamMapEffect)]
const herds: ReadonlyArray<Contender> = [herdSend, herdSendAll, herdRun, herdStream, herdDiscard]

type Field = Pick<Race, "contenders" | "against">

/** All that there are, and those that only some work is for. */
const everyone = (...more: ReadonlyArray<Contender>): Field => ({
  contenders: [
    ...promises,
    ...more,
    forEach,
    bareFibers,
    atMost(20_000, forEachRetry),
    semaphore,
    atMost(50_000, boundedQueue),
    ...herds
  ],
  against: [
    "p-queue",
    "fastq.promise",
    "async.queue",
    ...(more.includes(asyncQueueCallback) ? [asyncQueueCallback.name] : []),
    "Effect.forEach",
    "bare fibers"
  ]
})

const retrying: Field = {
  contenders: [pQueueRetry, forEachRetry, herdSend, herdSendAll],
  against: ["p-queue + retry loop", "Effect.forEach + retry"]
}

export const races: ReadonlyArray<Suite> = [
  race({ name: "sync", of: "synchronous units, size 16", units: 200_000, ...everyone(...slow) }, synchronous),
  race({
    name: "suspended",
    of: "synchronous units that run as an Effect, size 16",
    units: 200_000,
    contenders: [pQueue, fastqPromise, asyncQueue, forEach, bareFibers, herdSend, herdSendAll],
    against: ["p-queue", "fastq.promise", "async.queue", "Effect.forEach", "bare fibers"]
  }, suspended),
  race(
    {
      name: "immediate",
      of: "units of one setImmediate, size 16",
      units: 100_000,
      ...everyone(asyncQueueCallback, ...slow)
    },
    immediate
  ),
  race({
    name: "timer",
    of: "units of 1 ms, size 1,000, by Effect.sleep and, for promises, setTimeout",
    units: 60_000,
    ...everyone(asyncQueueCallback)
  }, timer),
  race(
    {
      name: "rawTimer",
      of: "units of 1 ms, size 1,000, by setTimeout",
      units: 60_000,
      ...everyone(asyncQueueCallback)
    },
    rawTimer
  ),
  race({
    name: "failing",
    of: "synchronous units, size 16, 10 % fail one to three times, retried at once",
    units: 50_000,
    ...retrying
  }, failing(withoutBackoff)),
  race({
    name: "backoff",
    of: "synchronous units, size 16, 10 % fail one to three times, retried after 5, 10 and 20 ms",
    units: 10_000,
    ...retrying
  }, failing(withBackoff)),
  race({
    name: "run",
    of: "synchronous units, size 16, 64 callers, each of which waits for its result",
    units: 50_000,
    contenders: [pQueueAdd, callersOnly, semaphore, herdRun],
    against: ["p-queue.add", "callers, no pool", "Semaphore"]
  }, synchronous),
  race({
    name: "stream",
    of: "synchronous units, size 16, from a Stream into a Stream",
    units: 100_000,
    contenders: [atMost(1_000, streamMapEffect), herdStream],
    against: ["Stream.mapEffect"]
  }, synchronous),
  stagedRace({
    name: "http",
    of: "HTTP requests over loopback to a server in another process, size 64",
    unit: "request",
    units: 10_000,
    contenders: [pQueue, fastqPromise, asyncQueue, forEach, bareFibers, herdSendAll, herdRun],
    against: ["p-queue", "fastq.promise", "async.queue", "Effect.forEach", "bare fibers"],
    cpuAgainst: ["p-queue", "Effect.forEach"]
  }, requests),
  stagedRace({
    name: "files",
    of: "files of 64 kB, SHA-256, size 8",
    unit: "file",
    units: 2_000,
    contenders: [pQueue, pLimitMap, fastqPromise, asyncQueue, forEach, bareFibers, herdSendAll, herdStream],
    against: ["p-queue", "fastq.promise", "async.queue", "Effect.forEach", "bare fibers"]
  }, files)
]
