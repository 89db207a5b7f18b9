/** What the source of a durable herd has, of all processes. */
import { Card } from "./Card.tsx"
import * as format from "./format.ts"
import type { Source, State } from "./model.ts"

export const Stored = ({ now, source, state }: {
  readonly state: State
  /** What it told last. */
  readonly source: Source
  /** By the server's clock, in seconds. */
  readonly now: number | undefined
}) => {
  const { fleet } = source
  const told = state.source
  const at = Date.parse(state.at) / 1_000
  const count = (of: (source: Source) => number) => told === undefined ? "–" : format.count(of(told))
  const oldest = told?.oldestSeconds ?? null
  return (
    <section aria-labelledby="source">
      <h3 id="source" class="heading">
        In the source <small>of all processes{told === undefined && ", which does not answer"}</small>
      </h3>
      <dl class={`cards ${fleet === undefined ? "" : "six"}`}>
        <Card name="Ready" value={count(({ ready }) => ready)} note="wait to be claimed" />
        <Card name="Delayed" value={count(({ delayed }) => delayed)} note="wait for their time" />
        <Card name="Held" value={count(({ held }) => held)} note="claimed and at work" />
        <Card
          name="Dead"
          value={count(({ dead }) => dead)}
          note="failed for good"
          tone={told !== undefined && told.dead > 0 ? "bad" : ""}
        />
        <Card
          name="Oldest wait"
          value={oldest === null ? "–" : format.duration(oldest + Math.max(0, (now ?? at) - at))}
          note="ready for longest"
        />
        {fleet !== undefined && (
          <Card
            name="Fleet size"
            value={told === undefined ? "–" : fleet === null ? "no limit" : format.count(fleet)}
            note="may be held at most"
          />
        )}
      </dl>
    </section>
  )
}
