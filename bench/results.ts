import { Schema } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import { cpus, totalmem } from "node:os"
import type { Options, Row, Suite } from "./suite.ts"
import type { Judged } from "./targets.ts"

/** What one suite measured. */
export interface SuiteResult {
  readonly name: string
  readonly title: string
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<Row>
}

export const runSuite = async (suite: Suite, options: Options): Promise<SuiteResult> => ({
  name: suite.name,
  title: suite.title(options),
  columns: suite.columns,
  rows: await suite.run(options)
})

const compared = [
  "effect",
  "p-queue",
  "p-limit",
  "fastq",
  "async",
  "bottleneck",
  "piscina",
  "poolifier",
  "bullmq",
  "@effect/experimental"
]

const decodePackage = Schema.decodeUnknownSync(Schema.parseJson(Schema.Struct({ version: Schema.String })))

const versionOf = async (folder: string): Promise<string> => {
  const text = await readFile(new URL(`../${folder}package.json`, import.meta.url), "utf8")
  return decodePackage(text).version
}

const versions = async (): Promise<Record<string, string>> => ({
  gofherd: await versionOf(""),
  ...Object.fromEntries(
    await Promise.all(compared.map(async (name) => [name, await versionOf(`node_modules/${name}/`)] as const))
  )
})

/** What was measured, and all that one has to know to compare it. */
export const writeResults = async (
  file: string | URL,
  { quick }: Options,
  suites: ReadonlyArray<SuiteResult>,
  targets: ReadonlyArray<Judged>
): Promise<void> => {
  const results = {
    date: new Date().toISOString(),
    quick,
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cpus: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30)
    },
    versions: { node: process.versions.node, ...await versions() },
    suites,
    targets
  }
  await writeFile(file, `${JSON.stringify(results, undefined, 2)}\n`)
}
