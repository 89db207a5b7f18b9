/**
 * A fleet: one herd in many processes, on one Redis or PostgreSQL. Workers may be killed and added
 * while it works, and all of them together have a bound, beside the size that each has.
 *
 *     npx tsx examples/fleet.ts --store redis://127.0.0.1:6379          # or postgres://postgres@127.0.0.1/postgres
 *     curl -XPATCH 127.0.0.1:2112/herds/fleet -d '{"fleet": 3}'         # in another terminal; null for no bound
 *     npx tsx examples/fleet.ts --store redis://127.0.0.1:6379 --work   # one worker more, on this machine or on another
 *
 * It starts four workers and gives them 20,000 units. When a quarter of those is done it kills a
 * worker with SIGKILL, and starts another.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Effect, Layer, Random, Schedule, Schema, type Scope } from "effect"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
import { type ChildProcess, spawn } from "node:child_process"
import { appendFileSync, mkdtempSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "redis://127.0.0.1:6379" },
    port: { type: "string", default: "2112" },
    workers: { type: "string", default: "4" },
    units: { type: "string", default: "20000" },
    size: { type: "string", default: "8" },
    work: { type: "boolean", default: false },
    // Where workers write down what they have done: for the count in the end.
    log: { type: "string", default: "" }
  }
})

class Fleet extends Context.Tag("fleet")<Fleet, DurableHerd.DurableHerd<number>>() {}

const SourceLive = values.store.startsWith("postgres")
  ? HerdSourceBullMQ.layerPostgres({ connection: { url: values.store } })
  : HerdSourceBullMQ.layer({ connection: { url: values.store } })

/** A unit takes 1 to 5 ms of somebody else's time. */
const unit = (log: string) => (n: number) =>
  Effect.gen(function*() {
    yield* Effect.sleep(yield* Random.nextIntBetween(1, 6))
    if (log !== "") yield* Effect.sync(() => appendFileSync(join(log, `${process.pid}`), `${n}\n`))
  })

/** The herd of this process. */
const herd = (size: number, log: string) =>
  DurableHerd.layer(Fleet, {
    schema: Schema.Number,
    process: unit(log),
    size,
    // Of a worker that is killed, units are others' after this time.
    lease: "5 seconds"
  }).pipe(Layer.provide(SourceLive))

// ------------------------------------------------------------------------------------------------------ the show

/** A worker in a process of its own, which is ended with the scope. */
const worker = (log: string): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const args = ["--work", "--store", values.store, "--size", values.size, "--log", log]
      return spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), ...args], {
        stdio: "inherit"
      })
    }),
    (child) =>
      Effect.async<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.on("exit", () => resume(Effect.void))
        child.kill("SIGTERM")
      })
  )

const number = (n: number) => n.toLocaleString("en")

const show = Effect.gen(function*() {
  const fleet = yield* Fleet
  const { url } = yield* HerdServer.HerdServer
  const units = Number(values.units)
  const log = mkdtempSync(join(tmpdir(), "fleet-"))
  const done = () => readdirSync(log).flatMap((file) => readFileSync(join(log, file), "utf8").split("\n").slice(0, -1))

  yield* Console.log(`serving ${url}: curl -XPATCH ${url}/herds/fleet -d '{"fleet": 3}'`)
  const workers = yield* Effect.replicateEffect(worker(log), Number(values.workers))
  const began = Date.now()
  yield* fleet.offerAll(Array.from({ length: units }, (_, n) => n))
  yield* Effect.repeat(Effect.sync(() => done().length), {
    until: (count) => count >= units / 4,
    schedule: Schedule.spaced("50 millis")
  })
  yield* Console.log(`${number(done().length)} units are done: killing a worker, starting another`)
  workers[0]?.kill("SIGKILL")
  yield* worker(log)
  yield* fleet.awaitIdle

  const seconds = (Date.now() - began) / 1_000
  const all = done()
  const distinct = new Set(all).size
  const { dead } = yield* fleet.depth
  yield* Console.log(
    `${number(units)} units in ${seconds.toFixed(1)} s: ${number(distinct)} done, ${
      all.length - distinct
    } of them twice, ` +
      `${dead} failed, ${number(units - distinct - dead)} lost`
  )
}).pipe(Effect.scoped)

// ------------------------------------------------------------------------------------------------------ the program

const program = values.work
  ? Effect.provide(Effect.never, herd(Number(values.size), values.log))
  : Effect.provide(
    show,
    // It only offers and watches: its size is 0.
    HerdServer.layer({ herds: [Fleet], port: Number(values.port) }).pipe(Layer.provideMerge(herd(0, "")))
  )

NodeRuntime.runMain(program)
