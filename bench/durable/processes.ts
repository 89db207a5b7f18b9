import { Data, Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"

class Ended extends Data.TaggedError("Ended")<{ readonly message: string }> {}

const worker = new URL("worker.ts", import.meta.url)

interface Worker {
  readonly send: (message: "go" | "stop") => Effect.Effect<void>
  /** The first message that this makes something of. */
  readonly hears: <A>(of: (message: unknown) => A | undefined) => Effect.Effect<A, Ended>
  readonly child: ChildProcess
}

const start = (args: ReadonlyArray<string>): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => fork(worker, args)),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) => ({
      child,
      send: (message) => Effect.sync(() => void child.send(message)),
      hears: <A>(of: (message: unknown) => A | undefined) =>
        Effect.async<A, Ended>((resume) => {
          const onMessage = (message: unknown) => {
            const heard = of(message)
            if (heard !== undefined) resume(Effect.succeed(heard))
          }
          const onExit = (code: number | null) =>
            resume(Effect.fail(new Ended({ message: `expected an answer of ${args[0]}, got an exit with ${code}` })))
          child.on("message", onMessage)
          child.on("exit", onExit)
          return Effect.sync(() => {
            child.off("message", onMessage)
            child.off("exit", onExit)
          })
        })
    })
  )

const numberIn = (message: unknown, key: string): number | undefined => {
  const value: unknown = typeof message === "object" && message !== null ? Reflect.get(message, key) : undefined
  return typeof value === "number" ? value : undefined
}

export interface Worked {
  /** From when they are told to begin until all units are done. */
  readonly seconds: number
  /** Microseconds of processor time, of all of them. */
  readonly cpu: number
}

/** So many processes work off so many units. */
export const workOff = (
  args: { readonly name: string; readonly location: string; readonly queue: string; readonly size: number },
  processes: number,
  units: number
): Effect.Effect<Worked, Ended> =>
  Effect.gen(function*() {
    const workers = yield* Effect.forEach(
      Array.from({ length: processes }),
      () => start([args.name, args.location, args.queue, String(args.size)]),
      { concurrency: "unbounded" }
    )
    yield* Effect.forEach(workers, ({ hears }) => hears((message) => message === "ready" || undefined), {
      concurrency: "unbounded"
    })
    const done = workers.map(() => 0)
    const began = performance.now()
    yield* Effect.forEach(workers, ({ send }) => send("go"))
    // The one that does the last unit says so.
    yield* Effect.raceAll(workers.map(({ hears }, index) =>
      hears((message) => {
        done[index] = numberIn(message, "units") ?? done[index] ?? 0
        return done.reduce((sum, n) => sum + n, 0) >= units || undefined
      })
    ))
    const seconds = (performance.now() - began) / 1_000
    const cpu = yield* Effect.forEach(
      workers,
      ({ hears, send }) =>
        Effect.zipLeft(hears((message) => numberIn(message, "cpu")), send("stop"), { concurrent: true }),
      { concurrency: "unbounded" }
    )
    return { seconds, cpu: cpu.reduce((sum, n) => sum + n, 0) }
  }).pipe(Effect.scoped)
