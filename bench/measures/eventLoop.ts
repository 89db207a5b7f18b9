import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout } from "node:timers/promises"
import { forEach } from "../contenders/effect.ts"
import { herdSend, herdSendAll } from "../contenders/herd.ts"
import { pQueue } from "../contenders/pQueue.ts"
import type { Contender } from "../race.ts"
import { median, shuffled } from "../statistics.ts"
import type { Options, Suite } from "../suite.ts"
import { synchronous } from "../works/synchronous.ts"
import { check } from "./units.ts"

const repetitionsOf = ({ quick }: Options) => quick ? 1 : 3
const unitsOf = ({ quick }: Options) => quick ? 50_000 : 500_000

/**
 * One that lets nothing through until it is done gets a fifth of the units: more only take longer.
 */
const contenders: ReadonlyArray<{ readonly name: string; readonly contender: Contender; readonly share: number }> = [
  { name: "herd.sendAll", contender: herdSendAll, share: 1 },
  { name: "herd.send", contender: herdSend, share: 1 },
  { name: "Effect.forEach", contender: forEach, share: 1 },
  { name: "p-queue, a fifth of it", contender: pQueue, share: 1 / 5 }
]

/**
 * The longest time, in milliseconds, for which the event loop came to no timer. A chain of timers
 * or immediates would say the same, but would be work of its own for the event loop; this one is
 * kept by Node, outside of JavaScript.
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
  title: (options) => `${unitsOf(options).toLocaleString("en")} synchronous units at once, size 16`,
  columns: ["longest block ms"],
  run: async (options) => {
    const blocks = new Map(contenders.map(({ name }) => [name, new Array<number>()]))
    for (let repetition = 0; repetition <= repetitionsOf(options); repetition++) {
      for (const { contender, name, share } of shuffled(contenders)) {
        globalThis.gc?.({ type: "minor" })
        const work = synchronous(unitsOf(options) * share)
        const block = await longestBlock(async () => check(name, work.bodies.length, await contender.run(work)))
        if (repetition > 0) blocks.get(name)?.push(block)
      }
    }
    return Array.from(blocks, ([name, millis]) => ({ name, values: [median(millis)] }))
  }
}
