import { existsSync } from "node:fs"
// Whole, since bundles often declare a `createRequire` of their own.
import * as nodeModule from "node:module"
import { pathToFileURL } from "node:url"

/** What a TypeScript module is called once it is built. */
const built: Readonly<Record<string, string>> = { ".ts": ".js", ".tsx": ".js", ".mts": ".mjs", ".cts": ".cjs" }
const sources: Readonly<Record<string, string>> = { ".js": ".ts", ".mjs": ".mts", ".cjs": ".cts" }

const extension = /\.[cm]?[jt]sx?$/

/**
 * The worker module that is meant: what is written as `worker.ts` is `worker.js` after the build, where no compiler changes it, and the
 * other way round in development.
 */
const fileOf = (url: URL): URL => {
  if (url.protocol !== "file:" || existsSync(url)) return url
  const other = new URL(url)
  other.pathname = other.pathname.replace(extension, (found) => built[found] ?? sources[found] ?? found)
  return existsSync(other) ? other : url
}

/** Where tsx is, if this process runs by it: `--import tsx`, `--import=tsx/esm`, or what its own command says. */
const tsxOf = (execArgv: ReadonlyArray<string>): URL | undefined => {
  for (const [n, argument] of execArgv.entries()) {
    const [flag, value = execArgv[n + 1] ?? ""] = argument.split("=", 2)
    if (flag !== "--import" && flag !== "--loader") continue
    const path = value === "tsx" || value === "tsx/esm"
      ? pathToFileURL(nodeModule.createRequire(pathToFileURL(`${process.cwd()}/`)).resolve(value)).href
      : value
    const dist = /^file:.*\/tsx\/dist\//.exec(path)
    if (dist !== null) return new URL("esm/api/index.mjs", dist[0])
  }
  return undefined
}

/**
 * What `new Worker` is to be given. Under tsx that is a script: on Node 20 a thread does not inherit what loads TypeScript.
 *
 * @internal
 */
export const entryOf = (
  url: URL,
  execArgv: ReadonlyArray<string>
): { readonly entry: string | URL; readonly eval: boolean } => {
  const file = fileOf(url)
  const tsx = /\.[cm]?tsx?$/.test(file.pathname) ? tsxOf(execArgv) : undefined
  if (tsx === undefined) return { entry: file, eval: false }
  const [api, module] = [tsx, file].map(({ href }) => JSON.stringify(href))
  return { entry: `import(${api}).then(({ register }) => { register(); return import(${module}) })`, eval: true }
}
