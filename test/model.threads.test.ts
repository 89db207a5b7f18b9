/**
 * The properties of `test/model.test.ts`, of herds whose gophers own a worker thread, in which
 * their units run.
 */
import { describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { type Command, commands, type Config, config, hasty } from "./model/commands.ts"
import { holdsForAll, runs, timeout } from "./model/property.ts"
import { run } from "./model/run.ts"
import { storm } from "./model/storm.ts"
import { virtual } from "./model/time.ts"
import { bundledWorkers } from "./utils/threads.ts"

const worker = bundledWorkers("threadModel")

describe("a herd of threads", () => {
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

  it("is at every step as the model says, with one thread (G1 to G15)", { timeout: 60_000 + timeout }, async () => {
    const check = (config: Config, commands: ReadonlyArray<Command>) =>
      run(threaded(1)(config), commands.flatMap(ofOne), virtual(), worker("threadModel"))
    await holdsForAll(runs(20), fc.tuple(config, commands), check)
  })

  it("keeps its guarantees and settles everything once, with three, when fibers are suspended anywhere (G1 to G5)", {
    timeout: 60_000 + timeout
  }, async () => {
    const seed = fc.integer({ min: 1, max: 2 ** 31 - 2 })
    await holdsForAll(
      runs(40),
      fc.tuple(config, seed, hasty),
      (config, seed, commands) => storm(threaded(3)(config), seed, commands, worker("threadModel"))
    )
  })
})
