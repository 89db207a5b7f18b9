import { existsSync } from "node:fs"
// Whole, since bundles often declare a `createRequire` of their own.
import * as nodeModule from "node:module"
import { isAbsolute } from "node:path"
import { pathToFileURL } from "node:url"

/** What a TypeScript module may be called once it is built, and what a built one was. */
const others: Readonly<Record<string, ReadonlyArray<string>>> = {
  ".ts": [".js", ".mjs", ".cjs"],
  ".tsx": [".js", ".mjs", ".cjs"],
  ".mts": [".mjs"],
  ".cts": [".cjs"],
  ".js": [".ts", ".tsx"],
  ".mjs": [".mts", ".ts"],
  ".cjs": [".cts", ".ts"]
}

const extension = /\.[cm]?[jt]sx?$/

/**
 * The worker module that is meant: what is written as `worker.ts` is `worker.js` after the build,
 * where no compiler changes it, and the other way round in development.
 */
const fileOf = (url: URL): URL => {
  if (url.protocol !== "file:" || existsSync(url)) return url
  const [found = ""] = extension.exec(url.pathname) ?? []
  for (const ending of others[found] ?? []) {
    const other = new URL(url)
    other.pathname = `${url.pathname.slice(0, -found.length)}${ending}`
    if (existsSync(other)) return other
  }
  return url
}

/**
 * Where tsx is, if this process runs by it: `--import tsx`, `--import=tsx/esm`, a path, or what its
 * own command says.
 */
const tsxOf = (execArgv: ReadonlyArray<string>): URL | undefined => {
  for (const [n, argument] of execArgv.entries()) {
    const [flag, value = execArgv[n + 1] ?? ""] = argument.split("=", 2)
    if (flag !== "--import" && flag !== "--loader") continue
    const path = value === "tsx" || value === "tsx/esm"
      ? pathToFileURL(nodeModule.createRequire(pathToFileURL(`${process.cwd()}/`)).resolve(value)).href
      : isAbsolute(value)
      ? pathToFileURL(value).href
      : value
    const dist = /^file:.*\/tsx\/dist\//.exec(path)
    if (dist !== null) return new URL("esm/api/index.mjs", dist[0])
  }
  return undefined
}

/**
 * What `new Worker` is to be given. Under tsx that is a script: on Node 20 a thread does not
 * inherit what loads TypeScript.
 *
 * @internal
 */
export const entryOf = (
  url: URL,
  execArgv: ReadonlyArray<string>
): { readonly entry: string | URL; readonly eval: boolean } => {
  const file = fileOf(url)
  const words = [...execArgv, ...(process.env["NODE_OPTIONS"]?.split(/\s+/) ?? [])]
  const tsx = /\.[cm]?tsx?$/.test(file.pathname) ? tsxOf(words) : undefined
  if (tsx === undefined) return { entry: file, eval: false }
  const [api, module] = [tsx, file].map(({ href }) => JSON.stringify(href))
  return { entry: `import(${api}).then(({ register }) => { register(); return import(${module}) })`, eval: true }
}
