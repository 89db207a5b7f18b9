/**
 * `@effect/sql-sqlite-node`, whose better-sqlite3 npm has to download or to compile when it is
 * installed: so it is none of the packages that `npm ci` installs, which has to do without a
 * compiler.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"

const versions = { "@effect/sql-sqlite-node": "0.53.0", "better-sqlite3": "12.11.1" }

/** Below node_modules, so that it finds Effect there. */
const dir = new URL("../../node_modules/.cache/gofherd/sqlite-node/", import.meta.url).pathname

const loads = () => {
  try {
    // It is installed, and compiled for this Node.
    execFileSync(process.execPath, ["-e", `new (require("better-sqlite3"))(":memory:")`], { cwd: dir, stdio: "pipe" })
    return true
  } catch {
    return false
  }
}

const module = `${dir}node_modules/@effect/sql-sqlite-node/dist/esm/index.js`

/**
 * To look takes a process, and what is there stays. A program that is bundled is somewhere else,
 * and told.
 */
let found = process.env["SQLITE_NODE"]

/** The module, `undefined` if it is not installed. */
export const sqliteNode = (): string | undefined => {
  if (found === undefined && existsSync(module) && loads()) found = module
  return found
}

/** What tells a program. */
export const sqliteNodeEnv = (): Readonly<Record<string, string>> => {
  const module = sqliteNode()
  return module === undefined ? {} : { SQLITE_NODE: module }
}

/** Installs it, unless it is there; throws if that fails. */
export const installSqliteNode = (): void => {
  if (sqliteNode() !== undefined) return
  process.stderr.write("installing what the tests need: better-sqlite3\n")
  mkdirSync(dir, { recursive: true })
  writeFileSync(`${dir}package.json`, JSON.stringify({ private: true, dependencies: versions }))
  // Effect and its like are there.
  execFileSync("npm", ["install", "--legacy-peer-deps", "--no-audit", "--no-fund", "--no-package-lock"], {
    cwd: dir,
    stdio: "pipe"
  })
  if (sqliteNode() === undefined) throw new Error("expected better-sqlite3 to load, got nothing that does")
}
