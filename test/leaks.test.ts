/**
 * What is left of a herd when it has ended, and of units when they have settled: nothing, however
 * many there were. Each part runs in a process of its own, so that nothing of the test runner's
 * blurs it, with the garbage collector at hand.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { beforeAll } from "vitest"
import { bundle } from "./utils/bundle.ts"
import { start } from "./utils/children.ts"
import { lives } from "./utils/lives.ts"
import { bytesEach, longRuns, type Measured, planted } from "./utils/longRuns.ts"
import { cancellings, PASSED_OVER, settlings } from "./utils/units.ts"

/** Two at a time, as this machine may have no more processors. */
const PROCESSES = 2

/** When quiet, a machine of two processors takes a tenth of it. */
const TIMEOUT = 600_000

/** What the fixture prints of this. */
const printed = <A>(schema: Schema.Schema<A>, program: string, what: string) =>
  Effect.scoped(Effect.gen(function*() {
    // A large young generation: most of the time would be spent on small collections. Code that V8
    // drops and compiles again is noise.
    const options = ["--expose-gc", "--max-semi-space-size=64", "--no-flush-bytecode"]
    const child = yield* start(process.execPath, [...options, program, what])
    const end = yield* child.ended
    if (end !== 0) {
      return yield* Effect.dieMessage(`expected ${what} to end with 0, got ${end}\n${child.stderr()}`)
    }
    return yield* Effect.orDie(Schema.decode(Schema.parseJson(schema))(child.stdout()))
  }))

const Remains = Schema.Record({ key: Schema.String, value: Schema.Array(Schema.String) })
const Measurement: Schema.Schema<Measured> = Schema.Struct({
  heaps: Schema.Array(Schema.Number),
  series: Schema.Array(Schema.Number),
  seconds: Schema.Number,
  cpu: Schema.Number
})

const Reachable = Schema.Record({
  key: Schema.String,
  value: Schema.Struct({ kept: Schema.Number, of: Schema.Number })
})

let remains: Exit.Exit<typeof Remains.Type>
let reachable: Exit.Exit<typeof Reachable.Type>
const measured = new Map<string, Exit.Exit<Measured>>()

const runs = { ...longRuns, ...planted }

beforeAll(async () => {
  const work = Effect.flatMap(bundle("test/fixtures/leaks.ts"), (program) =>
    Effect.all([
      ...Object.keys(runs).map((name) =>
        Effect.map(Effect.exit(printed(Measurement, program, name)), (exit) => measured.set(name, exit))
      ),
      Effect.map(Effect.exit(printed(Remains, program, "remains")), (exit) => remains = exit),
      Effect.map(Effect.exit(printed(Reachable, program, "reachable")), (exit) => reachable = exit)
    ], { concurrency: PROCESSES }))
  await Effect.runPromise(Effect.scoped(work))
  process.stdout.write(`${table()}\n`)
}, TIMEOUT)

const measuredOf = (name: string) => Effect.flatten(Effect.fromNullable(measured.get(name)))

// ------------------------------------------------------------------------------------------------------ the end

describe("after the scope of a herd has closed, no fiber, no timer, no handle, no listener and no herd is left (G10)", () => {
  for (const name of Object.keys(lives)) {
    it.effect(`of one ${name}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* remains)[name], [])
      }))
  }

  it.effect("and it would show: of a herd that is not closed all of it is found", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* remains)["leak"], [
        "fiber",
        "Timeout",
        "listener of exit on process",
        "herd",
        "name life"
      ])
    }))
})

// ------------------------------------------------------------------------------------------------------ units

describe("a herd that goes on keeps no body, no result and no error of units that have settled and were read", () => {
  for (const name of Object.keys(settlings)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* reachable)[name]?.kept, 0)
      }))
  }

  for (const name of Object.keys(cancellings)) {
    it.effect(`save the bodies of ${PASSED_OVER} at the most that were cancelled ${name}`, () =>
      Effect.gen(function*() {
        assert.isAtMost((yield* reachable)[name]?.kept ?? Infinity, PASSED_OVER)
      }))
  }
})

// ------------------------------------------------------------------------------------------------------ long runs

const megabytes = (bytes: number | undefined) => bytes === undefined ? "" : (bytes / 1e6).toFixed(2)

/** What was measured, for who reads the output of the tests. */
const table = () => {
  const rows = Object.entries(runs).map(([name, run]) => {
    const exit = measured.get(name)
    if (exit === undefined || Exit.isFailure(exit)) return [name, "not measured"]
    const { cpu, heaps, seconds, series } = exit.value
    const three = [heaps[3], heaps[7], heaps.at(-1)].map((heap) => megabytes(heap).padStart(6)).join("  ")
    return [
      run.count.toLocaleString("en").padStart(9),
      name.padEnd(34),
      three,
      bytesEach(run, exit.value).toFixed(2).padStart(9),
      `(${planted[name] === undefined ? `< ${run.limit}` : `${planted[name].bytes} planted`})`.padEnd(14),
      String(series.at(-1)).padStart(6),
      `${seconds.toFixed(1)} s`.padStart(7),
      `${cpu.toFixed(1)} s`.padStart(7)
    ]
  })
  const head =
    "heap in use after two full collections, at 16 even intervals, in a process of its own: MB after 4, 8 and 16 of them,"
    + "\nbytes each (the median of the slopes between any two of the last 8), series of metrics in the end, time, processor time:"
  return [head, ...rows.map((row) => row.join("  "))].join("\n")
}

describe("the heap is flat (G4)", () => {
  for (const [name, run] of Object.entries(longRuns)) {
    const { count, limit, series: added = 0 } = run
    const many = `${count.toLocaleString("en")} ${name}`
    it.effect(
      added === 0 ? `over ${many}` : `but for the series of metrics over ${many}`,
      () =>
        Effect.gen(function*() {
          const each = bytesEach(run, yield* measuredOf(name))
          assert.isBelow(each, limit)
        })
    )

    it.effect(
      added === 0
        ? `and the registry of metrics does not grow with ${name}`
        : `and the registry of metrics grows by ${added} series with each of ${name}, as \`name\` says`,
      () =>
        Effect.gen(function*() {
          const { series } = yield* measuredOf(name)
          const grown = series.slice(1).map((now, i) => now - (series[i] ?? Number.NaN))
          assert.deepStrictEqual(grown, grown.map(() => added * count / series.length))
        })
    )
  }

  for (const [name, run] of Object.entries(planted)) {
    it.effect(`and it would show: ${run.bytes} bytes for each of ${run.count.toLocaleString("en")} ${name}`, () =>
      Effect.gen(function*() {
        assert.approximately(bytesEach(run, yield* measuredOf(name)), run.bytes, run.within)
      }))
  }
})
