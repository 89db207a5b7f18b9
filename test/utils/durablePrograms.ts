/**
 * Processes of durable herds, to be killed.
 */
import { Effect, type Scope } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bundled } from "./bundle.ts"
import { folder, type Running, start } from "./children.ts"
import { sqliteNodeEnv } from "./sqliteNode.ts"
import type { Store } from "./stores.ts"

const program = "test/fixtures/durable.ts"

/** For a test file: makes processes with a herd on a store, and the lines that they have written. */
export const durablePrograms = () => {
  const files = bundled(program)
  return (store: Store) =>
    Effect.gen(function*() {
      const log = join(yield* folder, "log")
      writeFileSync(log, "")
      const [source, location] = store.program ?? ["", ""]
      return {
        start: (size: number, options: object = {}): Effect.Effect<Running, never, Scope.Scope> =>
          start(
            process.execPath,
            [files(program), source, location, store.herd, String(size), log, JSON.stringify(options)],
            sqliteNodeEnv
          ),
        lines: () => readFileSync(log, "utf8").split("\n").filter((line) => line !== "")
      }
    })
}

export const killed = ({ child, ended }: Running) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), ended)
