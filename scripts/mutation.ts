/**
 * Do the tests bite? Stryker changes the source, one small fault at a time, and the tests have to
 * notice.
 *
 *     npm run mutation                                    # everything: hours
 *     npm run mutation -- core                            # a part
 *     npm run mutation -- core src/internal/heap.ts       # a file of it; with `:20-40` some lines of that
 *
 * Results are kept in reports/mutation, and what neither the source nor a test file has changed is
 * not tried again; for a fresh start remove the folder. There each part has a page in HTML, too.
 */
import { Stryker } from "@stryker-mutator/core"
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { basename } from "node:path"

const reports = "reports/mutation"

interface Part {
  readonly mutate: ReadonlyArray<string>
  /** The test files that have to notice, the quickest to kill first. */
  readonly tests: ReadonlyArray<string>
}

/**
 * A fault has to be noticed by the tests of its own part. Not mutated are src/internal/dashboard,
 * whose tests run in Chromium, dashboardPage.ts, which is made of it, and modules of types alone.
 *
 * Left out of the tests is what takes long and tells little beyond the others: what runs programs
 * (examples, deploy, docs, dashboard, shutdown, a real Prometheus) or servers (BullMQ, whose files
 * are not mutated), attacks (in scripts/mutation.setup.ts), and go-original, which says the same
 * things again in another order. Of the model's random sequences 40 are run, not 2,000.
 */
const parts: Readonly<Record<string, Part>> = {
  core: {
    mutate: [
      "src/Herd.ts",
      "src/HerdMetrics.ts",
      ..."attempts backlog changes check condition crew fifo forks gopher heap herd history intake isolation job log"
        .split(" ").map((name) => `src/internal/${name}.ts`),
      ..."names noEffect options outcome outcomes resources retry round show steadyTime stream tally turn unread".split(
        " "
      )
        .map((name) => `src/internal/${name}.ts`)
    ],
    tests: [
      "internal",
      "show",
      "check",
      "backlog",
      "outcomes",
      "Herd.options",
      "Herd.units",
      "Herd.intake",
      "Herd.retry",
      "Herd.life",
      "Herd.resize",
      "Herd.gopher",
      "Gopher",
      "Herd.history",
      "HerdMetrics",
      "faults",
      "hostile.options",
      "hostile.herd",
      "Herd.instants",
      "model"
    ]
  },
  http: {
    mutate: [
      "src/HerdApi.ts",
      "src/HerdClient.ts",
      "src/HerdError.ts",
      "src/HerdRouter.ts",
      "src/HerdServer.ts",
      ..."access body command controls dashboard deadLetters eventStreams fallback gracefulServer monitor patch"
        .split(" ")
        .map((name) => `src/internal/${name}.ts`),
      ..."processMetrics prometheus quantile routes settings sourceWatch stored token".split(" ").map((name) =>
        `src/internal/${name}.ts`
      )
    ],
    tests: [
      "openapi",
      "internal",
      "HerdError",
      "processMetrics",
      "gracefulServer",
      "HerdServer",
      "HerdApi.herds",
      "HerdApi",
      "HerdClient",
      "HerdApi.events",
      "HerdApi.durable",
      "HerdRouter",
      "hostile.http",
      "monitor",
      "security"
    ]
  },
  progress: {
    mutate: [
      "src/HerdProgress.ts",
      ..."progress progressLine progressOptions terminalLine total width".split(" ").map((name) =>
        `src/internal/${name}.ts`
      )
    ],
    tests: ["HerdProgress", "hostile.http"]
  },
  durable: {
    mutate: [
      "src/HerdSourceMetrics.ts",
      ..."custody durable durableOptions owner replay sourceMemory sourceOptions sourceSqlite sourceTally sourceText trouble"
        .split(" ").map((name) => `src/internal/${name}.ts`),
      "src/internal/sqliteStatements.ts",
      "src/internal/unitIds.ts"
    ],
    tests: ["replay", "DurableHerd", "HerdSource", "HerdSourceSqlite"]
  }
}

// ------------------------------------------------------------------------------------------------------ running

/**
 * Of files by name, those tests come first that are called the same: Herd.retry.test.ts for
 * src/internal/retry.ts.
 */
const inOrder = ({ tests }: Part, only: ReadonlyArray<string>): ReadonlyArray<string> => {
  const names = only.map((file) => basename(file).replace(/\.ts.*$/, ""))
  const isFirst = (test: string) => names.some((name) => test === name || test.endsWith(`.${name}`))
  return [...tests.filter(isFirst), ...tests.filter((test) => !isFirst(test))]
}

const run = async (name: string, part: Part, only: ReadonlyArray<string>): Promise<void> => {
  process.env["MUTATION_TESTS"] = inOrder(part, only).join(",")
  process.env["MODEL_RUNS"] = "40"
  process.env["MODEL_SHRINK"] = "false"
  await new Stryker({
    mutate: only.length > 0 ? [...only] : [...part.mutate],
    testRunner: "vitest",
    plugins: ["@stryker-mutator/vitest-runner"],
    vitest: { configFile: "vitest.mutation.config.ts", related: false },
    // A mutant meets only the tests that come by it.
    coverageAnalysis: "perTest",
    incremental: true,
    incrementalFile: `${reports}/${name}.json`,
    // A test that waits for ever fails after 4 s; what blocks the thread is ended after this. A new
    // thread has to load everything first: with less than that takes on a busy machine, each one
    // that is ended would bring on the next.
    timeoutMS: 25_000,
    timeoutFactor: 2,
    // Vitest looks at no types.
    disableTypeChecks: false,
    ignorePatterns: ["dist", "reports", "bench", "deploy", "examples", "*.tgz"],
    reporters: ["progress-append-only", "html"],
    htmlReporter: { fileName: `${reports}/${name}.html` },
    allowConsoleColors: false
  }).runMutationTest()
}

// ------------------------------------------------------------------------------------------------------ judging

interface Mutant {
  readonly mutatorName: string
  readonly replacement?: string
  readonly status: string
  readonly statusReason?: string
  readonly location: Record<"start" | "end", { readonly line: number; readonly column: number }>
}

interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: ReadonlyArray<Mutant> }>>
}

/** What has become of the mutants of some files. */
class Score {
  killed = 0
  /**
   * Of those that were killed, by a test that had to be ended: it waited for ever, or the machine
   * was slow.
   */
  waited = 0
  /** It blocked the thread. */
  timeout = 0
  survived = 0
  uncovered = 0

  add({ status, statusReason }: Mutant): void {
    if (status === "Killed") {
      this.killed++
      if (statusReason?.includes("timed out in") === true) this.waited++
    } else if (status === "Timeout") this.timeout++
    else if (status === "Survived") this.survived++
    else if (status === "NoCoverage") this.uncovered++
  }

  get percent(): number {
    const detected = this.killed + this.timeout
    return 100 * detected / (detected + this.survived + this.uncovered)
  }

  row(name: string): string {
    const { killed, percent, survived, timeout, uncovered, waited } = this
    return `| ${[name, percent.toFixed(1), killed, waited, timeout, survived, uncovered].join(" | ")} |`
  }
}

const isInside = (file: string) => file.startsWith("src/internal/") || file === "src/Herd.ts"

const judge = (): boolean => {
  const inside = new Score()
  const elsewhere = new Score()
  const rows: Array<string> = []
  const survivors: Array<string> = []
  for (const part of Object.keys(parts)) {
    const path = `${reports}/${part}.json`
    if (!existsSync(path)) continue
    const report = JSON.parse(readFileSync(path, "utf8")) as Report
    for (const [file, { mutants, source }] of Object.entries(report.files)) {
      if (mutants.length === 0) continue
      const score = new Score()
      for (const mutant of mutants) {
        score.add(mutant)
        ;(isInside(file) ? inside : elsewhere).add(mutant)
        if (mutant.status === "Survived" || mutant.status === "NoCoverage") {
          survivors.push(describe(file, source, mutant))
        }
      }
      rows.push(score.row(file))
    }
  }
  const lines = [
    ...survivors,
    "",
    "| file | score | killed | of those waiting | timeout | survived | not covered |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
    inside.row("src/internal and src/Herd.ts: at least 85"),
    elsewhere.row("elsewhere: at least 75")
  ]
  process.stdout.write(`${lines.join("\n")}\n`)
  return !(inside.percent < 85 || elsewhere.percent < 75)
}

const describe = (file: string, source: string, mutant: Mutant): string => {
  const { end, start } = mutant.location
  const lines = source.split("\n").slice(start.line - 1, end.line)
  const last = lines.length - 1
  const text = lines.map((line, n) =>
    line.slice(n === 0 ? start.column - 1 : 0, n === last ? end.column - 1 : line.length)
  ).join(" ")
  const short = (code: string) => code.replace(/\s+/g, " ").slice(0, 120)
  return `${file}:${start.line}:${start.column} ${mutant.mutatorName}: ${short(text)} -> ${
    short(mutant.replacement ?? "")
  }`
}

// ------------------------------------------------------------------------------------------------------ main

const [only, ...files] = process.argv.slice(2)
mkdirSync(reports, { recursive: true })
if (only !== "report") {
  if (only !== undefined && parts[only] === undefined) {
    throw new Error(`expected one of ${Object.keys(parts).join(", ")} or report, got ${only}`)
  }
  for (const [name, part] of Object.entries(parts)) {
    if (only === undefined || only === name) await run(name, part, files)
  }
}
if (!judge()) process.exitCode = 1
