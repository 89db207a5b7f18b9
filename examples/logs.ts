/**
 * What threads are for: to parse megabytes of JSON into a few figures. It writes web-server logs
 * into a temporary folder, summarizes each in the main thread, then all of them again by a herd
 * whose gophers own a thread each, compares, and says how many times as fast that was: on two idle
 * cores 1.5 times. To start the threads takes its time, too, 1.5 s by tsx and 0.3 s once they are
 * built, which is told of apart: with few or small files the main thread wins.
 *
 *     node --import tsx examples/logs.ts --files 100 --threads 2
 *     curl -XPATCH 127.0.0.1:2112/herd -d '{"num": 1}'      # in another terminal, once the threads are at work
 *     node --import tsx examples/logs.ts --dir logs         # files of one's own: *.json, of entries as in logs.worker.ts
 */
import { FileSystem } from "@effect/platform"
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Context, Data, Duration, Effect, Exit, Layer, Logger, LogLevel } from "effect"
import { Herd, type HerdError } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdThread from "gofherd/HerdThread"
import { availableParallelism } from "node:os"
import { isDeepStrictEqual, parseArgs } from "node:util"
import { type Entry, type NoLog, summarize, type Summary } from "./logs.worker.ts"
import type * as LogsWorker from "./logs.worker.ts"

const HELP =
  "usage: logs.ts [--dir DIR | --files 60 --entries 40000] [--threads as many as there are cores] [--port 2112]"

class BadUsage extends Data.TaggedError("BadUsage")<{ readonly reason: string }> {
  override get message() {
    return `${this.reason}\n${HELP}`
  }
}

class Logs extends Context.Tag("logs")<
  Logs,
  Herd.Herd<string, Summary, NoLog | HerdError.ThreadCrashed | HerdError.InvalidMessage>
>() {}

// ------------------------------------------------------------------------------------------------------ the files

/**
 * Some paths are asked for more than others, one answer in fifty is an error, and few take long.
 */
const entry = (n: number): Entry => ({
  time: new Date(Date.UTC(2025, 0) + n * 250).toISOString(),
  path: `/articles/${Math.floor(200 * Math.random() ** 3)}`,
  status: Math.random() < 0.02 ? 503 : 200,
  bytes: Math.floor(Math.random() * 50_000),
  ms: Math.round(-4_000 * Math.log(1 - Math.random())) / 100
})

/** About 95 bytes to an entry; removed with the scope. */
const writeFiles = (files: number, entries: number) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const dir = yield* fs.makeTempDirectoryScoped({ prefix: "gofherd-logs-" })
    yield* Effect.forEach(Array.from({ length: files }, (_, n) => `${dir}/${n}.json`), (path) =>
      fs.writeFileString(path, JSON.stringify(Array.from({ length: entries }, (_, n) => entry(n)))), { discard: true })
    return dir
  })

const listFiles = (dir: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const names = (yield* fs.readDirectory(dir)).filter((name) => name.endsWith(".json")).toSorted()
    if (names.length === 0) return yield* new BadUsage({ reason: `expected *.json in ${dir}, got none` })
    return names.map((name) => `${dir}/${name}`)
  })

// ------------------------------------------------------------------------------------------------------ the race

/** The Summary of each file, or what is wrong with it, in the order of the files. */
const summaries = <E extends Error>(herd: Herd.Herd<string, Summary, E>, paths: ReadonlyArray<string>) =>
  Effect.timed(Effect.forEach(
    paths,
    (path) => Effect.match(herd.run(path), { onSuccess: (summary) => summary, onFailure: ({ message }) => message }),
    { concurrency: "unbounded" }
  ))

const program = (paths: ReadonlyArray<string>, threads: number) =>
  Effect.gen(function*() {
    const herd = yield* Logs
    const seconds = (duration: Duration.Duration) => `${Duration.toSeconds(duration).toFixed(1)} s`

    const [alone, expected] = yield* Effect.scoped(
      Effect.flatMap(Herd.make({ name: "alone", process: summarize, size: 1 }), (herd) => summaries(herd, paths))
    )
    yield* Console.log(`main thread: ${paths.length} files in ${seconds(alone)}`)

    // It has been of size 0 so far. The first file has to wait until a thread has started, which is
    // told of apart.
    yield* herd.resize(threads)
    const [started] = yield* summaries(herd, paths.slice(0, 1))
    yield* Console.log(`threads: started, and one file, in ${seconds(started)}`)
    const [together, got] = yield* summaries(herd, paths)
    const times = (Duration.toMillis(alone) / Duration.toMillis(together)).toFixed(1)
    yield* Console.log(`threads: ${paths.length} files in ${seconds(together)}, ${times} times as fast`)
    yield* Console.log(`size at the end: ${yield* herd.size}`)

    if (!isDeepStrictEqual(got, expected)) return yield* Effect.dieMessage("expected equal summaries, got others")
    const failures = got.filter((summary) => typeof summary === "string")
    const read = got.filter((summary) => typeof summary !== "string")
    const sum = (of: (summary: Summary) => number) => read.reduce((sum, one) => sum + of(one), 0).toLocaleString("en")
    yield* Console.log(
      `both say: ${sum((_) => _.entries)} entries, ${sum((_) => _.errors)} errors, ${sum((_) => _.bytes)} bytes`
    )
    for (const failure of failures) yield* Console.error(`failed: ${failure}`)
    if (failures.length > 0) process.exitCode = 1
  })

const integer = (option: string, text: string, least: number, most: number) =>
  /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most
    ? Effect.succeed(Number(text))
    : new BadUsage({
      reason: `expected ${option} to be an integer from ${least} to ${most}, got ${JSON.stringify(text)}`
    })

const main = Effect.gen(function*() {
  const { values } = yield* Effect.try({
    try: () =>
      parseArgs({
        options: {
          dir: { type: "string" },
          files: { type: "string", default: "60" },
          entries: { type: "string", default: "40000" },
          threads: { type: "string", default: String(availableParallelism()) },
          port: { type: "string", default: "2112" }
        }
      }),
    catch: (cause) => new BadUsage({ reason: textOf(cause) })
  })
  const files = yield* integer("--files", values.files, 1, 10_000)
  const entries = yield* integer("--entries", values.entries, 0, 1_000_000)
  const threads = yield* integer("--threads", values.threads, 0, 1_000)
  const port = yield* integer("--port", values.port, 0, 65_535)
  const LogsLive = Herd.layer(Logs, {
    // A thread that parses hears of nothing else: not waited for, it is terminated. If threads
    // can't start, nothing gets done, which is more than the warning that the herd makes of it.
    gopher: HerdThread.gopher<typeof LogsWorker>(new URL("./logs.worker.ts", import.meta.url), { terminateAfter: 0 })
      .pipe(
        Effect.tapDefect((cause) => Effect.logError(textOf(Cause.squash(cause))))
      ),
    size: 0,
    maxSize: 1_000
  })
  const ServerLive = HerdServer.layer({ herds: [Logs], port })
  yield* Effect.gen(function*() {
    const paths = yield* listFiles(values.dir ?? (yield* writeFiles(files, entries)))
    yield* program(paths, threads)
  }).pipe(Effect.provide(Layer.provideMerge(ServerLive, LogsLive)))
})

const textOf = (cause: unknown) => cause instanceof Error ? cause.message : String(cause)

// Whoever reads what this says may have read enough, as `head` has: the files are removed all the
// same.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error
  })
}

main.pipe(
  Effect.scoped,
  Effect.provide(NodeFileSystem.layer),
  Effect.catchAllCause((cause) =>
    Cause.isInterruptedOnly(cause) ? Effect.failCause(cause) : Effect.zipRight(
      Console.error(`logs: ${textOf(Cause.squash(cause))}`),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )
  ),
  Logger.withMinimumLogLevel(LogLevel.Error),
  Effect.provide(Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))),
  NodeRuntime.runMain({ disablePrettyLogger: true, teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : 130) })
)
