/** For mutation testing: before each test file. */
import { beforeEach } from "vitest"

/**
 * These measure time, or take much of it: instrumented, and on a busy machine, they would fail or
 * time out whatever has been mutated, and count as kills.
 */
const slow = new Set([
  "is made with many others over several turns of the event loop, so that a large herd does not hold it up (G13)",
  "runs ten thousand units at once if they are there (G1, G5)",
  "a hundred thousand failures in a row need no more stack than one",
  "copes with a priority of its own for each of ten thousand units",
  "cancelled thousands of times while the herd starts nothing, leaves the queue usable and in order",
  "tells of a busy herd at most four times a second, each time the latest",
  "asks a herd of another process",
  "keeps the last 300 samples",
  "what event streams tell is made once, however many read it",
  "Ctrl-C leaves nothing of the line, and the cursor where the next prompt belongs",
  "the summary of the program takes the place of the line",
  "logs, stdout and stderr come above the line, whole and in order"
])

/** And these suites, whole; also those of programs, which are another process each. */
const slowSuites = new Set(["in Chromium", "a client that takes its time", "a server that is attacked"])
const isSlow = (suite: string) => slowSuites.has(suite) || suite.startsWith("a process of a durable herd")

beforeEach(({ skip, task }) => {
  if (slow.has(task.name) || task.name.startsWith("2,500 mutated requests")) skip()
  for (let suite = task.suite; suite !== undefined; suite = suite.suite) if (isSlow(suite.name)) skip()
})
