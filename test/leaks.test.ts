/**
 * What is left of a herd when it has ended, and of units when they have settled: nothing, however many there were. Each part runs in
 * a process of its own, so that nothing of the test runner's blurs it, with the garbage collector at hand.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { beforeAll } from "vitest"
import { start } from "./utils/children.ts"
import { lives } from "./utils/lives.ts"
import { bytesEach, leaking, longRuns, type Measured } from "./utils/longRuns.ts"
import { cancellings, PASSED_OVER, settlings } from "./utils/units.ts"

/** Two at a time, as this machine may have no more processors. */
const PROCESSES = 2

/** When quiet, a machine of two processors takes a tenth of it. */
const TIMEOUT = 600_000

/** What a fixture prints. */
const printed = <A>(schema: Schema.Schema<A>, fixture: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(Effect.gen(function*() {
    // A large young generation: most of the time would be spent on small collections.
    const options = ["--expose-gc", "--max-semi-space-size=64", "--import", "tsx"]
    const child = yield* start(process.execPath, [...options, `test/fixtures/${fixture}.ts`, ...args])
    const end = yield* child.ended
    if (end !== 0) {
      return yield* Effect.dieMessage(`expected ${fixture} ${args} to end with 0, got ${end}\n${child.stderr()}`)
    }
    return yield* Effect.orDie(Schema.decode(Schema.parseJson(schema))(child.stdout()))
  }))

const Remains = Schema.Record({ key: Schema.String, value: Schema.Array(Schema.String) })
const Measurement: Schema.Schema<Measured> = Schema.Struct({
  heaps: Schema.Array(Schema.Number),
  series: Schema.Array(Schema.Number),
  seconds: Schema.Number
})

const Reachable = Schema.Record({
  key: Schema.String,
  value: Schema.Struct({ kept: Schema.Number, of: Schema.Number })
})

let remains: Exit.Exit<typeof Remains.Type>
let reachable: Exit.Exit<typeof Reachable.Type>
const measured = new Map<string, Exit.Exit<Measured>>()

/** The name of the run that leaks. */
const LEAKING = "units through a herd, each remembered"

beforeAll(async () => {
  const named = Object.keys(longRuns).map((name) =>
    Effect.map(Effect.exit(printed(Measurement, "longRun", name)), (exit) => measured.set(name, exit))
  )
  await Effect.runPromise(Effect.all([
    ...named,
    Effect.map(Effect.exit(printed(Measurement, "longRun")), (exit) => measured.set(LEAKING, exit)),
    Effect.map(Effect.exit(printed(Remains, "remains")), (exit) => remains = exit),
    Effect.map(Effect.exit(printed(Reachable, "reachable")), (exit) => reachable = exit)
  ], { concurrency: PROCESSES }))
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
  const rows = Object.entries({ ...longRuns, [LEAKING]: leaking }).map(([name, run]) => {
    const exit = measured.get(name)
    if (exit === undefined || Exit.isFailure(exit)) return [name, "not measured"]
    const { heaps, seconds, series } = exit.value
    const each = bytesEach(run, exit.value)
    const heap = [heaps[4], heaps[9], heaps.at(-1)].map(megabytes).join("  ")
    return [
      run.count.toLocaleString("en").padStart(9),
      name.padEnd(40),
      heap,
      `${each.toFixed(2).padStart(7)} (< ${run.limit})`,
      String(series.at(-1)),
      seconds.toFixed(1)
    ]
  })
  const head =
    "heap in use after two full collections, at 16 even intervals, in a process of its own; MB after 5, 10 and 16 of them,"
    + "\nbytes each as the median of the slopes between any two of the last 10, series of metrics in the end, seconds:"
  return [head, ...rows.map((row) => row.join("  "))].join("\n")
}

describe("the heap is flat (G4)", () => {
  for (const [name, run] of Object.entries(longRuns)) {
    it.effect(`over ${run.count.toLocaleString("en")} ${name}`, () =>
      Effect.gen(function*() {
        const each = bytesEach(run, yield* measuredOf(name))
        assert.isBelow(each, run.limit)
      }))

    it.effect(`and the registry of metrics does not grow with ${name}`, () =>
      Effect.gen(function*() {
        const { series } = yield* measuredOf(name)
        assert.deepStrictEqual(Array.from(new Set(series)), [series[0]])
      }))
  }

  it.effect("and it would show: 32 bytes a unit are measured as 32", () =>
    Effect.gen(function*() {
      assert.approximately(bytesEach(leaking, yield* measuredOf(LEAKING)), 32, 4)
    }))
})
