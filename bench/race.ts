import { median, shuffled } from "./statistics.ts"
import type { Options, Row, Suite } from "./suite.ts"
import type { Work, Works } from "./work.ts"

/** What a contender is timed at: units, and what their results add up to. */
export interface Timed {
  readonly bodies: ReadonlyArray<unknown>
  readonly sum: number
}

/** Runs all the units, with bounded concurrency, and resolves to the sum of the results. */
export interface Contender<in W extends Timed = Work> {
  readonly name: string
  readonly run: (work: W) => Promise<number>
  /**
   * Gets no more units than these, since more would take it too long. What is compared is time per
   * unit.
   */
  readonly atMost?: number
}

export const atMost = (atMost: number, contender: Contender): Contender => ({ ...contender, atMost })

/** One that is slow says how many units it got. */
export const nameOf = <W extends Timed>({ atMost, name }: Contender<W>, units: number, unit: string): string =>
  atMost === undefined ? name : `${name} (${figure(units)} ${unit}s)`

/** What a race is run on, and what to do when it is over. */
export interface Stage {
  readonly work: Works
  readonly close: () => Promise<void>
}

export interface Race {
  /** As of a Suite. */
  readonly name: string
  /** What is raced: `synchronous units, size 16`. Their number is put before it. */
  readonly of: string
  readonly units: number
  readonly contenders: ReadonlyArray<Contender>
  /** Names of contenders that the others are compared with: how many times as fast. */
  readonly against: ReadonlyArray<string>
  /** The same, for processor time: how many times as much. */
  readonly cpuAgainst?: ReadonlyArray<string>
  /** What a unit is called. */
  readonly unit?: string
}

export interface Timing {
  /** Microseconds a unit. */
  readonly wall: number
  /** Of the whole process, garbage collection included. */
  readonly cpu: number
}

const unitsOf = ({ units }: Race, { quick }: Options, atMost = units) => Math.min(units, atMost) / (quick ? 10 : 1)
const repetitionsOf = ({ quick }: Options) => quick ? 2 : 7
const warmUpsOf = ({ quick }: Options) => quick ? 1 : 2

export const figure = (n: number): string => n.toLocaleString("en")

const time = async <W extends Timed>(contender: Contender<W>, work: W): Promise<Timing> => {
  // What the one before has left is not for this one to collect. After a full collection, which no
  // program asks for, units cost up to three times as much, and not the same for all: it was tried.
  globalThis.gc?.({ type: "minor" })
  const units = work.bodies.length
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const sum = await contender.run(work)
  const wall = (performance.now() - began) * 1_000
  const cpu = process.cpuUsage(cpuBefore)
  if (sum !== work.sum) throw new Error(`expected ${contender.name} to sum to ${work.sum}, got ${sum}`)
  return { wall: wall / units, cpu: (cpu.user + cpu.system) / units }
}

/**
 * The timings of each contender, repetition by repetition. The first ones warm up and don't count.
 */
export const timings = async <C extends Contender<W>, W extends Timed>(
  contenders: ReadonlyArray<C>,
  workOf: (contender: C) => W,
  options: Options,
  repetitions = repetitionsOf(options)
): Promise<Map<string, ReadonlyArray<Timing>>> => {
  const all = new Map(contenders.map(({ name }) => [name, new Array<Timing>()]))
  for (let repetition = -warmUpsOf(options); repetition < repetitions; repetition++) {
    for (const contender of shuffled(contenders)) {
      const timing = await time(contender, workOf(contender))
      if (repetition >= 0) all.get(contender.name)?.push(timing)
    }
  }
  return all
}

/**
 * Of two contenders in the same repetition, so that both had the same of what else went on in the
 * machine.
 */
export const medianRatio = (
  own: ReadonlyArray<Timing>,
  other: ReadonlyArray<Timing> = [],
  ratio: (own: Timing, other: Timing) => number
): number =>
  median(own.flatMap((timing, repetition) => {
    const against = other[repetition]
    return against === undefined ? [] : [ratio(timing, against)]
  }))

/** Contenders at one kind of work on a stage, which is set for it and struck afterwards. */
export const stagedRace = (race: Race, open: (units: number) => Promise<Stage>): Suite => {
  const { against, cpuAgainst = [], unit = "unit" } = race
  const rows = (all: Map<string, ReadonlyArray<Timing>>, options: Options): ReadonlyArray<Row> =>
    race.contenders.map((contender) => {
      const { atMost, name } = contender
      const own = all.get(name) ?? []
      const perSecond = own.map(({ wall }) => 1_000 / wall)
      return {
        name: nameOf(contender, unitsOf(race, options, atMost), unit),
        values: [
          median(perSecond),
          Math.min(...perSecond),
          Math.max(...perSecond),
          median(own.map(({ cpu }) => cpu)),
          ...against.map((name) => medianRatio(own, all.get(name), (own, other) => other.wall / own.wall)),
          ...cpuAgainst.map((name) => medianRatio(own, all.get(name), (own, other) => own.cpu / other.cpu))
        ]
      }
    })
  return {
    name: race.name,
    title: (options) => `${figure(unitsOf(race, options))} ${race.of}, median of ${repetitionsOf(options)}`,
    columns: [
      `k ${unit}s/s`,
      "min",
      "max",
      `CPU µs/${unit}`,
      ...against.map((name) => `x ${name}`),
      ...cpuAgainst.map((name) => `CPU x ${name}`)
    ],
    run: async (options) => {
      const stage = await open(unitsOf(race, options))
      try {
        const workOf = ({ atMost }: Contender) => stage.work(unitsOf(race, options, atMost))
        return rows(await timings(race.contenders, workOf, options), options)
      } finally {
        await stage.close()
      }
    }
  }
}

/** Contenders at one kind of work. */
export const race = (race: Race, work: Works): Suite => stagedRace(race, async () => ({ work, close: async () => {} }))
