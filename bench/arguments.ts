import { parseArgs } from "node:util"
import type { Options, Suite } from "./suite.ts"

export interface Arguments extends Options {
  readonly suites: ReadonlyArray<Suite>
  /** Where results go; absent, they are only shown. */
  readonly out?: string | URL
}

/** What is run together, and kept: what needs nothing but Node, and what needs servers. */
export interface Suites {
  readonly whole: ReadonlyArray<Suite>
  readonly durable: ReadonlyArray<Suite>
}

const resultsOf = {
  whole: new URL("results.json", import.meta.url),
  durable: new URL("results.durable.json", import.meta.url)
}

const quoted = (value: unknown) => JSON.stringify(value)

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean", default: false },
        durable: { type: "boolean", default: false },
        only: { type: "string" },
        out: { type: "string" }
      }
    }).values
  } catch {
    throw new Error(
      `expected options of --quick, --durable, --only SUITE,SUITE and --out FILE, got ${quoted(args.join(" "))}`
    )
  }
}

/** Part of the suites, or a glance at them, doesn't replace what is kept of the whole. */
export const readArguments = (args: ReadonlyArray<string>, given: Suites): Arguments => {
  const { durable, only, out, quick } = parse(args)
  const group = durable ? "durable" : "whole"
  const all = given[group]
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
  return quick || only !== undefined ? { quick, suites } : { quick, suites, out: resultsOf[group] }
}
