import * as Effect from "effect/Effect"
import type { BodyTooLarge, ReadOnly } from "../HerdApi.ts"
import { DeadCount, DeadLetter, InvalidBody, SourceFailed } from "../HerdApi.ts"
import type { SourceError } from "../HerdError.ts"
import type { ListOptions } from "../HerdSource.ts"
import type { Request } from "./command.ts"
import { readCommand } from "./command.ts"
import { cut, show } from "./show.ts"
import type { StoredControl } from "./stored.ts"

/** The longest body of a unit that is told. */
const LONGEST = 10_000

/** What a source says is checked when it is sent. */
const trusted = { disableValidation: true }

/** The longest body of a request: some thousand ids. */
const MAX = 65_536

/**
 * The dead letters, of bodies that are not too long.
 *
 * @internal
 */
export const listDead = (
  { dead }: StoredControl,
  options: ListOptions
): Effect.Effect<ReadonlyArray<DeadLetter>, SourceFailed> =>
  Effect.map(
    Effect.mapError(dead.list({ ...options, maxBody: LONGEST }), sourceFailed),
    (letters) =>
      letters.map(({ attempts, body, cause, crashes, cut: isCut = false, diedAt, id, priority }) => {
        // A source that does not know `maxBody` gives bodies whole.
        const short = cut(isCut ? `${body}…` : body, LONGEST, "…")
        return DeadLetter.make(
          { id, body: short, priority, attempts, crashes, cause, diedAt: new Date(diedAt) },
          trusted
        )
      })
  )

/**
 * `{"ids": ["order-17"]}` or `{"ids": "all"}` says which dead letters are redriven, or discarded.
 *
 * @internal
 */
export const settleDead = (
  request: Request,
  herd: StoredControl,
  how: "redrive" | "discard",
  { readOnly }: { readonly readOnly: boolean }
): Effect.Effect<DeadCount, InvalidBody | BodyTooLarge | ReadOnly | SourceFailed> =>
  Effect.gen(function*() {
    const body = yield* readCommand(request, herd, { readOnly, max: MAX, example: "{\"ids\": \"all\"}" })
    const ids = Object.hasOwn(body, "ids") ? body["ids"] : undefined
    if (ids !== "all" && !isTexts(ids)) {
      const msg = `expected ids to be "all" or an array of strings, got ${show(ids)}`
      return yield* new InvalidBody({ num: yield* herd.size, msg })
    }
    const count = yield* Effect.mapError(herd.dead[how](ids), sourceFailed)
    return new DeadCount({ count })
  })

const isTexts = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((text) => typeof text === "string")

/**
 * @internal
 */
export const sourceFailed = ({ message }: SourceError): SourceFailed => new SourceFailed({ msg: message })
