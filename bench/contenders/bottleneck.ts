import Bottleneck from "bottleneck"
import type { Contender } from "../race.ts"

export const bottleneck: Contender = {
  name: "bottleneck",
  run: async ({ bodies, promise, size }) => {
    const limiter = new Bottleneck({ maxConcurrent: size })
    const results = await Promise.all(bodies.map((n) => limiter.schedule(promise, n)))
    return results.reduce((sum, result) => sum + result, 0)
  }
}
