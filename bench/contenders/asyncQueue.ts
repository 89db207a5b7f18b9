import { queue as queueOf } from "async"
import type { Contender } from "../race.ts"
import type { Work } from "../work.ts"

type Worker = (n: number, done: (error: Error | null, result?: number) => void) => void

/** All at once, without a promise for each: results come to one callback. */
const pushAll = async ({ bodies, size }: Work, worker: Worker | Work["promise"]): Promise<number> => {
  let sum = 0
  const queue = queueOf<number, number, Error>(worker, size)
  const drained = queue.drain()
  queue.push<number>([...bodies], (_error, result = Number.NaN) => {
    sum += result
  })
  await drained
  return sum
}

/**
 * With an async function for its worker, by which it knows one; it is for units that are promises.
 */
export const asyncQueue: Contender = {
  name: "async.queue",
  run: (work) => pushAll(work, async (n: number) => work.promise(n))
}

/** Its own way is callbacks, where a unit is one by nature. */
export const asyncQueueCallback: Contender = {
  name: "async.queue, callbacks",
  run: (work) => {
    const { callback } = work
    if (callback === undefined) throw new Error("expected units with a callback, got none")
    return pushAll(work, (n: number, done) => callback(n, (result) => done(null, result)))
  }
}
