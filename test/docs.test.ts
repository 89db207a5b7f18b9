/**
 * What strangers will do: install the package, and copy code from the README and the docs.
 */
import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll } from "vitest"

const root = new URL("..", import.meta.url).pathname
const run = promisify(execFile)
const tsc = join(root, "node_modules/typescript/bin/tsc")

const manifest: { readonly dependencies: Record<string, string> } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8")
)

/** A fresh project beside nothing: the built package, what it depends on, and its peers. */
let project: string

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), "gofherd-user-"))
  const installed = join(project, "node_modules/gofherd")
  mkdirSync(installed, { recursive: true })
  cpSync(join(root, "package.json"), join(installed, "package.json"))
  await run(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json"), "--outDir", join(installed, "dist")])
  for (const name of ["effect", "@effect", "@types", "undici-types", "tsx", ...Object.keys(manifest.dependencies)]) {
    symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name))
  }
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }))
  writeFileSync(
    join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        lib: ["ES2022", "DOM"],
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        allowImportingTsExtensions: true,
        types: ["node"]
      }
    })
  )
}, 120_000)

afterAll(() => rmSync(project, { recursive: true, force: true }))

/** The blocks of code in a text, with the language of each. */
const blocks = (text: string, language: string) =>
  Array.from(text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, "gs")), ([, code = ""]) => code)

const readme = readFileSync(join(root, "README.md"), "utf8")

const sources = readdirSync(join(root, "src")).filter((name) => name.endsWith(".ts"))
const docs = (name: string) => readFileSync(join(root, "src", name), "utf8").replace(/^ *\* ?/gm, "")

describe("the built package", () => {
  it("runs from ESM, and hides its internals", async () => {
    writeFileSync(
      join(project, "use.mjs"),
      `
      import { Effect } from "effect"
      import { Herd, HerdApi, HerdClient, HerdError, HerdMetrics, HerdRouter } from "gofherd"
      import { make } from "gofherd/Herd"
      import * as HerdProgress from "gofherd/HerdProgress"
      import * as HerdServer from "gofherd/HerdServer"
      import * as HerdThread from "gofherd/HerdThread"
      if ([HerdThread, Herd, HerdApi, HerdClient, HerdError, HerdMetrics, HerdProgress, HerdRouter, HerdServer].some((module) => module === undefined)) throw new Error("missing")
      const hidden = await import("gofherd/internal/herd").then(() => "visible", (error) => error.code)
      const result = await Effect.runPromise(Effect.scoped(Effect.flatMap(make({ process: (n) => Effect.succeed(n + 1) }), (herd) => herd.run(1))))
      console.log(result, hidden)
      `
    )
    const { stdout } = await run(process.execPath, [join(project, "use.mjs")])
    assert.strictEqual(stdout, "2 ERR_PACKAGE_PATH_NOT_EXPORTED\n")
  })

  it("runs threads under tsx, as JavaScript after the build, and bundled, by one and the same URL", async () => {
    const source = join(project, "threads")
    mkdirSync(source)
    writeFileSync(
      join(source, "worker.ts"),
      `
      import { Effect } from "effect"
      import * as HerdThread from "gofherd/HerdThread"
      import { threadId } from "node:worker_threads"
      export default HerdThread.serve((n: number) => Effect.succeed([n * 2, threadId > 0]))
      `
    )
    writeFileSync(
      join(source, "main.ts"),
      `
      import { Effect } from "effect"
      import { Herd } from "gofherd"
      import * as HerdThread from "gofherd/HerdThread"
      const threads = HerdThread.gopher<typeof import("./worker.ts")>(new URL("./worker.ts", import.meta.url))
      const program = Effect.flatMap(Herd.make({ gopher: threads, size: 2 }), (herd) => herd.run(21))
      console.log(JSON.stringify(await Effect.runPromise(Effect.scoped(program))))
      `
    )
    const options = ["--rewriteRelativeImportExtensions", "--noEmit", "false", "--rootDir", source, "--outDir", "built"]
    const flags = ["--module", "NodeNext", "--target", "ES2022", "--strict", "--skipLibCheck", "--types", "node"]
    const files = [join(source, "main.ts"), join(source, "worker.ts")]
    await run(process.execPath, [tsc, ...flags, ...options, ...files], { cwd: project })
    await build({
      absWorkingDir: source,
      entryPoints: ["main.ts", "worker.ts"],
      outdir: join(project, "bundled"),
      bundle: true,
      format: "esm",
      platform: "node"
    })
    // Some build with another ending.
    for (const name of ["main", "worker"]) {
      cpSync(join(project, "bundled", `${name}.js`), join(project, "renamed", `${name}.mjs`))
    }
    const loader = createRequire(import.meta.url).resolve("tsx")
    const byEnv = ["threads/main.ts"]
    const ways: ReadonlyArray<ReadonlyArray<string>> = [
      ["--import", "tsx", "threads/main.ts"],
      ["--import", loader, "threads/main.ts"],
      byEnv,
      [join(root, "node_modules/tsx/dist/cli.mjs"), "threads/main.ts"],
      // Options of the whole process, which a thread can't be given.
      ["--max-old-space-size=512", "--title=threads", "built/main.js"],
      ["bundled/main.js"],
      ["renamed/main.mjs"]
    ]
    for (const args of ways) {
      const env = args === byEnv ? { ...process.env, NODE_OPTIONS: "--no-warnings --import tsx" } : process.env
      const { stderr, stdout } = await run(process.execPath, args, { cwd: project, timeout: 60_000, env })
      assert.strictEqual(stdout, "[42,true]\n", args.join(" "))
      assert.strictEqual(stderr, "", args.join(" "))
    }
  }, 120_000)

  it(
    "has types that check, also without skipLibCheck, and so has every example of the README and the docs",
    async () => {
      const code = [
        ...blocks(readme, "ts").map((code, n) => [`readme-${n}`, code] as const),
        ...sources.flatMap((name) =>
          blocks(docs(name), "ts").map((code, n) => [`${name.replace(".ts", "")}-${n}`, code] as const)
        )
      ]
      assert.isAtLeast(code.length, 10)
      for (const [name, text] of code) {
        // One that others import says what it is called.
        const [, own = `${name}.ts`] = /^\/\/ ([\w.]+\.ts)\n/.exec(text) ?? []
        writeFileSync(join(project, own), `${text}\nexport {}\n`)
      }
      const result = await run(process.execPath, [tsc, "-p", project], { encoding: "utf8" }).then(
        () => "",
        (error) => String(error.stdout)
      )
      // The types of platform-node-shared ask for those of ws, which it does not bring.
      const ours = result.split("\n").filter((line) => /^\S/.test(line) && !line.startsWith("node_modules/@effect/"))
      assert.deepStrictEqual(ours, [])
    },
    120_000
  )
})

describe("the documentation", () => {
  it("shows, in the README, a program whose output is what it says", async () => {
    const [program = ""] = blocks(readme, "ts")
    const [output = ""] = blocks(readme, "text")
    writeFileSync(join(project, "readme.ts"), program.replace("port: 2112", "port: 0"))
    const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
    const { stdout } = await run(process.execPath, ["--import", tsx, "readme.ts"], { cwd: project })
    assert.strictEqual(stdout, output)
  }, 30_000)

  it("describes every export, with @since and @category", () => {
    for (const name of sources.filter((name) => name !== "index.ts")) {
      const text = readFileSync(join(root, "src", name), "utf8")
      for (
        const [declaration] of text.matchAll(/^(?: {2})?export (?:const|class|interface|type|declare namespace) \w+/gm)
      ) {
        const before = text.slice(0, text.indexOf(`\n${declaration}`)).trimEnd()
        const comment = before.slice(before.lastIndexOf("/**"))
        assert.isTrue(before.endsWith("*/"), `expected a comment before ${declaration} in ${name}`)
        assert.match(comment, /@since \d+\.\d+\.\d+/, `${declaration} in ${name}`)
        assert.match(comment, /@category \w+/, `${declaration} in ${name}`)
      }
    }
  })

  it("lists every option of the routes, every variable of the environment and every error of theirs, in the README", () => {
    const text = (name: string) => readFileSync(join(root, "src", name), "utf8")
    const table = readme.split("### Options")[1]?.split("### ")[0] ?? ""
    const options = ["HerdRouter.ts", "HerdServer.ts"].flatMap((name) =>
      Array.from(
        (text(name).split("interface Options")[1]?.split("\n}")[0] ?? "").matchAll(/^ {2}readonly (\w+)\??:/gm)
      )
    )
    const variables = Array.from(text("HerdServer.ts").matchAll(/"(GOFHERD_\w+)"/g))
    assert.strictEqual(options.length, 10)
    assert.strictEqual(variables.length, 5)
    for (const [, name = ""] of [...options, ...variables]) assert.include(table, `\`${name}\``)
    const tags = Array.from(text("HerdApi.ts").matchAll(/TaggedError<\w+>\("[\w/]+"\)\(\s*"(\w+)"/g))
    assert.strictEqual(tags.length, 9)
    for (const [, tag = ""] of tags) assert.include(readme, `| \`${tag}\` |`)
    const errors = Array.from(text("HerdError.ts").matchAll(/TaggedError<\w+>\("[\w/]+"\)\(\s*"(\w+)"/g))
    assert.strictEqual(errors.length, 11)
    for (const [, tag = ""] of errors) assert.match(readme, new RegExp(`\\| \`${tag}\``))
  })

  it("lists every metric, and every option with its default, in the README", () => {
    const metrics = Array.from(
      readFileSync(join(root, "src/HerdMetrics.ts"), "utf8").matchAll(/"(gofherd_\w+)"/g),
      ([, name = ""]) => name
    )
    assert.strictEqual(metrics.length, 15)
    for (const metric of metrics) assert.include(readme, `\`${metric}\``)
    const options =
      readFileSync(join(root, "src/Herd.ts"), "utf8").split("interface CommonOptions")[1]?.split("\n}")[0] ?? ""
    for (const [, option = ""] of options.matchAll(/^ {2}readonly (\w+)\?/gm)) assert.include(readme, `\`${option}\``)
    const section = readme.split("\n## Threads")[1]?.split("\n## ")[0] ?? ""
    const threads = readFileSync(join(root, "src/HerdThread.ts"), "utf8").matchAll(/^ {2}readonly (\w+)\?: /gm)
    const names = new Set(Array.from(threads, ([, name = ""]) => name))
    assert.strictEqual(names.size, 11)
    for (const name of names) assert.include(section, `\`${name}\``)
  })
})

describe("the figures of the README", () => {
  interface Suite {
    readonly name: string
    readonly columns: ReadonlyArray<string>
    readonly rows: ReadonlyArray<{ readonly name: string; readonly values: ReadonlyArray<number> }>
  }
  const results: {
    readonly quick: boolean
    readonly versions: Record<string, string>
    readonly suites: ReadonlyArray<Suite>
  } = JSON.parse(readFileSync(join(root, "bench/results.json"), "utf8"))
  const section = readme.split("\n## Speed")[1]?.split("\n## ")[0] ?? ""
  const cells = (line: string) => line.split("|").slice(1, -1).map((cell) => cell.trim())
  /** `2.3` and 2.27 are the same at the digits that are shown. */
  const agree = (shown: string, value: number) => {
    const digits = shown.split(".")[1]?.length ?? 0
    return Number(shown.replaceAll(",", "")) === Number(value.toFixed(digits))
  }

  it("are those of the last whole run of the benchmark", () => {
    assert.isFalse(results.quick)
    const [header = [], , ...rows] =
      section.split("\n\n").find((part) => part.startsWith("| units"))?.split("\n").map(cells) ?? []
    assert.isAtLeast(rows.length, 6)
    for (const [of = "", ...figures] of rows) {
      const suite = results.suites.find(({ name }) => of.includes(`\`${name}\``))
      const herd = suite?.rows.find(({ name }) => name === "herd, sendAll")
      figures.forEach((figure, i) => {
        const column = header[i + 1] ?? ""
        const at = suite?.columns.findIndex((name) => i === 0 ? name.startsWith("k ") : name === `x ${column}`) ?? -1
        if (figure !== "") assert.isTrue(agree(figure, herd?.values[at] ?? NaN), `${of}, ${column}: ${figure}`)
      })
    }
  })

  it("of durable herds are those of the last run of theirs, of every source at every size, in one process and in two", () => {
    const measured: typeof results = JSON.parse(readFileSync(join(root, "bench/results.durable.json"), "utf8"))
    assert.isFalse(measured.quick)
    const valueOf = (suite: string, row: string, column: string): number => {
      const found = measured.suites.find(({ name }) => name === suite)
      return found?.rows.find(({ name }) => name === row)?.values[found.columns.indexOf(column)] ?? NaN
    }
    const own = readme.split("\n### What durability costs")[1]?.split("\n## ")[0] ?? ""
    const [races = [], growth = []] = own.split("\n\n").filter((part) => part.startsWith("|")).map((part) =>
      part.trim().split("\n").map(cells)
    )
    const [header = [], , ...rows] = races
    const contenders = new Set(
      measured.suites.find(({ name }) => name === "durable")?.rows.map(({ name }) => name.split(": ")[0])
    )
    assert.sameMembers(rows.map(([name]) => name), Array.from(contenders))
    for (const [contender, ...figures] of rows) {
      figures.forEach((figure, i) => {
        const [size, processes] = header[i + 1]?.split(" x ").toReversed() ?? []
        const row = `${contender}: ${size} at a time${
          processes === undefined ? "" : ` in each of ${processes} processes`
        }`
        const [, rate = "", cpu = ""] = /^([\d.]+), ([\d,]+)$/.exec(figure) ?? []
        assert.isTrue(agree(rate, valueOf("durable", row, "units/s") / 1_000), `${row}: ${figure}`)
        assert.isTrue(agree(cpu, valueOf("durable", row, "CPU µs/unit")), `${row}: ${figure}`)
      })
      assert.strictEqual(figures.length, 6)
    }
    const [, , ...stored] = growth
    assert.strictEqual(stored.length, 3)
    for (const [row = "", rate = "", cpu = "", offered = ""] of stored) {
      const value = (column: string) => valueOf("durableGrowth", `${row} units`, column)
      assert.isTrue(agree(rate, value("units/s") / 1_000), `${row}: ${rate}, measured ${value("units/s")}`)
      assert.isTrue(agree(cpu, value("CPU µs/unit")), `${row}: ${cpu}, measured ${value("CPU µs/unit")}`)
      assert.isTrue(agree(offered, value("offered, k/s")), `${row}: ${offered}, measured ${value("offered, k/s")}`)
    }
  })

  it("of threads are those, too, each in the row of its pool", () => {
    const threads = readme.split("\n### When threads pay")[1]?.split("\n## ")[0] ?? ""
    const [header = [], , ...rows] =
      threads.split("\n\n").find((part) => part.startsWith("|"))?.split("\n").map(cells) ?? []
    const pools = header.slice(1, -1)
    assert.strictEqual(pools.length, 3)
    assert.strictEqual(rows.length, 3)
    for (const [of = "", ...figures] of rows) {
      const [suiteName, column = ""] = figures[pools.length]?.replaceAll("`", "").split(": ") ?? []
      const suite = results.suites.find(({ name }) => name === suiteName)
      pools.forEach((pool, i) => {
        const isOf = (name: string) => name === pool || name.split(".")[0] === pool.split(",")[0]
        const value = suite?.rows.find(({ name }) => isOf(name))?.values[suite.columns.indexOf(column)] ?? NaN
        assert.isTrue(agree(figures[i]?.split(" ")[0] ?? "", value), `${of}, ${pool}: ${figures[i]}, measured ${value}`)
      })
    }
  })

  it("name the row, in the second table, that the benchmark has", () => {
    const [, , ...rows] = section.split("\n\n").find((part) => part.startsWith("| also"))?.split("\n").map(cells) ?? []
    assert.isAtLeast(rows.length, 6)
    for (const [, figure = "", where = ""] of rows) {
      const [suiteName, rowName, column] = where.split(": ").flatMap((part) => part.replaceAll("`", "").split(" / "))
      const suite = results.suites.find(({ name }) => name === suiteName)
      const row = suite?.rows.find(({ name }) => name === rowName)
      const value = row?.values[suite?.columns.indexOf(column ?? "") ?? -1] ?? NaN
      assert.isTrue(agree(figure.split(" ")[0] ?? "", value), `${where}: ${figure}, measured ${value}`)
    }
  })
})
