/**
 * Runs a property of random sequences as often as the environment says: see `test/model.test.ts`.
 */
import { assert } from "@effect/vitest"
import { FastCheck as fc } from "effect"

const { MODEL_PATH: path, MODEL_RUNS, MODEL_SEED = "1", MODEL_SHRINK } = process.env

/** How many sequences to run: in so many by default, and more or fewer in proportion. */
export const runs = (usual: number) => Math.ceil(usual * Number(MODEL_RUNS ?? 2000) / 2000)
export const timeout = Math.max(5_000, 60 * runs(2000))

export const holdsForAll = async <A extends ReadonlyArray<unknown>>(
  numRuns: number,
  arbitrary: fc.Arbitrary<A>,
  check: (...values: A) => Promise<unknown>
): Promise<void> => {
  const seed = MODEL_SEED === "random" ? Date.now() : Number(MODEL_SEED)
  const details = await fc.check(fc.asyncProperty(arbitrary, async (values) => void await check(...values)), {
    numRuns,
    seed,
    endOnFailure: path !== undefined || MODEL_SHRINK === "false",
    ...(path !== undefined && { path })
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

export { path }
