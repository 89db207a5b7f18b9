import { execFileSync } from "node:child_process"
import { accessSync, constants, existsSync, readdirSync } from "node:fs"
import { delimiter, join } from "node:path"
import { installSqliteNode } from "./sqliteNode.ts"

/**
 * What tests need beyond npm: the Debian package that has it, and the names under which a machine
 * may have it already.
 */
const programs = {
  chromium: ["chromium", "chromium-browser", "google-chrome"],
  prometheus: ["prometheus"],
  promtool: ["promtool"],
  script: ["script"],
  redis: ["redis-server"],
  postgres: ["postgres"],
  initdb: ["initdb"]
} as const

const packages: Record<Program, string> = {
  chromium: "chromium",
  prometheus: "prometheus",
  promtool: "prometheus",
  script: "bsdutils",
  redis: "redis-server",
  postgres: "postgresql",
  initdb: "postgresql"
}

export type Program = keyof typeof programs

/** Debian's servers are not in the path, since there may be several of them. */
const postgresDirs = (): ReadonlyArray<string> => {
  const versions = "/usr/lib/postgresql"
  return existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, "bin")) : []
}

/** Where a program is, `undefined` if this machine has none. */
export const find = (program: Program): string | undefined => {
  for (const name of programs[program]) {
    for (const dir of [...(process.env["PATH"] ?? "").split(delimiter), ...postgresDirs()]) {
      try {
        accessSync(join(dir, name), constants.X_OK)
        return join(dir, name)
      } catch {
        // Not here.
      }
    }
  }
  return undefined
}

/** Where a program is, for tests that are skipped without it. */
export const path = (program: Program): string => {
  const found = find(program)
  if (found === undefined) throw new Error(`expected ${program} to be installed, got none`)
  return found
}

const missing = () => (Object.keys(programs) as Array<Program>).filter((program) => find(program) === undefined)

const isDebianRoot = process.getuid?.() === 0 && existsSync("/etc/debian_version")

const aptGet = (packages: ReadonlyArray<string>) => `apt-get install --no-install-recommends -y ${packages.join(" ")}`

/** Debian's packages of servers would start them. */
const noServices = [
  "policy=/usr/sbin/policy-rc.d",
  "[ -e $policy ] || { printf '#!/bin/sh\\nexit 101\\n' > $policy; chmod +x $policy; trap 'rm -f $policy' EXIT; }"
].join("; ")

/** As root on Debian; says so, and what went wrong. */
const install = (packages: ReadonlyArray<string>): void => {
  const command = aptGet(packages)
  process.stderr.write(`installing what the tests need: ${command}\n`)
  const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, stdio: "pipe" } as const
  try {
    execFileSync("sh", ["-c", `${noServices}; apt-get update && ${command}`], options)
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
  }
}

const messageOf = (error: unknown) => error instanceof Error ? error.message : String(error)

/** With `CI=true` missing is a failure; otherwise the tests concerned are skipped. */
const skipOrFail = (message: string): void => {
  if (process.env["CI"] === "true") throw new Error(message)
  process.stderr.write(`${message}\nskipping the tests that need it\n`)
}

const setupPrograms = (): void => {
  const wanted = Array.from(new Set(missing().map((program) => packages[program])))
  if (wanted.length === 0) return
  if (isDebianRoot) install(wanted)
  const left = missing()
  if (left.length > 0) skipOrFail(`expected ${left.join(" and ")} to be installed, got none: ${aptGet(wanted)}`)
}

/** What it takes to compile better-sqlite3, where npm finds nothing that is compiled. */
const compiler = ["g++", "make", "python3"]

const setupSqliteNode = (): void => {
  try {
    installSqliteNode()
  } catch (error) {
    if (!isDebianRoot) return skipOrFail(`${messageOf(error)}: ${aptGet(compiler)}`)
    install(compiler)
    try {
      installSqliteNode()
    } catch (error) {
      skipOrFail(messageOf(error))
    }
  }
}

/**
 * Before all tests: installs from Debian's packages what is missing, as root on Debian; elsewhere
 * says what to install. And from npm's, better-sqlite3.
 */
export default function setup(): void {
  setupPrograms()
  setupSqliteNode()
}
