import { setTimeout } from "node:timers/promises"
import PQueue from "p-queue"
import type { Contender } from "../race.ts"
import type { Work } from "../work.ts"
import { byCallers } from "./callers.ts"

/**
 * All at once, and then `onIdle`, with the sum made by the tasks: nothing waits for a single
 * result.
 */
const addAll = async ({ bodies, size }: Work, unit: Work["promise"]): Promise<number> => {
  const queue = new PQueue({ concurrency: size })
  let sum = 0
  for (const n of bodies) {
    void queue.add(async () => {
      const result = await unit(n)
      sum += result
    })
  }
  await queue.onIdle()
  return sum
}

export const pQueue: Contender = {
  name: "p-queue",
  run: (work) => addAll(work, work.promise)
}

/** It has no retries, so they are the task's. */
export const pQueueRetry: Contender = {
  name: "p-queue + retry loop",
  run: (work) =>
    addAll(work, async (n) => {
      for (let failures = 1;; failures++) {
        try {
          return await work.promise(n)
        } catch (error) {
          if (failures > work.retry.times) throw error
          const millis = work.retry.millis(failures)
          if (millis > 0) await setTimeout(millis)
        }
      }
    })
}

export const pQueueAdd: Contender = {
  name: "p-queue.add",
  run: (work) => {
    const queue = new PQueue({ concurrency: work.size })
    return byCallers(work, (n) => queue.add(() => work.promise(n)))
  }
}
