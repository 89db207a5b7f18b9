/**
 * What goes wrong around a process: signals, limits of the machine, and its death.
 */
import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Schedule, Stream } from "effect"
import { Herd, HerdClient } from "gofherd"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { bundle } from "./utils/bundle.ts"
import { folder, freePort, type Running, start } from "./utils/children.ts"
import { ask, events, listen } from "./utils/http.ts"
import { random } from "./utils/raw.ts"
import { until } from "./utils/stage.ts"

describe("the checksum example", () => {
  /** `SIGNALS=200 npx vitest run test/faults.process.test.ts` for many. */
  const runs = Number(process.env["SIGNALS"] ?? "12")
  const seed = Number(process.env["SEED"] ?? "1")
  const AT_ONCE = 3

  const fill = (dir: string) => {
    const next = random(7)
    for (let n = 0; n < 600; n++) {
      const sub = join(dir, `d${n % 7}`)
      mkdirSync(sub, { recursive: true })
      writeFileSync(join(sub, `file ${n}`), Buffer.alloc(Math.floor(next() * 60_000), String(n)))
    }
    writeFileSync(join(dir, "large"), Buffer.alloc(30_000_000, "gofherd"))
  }

  /** Waits until it writes, which it begins to do once all files are listed, or has ended. */
  const writing = ({ child }: Running, out: string) =>
    until(() => child.exitCode !== null || existsSync(`${out}.partial`))

  it.scopedLive(
    "gets SIGTERM or SIGINT at any moment: its output is whole, or as it was before, and nothing is left beside it",
    () =>
      Effect.gen(function*() {
        const dir = yield* folder
        fill(dir)
        const program = yield* bundle("examples/checksum.ts")
        const run = (out: string) =>
          start(process.execPath, [program, "--dir", dir, "--out", out, "--port", "0", "--size", "4"])

        // How long a run takes beside others, and what it writes.
        const whole = yield* Effect.forEach(Array.from({ length: AT_ONCE }), () =>
          Effect.scoped(Effect.gen(function*() {
            const out = join(yield* folder, "sums")
            const began = yield* Clock.currentTimeMillis
            const child = yield* run(out)
            yield* writing(child, out)
            const working = yield* Clock.currentTimeMillis
            assert.strictEqual(yield* child.ended, 0)
            const ended = yield* Clock.currentTimeMillis
            return { sums: readFileSync(out, "utf8"), millis: ended - began, working: ended - working }
          })), { concurrency: "unbounded" })
        const [{ sums } = { sums: "" }] = whole
        assert.strictEqual(sums.split("\n").length, 602)
        const longest = Math.max(...whole.map(({ millis }) => millis))
        const working = Math.max(...whole.map(({ working }) => working))

        const next = random(seed)
        const moments = Array.from({ length: runs }, (_, i) => ({
          signal: i % 2 === 0 ? "SIGTERM" : "SIGINT",
          // To start takes most of the time: half of the moments are counted from where there is
          // something to be half of.
          fromStart: i % 4 < 2,
          at: next() * (i % 4 < 2 ? longest : working) * 1.1,
          // A second signal does not wait for anything to be tidied up.
          second: i % 5 === 4 ? next() * 100 : undefined,
          earlier: i % 3 === 0
        } as const))
        const seen: Record<string, number> = {}
        yield* Effect.forEach(moments, ({ at, earlier, fromStart, second, signal }, i) =>
          Effect.scoped(Effect.gen(function*() {
            const outDir = yield* folder
            const out = join(outDir, "sums")
            if (earlier) {
              writeFileSync(out, "precious\n")
            }
            const child = yield* run(out)
            if (!fromStart) {
              yield* writing(child, out)
            }
            yield* Effect.sleep(at)
            const partial = existsSync(`${out}.partial`)
            child.child.kill(signal)
            if (second !== undefined) {
              yield* Effect.sleep(second)
              child.child.kill(signal)
            }
            const end = yield* child.ended
            const what = `seed ${seed}, run ${i}: ${signal} after ${at} ms${fromStart ? "" : " of writing"}${
              second === undefined ? "" : ", twice"
            }, ${end}`
            const text = existsSync(out) ? readFileSync(out, "utf8") : ""
            const isWhole = text === sums
            assert.isTrue(isWhole || text === (earlier ? "precious\n" : ""), `${what}: ${text.length} characters`)
            if (end === 0) {
              assert.isTrue(isWhole, what)
            } else assert.include([130, signal], end, `${what}: ${child.stderr()}`)
            assert.match(child.stdout(), /^(?:601 files, .+\n)?$/, what)
            const left = readdirSync(outDir).filter((name) =>
              name !== "sums"
            )
            if (second === undefined || end !== signal) assert.deepStrictEqual(left, [], what)
            else assert.includeMembers(["sums.partial"], left, what)
            const kind = [
              end === signal ? "killed" : `exit ${end}`,
              isWhole ? "whole" : "absent",
              ...(partial ? ["while it wrote"] : []),
              ...(left.length > 0 ? ["partial left"] : [])
            ].join(", ")
            seen[kind] = (seen[kind] ?? 0) + 1
          })), { concurrency: AT_ONCE, discard: true })
        if (process.env["SIGNALS"] !== undefined) {
          process.stderr.write(
            `${runs} runs of up to ${longest} ms, ${working} ms of them writing: ${
              JSON.stringify(seen, undefined, 2)
            }\n`
          )
        }
        const kinds = Object.keys(seen).join("; ")
        assert.match(kinds, /exit 130, absent/)
        if (runs >= 100) {
          for (const kind of [/while it wrote/, /whole/, /killed/]) {
            assert.match(kinds, kind)
          }
        }
      }),
    60_000 + runs * 5_000
  )
})

describe.skipIf(process.platform === "win32")("a process that runs out of file descriptors", () => {
  const run = (...args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const program = yield* bundle("test/fixtures/descriptors.ts")
      const child = yield* start("sh", ["-c", "ulimit -n 64; exec \"$0\" \"$@\"", process.execPath, program, ...args])
      yield* until(() => child.stdout().split("\n").length === 3 || child.child.exitCode !== null)
      const [listening = "", ends = ""] = child.stdout().split("\n")
      assert.match(listening, /^listening /, child.stderr())
      return { child, url: listening.replace("listening ", ""), ends: JSON.parse(ends) as Record<string, number> }
    })

  const answers = (url: string) =>
    Effect.gen(function*() {
      for (const path of ["/herd", "/herds/openers", "/metrics"]) {
        assert.strictEqual((yield* ask(`${url}${path}`)).status, 200)
      }
      const { json } = yield* ask(`${url}/herd`, { method: "PATCH", body: "{\"num\":3}" })
      assert.deepStrictEqual(json, { num: 3, msg: "success" })
    })

  it.scopedLive(
    "has units fail with EMFILE, as a failure or a defect, settles every one, and its server answers afterwards",
    () =>
      Effect.gen(function*() {
        const { child, ends, url } = yield* run()
        const failures = Object.keys(ends).filter((end) => end !== "success")
        assert.include(failures, "failure EMFILE")
        // The server has none for those who ask, either.
        for (const end of failures) assert.match(end, /^failure (EMFILE|ECONNRESET|EPIPE)$/)
        assert.strictEqual(Object.values(ends).reduce((sum, n) => sum + n, 0), 300)
        yield* answers(url)
        const { json } = yield* ask(`${url}/herds/openers`)
        assert.include(json, { accepted: 300, queued: 0, running: 0, retrying: 0, succeeded: ends["success"] ?? 0 })
        assert.isNull(child.child.exitCode)
      }),
    30_000
  )

  it.scopedLive(
    "succeeds with what it retries once there are descriptors again; defects are not retried",
    () =>
      Effect.gen(function*() {
        const { ends, url } = yield* run("retry")
        const defects = ends["failure EMFILE"] ?? 0
        assert.deepStrictEqual(ends, { success: 300 - defects, ...(defects > 0 && { "failure EMFILE": defects }) })
        assert.isAtMost(defects, 100)
        assert.isAtLeast(ends["success"] ?? 0, 200)
        yield* answers(url)
      }),
    30_000
  )
})

describe("a unit that allocates until the heap is full", () => {
  it.scopedLive("ends the whole process, by SIGABRT, and what was written before stays", () =>
    Effect.gen(function*() {
      const out = join(yield* folder, "results")
      const program = yield* bundle("test/fixtures/heap.ts")
      const child = yield* start(process.execPath, ["--max-old-space-size=64", program, out])
      assert.include(["SIGABRT", 134], yield* child.ended)
      assert.match(child.stderr(), /heap out of memory/)
      assert.strictEqual(readFileSync(out, "utf8"), "1 is done\n2 is done\n3 is done\n4 is done\n5 is done\n")
    }), 30_000)

  it.scopedLive(
    "fails alone in a worker thread with resourceLimits, and the herd goes on",
    () =>
      Effect.gen(function*() {
        const code = `
        const { workerData, parentPort } = require("node:worker_threads")
        const kept = []
        while (workerData === 0) kept.push(Array.from({ length: 10000 }, (_, i) => i + 0.5))
        parentPort.postMessage(workerData * 10)
      `
        const inThread = (n: number) =>
          Effect.async<number, string>((resume) => {
            const worker = new Worker(code, {
              eval: true,
              workerData: n,
              resourceLimits: { maxOldGenerationSizeMb: 32 }
            })
            worker.once("message", (result: number) => resume(Effect.succeed(result)))
            worker.once("error", (error) => resume(Effect.fail("code" in error ? String(error.code) : error.message)))
            return Effect.promise(() => worker.terminate())
          })
        const herd = yield* Herd.make({ process: inThread, size: 2 })
        const results = yield* Effect.forEach([1, 0, 2, 3], (n) => Effect.exit(herd.run(n)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(results, [
          Exit.succeed(10),
          Exit.fail("ERR_WORKER_OUT_OF_MEMORY"),
          Exit.succeed(20),
          Exit.succeed(30)
        ])
      }),
    30_000
  )
})

describe("a HerdServer that is killed", () => {
  const serve = (program: string, options: object) =>
    Effect.gen(function*() {
      const running = yield* start(process.execPath, [program, JSON.stringify(options)])
      yield* until(() => running.stdout().includes("listening"))
      return { ...running, url: /listening (.*)\n/.exec(running.stdout())?.[1] ?? "" }
    })

  it.scopedLive(
    "by SIGKILL breaks its answers off; its port is free at once, and whoever follows a herd with Stream.retry and Stream.repeat goes on",
    () =>
      Effect.gen(function*() {
        const port = yield* freePort
        const program = yield* bundle("test/fixtures/served.ts")
        const first = yield* serve(program, { port, units: 30, unitMillis: 60_000 })
        const client = yield* Effect.provide(HerdClient.make({ baseUrl: first.url }), FetchHttpClient.layer)
        const accepted: Array<number> = []
        const reader = yield* client.changes("numbers").pipe(
          Stream.retry(Schedule.spaced("20 millis")),
          // To Node's fetch an answer that is broken off has ended, where it said that the
          // connection closes.
          Stream.repeat(Schedule.spaced("20 millis")),
          Stream.runForEach((state) => Effect.sync(() => accepted.push(state.accepted))),
          Effect.fork
        )
        const stream = yield* listen(`${first.url}/herds/numbers/events`)
        yield* stream.atLeast(1)
        yield* until(() => accepted.includes(30))
        first.child.kill("SIGKILL")
        assert.strictEqual(yield* first.ended, "SIGKILL")
        yield* stream.ended
        assert.isFalse(stream.complete)
        const second = yield* serve(program, { port, units: 7, unitMillis: 60_000 })
        assert.strictEqual(second.url, first.url)
        yield* until(() => accepted.includes(7))
        assert.strictEqual((yield* ask(`${second.url}/herds/numbers/events`, { until: events(1) })).status, 200)
        yield* Fiber.interrupt(reader)
      }),
    30_000
  )
})
