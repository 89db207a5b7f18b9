import { Effect, Schema, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import type { Violations } from "./violations.ts"
import { type TargetName, targetNames } from "./visit.ts"

export interface Targets {
  readonly url: (target: TargetName, n: number) => string
  /** How often which target did what. */
  readonly counts: Effect.Effect<Readonly<Record<string, number>>>
}

const Ports = Schema.Struct({ ports: Schema.Record({ key: Schema.Literal(...targetNames), value: Schema.Int }) })
const Counts = Schema.Struct({ counts: Schema.Record({ key: Schema.String, value: Schema.Int }) })

/** The next message of the child, perhaps after asking for it. */
const messageOf = (child: ChildProcess, question?: string) =>
  Effect.promise(async (signal): Promise<unknown> => {
    const message = once(child, "message", { signal })
    if (question !== undefined) child.send(question)
    return (await message)[0]
  })

/**
 * Starts the targets in another process, so that their event loop is not that of the herds, until
 * the scope closes.
 */
export const makeTargets = (seed: number, violations: Violations): Effect.Effect<Targets, never, Scope.Scope> =>
  Effect.gen(function*() {
    let stopping = false
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => fork(new URL("targetServers.ts", import.meta.url), [String(seed)])),
      (child) =>
        Effect.promise(async () => {
          stopping = true
          if (child.exitCode !== null || child.signalCode !== null) return
          const ended = once(child, "exit")
          child.disconnect()
          await ended
        })
    )
    child.once("exit", (code, signal) => {
      if (!stopping) violations.add("targets", `expected the targets to live, got an exit with ${code ?? signal}`)
    })
    const { ports } = yield* Effect.orDie(Effect.flatMap(messageOf(child), Schema.decodeUnknown(Ports)))
    const counts = messageOf(child, "counts").pipe(
      Effect.flatMap(Schema.decodeUnknown(Counts)),
      Effect.map(({ counts }) => counts),
      Effect.timeout("5 seconds"),
      Effect.orElseSucceed(() => ({}))
    )
    return { url: (target, n) => `http://127.0.0.1:${ports[target]}/${n}`, counts }
  })
