/**
 * Units that are kept in a store, worked off by processes of their own: herds on each source, and
 * others on the same store.
 */
import { Context, Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Postgres, postgres, Redis, redis } from "../test/utils/servers.ts"
import { type Contender, contenders, type Place, type Store } from "./durable/contenders.ts"
import { type Units, type Worked, workOff } from "./durable/processes.ts"
import { figure } from "./race.ts"
import { median, shuffled } from "./statistics.ts"
import type { Options, Row, Suite } from "./suite.ts"

const SIZES = [1, 16, 64]
const PROCESSES = [1, 2]

const repetitionsOf = ({ quick }: Options) => quick ? 1 : 3

/** Fewer of those that take longer. */
const unitsOf = ({ contender: { blocking = false, slow = false }, size }: Run, { quick }: Options): Units => {
  const counted = (size === 1 || slow ? 5_000 : 20_000) / (quick ? 10 : 1)
  return { first: blocking ? 0 : slow ? counted / 2 : counted, counted }
}

const allOf = ({ counted, first }: Units) => first + counted

/** Where the units of a store are; a folder or a server, which ends with the scope. */
const locations = Effect.gen(function*() {
  const dir = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "gofherd-bench-"))),
    (dir) => Effect.sync(() => rmSync(dir, { recursive: true, force: true }))
  )
  const context = yield* Layer.build(Layer.merge(redis, postgres))
  let places = 0
  return (store: Store): Place => {
    const queue = `bench-${places++}`
    const of = {
      memory: "",
      file: join(dir, `${queue}.db`),
      redis: Context.get(context, Redis).url,
      postgres: Context.get(context, Postgres).url
    }
    return { location: of[store], queue }
  }
})

interface Run {
  readonly contender: Contender
  readonly size: number
  readonly processes: number
}

const nameOf = ({ contender, processes, size }: Run) =>
  `${contender.name}: ${size} at a time${processes === 1 ? "" : ` in each of ${processes} processes`}`

const runs: ReadonlyArray<Run> = contenders.filter(({ shared }) => shared).flatMap((contender) =>
  SIZES.flatMap((size) => PROCESSES.map((processes) => ({ contender, size, processes })))
)

/** Of two in the same repetition. */
const ratio = (own: ReadonlyArray<Worked>, other: ReadonlyArray<Worked> = []) =>
  median(own.flatMap(({ rate }, repetition) => {
    const against = other[repetition]
    return against === undefined ? [] : [rate / against.rate]
  }))

const durable: Suite = {
  name: "durable",
  title: (options) =>
    `units that do nothing, kept, up to ${figure(20_000 / (options.quick ? 10 : 1))} a run after a warm-up, median of ${
      repetitionsOf(options)
    }`,
  columns: ["units/s", "min", "max", "CPU µs/unit", "x BullMQ's Worker"],
  run: (options) =>
    Effect.gen(function*() {
      const placeOf = yield* locations
      const all = new Map(runs.map((run) => [nameOf(run), new Array<Worked>()]))
      for (let repetition = 0; repetition < repetitionsOf(options); repetition++) {
        for (const run of shuffled(runs)) {
          const { contender, processes, size } = run
          const units = unitsOf(run, options)
          const place = placeOf(contender.store)
          yield* contender.fill(place, allOf(units))
          all.get(nameOf(run))?.push(yield* workOff({ name: contender.name, size, ...place }, processes, units))
        }
      }
      return runs.map((run): Row => {
        const own = all.get(nameOf(run)) ?? []
        const rates = own.map(({ rate }) => rate)
        const peer = contenders.find(({ name }) => name === run.contender.peer)
        return {
          name: nameOf(run),
          values: [
            median(rates),
            Math.min(...rates),
            Math.max(...rates),
            median(own.map(({ cpu }) => cpu)),
            peer === undefined ? Number.NaN : ratio(own, all.get(nameOf({ ...run, contender: peer })))
          ]
        }
      })
    }).pipe(Effect.scoped, Effect.runPromise)
}

const STORED = [10_000, 100_000, 1_000_000]

const growthOf = ({ quick }: Options): Units =>
  quick ? { first: 1_000, counted: 1_000 } : { first: 20_000, counted: 10_000 }

/** What a unit costs where many others are stored, which come later: offered, and worked off. */
const durableGrowth: Suite = {
  name: "durableGrowth",
  title: (options) =>
    `${figure(growthOf(options).counted)} units by 16 gophers, before so many that are stored, median of ${
      repetitionsOf(options)
    }`,
  columns: ["units/s", "CPU µs/unit", "offered, k/s", "x the first"],
  run: (options) =>
    Effect.gen(function*() {
      const placeOf = yield* locations
      const sqlite = contenders.find(({ name }) => name === "herd, SQLite (libsql)")
      if (sqlite === undefined) return []
      const units = growthOf(options)
      const places = options.quick ? STORED.slice(0, 2) : STORED
      const all = places.map((stored) => ({
        stored,
        place: placeOf("file"),
        worked: new Array<Worked & { offered: number }>()
      }))
      for (const { place, stored } of all) yield* sqlite.fill(place, stored)
      for (let repetition = 0; repetition < repetitionsOf(options); repetition++) {
        for (const { place, worked } of shuffled(all)) {
          const began = performance.now()
          yield* sqlite.fill(place, allOf(units))
          const offered = allOf(units) / (performance.now() - began)
          worked.push({ offered, ...(yield* workOff({ name: sqlite.name, size: 16, ...place }, 1, units)) })
        }
      }
      return all.map(({ stored, worked }): Row => ({
        name: `${figure(stored)} units`,
        values: [
          median(worked.map(({ rate }) => rate)),
          median(worked.map(({ cpu }) => cpu)),
          median(worked.map(({ offered }) => offered)),
          ratio(worked, all[0]?.worked)
        ]
      }))
    }).pipe(Effect.scoped, Effect.runPromise)
}

export const durableRaces: ReadonlyArray<Suite> = [durable, durableGrowth]
