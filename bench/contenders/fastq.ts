import * as fastq from "fastq"
import type { Contender } from "../race.ts"

/** All at once, and then `drained`, with the sum made by the worker. */
export const fastqPromise: Contender = {
  name: "fastq.promise",
  run: async ({ bodies, promise, size }) => {
    let sum = 0
    const queue = fastq.promise(async (n: number) => {
      const result = await promise(n)
      sum += result
    }, size)
    for (const n of bodies) void queue.push(n)
    await queue.drained()
    return sum
  }
}
