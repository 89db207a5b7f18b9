import { describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { commands, config } from "./model/commands.ts"
import { run } from "./model/run.ts"

const RUNS = Number(process.env["MODEL_RUNS"] ?? 2000)

describe("a herd", () => {
  it("does what a model of it says, whatever it is told (G1 to G5)", { timeout: 3_600_000 }, async () => {
    await fc.assert(fc.asyncProperty(config, commands, run), {
      numRuns: RUNS,
      seed: Number(process.env["MODEL_SEED"] ?? 1)
    })
  })
})
