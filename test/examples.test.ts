/**
 * Every example, run as its first lines say, in a process of its own, and its output looked at.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { startBundled } from "./utils/bundle.ts"
import { askSoon, example, folder, freePort, type Running } from "./utils/children.ts"
import { ask, pretend } from "./utils/http.ts"
import { until } from "./utils/stage.ts"

/** For what is asked of them many times over: in one file they start sooner. */
const checksum = (args: ReadonlyArray<string>) => startBundled("examples/checksum.ts", args)

/** Waits until it says so of its herds. Once it has ended, somebody else may answer there. */
const tells = (run: Running, port: number, what: RegExp) =>
  Effect.gen(function*() {
    const herds = yield* askSoon(`http://127.0.0.1:${port}/herds`)
    assert.isNull(run.child.exitCode, run.stderr())
    return herds
  }).pipe(Effect.repeat({ until: (herds) => what.test(herds), schedule: Schedule.spaced("20 millis") }))

describe("quickstart", () => {
  it.scopedLive(
    "does nothing until it is turned up by curl, then prints ten lines and exits 0",
    () =>
      Effect.gen(function*() {
        const run = yield* example("quickstart")
        assert.strictEqual(yield* askSoon("http://127.0.0.1:5555/herd"), "{\"num\":0,\"msg\":\"success\"}")
        assert.strictEqual(run.stdout(), "")
        const answer = execFileSync("curl", ["-sS", "-XPATCH", "127.0.0.1:5555/herd", "-d", "{\"num\": 10}"], {
          encoding: "utf8"
        })
        assert.strictEqual(answer, "{\"num\":10,\"msg\":\"success\"}")
        assert.strictEqual(yield* run.ended, 0)
        const lines = Array.from({ length: 10 }, (_, n) => `workID:${n}, status: success, result:${n + 10}`)
        assert.deepStrictEqual(run.stdout().trimEnd().split("\n").toSorted(), lines.toSorted())
        assert.strictEqual(run.stderr(), "")
      }),
    30_000
  )
})

describe("sites", () => {
  it.scopedLive(
    "prints the latency of each site and the name and cause of each failure, after retries with backoff",
    () =>
      Effect.gen(function*() {
        let flaky = 0
        const asked: Array<number> = []
        const fast = yield* pretend((_, response) => response.end("hello"))
        const slow = yield* pretend((_, response) => setTimeout(() => response.end("at last"), 400))
        const third = yield* pretend((_, response) => {
          asked.push(Date.now())
          response.writeHead(++flaky < 3 ? 503 : 200).end()
        })
        const missing = yield* pretend((_, response) => response.writeHead(404).end())
        const gone = yield* Effect.scoped(pretend(() => {}))
        const dir = yield* folder
        const csv = join(dir, "sites.csv")
        writeFileSync(
          csv,
          `site,note\n${fast.url},fast\r\n"${slow.url}"\n\n${third.url}\n${missing.url}\n${gone.url},refuses\n`
        )
        const run = yield* example("sites", [csv])
        assert.strictEqual(yield* run.ended, 0)
        const lines = run.stdout().trimEnd().split("\n")
        const line = (url: string) =>
          lines.find((line) => line.includes(url)) ?? assert.fail(`no line for ${url} in ${run.stdout()}`)
        assert.strictEqual(lines.length, 5)
        assert.match(line(fast.url), /^site: http:\/\/127.0.0.1:\d+, latency: \d+ms$/)
        const slowness = Number(/latency: (\d+)ms$/.exec(line(slow.url))?.[1])
        assert.isAtLeast(slowness, 390)
        assert.match(line(third.url), /, latency: \d+ms \(3 attempts\)$/)
        assert.match(line(missing.url), /, failed: ResponseError: status 404$/)
        assert.match(line(gone.url), /, failed: RequestError: connect ECONNREFUSED 127.0.0.1:\d+ \(4 attempts\)$/)
        const [first = 0, second = 0, last = 0] = asked
        assert.isAtLeast(second - first, 150)
        assert.isAtLeast(last - second, 310)
      }),
    30_000
  )
})

describe("service", () => {
  it.scopedLive(
    "works until SIGTERM, is watched and resized meanwhile, and finishes what it has",
    () =>
      Effect.gen(function*() {
        const port = yield* freePort
        const base = `http://127.0.0.1:${port}`
        const run = yield* example("service", [], { GOFHERD_PORT: String(port), ORDERS_SIZE: "3" })
        assert.strictEqual(yield* askSoon(`${base}/herd`), "{\"num\":3,\"msg\":\"success\"}")
        const count = (kind: string) =>
          Effect.map(
            ask(`${base}/metrics`),
            ({ text }) => Number(new RegExp(`^gofherd_${kind}_total\\{herd="orders"\\} (\\d+)$`, "m").exec(text)?.[1])
          )
        const { json } = yield* ask(`${base}/herd`, { method: "PATCH", body: "{\"num\": 12}" })
        assert.deepStrictEqual(json, { num: 12, msg: "success" })
        yield* Effect.repeat(count("success"), {
          schedule: Schedule.spaced("50 millis"),
          until: (count) => count >= 10
        })
        yield* Effect.repeat(count("retry"), { schedule: Schedule.spaced("50 millis"), until: (count) => count >= 1 })
        run.child.kill("SIGTERM")
        assert.strictEqual(yield* run.ended, 0)
        assert.match(run.stdout(), new RegExp(`serving ${base}\\n$`))
        assert.strictEqual(run.stderr(), "")
      }),
    30_000
  )
})

describe("otlp", () => {
  interface Attribute {
    readonly key: string
    readonly value: { readonly stringValue?: string; readonly intValue?: number }
  }

  interface Metric {
    readonly name: string
    readonly sum?: {
      readonly isMonotonic: boolean
      readonly dataPoints: ReadonlyArray<{ readonly asDouble: number; readonly attributes: ReadonlyArray<Attribute> }>
    }
    readonly histogram?: {
      readonly dataPoints: ReadonlyArray<{ readonly count: number; readonly attributes: ReadonlyArray<Attribute> }>
    }
  }

  interface Span {
    readonly name: string
    readonly traceId: string
    readonly spanId: string
    readonly parentSpanId?: string
    readonly attributes: ReadonlyArray<Attribute>
    readonly status: { readonly code: number }
    readonly startTimeUnixNano: string
    readonly endTimeUnixNano: string
  }

  const attribute = (key: string, { attributes }: { readonly attributes: ReadonlyArray<Attribute> }) => {
    const value = attributes.find((attribute) => attribute.key === key)?.value
    return value?.stringValue ?? value?.intValue
  }

  it.scopedLive(
    "sends the herd's metrics, and a span per attempt, to the collector of the environment",
    () =>
      Effect.gen(function*() {
        const services = new Set<unknown>()
        let metrics: ReadonlyArray<Metric> = []
        const spans: Array<Span> = []
        const collector = yield* pretend((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const body = JSON.parse(Buffer.concat(chunks).toString())
            for (const { resource, scopeMetrics } of body.resourceMetrics ?? []) {
              services.add(attribute("service.name", resource))
              // Cumulative: the last is the one that counts.
              metrics = scopeMetrics.flatMap((scope: { readonly metrics: ReadonlyArray<Metric> }) => scope.metrics)
            }
            for (const { resource, scopeSpans } of body.resourceSpans ?? []) {
              services.add(attribute("service.name", resource))
              spans.push(...scopeSpans.flatMap((scope: { readonly spans: ReadonlyArray<Span> }) => scope.spans))
            }
            response.writeHead(200, { "content-type": "application/json" }).end("{}")
          })
        })
        const run = yield* example("otlp", [], { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
        assert.strictEqual(yield* run.ended, 0, run.stderr())
        assert.strictEqual(run.stdout(), "19 succeeded, 1 failed, 5 retries\n")
        assert.deepStrictEqual(Array.from(services), ["otlp-example"])

        const of = (name: string) => metrics.find((metric) => metric.name === name) ?? assert.fail(`no metric ${name}`)
        for (const [kind, expected] of [["success", 19], ["failure", 1], ["retry", 5], ["interrupted", 0]] as const) {
          const { sum } = of(`gofherd_${kind}_total`)
          assert.deepStrictEqual(
            sum?.dataPoints.map((point) => [attribute("herd", point), point.asDouble]),
            [["pages", expected]]
          )
          assert.isTrue(sum?.isMonotonic)
        }
        const [attempts] = of("gofherd_attempt_duration_seconds").histogram?.dataPoints ?? []
        assert.strictEqual(attempts?.count, 25)

        const [parent, ...others] = spans.filter(({ name }) => name === "crawl")
        assert.deepStrictEqual(others, [])
        const attempted = spans.filter(({ name }) => name === "gofherd.attempt")
        assert.strictEqual(attempted.length, 25)
        for (const span of attempted) {
          assert.deepStrictEqual([span.traceId, span.parentSpanId], [parent?.traceId, parent?.spanId])
          assert.strictEqual(attribute("gofherd.herd", span), "pages")
          // A page takes 20 ms; timers may be a bit early.
          assert.isAtLeast(Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)), 15e6)
        }
        const failed = attempted.filter(({ status }) => status.code === 2)
        assert.deepStrictEqual(
          failed.map((span) => attribute("gofherd.work.attempt", span)).toSorted(),
          [1, 1, 1, 1, 1, 2]
        )
      }),
    30_000
  )

  it.scopedLive("does its work also without a collector", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(pretend(() => {}))
      const run = yield* example("otlp", [], { OTEL_EXPORTER_OTLP_ENDPOINT: gone.url })
      assert.strictEqual(yield* run.ended, 0, run.stderr())
      assert.strictEqual(run.stdout(), "19 succeeded, 1 failed, 5 retries\n")
    }), 30_000)
})

describe("checksum", () => {
  const sha256sum = (dir: string) =>
    execFileSync("bash", ["-c", `find "$0" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`, dir], {
      encoding: "utf8"
    })

  /** Names that sort and print in unexpected ways, an empty file, a large one, a link. */
  const fill = (dir: string) => {
    for (
      const path of ["a/b", "a.b", "a-b/c", "z", "Ä/ö", "sp ace", "line\nbreak", "back\\slash", "ret\rurn", "empty"]
    ) {
      const whole = join(dir, path)
      mkdirSync(join(whole, ".."), { recursive: true })
      writeFileSync(whole, path === "empty" ? "" : path.repeat(100))
    }
    for (let n = 0; n < 200; n++) writeFileSync(join(dir, `many-${n}`), `${n}`)
    writeFileSync(join(dir, "large"), Buffer.alloc(5_000_000, "gofherd"))
    symlinkSync(join(dir, "large"), join(dir, "link"))
  }

  it.scopedLive(
    "writes what sha256sum writes, in path order, quietly, with a summary at the end",
    () =>
      Effect.gen(function*() {
        const dir = yield* folder
        const out = join(yield* folder, "sums")
        fill(dir)
        const run = yield* example("checksum", ["--dir", dir, "--out", out, "--port", "0", "--size", "4"])
        assert.strictEqual(yield* run.ended, 0)
        assert.strictEqual(readFileSync(out, "utf8"), sha256sum(dir))
        assert.strictEqual(execFileSync("sha256sum", ["--check", "--quiet", out], { encoding: "utf8" }), "")
        assert.match(run.stdout(), /^211 files, 5,00\d,\d{3} bytes in \d+\.\d s, 0 failed: .+\n$/)
        assert.strictEqual(run.stderr(), "")
      }),
    30_000
  )

  it.scopedLive(
    "finishes its work if nobody reads any more what it says, as behind `| head`",
    () =>
      Effect.gen(function*() {
        const dir = yield* folder
        const out = join(yield* folder, "sums")
        fill(dir)
        const run = yield* checksum(["--dir", dir, "--out", out, "--port", "0"])
        run.child.stdout?.destroy()
        run.child.stderr?.destroy()
        assert.strictEqual(yield* run.ended, 0)
        assert.strictEqual(readFileSync(out, "utf8"), sha256sum(dir))
      }),
    30_000
  )

  it.scopedLive("can be resized, and answers, while it runs; and starts with --size 0", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const out = join(yield* folder, "sums")
      fill(dir)
      const port = yield* freePort
      const run = yield* checksum(["--dir", dir, "--out", out, "--port", String(port), "--size", "0"])
      assert.strictEqual(yield* askSoon(`http://127.0.0.1:${port}/herd`), "{\"num\":0,\"msg\":\"success\"}")
      assert.isFalse(existsSync(out))
      const answer = yield* ask(`http://127.0.0.1:${port}/herd`, { method: "PATCH", body: "{\"num\": 3}" })
      assert.deepStrictEqual(answer.json, { num: 3, msg: "success" })
      assert.strictEqual(yield* run.ended, 0)
      assert.strictEqual(readFileSync(out, "utf8"), sha256sum(dir))
    }), 30_000)

  it.scopedLive("reports files that it can't read, does the rest, and exits 1", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const out = join(yield* folder, "sums")
      writeFileSync(join(dir, "fine"), "fine")
      writeFileSync(join(dir, "vanishing"), "")
      // Root may read what nobody may, but not a file that has gone since it was listed.
      const port = yield* freePort
      const run = yield* checksum(["--dir", dir, "--out", out, "--port", String(port), "--size", "0"])
      // Not before it has been listed, either.
      yield* Effect.repeat(askSoon(`http://127.0.0.1:${port}/herds`), {
        until: (herds) => herds.includes(`"queued":2`),
        schedule: Schedule.spaced("20 millis")
      })
      rmSync(join(dir, "vanishing"))
      yield* ask(`http://127.0.0.1:${port}/herd`, { method: "PATCH", body: "{\"num\": 1}" })
      assert.strictEqual(yield* run.ended, 1)
      assert.match(run.stderr(), /^failed: .*vanishing: .*ENOENT[^\n]*\n$/)
      assert.match(run.stdout(), /^1 files, 4 bytes in .* s, 1 failed/)
      assert.match(readFileSync(out, "utf8"), /^[0-9a-f]{64} {2}.*fine\n$/)
    }), 30_000)

  it.scopedLive("says what is wrong with its arguments, and exits 1", () =>
    Effect.gen(function*() {
      for (
        const [args, message] of [
          [["--size", "many"], "expected --size to be an integer, got \"many\""],
          [["--size="], "expected --size to be an integer, got \"\""],
          [["--size", "1001"], "expected size to be an integer from 0 to 1000, got 1001"],
          [["--threads", "--size", "1001"], "expected size to be an integer from 0 to 1000, got 1001"],
          [["--threads=2"], "Option '--threads' does not take an argument"],
          [["--port", "99999"], "expected port to be an integer from 0 to 65535, got 99999"],
          [["--nonsense"], "Unknown option '--nonsense'"]
        ] as const
      ) {
        const run = yield* checksum(args)
        assert.strictEqual(yield* run.ended, 1)
        assert.include(run.stderr(), message)
      }
    }), 60_000)

  it.scopedLive(
    "leaves an earlier output as it is when there is no such directory, and exits 1",
    () =>
      Effect.gen(function*() {
        const dir = yield* folder
        const out = join(dir, "sums")
        writeFileSync(out, "precious")
        for (const wrong of [join(dir, "nowhere"), out]) {
          const run = yield* checksum(["--dir", wrong, "--out", out, "--port", "0"])
          assert.strictEqual(yield* run.ended, 1)
          assert.match(run.stderr(), /^checksum: .*(ENOENT|expected --dir to be a directory)/)
          assert.strictEqual(readFileSync(out, "utf8"), "precious")
        }
      }),
    30_000
  )

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.scopedLive(
      `stops cleanly within 2 s of ${signal}, with a client connected, and leaves nothing behind`,
      () =>
        Effect.gen(function*() {
          const dir = yield* folder
          const outDir = yield* folder
          const out = join(outDir, "sums")
          fill(dir)
          const port = yield* freePort
          const run = yield* checksum(["--dir", dir, "--out", out, "--port", String(port), "--size", "0"])
          yield* askSoon(`http://127.0.0.1:${port}/herd`)
          const socket = connect(port, "127.0.0.1")
          yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
          socket.on("error", () => {})
          yield* Effect.async<void>((resume) => {
            socket.once("connect", () => resume(Effect.void))
          })
          const began = performance.now()
          run.child.kill(signal)
          const code = yield* run.ended
          assert.isBelow(performance.now() - began, 2_000)
          assert.strictEqual(code, 130)
          assert.strictEqual(execFileSync("ls", ["-A", outDir], { encoding: "utf8" }), "")
        }),
      30_000
    )
  }

  it.scopedLive("writes the same by threads, --threads, as many as there are cores", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const out = join(yield* folder, "sums")
      fill(dir)
      const run = yield* checksum(["--dir", dir, "--out", out, "--port", "0"])
      const threads = yield* example("checksum", [
        "--dir",
        dir,
        "--out",
        `${out}-by-threads`,
        "--port",
        "0",
        "--threads"
      ])
      assert.strictEqual(yield* run.ended, 0)
      assert.strictEqual(yield* threads.ended, 0, threads.stderr())
      assert.strictEqual(readFileSync(`${out}-by-threads`, "utf8"), sha256sum(dir))
      assert.strictEqual(readFileSync(`${out}-by-threads`, "utf8"), readFileSync(out, "utf8"))
      assert.match(threads.stdout(), /^211 files, 5,00\d,\d{3} bytes in \d+\.\d s, 0 failed: .+\n$/)
      assert.strictEqual(threads.stderr(), "")
    }), 60_000)

  it.scopedLive("says the same of a file that can't be read by threads, and exits 1", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const out = join(yield* folder, "sums")
      writeFileSync(join(dir, "fine"), "fine")
      const said = yield* Effect.forEach([[], ["--threads"]], (flags) =>
        Effect.gen(function*() {
          writeFileSync(join(dir, "vanishing"), "")
          const port = yield* freePort
          const args = ["--dir", dir, "--out", out, "--port", String(port), "--size", "0", ...flags]
          const run = yield* example("checksum", args)
          yield* tells(run, port, /"queued":2/)
          rmSync(join(dir, "vanishing"))
          yield* ask(`http://127.0.0.1:${port}/herd`, { method: "PATCH", body: "{\"num\": 1}" })
          const code = yield* run.ended.pipe(Effect.timeoutFail({
            duration: "40 seconds",
            onTimeout: () => `still running, after ${JSON.stringify(run.stdout() + run.stderr())}`
          }))
          return {
            code,
            stderr: run.stderr(),
            stdout: run.stdout().replace(/ in .* s,/, ""),
            sums: readFileSync(out, "utf8")
          }
        }))
      const [fibers, threads] = said
      assert.strictEqual(threads?.code, 1)
      assert.match(threads?.stderr ?? "", /^failed: .*vanishing: .*ENOENT[^\n]*\n$/)
      assert.deepStrictEqual(threads, fibers)
    }), 60_000)

  it.scopedLive(
    "stops within 2 s of Ctrl-C while its threads hash what takes far longer, and leaves neither a file nor a process behind",
    () =>
      Effect.gen(function*() {
        const dir = yield* folder
        const outDir = yield* folder
        // Nothing but zeros, which take no room on the disk.
        for (const name of ["a", "b", "c"]) {
          writeFileSync(join(dir, name), "")
          truncateSync(join(dir, name), 100e9)
        }
        const port = yield* freePort
        const args = ["--dir", dir, "--out", join(outDir, "sums"), "--port", String(port), "--size", "2", "--threads"]
        const run = yield* example("checksum", args)
        yield* tells(run, port, /"running":2/)
        assert.deepStrictEqual(readdirSync(outDir), ["sums.partial"])
        const began = performance.now()
        run.child.kill("SIGINT")
        // Not before whatever it has started has let go of its stderr, too.
        const code = yield* run.ended
        assert.isBelow(performance.now() - began, 2_000)
        assert.strictEqual(code, 130, run.stderr())
        assert.deepStrictEqual(readdirSync(outDir), [])
        const { pid = 0 } = run.child
        assert.throws(() => process.kill(pid, 0), /ESRCH/)
        assert.strictEqual(run.stdout() + run.stderr(), "")
      }),
    60_000
  )
})

describe("logs", () => {
  it.scopedLive(
    "finds the same by threads as in the main thread, and says how long either took",
    () =>
      Effect.gen(function*() {
        const run = yield* example("logs", ["--files", "6", "--entries", "500", "--threads", "2", "--port", "0"])
        assert.strictEqual(yield* run.ended, 0, run.stderr())
        assert.match(
          run.stdout(),
          new RegExp([
            "^main thread: 6 files in \\d+\\.\\d s",
            "threads: started, and one file, in \\d+\\.\\d s",
            "threads: 6 files in \\d+\\.\\d s, \\d+\\.\\d times as fast",
            "size at the end: 2",
            "both say: 3,000 entries, [\\d,]+ errors, [\\d,]+ bytes",
            "$"
          ].join("\n"))
        )
        assert.strictEqual(run.stderr(), "")
      }),
    60_000
  )

  it.scopedLive("starts as many threads as it is told to by HTTP", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const args = ["--files", "6", "--entries", "500", "--threads", "0", "--port", String(port)]
      const run = yield* example("logs", args)
      // Not before, since it then sets the size itself.
      yield* until(() => run.stdout().startsWith("main thread:"))
      yield* tells(run, port, /"queued":1/)
      const answer = yield* ask(`http://127.0.0.1:${port}/herd`, { method: "PATCH", body: "{\"num\": 2}" })
      assert.deepStrictEqual(answer.json, { num: 2, msg: "success" })
      assert.strictEqual(yield* run.ended, 0, run.stderr())
      assert.match(run.stdout(), /\nsize at the end: 2\nboth say: 3,000 entries/)
    }), 60_000)

  it.scopedLive(
    "takes *.json of a folder to its threads, names those that are no logs, and exits 1",
    () =>
      Effect.gen(function*() {
        const dir = yield* folder
        const entry = { time: "2025-01-01T00:00:00.000Z", path: "/", status: 503, bytes: 7, ms: 1 }
        writeFileSync(join(dir, "a.json"), JSON.stringify([entry, { ...entry, status: 200 }]))
        writeFileSync(join(dir, "b.json"), JSON.stringify({ entries: [entry] }))
        writeFileSync(join(dir, "c.json"), "[")
        writeFileSync(join(dir, "d.txt"), "nobody reads this")
        const run = yield* example("logs", ["--dir", dir, "--threads", "1", "--port", "0"])
        assert.strictEqual(yield* run.ended, 1)
        assert.match(run.stdout(), /^main thread: 3 files [^]*\nboth say: 2 entries, 1 errors, 14 bytes\n$/)
        assert.match(
          run.stderr(),
          /^failed: .*b\.json: expected an array of .*\nfailed: .*c\.json: Unexpected end .*\n$/
        )
      }),
    60_000
  )

  it.scopedLive(
    "stops within 2 s of Ctrl-C while its threads parse, and removes its files",
    () =>
      Effect.gen(function*() {
        const temporary = yield* folder
        const port = yield* freePort
        const args = ["--files", "4", "--entries", "100000", "--threads", "2", "--port", String(port)]
        const run = yield* example("logs", args, { TMPDIR: temporary })
        yield* tells(run, port, /"running":[12]/)
        const files = () => readdirSync(temporary).filter((name) => name.startsWith("gofherd-logs-"))
        assert.strictEqual(files().length, 1)
        const began = performance.now()
        run.child.kill("SIGINT")
        const code = yield* run.ended
        assert.isBelow(performance.now() - began, 2_000)
        assert.strictEqual(code, 130, run.stderr())
        assert.deepStrictEqual(files(), [])
      }),
    60_000
  )

  it.scopedLive("says what is wrong with its arguments, and exits 1", () =>
    Effect.gen(function*() {
      const empty = yield* folder
      for (
        const [args, message] of [
          [["--threads", "many"], "expected --threads to be an integer from 0 to 1000, got \"many\""],
          [["--threads=-1"], "expected --threads to be an integer from 0 to 1000, got \"-1\""],
          [["--files", "0"], "expected --files to be an integer from 1 to 10000, got \"0\""],
          [["--entries="], "expected --entries to be an integer from 0 to 1000000, got \"\""],
          [["--port", "99999"], "expected --port to be an integer from 0 to 65535, got \"99999\""],
          [["--dir", empty, "--port", "0"], `expected *.json in ${empty}, got none`],
          [["--nonsense"], "Unknown option '--nonsense'"]
        ] as const
      ) {
        const run = yield* startBundled("examples/logs.ts", args)
        assert.strictEqual(yield* run.ended, 1)
        assert.include(run.stderr(), `logs: ${message}`)
        assert.include(run.stderr(), "\nusage: logs.ts ")
        assert.strictEqual(run.stdout(), "")
      }
    }), 60_000)
})
