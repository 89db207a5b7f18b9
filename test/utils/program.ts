import { Effect, type Scope } from "effect"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { until } from "./browser.ts"
import { startBundled } from "./bundle.ts"
import type { Running } from "./children.ts"

export interface Program extends Running {
  readonly pid: number
  /** Where it listens. */
  readonly url: string
  readonly port: number
}

/** `test/fixtures/served.ts` once it listens; killed at the end of the test if it still runs. */
export const served = (options: Readonly<Record<string, unknown>> = {}): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.gen(function*() {
    const running = yield* startBundled("test/fixtures/served.ts", [JSON.stringify(options)])
    const { stdout } = running
    yield* Effect.promise(() => until(async () => stdout() + running.stderr(), (text) => /listening .*\n/.test(text)))
    const url = /listening (.*)\n/.exec(stdout())?.[1] ?? ""
    return { ...running, pid: running.child.pid ?? 0, url, port: Number(new URL(url).port) }
  })

/** The most memory that a process has ever had, in MB. */
export const peakMemory = (pid: number): number =>
  Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

/** How many sockets a process has open. */
export const connections = (pid: number): number =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("socket:")
    } catch {
      return false
    }
  }).length
