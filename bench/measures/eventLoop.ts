import { Effect } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout } from "node:timers/promises"
import PQueue from "p-queue"
import { median, shuffled } from "../statistics.ts"
import type { Options, Suite } from "../suite.ts"
import { check, naturals, synchronous, throughHerd } from "./units.ts"

const SIZE = 16
const repetitionsOf = ({ quick }: Options) => quick ? 1 : 3
const unitsOf = ({ quick }: Options) => quick ? 50_000 : 500_000

/** How many units it does, and what does them and adds up their results. */
type Contender = (units: number) => { readonly units: number; readonly run: () => Promise<number> }

const contenders: Record<string, Contender> = {
  "herd.sendAll": (units) => ({
    units,
    run: () => throughHerd({ process: synchronous, size: SIZE }, (herd) => herd.sendAll(naturals(units)))
  }),
  "herd.send": (units) => ({
    units,
    run: () =>
      throughHerd(
        { process: synchronous, size: SIZE },
        (herd) => Effect.forEach(naturals(units), (n) => herd.send(n), { discard: true })
      )
  }),
  "Effect.forEach": (units) => ({
    units,
    run: async () => {
      let sum = 0
      const add = (n: number) => Effect.map(synchronous(n), (result) => sum += result)
      await Effect.runPromise(Effect.forEach(naturals(units), add, { concurrency: SIZE, discard: true }))
      return sum
    }
  }),
  "p-queue, a fifth of it": (all) => {
    const units = all / 5
    return {
      units,
      run: async () => {
        const queue = new PQueue({ concurrency: SIZE })
        let sum = 0
        for (const n of naturals(units)) {
          void queue.add(async () => {
            sum += n + 10
          })
        }
        await queue.onIdle()
        return sum
      }
    }
  }
}

/**
 * The longest time, in milliseconds, for which the event loop came to no timer. A chain of timers or immediates would say
 * the same, but would be work of its own for the event loop; this one is kept by Node, outside of JavaScript.
 */
const longestBlock = async (action: () => Promise<void>): Promise<number> => {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  // It counts from one coming of the timer to the next: one has to be before, and one after.
  await setTimeout(5)
  await action()
  await setTimeout(5)
  delay.disable()
  return delay.max / 1e6
}

export const eventLoop: Suite = {
  name: "eventLoop",
  title: (options) => `${unitsOf(options).toLocaleString("en")} synchronous units at once, size ${SIZE}`,
  columns: ["longest block ms"],
  run: async (options) => {
    const blocks = new Map(Object.keys(contenders).map((name) => [name, new Array<number>()]))
    for (let repetition = 0; repetition <= repetitionsOf(options); repetition++) {
      for (const [name, contender] of shuffled(Object.entries(contenders))) {
        globalThis.gc?.({ type: "minor" })
        const { run, units } = contender(unitsOf(options))
        const block = await longestBlock(async () => check(name, units, await run()))
        if (repetition > 0) blocks.get(name)?.push(block)
      }
    }
    return Array.from(blocks, ([name, millis]) => ({ name, values: [median(millis)] }))
  }
}
