/**
 * Servers of the tests' own, in folders of their own below the system's temporary one, on free
 * ports of this machine.
 */
import { Context, Data, Effect, Layer, Schedule, type Scope } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { chownSync, mkdirSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { folder, freePort } from "./children.ts"
import { find } from "./programs.ts"

class NotUp extends Data.TaggedError("NotUp")<{ readonly message: string }> {}

export interface Server {
  readonly url: string
  readonly port: number
  /** Starts it, on what it has written, and waits until it answers. */
  readonly start: Effect.Effect<void>
  /** Ends it with a signal, and waits until it has. */
  readonly kill: (signal?: NodeJS.Signals) => Effect.Effect<void>
  /** Signals to it and to all that it has started. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
}

export class Redis extends Context.Tag("test/Redis")<Redis, Server>() {}
export class Postgres extends Context.Tag("test/Postgres")<Postgres, Server>() {}

const redisServer = find("redis")
const postgresServer = find("postgres")
const initdb = find("initdb")

/** Are they there? */
export const hasRedis = redisServer !== undefined
export const hasPostgres = postgresServer !== undefined && initdb !== undefined

const answers = (port: number, question: Uint8Array, expected: RegExp): Effect.Effect<void, NotUp> =>
  Effect.async<void, NotUp>((resume) => {
    const socket = connect({ port, host: "127.0.0.1" })
    const fail = (message: string) => {
      socket.destroy()
      resume(new NotUp({ message }))
    }
    socket.on("connect", () => socket.write(question))
    socket.on("error", ({ message }) => fail(message))
    socket.on("close", () => fail("closed"))
    socket.on("data", (data) => {
      if (!expected.test(data.toString("latin1"))) return fail(`got ${data.toString("latin1")}`)
      socket.destroy()
      resume(Effect.void)
    })
  })

const childrenOf = (pid: number): ReadonlyArray<number> => {
  try {
    return execFileSync("ps", ["-o", "pid=", "--ppid", String(pid)], { encoding: "utf8" })
      .split("\n").filter((line) => line.trim() !== "").map(Number)
  } catch {
    return []
  }
}

const makeServer = (options: {
  readonly url: (port: number) => string
  readonly port: number
  readonly spawn: () => ChildProcess
  readonly up: Effect.Effect<void, NotUp>
  /** What it ends by with all that it has started. */
  readonly farewell: NodeJS.Signals
}): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { port, up, url } = options
    let child: ChildProcess | undefined
    const isRunning = ({ exitCode, signalCode }: ChildProcess) => exitCode === null && signalCode === null
    // Should this process end before the test does.
    const atExit = () => child?.kill("SIGKILL")
    process.once("exit", atExit)
    const start = Effect.gen(function*() {
      let said = ""
      const started = options.spawn()
      child = started
      started.stdout?.on("data", (data) => said += String(data))
      started.stderr?.on("data", (data) => said += String(data))
      yield* Effect.retry(up, { schedule: Schedule.spaced("20 millis"), times: 1_000, while: () => isRunning(started) })
        .pipe(Effect.orDieWith(({ message }) => new NotUp({ message: `expected a server, got ${message}: ${said}` })))
    })
    const kill = (signal: NodeJS.Signals = "SIGKILL") =>
      Effect.promise(async () => {
        if (child === undefined || !isRunning(child)) return
        const ended = once(child, "close")
        child.kill(signal)
        await ended
      })
    yield* Effect.addFinalizer(() =>
      Effect.zipRight(kill(options.farewell), Effect.sync(() => process.off("exit", atExit)))
    )
    yield* start
    return {
      url: url(port),
      port,
      start,
      kill,
      signal: (signal) =>
        Effect.sync(() => {
          if (child?.pid === undefined || !isRunning(child)) return
          for (const pid of [child.pid, ...childrenOf(child.pid)]) process.kill(pid, signal)
        })
    }
  })

const makeRedis = Effect.gen(function*() {
  const dir = yield* folder
  const port = yield* freePort
  return yield* makeServer({
    port,
    url: (port) => `redis://127.0.0.1:${port}`,
    spawn: () =>
      spawn(
        redisServer ?? "redis-server",
        [
          `--port ${port} --bind 127.0.0.1 --dir ${dir} --save "" --loglevel warning`,
          "--appendonly yes --appendfsync always --maxmemory-policy noeviction"
        ].flatMap((options) => options.split(" ")).map((option) => option === "\"\"" ? "" : option)
      ),
    farewell: "SIGKILL",
    up: answers(port, Buffer.from("PING\r\n"), /^\+PONG/)
  })
})

/** Root may not run it. */
const postgresUser = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

/** Begins a session, which it refuses while it is starting up. */
const hello = Buffer.concat([
  Uint8Array.of(0, 0, 0, 41, 0, 3, 0, 0),
  Buffer.from("user\0postgres\0database\0postgres\0\0")
])

const makePostgres = Effect.gen(function*() {
  const dir = yield* folder
  const port = yield* freePort
  const user = postgresUser()
  const data = join(dir, "data")
  yield* Effect.sync(() => {
    mkdirSync(data)
    if (user !== undefined) {
      chownSync(dir, user.uid, user.gid)
      chownSync(data, user.uid, user.gid)
    }
    execFileSync(initdb ?? "initdb", ["-D", data, "-A", "trust", "-U", "postgres", "-N"], {
      ...user,
      cwd: data,
      stdio: "ignore",
      env: { ...process.env, LC_ALL: "C" }
    })
  })
  return yield* makeServer({
    port,
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    spawn: () =>
      spawn(
        postgresServer ?? "postgres",
        ["-D", data, "-p", String(port), "-h", "127.0.0.1", "-k", dir, "-F", "-c", "max_connections=300"],
        { ...user, cwd: data }
      ),
    farewell: "SIGQUIT",
    up: answers(port, hello, /^R/)
  })
})

export const redis: Layer.Layer<Redis> = Layer.scoped(Redis, makeRedis)
export const postgres: Layer.Layer<Postgres> = Layer.scoped(Postgres, makePostgres)
