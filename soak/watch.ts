import { Effect, Metric } from "effect"
import type { Herd } from "gofherd"
import { availableParallelism, loadavg } from "node:os"
import { monitorEventLoopDelay } from "node:perf_hooks"
import {
  growing,
  type HeapSample,
  late,
  metricsOf,
  metricsOff,
  MOST_FIBERS,
  MOST_RESIDENT_MB,
  MOST_RESOURCES,
  overfull,
  receding,
  slow,
  stuck,
  tooMany,
  unbalanced
} from "./checks.ts"
import type { Client } from "./client.ts"
import type { Subject, Subjects } from "./herds.ts"
import type { Violations } from "./violations.ts"

/** How many there are of what keeps the process alive: sockets, timers … */
export const resources = (): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const what of process.getActiveResourcesInfo()) counts[what] = (counts[what] ?? 0) + 1
  return counts
}

/** How many fibers there are, by Effect's own metric. */
export const fibers = Effect.map(Metric.value(Metric.fiberActive), ({ count }) => count)

export const collectedHeap = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/**
 * The part of the time after which the heap is compared with itself. What fills up, as samples of
 * the last 5 minutes, is full then.
 */
const WARM_UP = 0.2
const MOST_WARM_UP_MINUTES = 6
/** A collection blocks the event loop: as many as say something, and no more. */
const COLLECTIONS = 60

/** Looks at everything once a second. */
export class Watch {
  /** How late the event loop comes to a timer, in nanoseconds, since the warm-up. */
  readonly delay = monitorEventLoopDelay({ resolution: 10 })
  /** The longest ever, in milliseconds. */
  longestDelay = 0
  readonly heap: Array<HeapSample> = []
  mostResident = 0
  mostFibers = 0
  mostResources = 0
  looks = 0
  private load = 0
  private readonly minutes: number
  private readonly subjects: Subjects
  private readonly client: Client
  private readonly violations: Violations
  private readonly began = performance.now()
  private readonly last = new Map<string, { readonly attempts: number; readonly still: number }>()
  private warm = false
  private collected = Number.NEGATIVE_INFINITY

  constructor(minutes: number, subjects: Subjects, client: Client, violations: Violations) {
    this.minutes = minutes
    this.subjects = subjects
    this.client = client
    this.violations = violations
    this.delay.enable()
  }

  get minute(): number {
    return (performance.now() - this.began) / 60_000
  }

  private get all(): ReadonlyArray<Subject> {
    return [this.subjects.crawler, this.subjects.links, this.subjects.lookups]
  }

  readonly look: Effect.Effect<void> = Effect.gen(this, function*() {
    this.looks++
    const before = yield* this.states
    // Metrics are one turn of the event loop old at most.
    yield* turn
    const metrics = yield* this.client.ask("/metrics")
    const after = yield* this.states
    for (const [i, subject] of this.all.entries()) {
      const [first, second] = [before[i], after[i]]
      if (first === undefined || second === undefined) continue
      this.violations.addAll("G3", [...unbalanced(first), ...unbalanced(second)])
      this.violations.addAll("G4", [...overfull(first, subject), ...overfull(second, subject)])
      this.violations.addAll("counters", receding(first, second))
      if (metrics !== undefined) {
        this.violations.addAll("metrics", metricsOff(metricsOf(metrics.text, subject.name), first, second))
      }
      // A unit is inside for less time than the herd says that it runs.
      if (subject.census.count > second.running) {
        this.violations.add(
          "G1",
          `${subject.name}: expected ${second.running} inside process or fewer, got ${subject.census.count}`
        )
      }
      this.lookForProgress(second)
    }
    const { connections, links } = this.subjects
    const { live } = yield* links.herd.state
    this.violations.addAll("connections", tooMany("connections of gophers", connections.open, live))
    yield* this.lookAtProcess
  })

  private readonly states = Effect.suspend(() => Effect.forEach(this.all, ({ herd }) => herd.state))

  private lookForProgress(state: Herd.HerdState): void {
    const { failed, interrupted, name, paused, queued, retried, size, succeeded } = state
    const attempts = succeeded + retried + failed + interrupted
    const before = this.last.get(name)
    const moved = before?.attempts !== attempts || paused || size === 0 || queued === 0
    const still = moved ? 0 : (before?.still ?? 0) + 1
    this.last.set(name, { attempts, still })
    this.violations.addAll("progress", stuck(state, still))
  }

  private readonly lookAtProcess = Effect.gen(this, function*() {
    this.load += (loadavg()[0] ?? 0) / availableParallelism()
    this.longestDelay = Math.max(this.longestDelay, this.delay.max / 1e6)
    if (!this.warm && this.minute >= this.warmUp) {
      this.warm = true
      this.delay.reset()
      this.client.micros.reset()
      this.client.processorMicros.reset()
    }
    const count = yield* fibers
    const held = process.getActiveResourcesInfo().length
    const resident = process.memoryUsage.rss() / 2 ** 20
    this.mostFibers = Math.max(this.mostFibers, count)
    this.mostResources = Math.max(this.mostResources, held)
    this.mostResident = Math.max(this.mostResident, resident)
    this.violations.addAll("fibers", tooMany("fibers", count, MOST_FIBERS))
    this.violations.addAll("resources", tooMany("active resources", held, MOST_RESOURCES))
    this.violations.addAll("memory", tooMany("MB of resident memory", Math.round(resident), MOST_RESIDENT_MB))
    if (this.minute - this.collected < Math.max(this.minutes / COLLECTIONS, 2 / 60)) return
    this.collected = this.minute
    this.heap.push({ minute: this.minute, bytes: collectedHeap() })
  })

  /** How many programs wanted a processor, on average, for each that there is. */
  get crowd(): number {
    return this.load / this.looks
  }

  private get warmUp(): number {
    return Math.min(this.minutes * WARM_UP, MOST_WARM_UP_MINUTES)
  }

  get warmHeap(): ReadonlyArray<HeapSample> {
    return this.heap.filter(({ minute }) => minute >= this.warmUp)
  }

  /** What can be said only of the whole. */
  conclude(): void {
    this.delay.disable()
    const { micros, processorMicros } = this.client
    this.violations.addAll("memory", growing(this.warmHeap))
    this.violations.addAll(
      "answers",
      slow("answers", {
        count: micros.count,
        crowd: this.crowd,
        p99: micros.percentile(99) / 1e3,
        processorP99: processorMicros.percentile(99) / 1e3
      })
    )
    this.violations.addAll("event loop", late({ crowd: this.crowd, p99: this.delay.percentile(99) / 1e6 }))
  }
}
