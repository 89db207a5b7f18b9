/**
 * SHA-256 of every file below a directory, in the format of `sha256sum`, by a herd that can be
 * resized while it runs. With `--journal FILE` the work survives: killed at any moment, even by
 * SIGKILL, and started again it goes on where it was.
 *
 *     node --import tsx examples/checksum.ts --dir node_modules --journal checksums.db
 *
 * `npx tsx examples/checksum.ts` works too, but its wrapper may kill the program on Ctrl-C before
 * that has cleaned up: then a file `checksums.txt.partial` is left, which the next run overwrites.
 *
 *     node --import tsx examples/checksum.ts --dir node_modules --size 8 --port 2112 --out checksums.txt
 *     curl -XPATCH 127.0.0.1:2112/herd -d '{"num": 2}'      # in another terminal
 *
 * With `--threads` each gopher owns a thread that hashes, and the size is the number of threads.
 * That pays for gigabytes: on two cores 7 GB took 4.2 s instead of 6 s. For the 27,000 small files
 * of a node_modules it made hardly a difference, and for little it takes longer (600 MB 2 s instead
 * of 0.7 s): Node reads files in threads of its own anyway, and by tsx a thread needs 1 to 2 s to
 * start (0.3 s once it is built). logs.ts shows what threads are good for.
 */
import { FileSystem } from "@effect/platform"
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Cause, Clock, Console, Context, Data, Effect, Either, Exit, Layer, Logger, LogLevel, Stream } from "effect"
import { Herd, type HerdError } from "gofherd"
import * as HerdProgress from "gofherd/HerdProgress"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdThread from "gofherd/HerdThread"
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { readdir } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { resolve } from "node:path"
import { parseArgs } from "node:util"
import { CannotRead, type Checksum, type File, reasonOf, type Result } from "./checksum.file.ts"
import type * as ChecksumWorker from "./checksum.worker.ts"

const HELP =
  "usage: checksum.ts [--dir node_modules] [--threads] [--size 8, with --threads as many as there are cores]" +
  " [--port 2112] [--out checksums.txt] [--journal FILE]"

class BadUsage extends Data.TaggedError("BadUsage")<{ readonly reason: string }> {
  override get message() {
    return `${this.reason}\n${HELP}`
  }
}

type Failure = CannotRead | HerdError.ThreadCrashed | HerdError.InvalidMessage

class Checksums extends Context.Tag("checksum")<
  Checksums,
  Herd.Herd<File, Checksum, Failure>
>() {}

// ------------------------------------------------------------------------------------------------------ one file

const hashFile = ({ path }: File): Effect.Effect<Checksum, CannotRead> =>
  Effect.tryPromise({
    try: async (signal) => {
      const hash = createHash("sha256")
      let bytes = 0
      for await (const chunk of createReadStream(path, { signal })) {
        hash.update(chunk as Buffer)
        bytes += (chunk as Buffer).length
      }
      return { hex: hash.digest("hex"), bytes }
    },
    catch: (cause) => new CannotRead({ path, reason: reasonOf(cause) })
  })

/**
 * The same, by a thread of the gopher's own: nothing is lost if that is terminated soon. If threads
 * can't start, nothing gets done, which is more than the warning that the herd makes of it.
 */
const thread = HerdThread.gopher<typeof ChecksumWorker>(
  new URL("./checksum.worker.ts", import.meta.url),
  { terminateAfter: "100 millis" }
).pipe(Effect.tapDefect((cause) => Effect.logError(reasonOf(Cause.squash(cause)))))

/**
 * As `sha256sum` prints it: a name with a backslash or a line break is escaped, and its line begins
 * with a backslash.
 */
const formatLine = (path: string, hex: string) => {
  const escaped = path.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r")
  return `${escaped === path ? "" : "\\"}${hex}  ${escaped}\n`
}

// ------------------------------------------------------------------------------------------------------ all files

/**
 * All regular files below the directory, in the order of their paths, byte by byte; links are not
 * followed.
 */
const listFiles = (dir: string, skip: ReadonlySet<string>): Effect.Effect<{
  readonly files: ReadonlyArray<string>
  readonly unreadable: ReadonlyArray<CannotRead>
}> =>
  Effect.gen(function*() {
    const files: Array<string> = []
    const unreadable: Array<CannotRead> = []
    const visit = (dir: string): Effect.Effect<void> =>
      Effect.tryPromise({
        try: () => readdir(dir, { withFileTypes: true }),
        catch: (cause) => new CannotRead({ path: dir, reason: reasonOf(cause) })
      }).pipe(
        Effect.flatMap((entries) => {
          // A directory's name stands before the slash and what is in it, so it is sorted with the
          // slash.
          const keyed = entries.map((entry) => ({
            entry,
            key: Buffer.from(entry.isDirectory() ? `${entry.name}/` : entry.name)
          }))
          keyed.sort((self, that) => Buffer.compare(self.key, that.key))
          return Effect.forEach(keyed, ({ entry }) => {
            const path = `${dir}/${entry.name}`
            if (entry.isDirectory()) return visit(path)
            if (entry.isFile() && !skip.has(resolve(path))) files.push(path)
            return Effect.void
          }, { discard: true })
        }),
        Effect.catchAll((error) => Effect.sync(() => unreadable.push(error)))
      )
    yield* visit(dir)
    return { files, unreadable }
  })

/** Puts outcomes, which come in the order of completion, into the order of paths. */
const inOrder = <A extends { readonly work: { readonly body: File } }, E, R>(outcomes: Stream.Stream<A, E, R>) =>
  Stream.mapAccum(outcomes, { next: 0, early: new Map<number, A>() }, ({ early, next }, outcome) => {
    early.set(outcome.work.body.index, outcome)
    const ready: Array<A> = []
    for (let now = early.get(next); now !== undefined; now = early.get(++next)) {
      ready.push(now)
      early.delete(next)
    }
    return [{ next, early }, ready]
  }).pipe(Stream.mapConcat((ready) => ready))

// ------------------------------------------------------------------------------------------------------ the program

const number = (n: number) => n.toLocaleString("en")

/** By a herd in memory: each result once those before it are there. */
const hashAll = (paths: ReadonlyArray<string>) =>
  Stream.unwrap(
    Effect.map(Checksums, (herd) => herd.stream(Stream.fromIterable(paths.map((path, index) => ({ path, index })))))
  ).pipe(
    inOrder,
    Stream.map(({ exit, work: { body: { path } } }): Result => ({
      path,
      hashed: Exit.match(exit, {
        onSuccess: Either.right,
        onFailure: (cause) => Either.left(reasonOf(Cause.squash(cause)))
      })
    })),
    Stream.provideSomeLayer(HerdProgress.layer(Checksums, { total: paths.length, unit: "files", summary: false }))
  )

const program = <E, R>(
  dir: string,
  out: string,
  hashAll: (paths: ReadonlyArray<string>) => Stream.Stream<Result, E, R>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const began = yield* Clock.currentTimeMillis
    // Written beside its place and moved there when it is whole.
    const partial = `${out}.partial`
    if ((yield* fs.stat(dir)).type !== "Directory") {
      return yield* new BadUsage({ reason: `expected --dir to be a directory, got ${dir}` })
    }
    const { files, unreadable } = yield* listFiles(dir, new Set([resolve(out), resolve(partial)]))
    const failures = unreadable.map(({ path, reason }) => `${path}: ${reason}`)
    let bytes = 0

    const describe = ({ hashed, path }: Result) => {
      if (Either.isRight(hashed)) {
        bytes += hashed.right.bytes
        return formatLine(path, hashed.right.hex)
      }
      failures.push(`${path}: ${hashed.left}`)
      return ""
    }

    yield* Effect.scoped(Effect.gen(function*() {
      yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(partial)))
      yield* hashAll(files).pipe(
        Stream.map(describe),
        Stream.filter((line) => line !== ""),
        Stream.encodeText,
        Stream.run(fs.sink(partial))
      )
      yield* fs.rename(partial, out)
    })).pipe(Logger.withMinimumLogLevel(LogLevel.Info))

    for (const failure of failures) yield* Console.error(`failed: ${failure}`)
    const seconds = ((yield* Clock.currentTimeMillis) - began) / 1_000
    const hashed = `${number(files.length - failures.length + unreadable.length)} files, ${number(bytes)} bytes`
    yield* Console.log(`${hashed} in ${seconds.toFixed(1)} s, ${failures.length} failed: ${out}`)
    if (failures.length > 0) process.exitCode = 1
  })

/** Whether it is in its bounds, the herd and the server say. */
const integer = (option: string, text: string) =>
  /^-?\d+$/.test(text)
    ? Effect.succeed(Number(text))
    : new BadUsage({ reason: `expected ${option} to be an integer, got ${JSON.stringify(text)}` })

const main = Effect.gen(function*() {
  const { values } = yield* Effect.try({
    try: () =>
      parseArgs({
        options: {
          dir: { type: "string", default: "node_modules" },
          threads: { type: "boolean", default: false },
          size: { type: "string" },
          port: { type: "string", default: "2112" },
          out: { type: "string", default: "checksums.txt" },
          journal: { type: "string" }
        }
      }),
    catch: (cause) => new BadUsage({ reason: reasonOf(cause) })
  })
  const size = yield* integer("--size", values.size ?? String(values.threads ? availableParallelism() : 8))
  const port = yield* integer("--port", values.port)
  const dir = values.dir.replace(/(?<=.)\/+$/, "")
  const maxSize = 1_000
  if (values.journal !== undefined) {
    const Journal = yield* Effect.promise(() => import("./checksum.journal.ts"))
    const gopher = values.threads ? thread : Effect.succeed(hashFile)
    const herd = Journal.layer(values.journal, { gopher, size, maxSize })
    const server = HerdServer.layer({ herds: [Journal.Journaled], port })
    const hashAll = (paths: ReadonlyArray<string>) => Stream.fromIterableEffect(Journal.hashAll(paths))
    return yield* Effect.provide(program(dir, values.out, hashAll), Layer.provideMerge(server, herd))
  }
  const herd = values.threads
    ? Herd.layer(Checksums, { gopher: thread, size, maxSize })
    : Herd.layer(Checksums, { process: hashFile, size, maxSize })
  const server = HerdServer.layer({ herds: [Checksums], port })
  yield* Effect.provide(program(dir, values.out, hashAll), Layer.provideMerge(server, herd))
})

// Whoever reads what this says may have read enough, as `head` has: the work goes on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error
  })
}

main.pipe(
  Effect.provide(NodeFileSystem.layer),
  Effect.catchAllCause((cause) =>
    Cause.isInterruptedOnly(cause) ? Effect.failCause(cause) : Effect.zipRight(
      Console.error(`checksum: ${reasonOf(Cause.squash(cause))}`),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )
  ),
  // Of the log, errors and the progress where there is no terminal; apart from the output.
  Logger.withMinimumLogLevel(LogLevel.Error),
  Effect.provide(Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))),
  NodeRuntime.runMain({ disablePrettyLogger: true, teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : 130) })
)
