/**
 * What bounded concurrency costs, here and elsewhere.
 *
 *     npm run bench                              # all of it, into bench/results.json
 *     npm run bench -- --durable                 # durable herds, which need a Redis and a PostgreSQL, into bench/results.durable.json
 *     npm run bench -- --quick                   # a tenth of the work: for a glance
 *     npm run bench -- --only sync,http          # some of the suites
 *     npm run bench -- --quick --out FILE        # kept in a file of its own
 *
 * Contenders run in one process, in a new random order in each repetition, after two that warm up
 * and do not count; what the results add up to is checked. Read the ratios: times differ from
 * machine to machine and from run to run.
 */
import { open } from "node:fs/promises"
import { readArguments } from "./arguments.ts"
import { durableRaces } from "./durableRaces.ts"
import { answers } from "./measures/answers.ts"
import { eventLoop } from "./measures/eventLoop.ts"
import { growthBySize, growthByUnits } from "./measures/growth.ts"
import { latency } from "./measures/latency.ts"
import { memory } from "./measures/memory.ts"
import { resize } from "./measures/resize.ts"
import { threadTrip } from "./measures/threadTrip.ts"
import { races } from "./races.ts"
import { runSuite, type SuiteResult, writeResults } from "./results.ts"
import type { Suite } from "./suite.ts"
import { figure, table } from "./table.ts"
import { judge, targetColumns, targetRow } from "./targets.ts"
import { threadRaces } from "./threadRaces.ts"

const whole: ReadonlyArray<Suite> = [
  ...races,
  latency,
  resize,
  memory,
  eventLoop,
  answers,
  growthByUnits,
  growthBySize,
  ...threadRaces,
  threadTrip
]

const main = async (): Promise<void> => {
  const { out, suites, ...options } = readArguments(process.argv.slice(2), { whole, durable: durableRaces })
  // Better now than after all has been measured.
  if (out !== undefined) await (await open(out, "a")).close()
  const results = new Array<SuiteResult>()
  for (const [index, suite] of suites.entries()) {
    console.error(`${suite.name}, ${index + 1} of ${suites.length} …`)
    const result = await runSuite(suite, options)
    results.push(result)
    const rows = result.rows.map(({ name, values }) => [name, ...values.map(figure)])
    console.log(`\n${result.title}\n\n${table([suite.name, ...suite.columns], rows)}\n`)
  }
  const judged = judge(results)
  if (judged.length > 0) console.log(`\n${table(targetColumns, judged.map(targetRow), 3)}`)
  if (out !== undefined) await writeResults(out, options, results, judged)
}

// What suites clean up at the exit of the process, they clean up also then.
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  process.once(signal, () => process.exit(code))
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
