/**
 * How long sites take to answer: a herd of 5 asks each site of a CSV file, and asks again, with
 * backoff, where it failed.
 *
 *     npx tsx examples/sites.ts [examples/sites.csv]
 */
import { FileSystem, HttpClient, type HttpClientError } from "@effect/platform"
import { NodeFileSystem, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Cause, Clock, Console, Effect, Exit, Layer, Option, Schedule, Stream } from "effect"
import { Herd } from "gofherd"
import { fileURLToPath } from "node:url"

/**
 * The first column of each line, without a head line; an address without a scheme is taken for
 * https.
 */
const parseSites = (csv: string) =>
  csv.split(/\r?\n/)
    .map((line) => (line.split(",")[0] ?? "").trim().replace(/^"(.*)"$/, "$1"))
    .filter((site, index) => site !== "" && !(index === 0 && /^(site|url|domain)$/i.test(site)))
    .map((site) => /^https?:\/\//.test(site) ? site : `https://${site}`)

/** Asks the site once, and measures how long its answer takes, the body included. */
const latencyOf = (site: string) =>
  Effect.gen(function*() {
    const client = (yield* HttpClient.HttpClient).pipe(HttpClient.followRedirects(5), HttpClient.filterStatusOk)
    const began = yield* Clock.currentTimeMillis
    yield* Effect.flatMap(client.get(site), (response) => Stream.runDrain(response.stream))
    return (yield* Clock.currentTimeMillis) - began
  }).pipe(Effect.scoped, Effect.timeout("10 seconds"))

/**
 * 200 ms, 400 ms, 800 ms, each give or take a fifth; an answer that says the request is wrong is
 * not asked again.
 */
const retry = Schedule.exponential("200 millis").pipe(
  Schedule.jittered,
  Schedule.intersect(Schedule.recurs(3)),
  Schedule.whileInput((error: HttpClientError.HttpClientError | Cause.TimeoutException) =>
    error._tag !== "ResponseError" || error.response.status >= 500 || error.response.status === 429
  )
)

/**
 * The name of what went wrong, and its cause: `RequestError: connect ECONNREFUSED 127.0.0.1:80`.
 */
const explain = <E extends HttpClientError.HttpClientError | Cause.TimeoutException>(cause: Cause.Cause<E>) =>
  Option.match(Cause.failureOption(cause), {
    onNone: () => Cause.pretty(cause),
    onSome: (error) => {
      if (error._tag === "ResponseError") return `${error._tag}: status ${error.response.status}`
      const reason = "cause" in error && error.cause instanceof Error ? error.cause.message : error.message
      return `${error._tag}: ${reason}`
    }
  })

const program = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const sites = parseSites(
    yield* fs.readFileString(process.argv[2] ?? fileURLToPath(new URL("sites.csv", import.meta.url)))
  )
  const herd = yield* Herd.make({ name: "sites", process: latencyOf, size: 5, retry })
  yield* Effect.forkScoped(Effect.zipRight(herd.sendAll(sites), herd.close))
  yield* Stream.runForEach(herd.outcomes, ({ attempts, exit, work }) => {
    const tries = attempts === 1 ? "" : ` (${attempts} attempts)`
    return Console.log(
      Exit.isSuccess(exit)
        ? `site: ${work.body}, latency: ${exit.value}ms${tries}`
        : `site: ${work.body}, failed: ${explain(exit.cause)}${tries}`
    )
  })
})

program.pipe(
  Effect.scoped,
  Effect.provide(Layer.merge(NodeFileSystem.layer, NodeHttpClient.layer)),
  NodeRuntime.runMain
)
