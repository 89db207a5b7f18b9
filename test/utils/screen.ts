import headless from "@xterm/headless"
import { Effect } from "effect"
import { WriteStream } from "node:tty"

/** A terminal without a window: a stream that is one, and what a user would see on it. */
export const makeScreen = (columns = 80) => {
  const terminal = new headless.Terminal({ cols: columns, rows: 24, allowProposedApi: true, convertEol: true })
  const written: Array<string> = []
  const { getColorDepth, hasColors } = WriteStream.prototype
  const stream = {
    isTTY: true,
    get columns() {
      return terminal.cols
    },
    write: (chunk: string | Uint8Array): boolean => {
      written.push(typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk))
      terminal.write(chunk)
      return true
    },
    hasColors: (environment?: object) => hasColors.call({ getColorDepth } as WriteStream, 16, environment)
  }
  const rowsOf = (length: number) =>
    Array.from({ length }, (_, n) => terminal.buffer.active.getLine(n)?.translateToString(true) ?? "")
  /** The terminal has understood all that was written. */
  const flush = Effect.async<void>((resume) => terminal.write("", () => resume(Effect.void)))
  return {
    stream,
    /** Everything that was written, call by call. */
    written,
    resize: (columns: number) => Effect.zipRight(flush, Effect.sync(() => terminal.resize(columns, 24))),
    /** All rows as they are seen, without the empty ones at the end. */
    all: Effect.map(flush, () => {
      const all = rowsOf(terminal.buffer.active.length)
      return all.slice(0, all.findLastIndex((row) => row !== "") + 1)
    }),
    /**
     * The rows as they are seen, up to that of the cursor: at the end of a clean output that is an
     * empty one.
     */
    rows: Effect.map(flush, () => rowsOf(terminal.buffer.active.baseY + terminal.buffer.active.cursorY + 1))
  }
}
