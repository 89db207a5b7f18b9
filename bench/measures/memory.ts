import { Effect } from "effect"
import { median } from "../statistics.ts"
import type { Options, Suite } from "../suite.ts"
import { numbersOf } from "./child.ts"
import { gophers, queued } from "./memoryCases.ts"

const UNITS = 1_000_000
const GOPHERS = 10_000
/** At a time: this is not about time. */
const PROCESSES = 2
const repetitionsOf = ({ quick }: Options) => quick ? 1 : 3
const tenth = ({ quick }: Options) => quick ? 0.1 : 1
const unitsOf = (options: Options) => UNITS * tenth(options)
const gophersOf = (options: Options) => GOPHERS * tenth(options)

/**
 * Bytes of the heap, and beside it, that are there and were not before. Each time in a process of
 * its own: in one that others have used, what they have left behind and the code that is compiled
 * meanwhile is as much as a small case.
 */
export const memory: Suite = {
  name: "memory",
  title: (options) =>
    `memory of each of ${unitsOf(options).toLocaleString("en")} queued units, their bodies aside, and of each of ${
      gophersOf(options).toLocaleString("en")
    } gophers`,
  columns: ["bytes"],
  run: async (options) => {
    const cases = [
      ...Object.keys(queued).map((name) => ({ name, count: unitsOf(options) })),
      ...Object.keys(gophers).map((name) => ({ name, count: gophersOf(options) }))
    ]
    const measured = Effect.forEach(cases, ({ count, name }) =>
      Effect.map(
        Effect.replicateEffect(probe(name, count), repetitionsOf(options)),
        (bytes) => ({ name, values: [median(bytes.flat())] })
      ), { concurrency: PROCESSES })
    return await Effect.runPromise(measured)
  }
}

const probe = (name: string, count: number) =>
  Effect.promise(() => numbersOf(new URL("memoryProbe.ts", import.meta.url), name, String(count)))
