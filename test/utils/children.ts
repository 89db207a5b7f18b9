import { Deferred, Effect, Schedule, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pretend } from "./http.ts"

const root = new URL("../..", import.meta.url).pathname

export interface Running {
  readonly child: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** The exit code, or the signal that ended it. */
  readonly ended: Effect.Effect<number | string>
}

/**
 * Runs a program in the repository, killed at the end of the test if it still runs, and waited for.
 */
export const start = (
  command: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env } })
      const ended = Deferred.unsafeMake<number | string>(Effect.runSync(Effect.fiberId))
      let stdout = ""
      let stderr = ""
      child.stdout.on("data", (chunk) => stdout += String(chunk))
      child.stderr.on("data", (chunk) => stderr += String(chunk))
      child.on("error", (error) => Deferred.unsafeDone(ended, Effect.succeed(error.message)))
      child.on("close", (code, signal) => Deferred.unsafeDone(ended, Effect.succeed(code ?? signal ?? "")))
      return { child, stdout: () => stdout, stderr: () => stderr, ended: Deferred.await(ended) }
    }),
    ({ child, ended }) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), ended)
  )

/** `npx tsx examples/NAME.ts ...args`. */
export const example = (
  name: string,
  args: ReadonlyArray<string> = [],
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  start(process.execPath, ["--import", "tsx", `examples/${name}.ts`, ...args], env)

/** Asks until somebody listens there. */
export const askSoon = (url: string) =>
  Effect.retry(
    Effect.tryPromise(() => fetch(url).then((response) => response.text())),
    { schedule: Schedule.spaced("50 millis"), times: 200 }
  )

/** A directory of the test's own. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "gofherd-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A port that nobody listens on. */
export const freePort = Effect.map(Effect.scoped(pretend(() => {})), ({ port }) => port)
