import { pathToFileURL } from "node:url"
import type { Worker } from "node:worker_threads"
import { bundled } from "./bundle.ts"

/** The worker modules of `test/fixtures`: a thread starts on one of JavaScript in a fraction of the time that tsx takes. */
export const bundledWorkers = <Name extends string>(...names: ReadonlyArray<Name>): (name: Name) => URL => {
  const entry = (name: Name) => `test/fixtures/${name}.ts`
  const files = bundled(...names.map(entry))
  return (name) => pathToFileURL(files(entry(name)))
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
