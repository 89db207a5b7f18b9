import type { Terminal } from "../HerdProgress.ts"

const START = "\r"
const ERASE = "\u001b[J"
/**
 * Everything, which tmux would put into its history if that began in the first cell of the screen.
 */
const ERASE_ALL = `${START} ${ERASE}${START}\u001b[K`

/**
 * What a line is drawn on may break, as a pipe does: that is no reason for anything else to end.
 */
const attempt = <A>(effect: () => A): A | undefined => {
  try {
    return effect()
  } catch {
    return undefined
  }
}

/** Terminals that have such a line: there is room for one. */
const taken = new WeakSet<Terminal>()

/** An empty `NO_COLOR` is as good as none, but not to Node 20. */
const environment = () => {
  const { NO_COLOR, ...others } = process.env
  return NO_COLOR === "" ? others : process.env
}

const endsLine = (chunk: string | Uint8Array) => typeof chunk === "string" ? chunk.endsWith("\n") : chunk.at(-1) === 10

/**
 * The last line of a terminal, drawn again and again in its place. What others write meanwhile
 * comes above it.
 *
 * The cursor stays visible, so that nothing has to be put right if the process is killed; and at
 * the beginning of the line, where it also is when a terminal that became narrower has broken the
 * line into several.
 *
 * @internal
 */
export class TerminalLine {
  readonly colors: boolean
  private readonly terminal: Terminal
  private readonly write: (text: string) => void
  private readonly restores: ReadonlyArray<() => void>
  private text = ""
  /** It stands there. */
  private drawn = false
  /** Somebody has begun a line and not ended it: that is not to be drawn over. */
  private foreign = false

  /** `others` may write to the same terminal. `undefined` if this terminal has its line already. */
  static open(terminal: Terminal, others: ReadonlyArray<Terminal>): TerminalLine | undefined {
    return taken.has(terminal) ? undefined : new TerminalLine(terminal, others)
  }

  private constructor(terminal: Terminal, others: ReadonlyArray<Terminal>) {
    taken.add(terminal)
    this.terminal = terminal
    this.colors = attempt(() => terminal.hasColors?.(environment()) === true) ?? false
    const write = terminal.write
    this.write = (text) => {
      attempt(() => write.call(terminal, text))
    }
    this.restores = Array.from(new Set([terminal, ...others]), (stream) => this.intercept(stream))
  }

  get columns(): number {
    // A pseudo-terminal that nobody gave a size says 0.
    const columns = attempt(() => this.terminal.columns)
    return typeof columns === "number" && columns > 0 ? columns : 80
  }

  /** Puts this there, unless it stands there. */
  show(text: string): void {
    if (this.drawn && text === this.text) return
    this.text = text
    this.draw()
  }

  /** Leaves this there, on a line of its own, or nothing. */
  close(last: string | undefined): void {
    for (const restore of this.restores) restore()
    taken.delete(this.terminal)
    this.erase()
    if (last !== undefined) this.write(`${this.foreign ? "\n" : ""}${last}\n`)
  }

  private draw(): void {
    if (this.foreign) return
    // Erased behind, not before: it does not flicker.
    this.write(`${START}${this.text}${ERASE}${START}`)
    this.drawn = true
  }

  private erase(): void {
    if (this.drawn) this.write(ERASE_ALL)
    this.drawn = false
  }

  /** Takes the line away before anything else is written, and puts it back behind it. */
  private intercept(stream: Terminal): () => void {
    const write = stream.write
    const own = Object.hasOwn(stream, "write")
    let open = true
    const around = (...args: Parameters<Terminal["write"]>): unknown => {
      const chunk: string | Uint8Array = args[0]
      // What is no chunk either is for the stream to refuse.
      if (!open || chunk?.length === 0) return write.apply(stream, args)
      this.erase()
      const result = write.apply(stream, args)
      this.foreign = !endsLine(chunk)
      if (this.text !== "") this.draw()
      return result
    }
    attempt(() => stream.write = around)
    return () => {
      open = false
      // Whoever has put theirs around ours keeps it.
      if (stream.write !== around) return
      if (own) stream.write = write
      else Reflect.deleteProperty(stream, "write")
    }
  }
}
