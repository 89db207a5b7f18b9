/** Size and pause: what an operator may change. */
import { useEffect, useRef, useState } from "preact/hooks"
import type { Update } from "./connection.ts"
import { Dialog } from "./Dialog.tsx"
import * as format from "./format.ts"
import type { State } from "./model.ts"
import { doubt, sliderEnd } from "./model.ts"

type Mode = "graceful" | "interrupt"

export const Controls = ({ disabled, onUpdate, state }: {
  readonly state: State
  readonly disabled: boolean
  readonly onUpdate: (update: Update) => Promise<void>
}) => {
  /**
   * The size that the operator is choosing; `undefined` while nobody is, then the herd's counts.
   */
  const [draft, setDraft] = useState<number>()
  const [mode, setMode] = useState<Mode>("graceful")
  const [question, setQuestion] = useState<{ readonly size: number; readonly why: string }>()
  const { maxSize, name, paused, size } = state
  const shown = draft ?? size
  const end = useSliderEnd(name, size, maxSize)
  const valid = Number.isInteger(shown) && shown >= 0 && shown <= maxSize

  /**
   * What is to be sent next: one request at a time, so that the last choice is also the last to
   * arrive.
   */
  const next = useRef<(Update & { readonly num: number }) | undefined>(undefined)
  const sending = useRef(false)

  const resize = async (to: number) => {
    setQuestion(undefined)
    setDraft(to)
    next.current = mode === "interrupt" && to < size ? { num: to, mode } : { num: to }
    if (sending.current) return
    sending.current = true
    while (next.current !== undefined) {
      const update = next.current
      next.current = undefined
      await onUpdate(update)
      // What has been chosen meanwhile is the next one.
      setDraft((draft) => draft === update.num ? undefined : draft)
    }
    sending.current = false
  }
  const propose = (to: number) => {
    if (to === size && !sending.current) return setDraft(undefined)
    const why = doubt(size, to, mode)
    if (why === undefined) return void resize(to)
    setDraft(to)
    setQuestion({ size: to, why })
  }
  const cancel = () => {
    setQuestion(undefined)
    setDraft(undefined)
  }

  return (
    <form
      class="panel controls"
      aria-label="Controls"
      onSubmit={(event) => {
        event.preventDefault()
        if (valid) propose(shown)
      }}
    >
      <div class="size">
        <label for="slider">Size</label>
        <input
          id="slider"
          type="range"
          min={0}
          max={end}
          step={1}
          value={Math.min(shown, end)}
          disabled={disabled}
          aria-valuetext={`${shown} gophers`}
          style={{ "--at": `${100 * Math.min(shown, end) / end}%` }}
          onInput={(event) => setDraft(event.currentTarget.valueAsNumber)}
          onChange={(event) => propose(event.currentTarget.valueAsNumber)}
        />
        <span class="ends" aria-hidden="true">
          <span>0</span>
          <span>{format.count(end)}</span>
        </span>
      </div>
      <div class="exact">
        <label for="number">Gophers</label>
        <input
          id="number"
          type="number"
          inputMode="numeric"
          min={0}
          max={maxSize}
          step={1}
          required
          value={Number.isNaN(shown) ? "" : shown}
          disabled={disabled}
          aria-describedby="bounds"
          onInput={(event) => setDraft(event.currentTarget.valueAsNumber)}
        />
        <button type="submit" disabled={disabled || draft === undefined || !valid}>Resize</button>
        <span id="bounds" class="hint">up to {format.count(maxSize)}</span>
      </div>
      <div class="how">
        <label for="mode">When shrinking</label>
        <select
          id="mode"
          value={mode}
          disabled={disabled}
          onChange={(event) => setMode(event.currentTarget.value === "interrupt" ? "interrupt" : "graceful")}
        >
          <option value="graceful">let units finish</option>
          <option value="interrupt">interrupt, and put back</option>
        </select>
      </div>
      <button
        type="button"
        class={paused ? "primary" : ""}
        disabled={disabled}
        onClick={() => void onUpdate({ paused: !paused })}
      >
        {paused ? "▶ Resume" : "❚❚ Pause"}
      </button>
      {question !== undefined && (
        <Dialog title={`Resize ${name} from ${size} to ${question.size}?`} onCancel={cancel}>
          <p>{question.why}</p>
          <div class="buttons">
            <button type="button" onClick={cancel}>Cancel</button>
            <button type="button" class="primary" onClick={() => void resize(question.size)}>
              Resize to {question.size}
            </button>
          </div>
        </Dialog>
      )}
    </form>
  )
}

/**
 * Goes up when the size comes near the end, and down when it is far below, so that a slider in hand
 * does not rescale.
 */
const useSliderEnd = (name: string, size: number, maxSize: number): number => {
  const [kept, setKept] = useState({ name, end: sliderEnd(size, maxSize) })
  const wanted = sliderEnd(size, maxSize)
  const far = kept.name !== name || size > kept.end * 0.9 || wanted * 10 <= kept.end
  const end = far ? wanted : kept.end
  useEffect(() => {
    if (end !== kept.end || name !== kept.name) setKept({ name, end })
  })
  return end
}
