import { Effect } from "effect"
import { figure } from "../bench/table.ts"
import type { Subjects } from "./herds.ts"
import type { Violations } from "./violations.ts"
import type { Watch } from "./watch.ts"

const SECONDS = 10

/** A line every 10 seconds. */
export const progress = (
  { crawler, links, lookups }: Subjects,
  watch: Watch,
  violations: Violations,
  on: () => boolean
): Effect.Effect<void> => {
  const line = Effect.gen(function*() {
    const states = yield* Effect.forEach([crawler, links, lookups], ({ herd }) => herd.state)
    const herds = states.map(({ accepted, name, running, size }) =>
      `${name} ${accepted.toLocaleString("en")} units, ${running} of ${size} run`
    )
    const heap = watch.heap.at(-1)?.bytes ?? Number.NaN
    const wrong = violations.count === 0
      ? "no violations"
      : `violations of ${Array.from(violations.counts.keys()).join(", ")}`
    const seconds = Math.round(watch.minute * 60)
    console.error(
      `${seconds} s  ${herds.join("  ")}  heap ${figure(heap / 2 ** 20)} MB  ${wrong}`
    )
  })
  let waited = 0
  return Effect.whileLoop({
    while: on,
    body: () =>
      Effect.zipRight(Effect.sleep("1 second"), Effect.suspend(() => ++waited % SECONDS === 0 ? line : Effect.void)),
    step: () => {}
  })
}
