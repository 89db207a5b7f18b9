import * as Metric from "effect/Metric"
import * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"
import { processMetrics } from "./processMetrics.ts"

/**
 * Effect metrics in Prometheus' text format 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */

type Labels = ReadonlyArray<readonly [name: string, value: string]>

/** All series of one name, with the samples by their name and labels, as one may not come twice. */
interface Family {
  readonly type: "counter" | "gauge" | "histogram" | "summary"
  readonly help: string
  readonly samples: Map<string, number | bigint>
}

const metricName = (name: string) => name.replace(/[^a-zA-Z0-9_:]/g, "_").replace(/^(?=[0-9]|$)/, "_")
const labelName = (name: string) =>
  name.replace(/[^a-zA-Z0-9_]/g, "_").replace(/^(?=[0-9]|$)/, "_").replace(/^__+/, "_")
const escapeHelp = (text: string) => text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")
const escapeLabel = (text: string) => escapeHelp(text).replace(/"/g, "\\\"")

const showValue = (value: number | bigint) => value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value)

const showLabels = (labels: Labels) =>
  labels.length === 0 ? "" : `{${labels.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(",")}}`

const typeOf = ({ metricKey, metricState }: MetricPair.MetricPair.Untyped): Family["type"] => {
  if (MetricState.isHistogramState(metricState)) return "histogram"
  if (MetricState.isSummaryState(metricState)) return "summary"
  if (MetricState.isFrequencyState(metricState)) return "counter"
  return MetricKeyType.isCounterKey(metricKey.keyType) && metricKey.keyType.incremental ? "counter" : "gauge"
}

/**
 * The samples of one metric: the suffix of the name, labels beyond the metric's own, and the value.
 */
function* samplesOf({ metricState: state }: MetricPair.MetricPair.Untyped): Generator<
  readonly [suffix: string, labels: Labels, value: number | bigint]
> {
  if (MetricState.isCounterState(state)) yield ["", [], state.count]
  else if (MetricState.isGaugeState(state)) yield ["", [], state.value]
  else if (MetricState.isFrequencyState(state)) {
    for (const [key, count] of state.occurrences) yield ["", [["key", key]], count]
  } else if (MetricState.isHistogramState(state)) {
    for (const [bound, count] of state.buckets) {
      if (Number.isFinite(bound)) yield ["_bucket", [["le", showValue(bound)]], count]
    }
    // From the count, since an observation of NaN falls into no bucket.
    yield ["_bucket", [["le", "+Inf"]], state.count]
    yield ["_sum", [], state.sum]
    yield ["_count", [], state.count]
  } else if (MetricState.isSummaryState(state)) {
    for (const [quantile, value] of state.quantiles) {
      yield ["", [["quantile", showValue(quantile)]], Option.getOrElse(value, () => NaN)]
    }
    yield ["_sum", [], state.sum]
    yield ["_count", [], state.count]
  }
}

/**
 * Families in order of their name; where one name stands for two types, the first one counts.
 *
 * @internal
 */
export const serialize = (pairs: ReadonlyArray<MetricPair.MetricPair.Untyped>): string => {
  const families = new Map<string, Family>()
  for (const pair of pairs) {
    const { metricKey } = pair
    const name = metricName(metricKey.name)
    const type = typeOf(pair)
    let family = families.get(name)
    if (family === undefined) {
      family = { type, help: Option.getOrElse(metricKey.description, () => ""), samples: new Map() }
      families.set(name, family)
    }
    if (family.type !== type) continue
    const own = new Map(metricKey.tags.map(({ key, value }) => [labelName(key), value]))
    const sorted = Array.from(own).toSorted(([self], [that]) => self < that ? -1 : 1)
    for (const [suffix, labels, value] of samplesOf(pair)) {
      const extra = new Set(labels.map(([name]) => name))
      const sample = name + suffix + showLabels([...sorted.filter(([name]) => !extra.has(name)), ...labels])
      if (!family.samples.has(sample)) family.samples.set(sample, value)
    }
  }
  const lines: Array<string> = []
  for (
    const [name, { help, samples, type }] of Array.from(families).toSorted(([self], [that]) => self < that ? -1 : 1)
  ) {
    if (samples.size === 0) continue
    if (help !== "") lines.push(`# HELP ${name} ${escapeHelp(help)}`)
    lines.push(`# TYPE ${name} ${type}`)
    for (const [sample, value] of samples) lines.push(`${sample} ${showValue(value)}`)
  }
  return lines.map((line) => `${line}\n`).join("")
}

/**
 * The metrics of all herds of the process, and the process' own.
 *
 * @internal
 */
export const scrape = (): string =>
  serialize([
    ...Metric.unsafeSnapshot().filter(({ metricKey }) => metricKey.name.startsWith("gofherd_")),
    ...processMetrics()
  ])
