import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Herd from "../Herd.ts"
import type { SourceFailed } from "../HerdApi.ts"
import { HerdSize, InvalidBody, SizeRefused } from "../HerdApi.ts"
import { InvalidSize } from "../HerdError.ts"
import type { Fleet } from "../HerdSource.ts"
import type { Fields, Request, Unreadable } from "./command.ts"
import { readCommand } from "./command.ts"
import { sourceFailed } from "./deadLetters.ts"
import { show } from "./show.ts"
import { isStored } from "./stored.ts"

type Refused = Unreadable | SizeRefused

/**
 * `{"num": 10}` sets the size, and the answer says what has come of it.
 *
 * @internal
 */
export const resizeBy = (
  request: Request,
  herd: Herd.Control,
  options: { readonly readOnly: boolean }
): Effect.Effect<HerdSize, Refused> =>
  Effect.gen(function*() {
    const body = yield* readPatch(request, herd, options)
    // Only now: a body may take its time, and others resize meanwhile.
    const before = yield* herd.size
    const num = yield* sizeIn(body, before)
    yield* resize(herd, num)
    return new HerdSize({ num, msg: num === before ? `Herd size already ${num}` : "success" })
  })

/**
 * `{"num": 10, "mode": "interrupt", "paused": false, "fleet": 40}`, or some of it. Nothing is
 * changed unless all of it can be. Says whether the source was told something.
 *
 * @internal
 */
export const updateBy = (
  request: Request,
  herd: Herd.Control,
  options: { readonly readOnly: boolean }
): Effect.Effect<boolean, Refused | SourceFailed> =>
  Effect.gen(function*() {
    const body = yield* readPatch(request, herd, options)
    const before = yield* herd.size
    const { fleet, mode, num, paused } = body
    const refuse = (expected: string, given: unknown) =>
      new InvalidBody({ num: before, msg: `expected ${expected}, got ${show(given)}` })
    if (num === undefined && paused === undefined && fleet === undefined) {
      return yield* refuse(Option.isSome(fleetOf(herd)) ? "num, paused or fleet" : "num or paused", body)
    }
    if (paused !== undefined && typeof paused !== "boolean") return yield* refuse("paused to be a boolean", paused)
    if (mode !== undefined && mode !== "graceful" && mode !== "interrupt") {
      return yield* refuse("mode to be \"graceful\" or \"interrupt\"", mode)
    }
    if (mode !== undefined && num === undefined) return yield* refuse("mode together with num", body)
    const size = num === undefined ? undefined : yield* sizeIn(body, before)
    const resizeFleet = fleet === undefined ? Effect.void : yield* fleetIn(herd, fleet, before)
    // The source is told first, since it can fail; so the size has to be one that the herd won't
    // refuse then.
    if (size !== undefined && size > herd.maxSize) yield* tooLarge(herd, size, before)
    yield* seenThrough(Effect.gen(function*() {
      yield* resizeFleet
      if (size !== undefined) yield* resize(herd, size, mode)
      if (paused !== undefined) yield* paused ? herd.pause : herd.resume
    }))
    return fleet !== undefined
  })

/** Done whole also if the client leaves meanwhile. */
const seenThrough = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.forkDaemon(effect), Fiber.join)

/** The longest body that is read. */
const MAX = 4096

const readPatch = (request: Request, herd: Herd.Control, { readOnly }: { readonly readOnly: boolean }) =>
  readCommand(request, herd, { readOnly, max: MAX, example: "{\"num\": 10}" })

const sizeIn = (
  body: Fields,
  before: number
): Effect.Effect<number, InvalidBody | SizeRefused> => {
  const num = Object.hasOwn(body, "num") ? body["num"] : undefined
  if (typeof num !== "number" || !Number.isInteger(num)) {
    return new InvalidBody({ num: before, msg: `expected num to be an integer, got ${show(num)}` })
  }
  return num < 0
    ? new SizeRefused({ num: before, msg: "Herd size cannot be negative" })
    : Effect.succeed(num)
}

const resize = (herd: Herd.Control, num: number, mode?: "graceful" | "interrupt"): Effect.Effect<void, SizeRefused> =>
  Effect.mapError(herd.resize(num, { mode }), ({ message, size }) => new SizeRefused({ num: size, msg: message }))

const tooLarge = ({ maxSize, name: herd }: Herd.Control, given: number, size: number): SizeRefused =>
  new SizeRefused({ num: size, msg: new InvalidSize({ herd, given: show(given), size, maxSize }).message })

const fleetOf = (herd: Herd.Control): Option.Option<Fleet> => isStored(herd) ? herd.fleet : Option.none()

const fleetIn = (
  herd: Herd.Control,
  fleet: unknown,
  before: number
): Effect.Effect<Effect.Effect<void, SourceFailed>, InvalidBody> => {
  const refuse = (expected: string, given: string) =>
    new InvalidBody({ num: before, msg: `expected ${expected}, got ${given}` })
  if (fleet !== null && !isFleetSize(fleet)) {
    return refuse("fleet to be an integer from 0, or null for no bound", show(fleet))
  }
  return Option.match(fleetOf(herd), {
    onNone: () => {
      const why = isStored(herd) ? "whose source has none" : "which is not durable"
      return refuse("a herd whose source has a fleet size", `${show(herd.name)}, ${why}`)
    },
    onSome: (bound) => Effect.succeed(Effect.mapError(bound.resize(Option.fromNullable(fleet)), sourceFailed))
  })
}

const isFleetSize = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0
