/** A figure, with its name and a note. */
import type { JSX } from "preact"

export const Card = ({ children, name, note, tone = "", unit = "", value }: {
  readonly name: string
  readonly value: string
  readonly unit?: string
  readonly note: string
  readonly tone?: string
  readonly children?: JSX.Element
}) => (
  <div class={`panel card ${tone}`}>
    <dt>{name}</dt>
    <dd>
      <b>
        {value}
        {unit !== "" && <small>{unit}</small>}
      </b>
      {children}
      <span class="hint">{note}</span>
    </dd>
  </div>
)
