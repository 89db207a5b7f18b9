import { queue as queueOf } from "async"
import type { Contender } from "../race.ts"

/**
 * Its own way is callbacks: results come to one, and so does a unit that is a callback by nature. One that is a promise has an
 * async function for its worker.
 */
export const asyncQueue: Contender = {
  name: "async.queue",
  run: async ({ bodies, callback, promise, size }) => {
    let sum = 0
    const queue = queueOf<number, number, Error>(
      callback === undefined ? async (n) => promise(n) : (n, done) => callback(n, (result) => done(null, result)),
      size
    )
    const drained = queue.drain()
    queue.push<number>([...bodies], (_error, result = Number.NaN) => {
      sum += result
    })
    await drained
    return sum
  }
}
