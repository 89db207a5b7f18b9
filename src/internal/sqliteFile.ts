import { type BigIntStats, statSync } from "node:fs"

const stat = (path: string): BigIntStats | undefined => {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/**
 * The file of a database, as it was when that was opened. One that is deleted or replaced goes on
 * taking writes, which nobody else will ever read.
 *
 * @internal
 */
export class SqliteFile {
  private readonly path: string
  private readonly opened: BigIntStats | undefined

  constructor(path: string) {
    this.path = path
    // A database in memory has no path, and the path of a server's is not of this machine.
    this.opened = path === "" ? undefined : stat(path)
  }

  /** Why nothing may be written any more. */
  get trouble(): Error | undefined {
    if (this.opened === undefined) return undefined
    const now = stat(this.path)
    if (now?.ino === this.opened.ino && now.dev === this.opened.dev) return undefined
    const what = now === undefined ? "none" : "another one"
    return new Error(
      `${what} at ${this.path}: the file was deleted or replaced while it was open; put it back, or start the herd again`
    )
  }
}
