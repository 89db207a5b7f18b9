import { spawnSync } from "node:child_process"
import { path } from "./programs.ts"

/** What promtool says of this: its exit code, and everything that it printed. */
export const promtool = (args: ReadonlyArray<string>, input = "", cwd?: string) => {
  const { status, stderr, stdout } = spawnSync(path("promtool"), args, { input, encoding: "utf8", cwd })
  return { status, output: stdout + stderr }
}
