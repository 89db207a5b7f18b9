import { Data, Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"

class Ended extends Data.TaggedError("Ended")<{ readonly message: string }> {}

const worker = new URL("worker.ts", import.meta.url)

interface Worker {
  /** Tells it to begin. */
  readonly go: Effect.Effect<void>
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
      go: Effect.sync(() => void child.send("go")),
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
  /** Units per second, of all of them together. */
  readonly rate: number
  /** Microseconds of processor time per unit. */
  readonly cpu: number
}

export interface Units {
  /** They don't count: with them the processes connect, and are compiled. */
  readonly first: number
  readonly counted: number
}

/** So many processes work off so many units. */
export const workOff = (
  args: { readonly name: string; readonly location: string; readonly queue: string; readonly size: number },
  processes: number,
  units: Units
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
    const told = workers.map(() => ({ units: 0, cpu: 0 }))
    const begin = performance.now()
    yield* Effect.forEach(workers, ({ go }) => go)
    /** The one that does the last of so many says so. */
    const until = (units: number) =>
      Effect.raceAll(workers.map(({ hears }, index) =>
        hears((message) => {
          told[index] = { units: numberIn(message, "units") ?? 0, cpu: numberIn(message, "cpu") ?? 0 }
          const sum = { at: performance.now(), units: 0, cpu: 0 }
          for (const { cpu, units } of told) {
            sum.units += units
            sum.cpu += cpu
          }
          return sum.units >= units ? sum : undefined
        })
      ))
    const began = units.first === 0 ? { at: begin, units: 0, cpu: 0 } : yield* until(units.first)
    const ended = yield* until(units.first + units.counted)
    const counted = ended.units - began.units
    return { rate: counted / (ended.at - began.at) * 1_000, cpu: (ended.cpu - began.cpu) / counted }
  }).pipe(Effect.scoped)
