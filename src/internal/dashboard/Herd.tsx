/** All there is to see of one herd. */
import type { JSX } from "preact"
import { Card } from "./Card.tsx"
import { Chart } from "./Chart.tsx"
import * as format from "./format.ts"
import type { Point, Rates, Source, State } from "./model.ts"
import { ratesAt, timeLeft, unitsLeft } from "./model.ts"
import { Stored } from "./Stored.tsx"

export const Herd = ({ children, points, source, state, theme }: {
  readonly state: State
  /** What the source of a durable herd told last. */
  readonly source: Source | undefined
  readonly points: ReadonlyArray<Point>
  readonly theme: string
  /** What comes between the charts and the past. */
  readonly children: JSX.Element | false
}) => {
  const rates = points.map((_, i) => ratesAt(points, i))
  const times = points.map(({ time }) => time)
  return (
    <>
      <Cards state={state} rates={rates.at(-1) ?? { success: 0, retry: 0, failure: 0 }} />
      {source !== undefined && <Stored state={state} source={source} now={times.at(-1)} />}
      <section class="charts" aria-label="The last minutes">
        <Chart
          title="Throughput"
          unit="per second"
          theme={theme}
          times={times}
          show={format.rate}
          lines={[
            { label: "success", color: "--good", values: rates.map(({ success }) => success), filled: true },
            { label: "retry", color: "--warn", values: rates.map(({ retry }) => retry) },
            { label: "failure", color: "--bad", values: rates.map(({ failure }) => failure) }
          ]}
        />
        <Chart
          title="Gophers"
          unit="count"
          theme={theme}
          times={times}
          show={format.count}
          whole
          lines={[
            {
              label: "running",
              color: "--accent",
              values: points.map(({ running }) => running),
              stepped: true,
              filled: true
            },
            { label: "size", color: "--ink", values: points.map(({ size }) => size), stepped: true, dashed: true }
          ]}
        />
        <Chart
          title="Waiting"
          unit="units"
          theme={theme}
          times={times}
          show={format.count}
          whole
          lines={[
            { label: "queued", color: "--blue", values: points.map(({ queued }) => queued), filled: true },
            { label: "retrying", color: "--warn", values: points.map(({ retrying }) => retrying) },
            { label: "senders", color: "--ink", values: points.map(({ senders }) => senders), dashed: true }
          ]}
        />
        <Chart
          title="Time of an attempt"
          unit="over the last minute"
          theme={theme}
          times={times}
          show={format.duration}
          lines={[
            { label: "p95", color: "--violet", values: points.map(({ p95 }) => p95), dashed: true },
            { label: "p50", color: "--violet", values: points.map(({ p50 }) => p50) }
          ]}
        />
      </section>
      {children}
      <section class="past">
        <Resizes state={state} />
        <Failures state={state} />
      </section>
    </>
  )
}

// ------------------------------------------------------------------------------------------------------ cards

const Cards = ({ rates, state }: { readonly state: State; readonly rates: Rates }) => {
  const { attemptSeconds, live, queued, retrying, running, senders = 0, size } = state
  const { p50, p95 } = attemptSeconds
  const left = timeLeft(state, rates)
  const utilisation = size === 0 ? 0 : Math.min(1, running / size)
  const seconds = (value: number | null) => value === null ? "–" : format.duration(value)
  return (
    <dl class="cards">
      <Card name="Size" value={format.count(size)} note={`${format.count(live)} live`} />
      <Card name="Running" value={format.count(running)} note={`${format.percent(utilisation)} of size`}>
        <span class="bar" aria-hidden="true">
          <i style={{ width: `${utilisation * 100}%` }} />
        </span>
      </Card>
      <Card name="Queued" value={format.count(queued)} note="wait for a gopher" />
      <Card name="Retrying" value={format.count(retrying)} note="wait for their backoff" />
      <Card name="Senders" value={format.count(senders)} note="wait for room" />
      <Card
        name="Success"
        value={format.rate(rates.success)}
        unit="/s"
        note={`${format.count(state.succeeded)} in all`}
        tone="good"
      />
      <Card
        name="Retry"
        value={format.rate(rates.retry)}
        unit="/s"
        note={`${format.count(state.retried)} in all`}
        tone="warn"
      />
      <Card
        name="Failure"
        value={format.rate(rates.failure)}
        unit="/s"
        note={`${format.count(state.failed)} in all`}
        tone="bad"
      />
      <Card name="Attempt p50" value={seconds(p50)} note="over the last minute" />
      <Card name="Attempt p95" value={seconds(p95)} note="over the last minute" />
      <Card
        name="Time left"
        value={left === null ? "–" : format.duration(left)}
        note={`for ${format.count(unitsLeft(state))} units${state.source === undefined ? "" : ", by this process"}`}
      />
    </dl>
  )
}

// ------------------------------------------------------------------------------------------------------ the past

const Resizes = ({ state: { resizes } }: { readonly state: State }) => (
  <Past title="Last resizes" empty="The size has not been changed." rows={resizes.length}>
    <table>
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">From</th>
          <th scope="col">To</th>
          <th scope="col">Mode</th>
        </tr>
      </thead>
      <tbody>
        {resizes.map(({ at, from, mode, to }, i) => (
          <tr key={`${at}-${i}`}>
            <th scope="row">
              <time dateTime={at}>{format.time(at)}</time>
            </th>
            <td>{format.count(from)}</td>
            <td>{format.count(to)}</td>
            <td>{mode}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </Past>
)

const Failures = ({ state: { failures } }: { readonly state: State }) => (
  <Past title="Last failures" empty="No unit has failed." rows={failures.length}>
    <table class="failures">
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Unit</th>
          <th scope="col">Attempts</th>
          <th scope="col">Message</th>
        </tr>
      </thead>
      <tbody>
        {failures.map(({ at, attempts, id, message }, i) => (
          <tr key={`${at}-${id}-${i}`}>
            <th scope="row">
              <time dateTime={at}>{format.time(at)}</time>
            </th>
            <td>{id}</td>
            <td>{attempts}</td>
            <td class="message">{message}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </Past>
)

const Past = ({ children, empty, rows, title }: {
  readonly title: string
  readonly empty: string
  readonly rows: number
  readonly children: JSX.Element
}) => (
  <section class="panel">
    <h3>{title}</h3>
    {rows === 0
      ? <p class="hint">{empty}</p>
      : <div class="scroll" tabIndex={0} role="region" aria-label={title}>{children}</div>}
  </section>
)
