/** Dead letters as a table. What it shows of a unit is anybody's text. */
import * as format from "./format.ts"
import type { Letter } from "./model.ts"
import { headOf } from "./model.ts"

export const Letters = ({ disabled, letters, now, onDiscard, onRedrive, readOnly }: {
  readonly letters: ReadonlyArray<Letter>
  /** By the server's clock, in seconds. */
  readonly now: number
  readonly readOnly: boolean
  readonly disabled: boolean
  readonly onRedrive: (id: string) => void
  readonly onDiscard: (id: string) => void
}) => (
  <div class="scroll" tabIndex={0} role="region" aria-label="Dead letters">
    <table class="letters">
      <thead>
        <tr>
          <th scope="col">Unit</th>
          <th scope="col">Attempts</th>
          <th scope="col">Crashes</th>
          <th scope="col">Died</th>
          <th scope="col">Cause</th>
          {!readOnly && (
            <th scope="col">
              <span class="hidden">Actions</span>
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {letters.map(({ attempts, body, cause, crashes, diedAt, id }) => (
          <tr key={id}>
            <th scope="row">{id}</th>
            <td>{format.count(attempts)}</td>
            <td>{format.count(crashes)}</td>
            <td>
              <time dateTime={diedAt} title={format.instant(diedAt)}>
                {format.ago(now - Date.parse(diedAt) / 1_000)}
              </time>
            </td>
            <td class="message">
              <Long text={cause} head={headOf(cause)} />
              <details class="body">
                <summary>Body</summary>
                <pre>{body}</pre>
              </details>
            </td>
            {!readOnly && (
              <td class="actions">
                <button
                  type="button"
                  aria-label={`Redrive ${id}`}
                  disabled={disabled}
                  onClick={() => onRedrive(id)}
                >
                  Redrive
                </button>
                <button
                  type="button"
                  aria-label={`Discard ${id}`}
                  disabled={disabled}
                  onClick={() => onDiscard(id)}
                >
                  Discard
                </button>
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)

/** Its first line, and the whole for who wants it. */
const Long = ({ head, text }: { readonly head: string; readonly text: string }) =>
  head === text ? <span>{text}</span> : (
    <details>
      <summary>{head} …</summary>
      <pre>{text}</pre>
    </details>
  )
