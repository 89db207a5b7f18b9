import type { Herd } from "gofherd"
import { cpus } from "node:os"
import { figure, table } from "../bench/table.ts"
import { slope } from "./checks.ts"
import type { Client } from "./client.ts"
import type { Subjects } from "./herds.ts"
import type { Operators } from "./operators.ts"
import type { Readers } from "./readers.ts"
import type { Violations } from "./violations.ts"
import type { Watch } from "./watch.ts"

export interface Facts {
  readonly seed: number
  readonly minutes: number
  readonly endedEarly: boolean
  readonly subjects: Subjects
  readonly client: Client
  readonly operators: Operators
  readonly readers: Readers
  readonly watch: Watch
  readonly logs: ReadonlyMap<string, number>
  readonly faults: Readonly<Record<string, number>>
  /** The states in the end. */
  readonly states: ReadonlyArray<Herd.HerdState>
  /** Bytes, after a collection: before there was a herd, and when all was closed. */
  readonly heap: { readonly start: number; readonly end: number }
  readonly violations: Violations
}

const count = (value: number) => value.toLocaleString("en")
const megabytes = (bytes: number | undefined) => bytes === undefined ? "none" : `${figure(bytes / 2 ** 20)} MB`

const counted = (title: string, counts: Iterable<readonly [string, number]>) =>
  table(
    [title, "times"],
    Array.from(counts).toSorted(([self], [that]) => self < that ? -1 : 1).map(([what, times]) => [
      what,
      count(times)
    ])
  )

const units = ({ states }: Facts) =>
  table(
    ["herd", "units", "succeeded", "failed", "interrupted", "retries"],
    states.map(({ accepted, failed, interrupted, name, retried, succeeded }) => [
      name,
      ...[accepted, succeeded, failed, interrupted, retried].map(count)
    ])
  )

const measures = ({ client: { longest, micros, processorMicros }, heap, subjects, watch }: Facts) => {
  const warm = watch.warmHeap
  const millis = (value: number) => `${figure(value)} ms`
  return table(["measured, percentiles after the warm-up", "value"], [
    ["answers, p50", millis(micros.percentile(50) / 1e3)],
    ["answers, p99", millis(micros.percentile(99) / 1e3)],
    ["answers, p99 of the processor's time", millis(processorMicros.percentile(99) / 1e3)],
    ["answers, longest ever", millis(longest)],
    ["event loop delay, p99", millis(watch.delay.percentile(99) / 1e6)],
    ["event loop delay, longest ever", millis(watch.longestDelay)],
    ["heap before the start", megabytes(heap.start)],
    ["heap after the warm-up", megabytes(warm[0]?.bytes)],
    ["heap at the end", megabytes(warm.at(-1)?.bytes)],
    ["heap when all is closed", megabytes(heap.end)],
    ["slope after the warm-up", `${figure(slope(warm))} kB a minute, of ${warm.length} samples`],
    ["resident memory, most", `${figure(watch.mostResident)} MB`],
    ["fibers, most", count(watch.mostFibers)],
    ["active resources, most", count(watch.mostResources)],
    [
      "connections of gophers",
      `${count(subjects.connections.acquired)} acquired, ${count(subjects.connections.open)} left`
    ],
    ["programs that want a processor, for each", figure(watch.crowd)],
    ["looks, one a second", count(watch.looks)]
  ])
}

const faultsOf = ({ faults, subjects: { connections } }: Facts) => [
  ...Object.entries(faults),
  ["connections: not acquired", connections.notAcquired] as const,
  ["connections: died on release", connections.releasesDied] as const
]

const verdict = ({ violations }: Facts) => {
  if (violations.count === 0) return "no violations"
  const kept = violations.kept.map(({ at, check, detail }) => `${at.toFixed(1)} s  ${check}  ${detail}`)
  const counts = Array.from(violations.counts, ([check, times]) => `${count(times)} of ${check}`)
  return `${count(violations.count)} violations: ${counts.join(", ")}\n${kept.join("\n")}`
}

/** What happened, for people. */
export const report = (facts: Facts): string => {
  const { client, endedEarly, logs, minutes, operators, readers, seed, watch } = facts
  const took = `${figure(watch.minute)} minutes of ${minutes}${endedEarly ? ", ended early" : ""}`
  const machine = `${cpus().length} processors (${cpus()[0]?.model}), Node ${process.versions.node}`
  return [
    `soak: ${took}, seed ${seed}, ${machine}`,
    units(facts),
    counted("faults of targets and connections", faultsOf(facts)),
    counted("operators", operators.counts),
    counted("requests by status", client.statuses),
    counted("readers", readers.counts),
    counted("log lines", logs),
    measures(facts),
    verdict(facts)
  ].join("\n\n")
}
