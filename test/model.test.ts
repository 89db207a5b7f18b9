/**
 * Random sequences of commands, against herds with random options. Each sequence is run by a small model too, and after each
 * command both have to agree on everything that can be seen: states, starts and their order, outcomes and where they go, who
 * waits and who doesn't, metrics.
 *
 * `MODEL_RUNS=100000 npx vitest run test/model.test.ts` runs more of them, `MODEL_SEED=7` others, `MODEL_SEED=random` ever new ones.
 * A failure is shrunk, and printed with what repeats it.
 */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { type Command, commands, type Config, config, hasty } from "./model/commands.ts"
import type { Model } from "./model/model.ts"
import { run } from "./model/run.ts"
import { storm } from "./model/storm.ts"
import { testClock, virtual } from "./model/time.ts"
import { bundledWorkers } from "./utils/threads.ts"

const worker = bundledWorkers("threadModel")

const { MODEL_PATH, MODEL_RUNS, MODEL_SEED = "1", MODEL_SHRINK } = process.env

/** How many sequences to run: in so many by default, and more or fewer in proportion. */
const runs = (usual: number) => Math.ceil(usual * Number(MODEL_RUNS ?? 2000) / 2000)
const timeout = Math.max(5_000, 60 * runs(2000))

const holdsForAll = async <A extends ReadonlyArray<unknown>>(
  numRuns: number,
  arbitrary: fc.Arbitrary<A>,
  check: (...values: A) => Promise<unknown>
): Promise<void> => {
  const seed = MODEL_SEED === "random" ? Date.now() : Number(MODEL_SEED)
  const details = await fc.check(fc.asyncProperty(arbitrary, async (values) => void await check(...values)), {
    numRuns,
    seed,
    endOnFailure: MODEL_PATH !== undefined || MODEL_SHRINK === "false",
    ...(MODEL_PATH !== undefined && { path: MODEL_PATH })
  })
  if (!details.failed) return
  const [values = []] = details.counterexample ?? []
  const lines = values.flatMap((value) => Array.isArray(value) ? value : [value]).map((value) => JSON.stringify(value))
  assert.fail([
    details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance),
    `after ${details.numRuns} sequences, shrunk ${details.numShrinks} times to`,
    ...lines,
    `to be repeated by MODEL_SEED=${details.seed} MODEL_PATH=${details.counterexamplePath}`
  ].join("\n"))
}

/** What the sequences have brought about, so that it shows if they become tame. */
class Seen {
  private readonly counts = new Map<string, number>()

  add({ config, ...model }: Model): void {
    const seen: Record<string, number> = {
      sequences: 1,
      attempts: model.starts.length,
      succeeded: model.succeeded,
      retried: model.retried,
      failed: model.failed,
      interrupted: model.interrupted,
      resizes: model.resizes,
      "resources not acquired": model.acquireFailures,
      "units put back": model.putBacks,
      "gophers replaced": model.replacements,
      "senders that waited": model.waits,
      "hand-overs": config.capacity === 0 ? model.accepted : 0,
      "without a reader": config.outcomes === "discard" ? model.accepted : 0
    }
    for (const [name, count] of Object.entries(seen)) this.counts.set(name, (this.counts.get(name) ?? 0) + count)
  }

  report(): void {
    process.stdout.write(`${Array.from(this.counts, ([name, count]) => `${name} ${count}`).join(", ")}\n`)
    const sequences = this.counts.get("sequences") ?? 0
    for (const [name, count] of this.counts) assert.isAbove(count, sequences / 50, `expected more ${name}`)
  }
}

describe("a herd", () => {
  it("is at every step as a model of it says, whatever is asked of it (G1 to G15)", { timeout }, async () => {
    const seen = new Seen()
    const check = async (config: Config, commands: ReadonlyArray<Command>) => seen.add(await run(config, commands))
    await holdsForAll(runs(2000), fc.tuple(config, commands), check)
    if (MODEL_PATH === undefined) seen.report()
  })

  it("is so by Effect's TestClock, too", { timeout }, async () => {
    const check = (config: Config, commands: ReadonlyArray<Command>) => run(config, commands, testClock())
    await holdsForAll(runs(50), fc.tuple(config, commands), check)
  })

  /** Sizes above the limit become it; and its gophers have a resource. */
  const threaded = (most: number) => ({ gopher, size, ...rest }: Config): Config => ({
    ...rest,
    size: Math.min(size, most),
    gopher: gopher ?? { acquires: ["succeed"], releaseDies: false, breaks: false, maxCrashes: undefined }
  })

  /** With one thread at most: with several, which unit ends first is left to chance. */
  const ofOne = (command: Command): ReadonlyArray<Command> => {
    switch (command.do) {
      case "burst":
        return [{ ...command, acts: command.acts.flatMap((act) => ofOne(act) as ReadonlyArray<typeof act>) }]
      case "resize":
        return [{ ...command, to: Math.min(1, command.to) }]
      case "grow":
        return []
      default:
        return [command]
    }
  }

  it("is so when its gopher owns a thread, and its units run in that", { timeout: 60_000 + timeout }, async () => {
    const check = (config: Config, commands: ReadonlyArray<Command>) =>
      run(threaded(1)(config), commands.flatMap(ofOne), virtual(), worker("threadModel"))
    await holdsForAll(runs(20), fc.tuple(config, commands), check)
  })

  it("keeps its guarantees and settles everything once when each gopher owns a thread (G1 to G5)", {
    timeout: 60_000 + timeout
  }, async () => {
    const seed = fc.integer({ min: 1, max: 2 ** 31 - 2 })
    await holdsForAll(
      runs(40),
      fc.tuple(config, seed, hasty),
      (config, seed, commands) => storm(threaded(3)(config), seed, commands, worker("threadModel"))
    )
  })

  it("keeps its guarantees and settles everything once when fibers are suspended anywhere (G1 to G5)", {
    timeout
  }, async () => {
    const seed = fc.integer({ min: 1, max: 2 ** 31 - 2 })
    await holdsForAll(runs(1000), fc.tuple(config, seed, hasty), storm)
  })
})
