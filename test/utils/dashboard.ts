import { readFileSync } from "node:fs"

/** What is read here of a Grafana dashboard. */
export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } }
  readonly targets?: ReadonlyArray<{
    readonly expr: string
    readonly refId: string
    readonly datasource: { readonly uid: string }
  }>
  readonly panels?: ReadonlyArray<Panel>
}

export interface Dashboard {
  readonly uid: string
  readonly panels: ReadonlyArray<Panel>
  readonly templating: {
    readonly list: ReadonlyArray<{
      readonly name: string
      readonly type: string
      readonly allValue?: string
      readonly definition?: string
    }>
  }
}

export const dashboard: Dashboard = JSON.parse(
  readFileSync(new URL("../../deploy/grafana/dashboards/gofherd.json", import.meta.url), "utf8")
)

/** Every panel, also those within rows. */
export const panels: ReadonlyArray<Panel> = dashboard.panels.flatMap((panel) => [panel, ...panel.panels ?? []])

/** What Grafana makes of an expression when all herds are selected. */
export const substitute = (expr: string): string =>
  expr.replace(/\$(\w+)/g, (variable, name: string) => {
    const all = dashboard.templating.list.find((it) => it.name === name)?.allValue
    return name === "__rate_interval" ? "10s" : all ?? variable
  })
