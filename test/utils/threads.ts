import { Effect, Exit, Scope } from "effect"
import { pathToFileURL } from "node:url"
import type { Worker } from "node:worker_threads"
import { afterAll, beforeAll } from "vitest"
import { bundle } from "./bundle.ts"

/**
 * The worker modules of `test/fixtures`, each in one file of JavaScript: a thread starts on it in a
 * fraction of the time that tsx takes.
 */
export const bundledWorkers = <Name extends string>(...names: ReadonlyArray<Name>): (name: Name) => URL => {
  const urls = new Map<string, URL>()
  const scope = Effect.runSync(Scope.make())
  beforeAll(async () => {
    for (const name of names) {
      const file = await Effect.runPromise(Scope.extend(bundle(`test/fixtures/${name}.ts`), scope))
      urls.set(name, pathToFileURL(file))
    }
  }, 60_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return (name) => {
    const url = urls.get(name)
    if (url === undefined) throw new Error(`expected ${name} to be bundled, got ${[...urls.keys()]}`)
    return url
  }
}

/** The threads that live, of all that this process has started since. */
export const liveThreads: ReadonlySet<Worker> = (() => {
  const live = new Set<Worker>()
  process.on("worker", (worker) => {
    live.add(worker)
    worker.once("exit", () => live.delete(worker))
  })
  return live
})()
