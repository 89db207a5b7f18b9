/**
 * What checksum.ts says of a file, in whichever thread that is hashed.
 */
import { Data, type Either } from "effect"

export interface File {
  readonly path: string
  /** Its place in the order of paths. */
  readonly index: number
}

export interface Checksum {
  readonly hex: string
  readonly bytes: number
}

/** What has come of a file: its checksum, or why there is none. */
export interface Result {
  readonly path: string
  readonly hashed: Either.Either<Checksum, string>
}

export class CannotRead extends Data.TaggedError("CannotRead")<{ readonly path: string; readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

export const reasonOf = (cause: unknown) => cause instanceof Error ? cause.message : String(cause)
