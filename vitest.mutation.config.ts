import { basename } from "node:path"
import { defineConfig } from "vitest/config"
import type { TestSpecification } from "vitest/node"
import { BaseSequencer } from "vitest/node"
import base from "./vitest.config.ts"

/** The names of test files, in the order to run them in: scripts/mutation.ts sets it. */
const files = (process.env["MUTATION_TESTS"] ?? "").split(",")

/**
 * The first failure ends a mutant's run, so the quick files that kill most go first. Vitest would
 * begin with the slowest.
 */
class InOrder extends BaseSequencer {
  override async sort(specifications: Array<TestSpecification>) {
    const place = ({ moduleId }: TestSpecification) => files.indexOf(basename(moduleId, ".test.ts"))
    return specifications.toSorted((self, that) => place(self) - place(that))
  }
}

// Without `globalSetup`: no program has to be installed. Each mutant gets a thread of its own, but
// not each test file: that would load Effect ten times.
export default defineConfig({
  ...base,
  test: {
    include: files.map((name) => `test/${name}.test.ts`),
    setupFiles: ["test/utils/equality.ts", "scripts/mutation.setup.ts"],
    testTimeout: 4_000,
    isolate: false,
    sequence: { sequencer: InOrder }
  }
})
