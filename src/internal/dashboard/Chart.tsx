/**
 * A chart of the last minutes: lines by uPlot, a legend that follows the pointer, and the same
 * figures as a table.
 */
import { useEffect, useRef, useState } from "preact/hooks"
import uPlot from "uplot"
import * as format from "./format.ts"
import { spanOf } from "./model.ts"

export interface Line {
  readonly label: string
  /** The custom property of its colour. */
  readonly color: string
  readonly values: ReadonlyArray<number | null>
  /** Hold a value until the next one. */
  readonly stepped?: boolean
  readonly filled?: boolean
  readonly dashed?: boolean
}

/** How far apart the rows of the table are, in seconds. */
const ROW = 15

export const Chart = ({ lines, show, theme, times, title, unit, whole = false }: {
  readonly title: string
  readonly unit: string
  /** Are there no values between integers? */
  readonly whole?: boolean
  readonly times: ReadonlyArray<number>
  readonly lines: ReadonlyArray<Line>
  readonly show: (value: number) => string
  /** Changes when the colours do. */
  readonly theme: string
}) => {
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [pointed, setPointed] = useState<number | null>(null)
  const [from, to] = spanOf(times)
  const data = [times, ...lines.map(({ values }) => values)] as uPlot.AlignedData
  const shape = lines.map(({ label }) => label).join()

  useEffect(() => {
    const element = frame.current
    if (element === null) return
    const made = new uPlot(options({ lines, show, whole, element, onPoint: setPointed }), data, element)
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize(sizeOf(element)))
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
    }
    // The data comes by the effect below.
  }, [theme, shape])

  useEffect(() => {
    plot.current?.batch(() => {
      plot.current?.setData(data, false)
      plot.current?.setScale("x", { min: from, max: to })
    })
  })

  const at = pointed !== null && pointed < times.length ? pointed : times.length - 1
  const latest = lines.map(({ label, values }) => `${label} ${shown(values.at(-1), show)}`).join(", ")
  return (
    <figure class="panel chart">
      <figcaption>
        <h3>
          {title} <small>{unit}</small>
        </h3>
        <ul class="legend" aria-hidden="true">
          {lines.map(({ color, dashed, label, values }) => (
            <li key={label}>
              <i class={dashed === true ? "dashed" : ""} style={{ color: `var(${color})` }} />
              {label} <b>{shown(values[at], show)}</b>
            </li>
          ))}
          {pointed !== null && <li class="when">{format.time((times[at] ?? 0) * 1_000)}</li>}
        </ul>
      </figcaption>
      <div
        ref={frame}
        class="plot"
        role="img"
        aria-label={`${title}, the last ${format.duration(to - from)}. Now: ${latest}`}
      />
      <details>
        <summary>
          Table<span class="hidden">{` of ${title}`}</span>
        </summary>
        <Table lines={lines} show={show} times={times} title={title} />
      </details>
    </figure>
  )
}

const Table = ({ lines, show, times, title }: {
  readonly title: string
  readonly times: ReadonlyArray<number>
  readonly lines: ReadonlyArray<Line>
  readonly show: (value: number) => string
}) => {
  const rows: Array<number> = []
  for (let i = times.length - 1, next = Infinity; i >= 0; i--) {
    const time = times[i] ?? 0
    if (time > next) continue
    rows.push(i)
    next = time - ROW
  }
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {lines.map(({ label }) => <th scope="col" key={label}>{label}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((i) => (
            <tr key={times[i]}>
              <th scope="row">{format.time((times[i] ?? 0) * 1_000)}</th>
              {lines.map(({ label, values }) => <td key={label}>{shown(values[i], show)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const shown = (value: number | null | undefined, show: (value: number) => string) =>
  value === null || value === undefined ? "–" : show(value)

const HEIGHT = 190

const sizeOf = (element: Element) => ({ width: element.clientWidth, height: HEIGHT })

const INTEGERS = [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power))

const options = ({ element, lines, onPoint, show, whole }: {
  readonly element: Element
  readonly lines: ReadonlyArray<Line>
  readonly show: (value: number) => string
  readonly whole: boolean
  readonly onPoint: (index: number | null) => void
}): uPlot.Options => {
  const style = getComputedStyle(element)
  const color = (property: string) => style.getPropertyValue(property).trim()
  const axis: uPlot.Axis = {
    stroke: color("--quiet"),
    font: `11px ${style.fontFamily}`,
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false }
  }
  return {
    ...sizeOf(element),
    padding: [8, 26, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false, setScale: false } },
    scales: { x: { time: true }, y: { range: (_, __, max) => [0, topOf(max)] } },
    axes: [
      { ...axis, grid: { show: false }, space: 76, size: 24, values: "{HH}:{mm}:{ss}" },
      {
        ...axis,
        size: 52,
        gap: 6,
        space: 36,
        ...(whole ? { incrs: INTEGERS } : {}),
        values: (_, ticks) => ticks.map((tick) => format.tick(show(tick)))
      }
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => ({
        label: line.label,
        stroke: color(line.color),
        width: 1.75,
        points: { show: false },
        ...(line.dashed === true ? { dash: [5, 4] } : {}),
        ...(line.filled === true ? { fill: `${color(line.color)}2b` } : {}),
        ...(line.stepped === true && uPlot.paths.stepped !== undefined
          ? { paths: uPlot.paths.stepped({ align: 1 }) }
          : {})
      }))
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] }
  }
}

/**
 * The top of the scale: with room above the highest point, and never so low that nothing is a
 * mountain.
 */
const topOf = (max: number | null) => max === null || max <= 0 ? 1 : max * 1.15
