/**
 * Processes of durable herds, to be killed.
 */
import { Effect, type Scope } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { startBundled } from "./bundle.ts"
import { folder, type Running } from "./children.ts"
import { sqliteNodeEnv } from "./sqliteNode.ts"
import type { Store } from "./stores.ts"

/** A process with a herd on the store, and the lines that it and others like it have written. */
export const makePrograms = (store: Store) =>
  Effect.gen(function*() {
    const log = join(yield* folder, "log")
    writeFileSync(log, "")
    const [source, location] = store.program ?? ["", ""]
    return {
      start: (size: number, options: object = {}): Effect.Effect<Running, never, Scope.Scope> =>
        startBundled(
          "test/fixtures/durable.ts",
          [source, location, store.herd, String(size), log, JSON.stringify(options)],
          sqliteNodeEnv()
        ),
      lines: () => readFileSync(log, "utf8").split("\n").filter((line) => line !== "")
    }
  })

export const killed = ({ child, ended }: Running) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), ended)
