/**
 * A real Prometheus, configured as deploy/ does, that scrapes live herds; and promtool.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import {
  Context,
  Data,
  Effect,
  FastCheck,
  Layer,
  Logger,
  LogLevel,
  MetricKey,
  MetricLabel,
  MetricPair,
  MetricState,
  Option,
  Schedule,
  Schema
} from "effect"
import { Herd } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdSource from "gofherd/HerdSource"
import { cpSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { scrape, serialize } from "../src/internal/prometheus.ts"
import { folder, freePort, start } from "./utils/children.ts"
import { panels, substitute } from "./utils/dashboard.ts"
import { ask } from "./utils/http.ts"
import { find, path } from "./utils/programs.ts"
import { promtool } from "./utils/promtool.ts"

const deployed = new URL("../deploy/prometheus", import.meta.url).pathname

// ------------------------------------------------------------------------------------------------------ the world

/** A name that has everything that the text format escapes. */
const awkward = "a \"quoted\"\\ name\nof two lines"

class Steady extends Context.Tag("steady")<Steady, Herd.Herd<number, void, string>>() {}
class Awkward extends Context.Tag("awkward")<Awkward, Herd.Herd<number, number>>() {}
class Durable extends Context.Tag("durable")<Durable, DurableHerd.DurableHerd<number>>() {}

/** When each thing happened, by the test's own count. */
interface Happened {
  readonly success: Array<number>
  readonly retry: Array<number>
  readonly failure: Array<number>
  /** When each attempt ended, and what it took, in seconds. */
  readonly attempts: Array<{ readonly ended: number; readonly took: number }>
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [time: number, value: string]
}

class Prometheus extends Context.Tag("test/Prometheus")<Prometheus, {
  readonly happened: Happened
  readonly target: string
  readonly get: (path: string) => Effect.Effect<unknown, string>
  readonly query: (expr: string, time?: number) => Effect.Effect<ReadonlyArray<Sample>, string>
}>() {}

/**
 * About fifty units a second; each fifth takes ten times as long, each tenth needs another attempt,
 * each 25th fails.
 */
const HerdsLive = Layer.unwrapEffect(Effect.sync(() => {
  const happened: Happened = { success: [], retry: [], failure: [], attempts: [] }
  const steady = Herd.layer(Steady, {
    process: (n, { attempt }) =>
      Effect.gen(function*() {
        const began = performance.now()
        yield* Effect.sleep(n % 5 === 0 ? "350 millis" : "35 millis")
        const took = (performance.now() - began) / 1000
        happened.attempts.push({ ended: Date.now(), took })
        if (n % 25 === 1 || (n % 10 === 3 && attempt === 1)) return yield* Effect.fail("no")
      }),
    size: 20,
    retry: Schedule.spaced("100 millis").pipe(Schedule.intersect(Schedule.recurs(1))),
    onSuccess: () => Effect.sync(() => happened.success.push(Date.now())),
    onRetry: () => Effect.sync(() => happened.retry.push(Date.now())),
    onFailure: () => Effect.sync(() => happened.failure.push(Date.now())),
    outcomes: "discard"
  })
  const other = Herd.layer(Awkward, { process: Effect.succeed<number>, name: awkward, outcomes: "discard" })
  const durable = DurableHerd.layer(Durable, { schema: Schema.Number, process: Effect.fail }).pipe(
    Layer.provide(HerdSource.layerMemory())
  )
  const work = Layer.scopedDiscard(Effect.gen(function*() {
    const [one, two] = [yield* Steady, yield* Awkward]
    yield* (yield* Durable).offer(1)
    let n = 0
    const send = Effect.gen(function*() {
      yield* one.send(++n)
      yield* two.send(n)
      if (n % 50 === 0) yield* one.resize(20 - n / 50 % 2)
    })
    yield* Effect.forkScoped(Effect.schedule(send, Schedule.spaced("20 millis")))
  }))
  return Layer.merge(
    Layer.succeed(Recorded, happened),
    Layer.provideMerge(work, Layer.mergeAll(steady, other, durable))
  )
}))

class Recorded extends Context.Tag("test/Recorded")<Recorded, Happened>() {}

class Unready extends Data.TaggedError("Unready")<{ readonly message: string }> {}

const get = (url: string): Effect.Effect<unknown, string> =>
  Effect.flatMap(ask(url), ({ json, status, text }) => {
    const answer = json as { readonly status?: string; readonly data?: unknown } | undefined
    return status === 200 && answer?.status === "success"
      ? Effect.succeed(answer.data)
      : Effect.fail(`${status} ${text}`)
  })

/**
 * The deployed configuration, with what this machine has in the place of what the compose file has.
 */
const PrometheusLive = Layer.scoped(
  Prometheus,
  Effect.gen(function*() {
    const happened = yield* Recorded
    const { url } = yield* HerdServer.HerdServer
    const target = new URL(url).host
    const dir = yield* folder
    const config = join(dir, "prometheus.yml")
    cpSync(deployed, dir, { recursive: true })
    writeFileSync(join(dir, "token"), "s3cret")
    const text = readFileSync(config, "utf8")
    const here = text
      .replaceAll(/_interval: 15s/g, "_interval: 1s")
      .replace("/run/secrets/gofherd_token", join(dir, "token"))
      .replace("herd:2112", target)
      // The names are of the compose file's network.
      .replace(/ {4}dns_sd_configs:\n(?: {6}.*\n)+/, "")
    assert.notInclude(here, "dns_sd_configs")
    assert.include(here, target)
    writeFileSync(config, here)
    const port = yield* freePort
    const child = yield* start(path("prometheus"), [
      `--config.file=${config}`,
      `--web.listen-address=127.0.0.1:${port}`,
      `--storage.tsdb.path=${join(dir, "data")}`
    ])
    const base = `http://127.0.0.1:${port}/api/v1`
    const query = (expr: string, time?: number) =>
      Effect.map(
        get(`${base}/query?${new URLSearchParams({ query: expr, ...(time !== undefined && { time: String(time) }) })}`),
        (data) => (data as { readonly result: ReadonlyArray<Sample> }).result
      )
    // Enough scrapes for a rate over 10 s.
    yield* Effect.retry(
      Effect.flatMap(
        Effect.sandbox(query("min(count_over_time(up[1m])) >= 13")),
        (result) => result.length > 0 ? Effect.void : Effect.fail("no scrapes")
      ),
      { schedule: Schedule.spaced("200 millis"), times: 250 }
    ).pipe(Effect.catchAll(() => new Unready({ message: child.stderr() })))
    return { happened, target, get: (path) => get(base + path), query }
  })
)

const World = PrometheusLive.pipe(
  Layer.provideMerge(HerdServer.layer({ herds: [Steady, Awkward, Durable], port: 0, token: "s3cret" })),
  Layer.provideMerge(HerdsLive),
  Layer.provide(Logger.minimumLogLevel(LogLevel.Error))
)

// ------------------------------------------------------------------------------------------------------ helpers

const single = (samples: ReadonlyArray<Sample>): number =>
  samples.length === 1 ? Number(samples[0]?.value[1]) : assert.fail(`expected one series, got ${samples.length}`)

/** Asks for data, of which at least some has to be a number. */
const live = (expr: string) =>
  Effect.gen(function*() {
    const { query } = yield* Prometheus
    const samples = yield* Effect.orDieWith(query(expr), (error) => `${expr}: ${error}`)
    assert.isAbove(samples.filter(({ value }) => Number.isFinite(Number(value[1]))).length, 0, `no data for ${expr}`)
  })

/** How many of these moments are in the 10 s before. */
const countBefore = (time: number, moments: ReadonlyArray<number>) =>
  moments.filter((at) => at > time * 1000 - 10_000 && at <= time * 1000).length

// ------------------------------------------------------------------------------------------------------ tests

describe.skipIf(find("prometheus") === undefined)("a real Prometheus", () => {
  layer(World, { timeout: "70 seconds", excludeTestServices: true })((it) => {
    it.effect("finds the herds up, in well under its interval", () =>
      Effect.gen(function*() {
        const { query, target } = yield* Prometheus
        const up = yield* query("up")
        assert.deepStrictEqual(up.map(({ metric, value }) => [metric, value[1]]), [
          [{ __name__: "up", instance: target, job: "gofherd" }, "1"]
        ])
        assert.strictEqual(single(yield* query("min_over_time(up[1m])")), 1)
        assert.isBelow(single(yield* query("quantile_over_time(0.5, scrape_duration_seconds[1m])")), 0.1)
      }))

    it.effect("reads every name as it is, with quotes, a backslash and a line feed", () =>
      Effect.gen(function*() {
        const { query, target } = yield* Prometheus
        const sizes = yield* query("gofherd_size")
        assert.sameDeepMembers(
          sizes.map(({ metric }) => metric),
          ["steady", awkward, "durable"].map((herd) => ({
            __name__: "gofherd_size",
            herd,
            instance: target,
            job: "gofherd"
          }))
        )
        assert.strictEqual(single(yield* query(`gofherd_size{herd=${JSON.stringify(awkward)}}`)), 1)
        assert.isAbove(single(yield* query(`gofherd_success_total{herd=${JSON.stringify(awkward)}}`)), 100)
      }))

    it.effect("knows the type and the help of every metric", () =>
      Effect.gen(function*() {
        const { get } = yield* Prometheus
        const metadata = (yield* get("/metadata")) as Record<string, ReadonlyArray<{ type: string; help: string }>>
        const text = scrape()
        const names = Array.from(
          text.matchAll(/^# TYPE (\S+) (\S+)$/gm),
          ([, name = "", type = ""]) => ({ name, type })
        )
        assert.isAbove(names.length, 18)
        for (const { name, type } of names) {
          assert.deepInclude(metadata[name]?.[0], { type }, name)
          assert.isAbove(metadata[name]?.[0]?.help.length ?? 0, 0, name)
        }
      }))

    it.effect("has the rates at which units succeeded, failed and were retried", () =>
      Effect.gen(function*() {
        const { happened, query } = yield* Prometheus
        const now = Date.now() / 1000 - 1
        for (const kind of ["success", "retry", "failure"] as const) {
          const rate = single(yield* query(`rate(gofherd_${kind}_total{herd="steady"}[10s])`, now))
          const counted = countBefore(now, happened[kind]) / 10
          assert.isAbove(counted, 1)
          // It extrapolates from the scrapes to the window, so a second's worth may be off.
          assert.approximately(rate, counted, 0.4 + 0.15 * counted, kind)
        }
      }))

    it.effect("has the quantiles of the time of an attempt, at the precision of its buckets", () =>
      Effect.gen(function*() {
        const { happened, query } = yield* Prometheus
        const bounds = [0, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
        const now = Date.now() / 1000 - 1
        const took = happened.attempts
          .filter(({ ended }) => ended > now * 1000 - 10_000 && ended <= now * 1000)
          .map(({ took }) => took)
          .toSorted((self, that) => self - that)
        assert.isAbove(took.length, 100)
        for (const [quantile, least] of [[0.5, 0.03], [0.95, 0.3]] as const) {
          const expr =
            `histogram_quantile(${quantile}, rate(gofherd_attempt_duration_seconds_bucket{herd="steady"}[10s]))`
          const estimate = single(yield* query(expr, now))
          const measured = took[Math.floor(took.length * quantile)] ?? assert.fail("expected attempts, got none")
          assert.isAbove(measured, least)
          const upper = bounds.findIndex((bound) => bound >= measured)
          assert.isAtLeast(estimate, bounds[upper - 1] ?? Infinity, `measured ${measured}`)
          assert.isAtMost(estimate, bounds[upper] ?? 0, `measured ${measured}`)
        }
        const mean = single(
          yield* query(
            "rate(gofherd_attempt_duration_seconds_sum{herd=\"steady\"}[10s]) / rate(gofherd_attempt_duration_seconds_count{herd=\"steady\"}[10s])",
            now
          )
        )
        const measured = took.reduce((sum, seconds) => sum + seconds, 0) / took.length
        assert.approximately(mean, measured, measured * 0.2)
      }))

    for (const { targets = [], title } of panels) {
      for (const { expr, refId } of targets) {
        it.effect(`has data for the dashboard's panel "${title}", ${refId}`, () => live(substitute(expr)))
      }
    }

    it.effect("has what the dashboard's list of herds asks for", () =>
      Effect.gen(function*() {
        const { get } = yield* Prometheus
        assert.sameMembers((yield* get("/label/herd/values?match[]=gofherd_size")) as Array<string>, [
          "steady",
          awkward,
          "durable"
        ])
      }))

    // An alert has no data as long as it does not fire. With `bool` a comparison yields 0 or 1
    // where it would leave nothing, so the whole expression has data exactly if both sides of each
    // comparison have.
    it.effect("evaluates every alert rule, and has data on both sides of each comparison", () =>
      Effect.gen(function*() {
        const { get } = yield* Prometheus
        const { groups } = (yield* get("/rules")) as {
          readonly groups: ReadonlyArray<{
            readonly rules: ReadonlyArray<{
              readonly name: string
              readonly query: string
              readonly health: string
              readonly lastError?: string
              readonly state: string
            }>
          }>
        }
        const rules = groups.flatMap(({ rules }) => rules)
        assert.deepStrictEqual(
          rules.map(({ name }) => name).toSorted(),
          [
            "HerdBacklogGrowing",
            "HerdDeadLetters",
            "HerdFailing",
            "HerdLeasesLost",
            "HerdRetriesRising",
            "HerdSourceBacklogGrowing",
            "HerdSourceFailing",
            "HerdStuck"
          ]
        )
        for (const { health, lastError, name, query: expr, state } of rules) {
          assert.deepStrictEqual([name, health, lastError], [name, "ok", undefined])
          assert.notStrictEqual(state, "firing", name)
          const compared = expr.replace(/(?<![=!~<>])(==|!=|>=|<=|>|<)(?![=~])/g, "$1 bool")
          assert.isAtLeast(compared.split(" bool").length, 2)
          yield* live(compared)
        }
      }))
  })
})

describe.skipIf(find("promtool") === undefined)("promtool", () => {
  it.scopedLive("finds nothing to say of a scrape of a live herd", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) => n % 2 === 0 ? Effect.fail(n) : Effect.succeed(n),
        name: awkward
      })
      yield* herd.sendAll([1, 2, 3])
      yield* herd.awaitIdle
      yield* Effect.repeat(Effect.sync(scrape), {
        schedule: Schedule.spaced("10 millis"),
        until: (text) => text.includes("nodejs_eventloop_lag_seconds ")
      })
      assert.deepStrictEqual(promtool(["check", "metrics"], scrape()), { status: 0, output: "" })
      // It would have something to say.
      assert.notStrictEqual(promtool(["check", "metrics"], scrape().replaceAll(/^# HELP .*\n/gm, "")).status, 0)
    }), 20_000)

  it("can parse whatever is serialized", () => {
    const text = FastCheck.oneof(
      FastCheck.string(),
      FastCheck.string({ unit: FastCheck.constantFrom("\\", "\"", "\n", "\r", "{", "}", "é", "#", " ", "a", "_", "0") })
    )
    const value = FastCheck.oneof(FastCheck.double(), FastCheck.constantFrom(NaN, Infinity, -Infinity, -0, 1e21, 1e-7))
    const metric = FastCheck.record({
      kind: FastCheck.constantFrom("counter", "gauge", "frequency", "summary"),
      name: text,
      description: FastCheck.option(text, { nil: undefined }),
      tags: FastCheck.array(FastCheck.tuple(text, text), { maxLength: 3 }),
      value
    })
    const all = FastCheck.sample(metric, { numRuns: 400, seed: 1 })
    const pairs = all.map(({ description, kind, name, tags, value }, n) => {
      const labels = tags.map(([key, value]) => MetricLabel.make(key, value))
      // A suffix, as two families of one name, or one named as a part of another, are not what is
      // tried here.
      const options = description === undefined ? {} : { description }
      const full = `${name}_${n}x`
      if (kind === "counter") {
        return MetricPair.unsafeMake(
          MetricKey.taggedWithLabels(MetricKey.counter(full, { ...options, incremental: true }), labels),
          MetricState.counter(value)
        )
      }
      if (kind === "gauge") {
        return MetricPair.unsafeMake(
          MetricKey.taggedWithLabels(MetricKey.gauge(full, options), labels),
          MetricState.gauge(value)
        )
      }
      if (kind === "frequency") {
        const occurrences = new Map(tags.map(([key], n) => [key, n]))
        return MetricPair.unsafeMake(
          MetricKey.taggedWithLabels(MetricKey.frequency(full, options), labels),
          MetricState.frequency(occurrences)
        )
      }
      const summary = { error: 0.1, quantiles: [0.5, 0.9], maxAge: "1 minute", maxSize: 10 } as const
      return MetricPair.unsafeMake(
        MetricKey.taggedWithLabels(MetricKey.summary({ name: full, ...summary, ...options }), labels),
        MetricState.summary({
          error: 0.1,
          quantiles: [[0.5, Option.some(value)], [0.9, Option.none()]],
          count: 2,
          min: 0,
          max: 1,
          sum: value
        })
      )
    })
    const { output, status } = promtool(["check", "metrics"], serialize(pairs))
    // 3 is for names and help that it finds wanting in style.
    assert.include([0, 3], status, output)
  })
})

describe("a scrape of a herd that is saturated with synchronous units", () => {
  it.scopedLive("is answered in less than 100 ms", () =>
    Effect.gen(function*() {
      const program = `
        import { NodeRuntime } from "@effect/platform-node"
        import { Console, Context, Effect, Layer } from "effect"
        import { Herd } from "gofherd"
        import * as HerdServer from "gofherd/HerdServer"
        const Busy = Context.GenericTag("busy")
        const spin = Effect.sync(() => { const end = performance.now() + 1; while (performance.now() < end); })
        const BusyLive = Herd.layer(Busy, { process: () => spin, size: 8, outcomes: "discard" })
        const forever = function*() { for (let n = 0;; n++) yield n }
        const main = Effect.gen(function*() {
          yield* Effect.flatMap(HerdServer.HerdServer, ({ url }) => Console.log(url))
          yield* Effect.flatMap(Busy, (herd) => herd.sendAll(forever()))
        })
        main.pipe(
          Effect.provide(HerdServer.layer({ herds: [Busy], port: 0 }).pipe(Layer.provideMerge(BusyLive))),
          NodeRuntime.runMain
        )
      `
      const child = yield* start(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program])
      yield* Effect.repeat(Effect.void, {
        schedule: Schedule.spaced("20 millis"),
        until: () => child.stdout().includes("\n")
      })
      const url = child.stdout().trim()
      const value = (text: string, name: string) =>
        Number(new RegExp(`^${name}\\{herd="busy"\\} (\\d+)$`, "m").exec(text)?.[1])
      const times: Array<number> = []
      let before = 0
      for (let n = 0; n < 15; n++) {
        const asked = performance.now()
        const { text } = yield* ask(`${url}/metrics`)
        times.push(performance.now() - asked)
        // It is saturated: there is always more to do, and it gets done.
        assert.isAbove(value(text, "gofherd_queued"), 0)
        assert.isAbove(value(text, "gofherd_success_total"), before)
        before = value(text, "gofherd_success_total")
        yield* Effect.sleep("50 millis")
      }
      const median = times.toSorted((self, that) => self - that)[7] ?? Infinity
      assert.isBelow(median, 100, `times: ${times.map(Math.round).join(", ")} ms`)
    }), 30_000)
})
