/**
 * What is left of 500 threads that a herd has started and stopped, and in a thread of the units
 * that it has had: nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, LogLevel } from "effect"
import { Herd } from "gofherd"
import * as HerdThread from "gofherd/HerdThread"
import { readdirSync } from "node:fs"
import type { Worker } from "node:worker_threads"
import type * as thread from "./fixtures/thread.ts"
import type * as threadModel from "./fixtures/threadModel.ts"
import { living } from "./utils/garbage.ts"
import { scoped, until } from "./utils/stage.ts"
import { bundledWorkers, liveThreads } from "./utils/threads.ts"

const worker = bundledWorkers("thread", "threadModel")

const THREADS = 500
const SIZE = 10
const UNITS = 20_000

/** When quiet, a machine of two processors takes a tenth of it. */
const TIMEOUT = 300_000

/** What keeps a process alive or hangs on it; of the system, its threads. */
const census = () => ({
  threads: liveThreads.size,
  resources: process.getActiveResourcesInfo().filter((name) => /port|worker/i.test(name)).length,
  listeners: process.eventNames().map((event) => `${String(event)}: ${process.listenerCount(event)}`).toSorted(),
  ofTheSystem: process.platform === "linux" ? readdirSync("/proc/self/task").length : 0
})

describe("HerdThread", () => {
  it.live(
    `leaves nothing of ${THREADS} threads: no thread of Node or of the system, no port, no listener, no memory`,
    () =>
      Effect.gen(function*() {
        const workers: Array<WeakRef<Worker>> = []
        const note = (worker: Worker) => workers.push(new WeakRef(worker))
        const { close, herd } = yield* scoped(
          Logger.withMinimumLogLevel(
            Herd.make({ gopher: HerdThread.gopher<typeof threadModel>(worker("threadModel")), size: 0 }),
            LogLevel.None
          )
        )
        const unit = (n: number, attempt: threadModel.Unit["attempt"]) =>
          herd.run({ n, attempt, forks: false, sets: false })
        // What Node keeps of threads once there were some.
        yield* herd.resize(1)
        assert.strictEqual(yield* unit(1, "succeed"), 1)
        yield* herd.resize(0)
        yield* herd.settled
        const before = census()
        process.on("worker", note)
        let after = census()
        while (workers.length < THREADS) {
          yield* herd.resize(SIZE)
          // Some end in the middle of a unit, some by a crash, some before they were ready.
          const round = workers.length / SIZE
          yield* until(() => liveThreads.size === SIZE)
          if (round % 2 === 0) yield* unit(2, "succeed")
          if (round % 4 === 0) yield* Effect.exit(unit(3, "break"))
          if (round % 5 === 0) yield* Effect.timeoutOption(unit(4, "wait"), "50 millis")
          yield* herd.resize(0, { mode: "interrupt" })
          yield* herd.settled
          after = census()
        }
        process.off("worker", note)
        assert.isAtLeast(workers.length, THREADS)
        assert.deepStrictEqual(after, { ...before, listeners: after.listeners })
        yield* close
        yield* until(() => census().ofTheSystem <= before.ofTheSystem)
        assert.deepStrictEqual(census(), before)
        // V8 may hold on to the last of them.
        assert.isAtMost(yield* living(workers, 2), 2)
      }),
    TIMEOUT
  )

  it.scopedLive(
    `keeps nothing in a thread of ${UNITS.toLocaleString("en")} units`,
    () =>
      Effect.gen(function*() {
        const herd = yield* Logger.withMinimumLogLevel(
          Herd.make({ gopher: HerdThread.gopher<typeof thread>(worker("thread")) }),
          LogLevel.None
        )
        const units = Effect.repeatN(herd.run({ do: "look" }), UNITS / 2)
        const heap = Effect.map(herd.run({ do: "heap" }), Number)
        yield* units
        const before = yield* heap
        yield* units
        assert.isBelow((yield* heap) - before, UNITS / 2 * 100)
      }),
    TIMEOUT
  )
})
