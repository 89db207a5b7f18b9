import { median, shuffled } from "../statistics.ts"
import type { Options, Row, Suite } from "../suite.ts"
import { check, immediate, naturals, synchronous, throughHerd } from "./units.ts"

/** Units that are done before, of each load. */
const WARM_UP = 20_000
const roundsOf = ({ quick }: Options) => quick ? 1 : 3

/** What a herd is given to do. */
interface Load {
  readonly name: string
  readonly process: typeof synchronous
  readonly units: number
  readonly size: number
  /**
   * How many times in a round: so that the small ones are measured for as long as the large ones.
   */
  readonly times: number
}

/** Of one unit, in microseconds. */
interface Cost {
  readonly wall: number
  readonly cpu: number
}

const costOf = async ({ name, process: work, size, units }: Load): Promise<Cost> => {
  const usage = process.cpuUsage()
  const began = performance.now()
  const sum = await throughHerd({ process: work, size }, (herd) => herd.sendAll(naturals(units)))
  const wall = (performance.now() - began) * 1000 / units
  const { system, user } = process.cpuUsage(usage)
  check(name, units, sum)
  return { wall, cpu: (system + user) / units }
}

const medianOf = (costs: ReadonlyArray<Cost>): Cost => ({
  wall: median(costs.map(({ wall }) => wall)),
  cpu: median(costs.map(({ cpu }) => cpu))
})

/** The cost of each load in a round, all of which are measured in turn. */
const round = async (loads: ReadonlyArray<Load>): Promise<ReadonlyArray<Cost>> => {
  const costs = new Map(loads.map((load) => [load, new Array<Cost>()]))
  for (const [load, taken] of shuffled(costs)) {
    globalThis.gc?.({ type: "minor" })
    for (let n = 0; n < load.times; n++) taken.push(await costOf(load))
  }
  return Array.from(costs.values(), medianOf)
}

/**
 * The ratio is that of one round, in which the machine was the same for all: its median over the
 * rounds.
 */
const measured = async (
  loads: ReadonlyArray<Load>,
  options: Options,
  baseOf: (costs: ReadonlyArray<number>) => number
): Promise<ReadonlyArray<Row>> => {
  for (const load of loads) await costOf({ ...load, units: Math.min(load.units, WARM_UP) })
  const taken = loads.map(({ name }) => ({ name, costs: new Array<Cost>(), ratios: new Array<number>() }))
  for (let n = 0; n < roundsOf(options); n++) {
    const costs = await round(loads)
    const base = baseOf(costs.map(({ wall }) => wall))
    for (const [i, cost] of costs.entries()) {
      taken[i]?.costs.push(cost)
      taken[i]?.ratios.push(cost.wall / base)
    }
  }
  return taken.map(({ costs, name, ratios }) => {
    const { cpu, wall } = medianOf(costs)
    return { name, values: [wall, cpu, median(ratios)] }
  })
}

const columns = ["wall µs", "CPU µs"]

const SIZE = 16
/** Units of each count in a round, save where one run has more. */
const enoughOf = ({ quick }: Options) => quick ? 200_000 : 1_000_000

/**
 * Does a unit cost more where there are more of them? Bodies are made one by one, as they are sent.
 */
export const growthByUnits: Suite = {
  name: "growthByUnits",
  title: () => `cost of a synchronous unit, by their number, size ${SIZE}`,
  columns: [...columns, "x the first"],
  run: (options) => {
    const counts = options.quick ? [10_000, 100_000, 1_000_000] : [10_000, 100_000, 1_000_000, 5_000_000]
    const loads = counts.map((units) => ({
      name: `${units.toLocaleString("en")} units`,
      process: synchronous,
      units,
      size: SIZE,
      times: Math.max(1, enoughOf(options) / units)
    }))
    return measured(loads, options, ([first = Number.NaN]) => first)
  }
}

const unitsBySize = ({ quick }: Options) => quick ? 20_000 : 200_000

/** Does a unit cost more where more gophers may be at work? */
export const growthBySize: Suite = {
  name: "growthBySize",
  title: (options) => `cost of each of ${unitsBySize(options).toLocaleString("en")} units, by the size`,
  columns: [...columns, "x the cheapest"],
  run: async (options) => {
    const rows = new Array<Row>()
    for (const [kind, process] of Object.entries({ synchronous, setImmediate: immediate })) {
      const loads = [1, 16, 1_000, 10_000].map((size) => ({
        name: `${kind}, size ${size.toLocaleString("en")}`,
        process,
        units: unitsBySize(options),
        size,
        times: 1
      }))
      rows.push(...await measured(loads, options, (costs) => Math.min(...costs)))
    }
    return rows
  }
}
