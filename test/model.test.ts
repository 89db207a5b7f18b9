/**
 * Random sequences of commands, against herds with random options. Each sequence is run by a small
 * model too, and after each command both have to agree on everything that can be seen: states,
 * starts and their order, outcomes and where they go, who waits and who doesn't, metrics.
 *
 * `MODEL_RUNS=100000 npx vitest run test/model.test.ts` runs more of them, `MODEL_SEED=7` others,
 * `MODEL_SEED=random` ever new ones. A failure is shrunk, and printed with what repeats it.
 */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { type Command, commands, type Config, config, hasty } from "./model/commands.ts"
import type { Model } from "./model/model.ts"
import { holdsForAll, path, runs, timeout } from "./model/property.ts"
import { run } from "./model/run.ts"
import { storm } from "./model/storm.ts"
import { testClock } from "./model/time.ts"

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
      "units given from inside": model.givenInside,
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
  it("is at every step as a model of it says, whatever is asked of it (G1 to G15, G19)", { timeout }, async () => {
    const seen = new Seen()
    const check = async (config: Config, commands: ReadonlyArray<Command>) => seen.add(await run(config, commands))
    await holdsForAll(runs(2000), fc.tuple(config, commands), check)
    if (path === undefined) seen.report()
  })

  it("is so by Effect's TestClock, too", { timeout }, async () => {
    const check = (config: Config, commands: ReadonlyArray<Command>) => run(config, commands, testClock())
    await holdsForAll(runs(50), fc.tuple(config, commands), check)
  })

  it("keeps its guarantees and settles everything once when fibers are suspended anywhere (G1 to G5)", {
    timeout
  }, async () => {
    const seed = fc.integer({ min: 1, max: 2 ** 31 - 2 })
    await holdsForAll(runs(1000), fc.tuple(config, seed, hasty), storm)
  })
})
