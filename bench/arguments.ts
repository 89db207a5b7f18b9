import { parseArgs } from "node:util"
import type { Options, Suite } from "./suite.ts"

export interface Arguments extends Options {
  readonly suites: ReadonlyArray<Suite>
  /** Where results go; absent, they are only shown. */
  readonly out?: string | URL
}

const RESULTS = new URL("results.json", import.meta.url)

const quoted = (value: unknown) => JSON.stringify(value)

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      options: { quick: { type: "boolean", default: false }, only: { type: "string" }, out: { type: "string" } }
    }).values
  } catch {
    throw new Error(`expected options of --quick, --only SUITE,SUITE and --out FILE, got ${quoted(args.join(" "))}`)
  }
}

/** Part of the suites, or a glance at them, doesn't replace what is kept of the whole. */
export const readArguments = (args: ReadonlyArray<string>, all: ReadonlyArray<Suite>): Arguments => {
  const { only, out, quick } = parse(args)
  const names = only?.split(",") ?? all.map(({ name }) => name)
  for (const name of names) {
    if (!all.some((suite) => suite.name === name)) {
      throw new Error(
        `expected --only to name suites of ${all.map(({ name }) => name).join(", ")}, got ${quoted(name)}`
      )
    }
  }
  if (out === "") throw new Error(`expected --out to name a file, got ""`)
  const suites = all.filter(({ name }) => names.includes(name))
  if (out !== undefined) return { quick, suites, out }
  return quick || only !== undefined ? { quick, suites } : { quick, suites, out: RESULTS }
}
