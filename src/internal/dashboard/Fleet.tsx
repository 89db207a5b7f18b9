/** How many units all processes together may hold. */
import { useState } from "preact/hooks"
import type { Update } from "./connection.ts"
import { Dialog } from "./Dialog.tsx"

export const Fleet = ({ disabled, fleet, onUpdate }: {
  /** `null` for no bound. */
  readonly fleet: number | null
  readonly disabled: boolean
  readonly onUpdate: (update: Update) => Promise<void>
}) => {
  /** What the operator is choosing; `undefined` while nobody is, then the source's counts. */
  const [draft, setDraft] = useState<{ readonly bounded: boolean; readonly size: number }>()
  const [asks, setAsks] = useState(false)
  const { bounded, size } = draft ?? { bounded: fleet !== null, size: fleet ?? NaN }
  const valid = !bounded || Number.isSafeInteger(size) && size >= 0

  const set = async () => {
    setAsks(false)
    await onUpdate({ fleet: bounded ? size : null })
    // What has been chosen meanwhile stays.
    setDraft((now) => now === draft ? undefined : now)
  }
  const cancel = () => {
    setAsks(false)
    setDraft(undefined)
  }

  return (
    <form
      class="panel controls fleet"
      aria-label="Fleet size"
      onSubmit={(event) => {
        event.preventDefault()
        if (!valid || draft === undefined) return
        if (bounded && size === 0) setAsks(true)
        else void set()
      }}
    >
      <div class="exact">
        <label for="fleet">Fleet size</label>
        <input
          id="fleet"
          type="number"
          inputMode="numeric"
          min={0}
          step={1}
          required={bounded}
          value={bounded && !Number.isNaN(size) ? size : ""}
          disabled={disabled || !bounded}
          aria-describedby="fleet-hint"
          onInput={(event) => setDraft({ bounded, size: event.currentTarget.valueAsNumber })}
        />
        <label class="check">
          <input
            type="checkbox"
            checked={!bounded}
            disabled={disabled}
            onChange={(event) => setDraft({ bounded: !event.currentTarget.checked, size })}
          />
          no limit
        </label>
        <button type="submit" disabled={disabled || draft === undefined || !valid}>Set fleet size</button>
      </div>
      <span id="fleet-hint" class="hint">so many units may be held at once, by all processes together</span>
      {asks && (
        <Dialog title="Set the fleet size to 0?" onCancel={cancel}>
          <p>No process claims a unit then: work waits until the fleet size is raised again.</p>
          <div class="buttons">
            <button type="button" onClick={cancel}>Cancel</button>
            <button type="button" class="primary" onClick={() => void set()}>Set to 0</button>
          </div>
        </Dialog>
      )}
    </form>
  )
}
