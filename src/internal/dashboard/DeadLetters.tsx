/** The units that failed for good: looked at, redriven, discarded. */
import { useEffect, useRef, useState } from "preact/hooks"
import { fetchDead, settleDead } from "./connection.ts"
import { Dialog } from "./Dialog.tsx"
import * as format from "./format.ts"
import { Letters } from "./Letters.tsx"
import type { Letter } from "./model.ts"

/** So many are shown at first, and with each More. */
const PAGE = 100

export type How = "redrive" | "discard"

/** What is to be settled, once the operator has said yes. */
interface Question {
  readonly how: How
  readonly ids: ReadonlyArray<string> | "all"
  readonly title: string
}

const why = {
  redrive: "They run again, as if they had just been offered.",
  discard: "What is discarded is gone for good."
}

export const DeadLetters = ({ dead, disabled, name, now, onDone, onFailed, readOnly }: {
  readonly name: string
  /** How many there are. */
  readonly dead: number
  /** By the server's clock, in seconds. */
  readonly now: number
  readonly readOnly: boolean
  readonly disabled: boolean
  readonly onDone: (text: string) => void
  readonly onFailed: (what: string, error: unknown) => void
}) => {
  const [open, setOpen] = useState(false)
  const [wanted, setWanted] = useState(PAGE)
  const [letters, setLetters] = useState<ReadonlyArray<Letter>>()
  const [failed, setFailed] = useState(false)
  const [question, setQuestion] = useState<Question>()
  const [settled, setSettled] = useState(0)
  const summary = useRef<HTMLElement>(null)
  const load = useLoad(async (signal) => {
    try {
      setLetters(await fetchDead(name, { count: wanted, signal }))
      setFailed(false)
    } catch (error) {
      if (signal.aborted) return
      setFailed(true)
      onFailed("The dead letters were not loaded", error)
    }
  })

  useEffect(() => {
    if (open) void load()
  }, [open, wanted, dead])

  // The button that was pressed may be gone, with its row.
  useEffect(() => {
    if (settled > 0 && document.activeElement === document.body) summary.current?.focus()
  }, [settled])

  const settle = async (how: How, ids: ReadonlyArray<string> | "all") => {
    setQuestion(undefined)
    try {
      const count = await settleDead(name, how, ids)
      onDone(`${name}: ${letterCount(count)} ${how === "redrive" ? "redriven" : "discarded"}`)
      await load()
      setSettled((times) => times + 1)
    } catch (error) {
      onFailed("Nothing was changed", error)
    }
  }
  const ask = (how: How, ids: ReadonlyArray<string> | "all") =>
    setQuestion({
      how,
      ids,
      title: `${verb(how)} ${ids === "all" ? `all dead letters of ${name}` : `unit ${ids.join()}`}?`
    })

  return (
    <details class="panel dead" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary ref={summary}>
        <h3>
          Dead letters <small>{format.count(dead)}</small>
        </h3>
      </summary>
      {failed && (
        <p class="row">
          <span class="hint">The dead letters could not be loaded.</span>
          <button type="button" onClick={() => void load()}>Try again</button>
        </p>
      )}
      {letters === undefined && !failed && <p class="hint">Loading …</p>}
      {letters?.length === 0 && <p class="hint">There are none.</p>}
      {letters !== undefined && letters.length > 0 && (
        <>
          {!readOnly && (
            <p class="row">
              <button type="button" disabled={disabled} onClick={() => ask("redrive", "all")}>Redrive all</button>
              <button type="button" disabled={disabled} onClick={() => ask("discard", "all")}>Discard all</button>
            </p>
          )}
          <Letters
            letters={letters}
            now={now}
            disabled={disabled}
            readOnly={readOnly}
            onRedrive={(id) => void settle("redrive", [id])}
            onDiscard={(id) => ask("discard", [id])}
          />
          {letters.length < dead && (
            <p class="row">
              <span class="hint">{format.count(letters.length)} of {format.count(dead)}, the last buried first</span>
              <button type="button" onClick={() => setWanted(letters.length + PAGE)}>More</button>
            </p>
          )}
        </>
      )}
      {question !== undefined && (
        <Dialog title={question.title} onCancel={() => setQuestion(undefined)}>
          <p>{why[question.how]}</p>
          <div class="buttons">
            <button type="button" onClick={() => setQuestion(undefined)}>Cancel</button>
            <button type="button" class="primary" onClick={() => void settle(question.how, question.ids)}>
              {question.ids === "all" ? `${verb(question.how)} all` : verb(question.how)}
            </button>
          </div>
        </Dialog>
      )}
    </details>
  )
}

const verb = (how: How): string => how === "redrive" ? "Redrive" : "Discard"

const letterCount = (count: number): string => `${format.count(count)} dead ${count === 1 ? "letter" : "letters"}`

/** One at a time: who asks meanwhile waits for another one, begun once the first has ended. */
const useLoad = (load: (signal: AbortSignal) => Promise<void>): () => Promise<void> => {
  const latest = useRef(load)
  const running = useRef<Promise<void> | undefined>(undefined)
  const again = useRef(false)
  const stop = useRef(new AbortController())
  latest.current = load
  useEffect(() => () => stop.current.abort(), [])
  return () => {
    again.current = true
    return running.current ??= (async () => {
      while (again.current && !stop.current.signal.aborted) {
        again.current = false
        await latest.current(stop.current.signal)
      }
      running.current = undefined
    })()
  }
}
