/**
 * examples/fleet.ts on real servers: processes that are killed and added, and a bound for all of
 * them.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { describe } from "vitest"
import { startBundled } from "./utils/bundle.ts"
import { askSoon, example, freePort, type Running } from "./utils/children.ts"
import { ask } from "./utils/http.ts"
import { hasPostgres, hasRedis, Postgres, postgres, Redis, redis, type Server } from "./utils/servers.ts"
import { until } from "./utils/stage.ts"

const UNITS = 20_000

interface Told {
  readonly source?: {
    readonly ready: number
    readonly held: number
    readonly fleet?: number | null
  }
}

/** As its first lines say, and in one file, which starts sooner. */
const asIs = (args: ReadonlyArray<string>) => example("fleet", args)
const inOneFile = (args: ReadonlyArray<string>) => startBundled("examples/fleet.ts", args)

const show = <R>(
  tag: Effect.Effect<Server, never, R>,
  units: number,
  launch: (args: ReadonlyArray<string>) => Effect.Effect<Running, never, Scope.Scope>
) =>
  Effect.gen(function*() {
    const { url } = yield* tag
    const port = yield* freePort
    const args = ["--store", url, "--port", String(port), "--units", String(units), "--workers", "4"]
    const run = yield* launch(args)
    const herd = `http://127.0.0.1:${port}/herds/fleet`
    yield* askSoon(herd)
    const told = Effect.map(ask(herd), ({ json }) => (json as Told).source)
    yield* until(Effect.map(told, (source) => source !== undefined && source.held > 3))
    const answer = yield* ask(herd, { method: "PATCH", body: "{\"fleet\": 3}" })
    assert.strictEqual(answer.status, 200, answer.text)
    yield* until(Effect.map(told, (source) => source !== undefined && source.held <= 3 && source.fleet === 3))
    for (let n = 0; n < 10; n++) {
      const source = yield* told
      assert.isAtMost(source?.held ?? Infinity, 3)
      assert.isAbove(source?.ready ?? 0, 0)
      yield* Effect.sleep("50 millis")
    }
    assert.strictEqual((yield* ask(herd, { method: "PATCH", body: "{\"fleet\": null}" })).status, 200)
    assert.strictEqual(yield* run.ended, 0, run.stderr())
    const count = units.toLocaleString("en")
    const [, twice = ""] =
      new RegExp(`^${count} units in \\d+\\.\\d s: ${count} done, (\\d+) of them twice, 0 failed, 0 lost$`, "m").exec(
        run.stdout()
      ) ?? []
    // At most those that the killed worker had.
    assert.isTrue(twice !== "" && Number(twice) <= 8, run.stdout())
    assert.include(run.stdout(), "units are done: killing a worker, starting another")
  })

describe.skipIf(!hasRedis)("on Redis", () => {
  layer(redis, { excludeTestServices: true, timeout: "60 seconds" })("the fleet example", (it) => {
    it.scoped(
      "with four workers, one killed and one added, settles each of 20,000 units and loses none; its fleet size bounds them all",
      () => show(Redis, UNITS, asIs),
      120_000
    )
  })
})

describe.skipIf(!hasPostgres)("on PostgreSQL", () => {
  layer(postgres, { excludeTestServices: true, timeout: "60 seconds" })("the fleet example", (it) => {
    it.scoped("does the same with 2,000 units", () => show(Postgres, UNITS / 10, inOneFile), 120_000)
  })
})
