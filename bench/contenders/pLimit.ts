import pLimit from "p-limit"
import type { Contender } from "../race.ts"

export const pLimitMap: Contender = {
  name: "p-limit",
  run: async ({ bodies, promise, size }) => {
    const results = await pLimit(size).map(bodies, promise)
    return results.reduce((sum, result) => sum + result, 0)
  }
}
