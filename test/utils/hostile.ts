import { assert } from "@effect/vitest"
import { Effect, Exit } from "effect"
import type { Herd } from "gofherd"
import { pretty } from "./pretty.ts"

/** What every trap of the Proxy, every getter and every function of these throws. */
export class Boom extends Error {
  constructor() {
    super("boom")
  }
}

const boom = (): never => {
  throw new Boom()
}

/** A Proxy that throws whatever is asked of it. */
const throwing = () => {
  const traps = Object.getOwnPropertyNames(Reflect).map((trap) => [trap, boom])
  return new Proxy(() => {}, Object.fromEntries(traps))
}

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const circular = () => {
  const self: Record<string, unknown> = {}
  self["self"] = self
  return self
}

const long = "long ".repeat(20_000)

/** Values that nobody who reads the types would pass, made afresh each time. */
export const hostile = {
  "undefined": () => undefined,
  "null": () => null,
  "NaN": () => Number.NaN,
  "-0": () => -0,
  "-1": () => -1,
  "0.5": () => 0.5,
  "2 ** 53": () => 2 ** 53,
  "Infinity": () => Infinity,
  "-Infinity": () => -Infinity,
  "an empty string": () => "",
  "\"3\"": () => "3",
  "\"NaN\"": () => "NaN",
  "a long string": () => long,
  "half a surrogate pair": () => "\ud800",
  "control characters": () => "\0\u0007\u001b[2J\r\n\u2028",
  "10n": () => 10n,
  "a symbol": () => Symbol("hostile"),
  "true": () => true,
  "[]": () => [],
  "[1]": () => [1],
  "{}": () => ({}),
  "an object whose valueOf and toString throw": () => ({ valueOf: boom, toString: boom, toJSON: boom }),
  "an object whose properties throw": () =>
    Object.defineProperties(
      {},
      // Of every name that the library reads.
      Object.fromEntries(
        [
          "name",
          "size",
          "process",
          "gopher",
          "capacity",
          "mode",
          "id",
          "priority",
          "herds",
          "host",
          "token",
          "baseUrl",
          "num",
          "label",
          "stream",
          "write",
          "pipe",
          "key",
          "message",
          Symbol.iterator
        ].map((key) => [key, { get: boom, enumerable: true }])
      )
    ),
  "a Proxy that throws": throwing,
  "a Proxy that was revoked": revoked,
  "a function that throws": () => () => boom(),
  "an object without a prototype": () => Object.create(null),
  "an object that contains itself": circular,
  "a frozen object": () => Object.freeze({}),
  "a date that is none": () => new Date(Number.NaN),
  "a Promise": () => Promise.resolve(1),
  "a Promise that is rejected": () => {
    const rejected = Promise.reject(new Boom())
    rejected.catch(() => {})
    return rejected
  },
  "a thenable": () => Object.fromEntries(["then"].map((key) => [key, boom])),
  "an Error whose message throws": () => Object.defineProperty(new Error("never read"), "message", { get: boom })
} satisfies Record<string, () => unknown>

export type Kind = keyof typeof hostile

export const kinds = Object.keys(hostile) as ReadonlyArray<Kind>

/** Objects, of which all that is read is `undefined`: as options, they say nothing. */
export const blank: ReadonlyArray<Kind> = [
  "[]",
  "[1]",
  "{}",
  "an object whose valueOf and toString throw",
  "an object without a prototype",
  "an object that contains itself",
  "a frozen object",
  "a date that is none",
  "a Promise",
  "a Promise that is rejected",
  "a thenable",
  "an Error whose message throws"
]

export const strings: ReadonlyArray<Kind> = [
  "an empty string",
  "\"3\"",
  "\"NaN\"",
  "a long string",
  "half a surrogate pair",
  "control characters"
]

/** Where a hostile value may be given, and what is to come of it. */
export interface Place {
  /** Kinds of values that are as good as any other there. */
  readonly accepts: ReadonlyArray<Kind>
  /** What the error or the defect says of all others, up to what was given. */
  readonly refusal: string
}

/** G3, and a unit of 1 that comes out as 2. */
export const unharmed = <In, Out, E>(herd: Herd.Herd<In, Out, E>, kind: string) =>
  Effect.gen(function*() {
    const out: unknown = yield* herd.run(1 as never)
    assert.strictEqual(out, 2, `a unit after ${kind}`)
    yield* herd.awaitIdle
    const { accepted, failed, interrupted, queued, retrying, running, succeeded } = yield* herd.state
    assert.strictEqual(accepted, queued + running + retrying + succeeded + failed + interrupted, `G3 after ${kind}`)
    assert.deepStrictEqual([queued, running, retrying], [0, 0, 0], kind)
  })

/** Has it come to what is said of the place? */
export const assertExpected = (place: Place, kind: Kind, exit: Exit.Exit<unknown, unknown>): void => {
  const message = pretty(exit).split("\n    at ")[0] ?? ""
  if (place.accepts.includes(kind)) return assert.strictEqual(message, "success", `given ${kind}`)
  assert.isTrue(Exit.isFailure(exit), `expected ${kind} to be refused: ${place.refusal}`)
  assert.include(message, place.refusal, `given ${kind}`)
  assert.match(message, /expected .*, got ./s, `given ${kind}`)
  assert.isBelow(message.length, 600, `given ${kind}`)
}

/** Runs the program once with each kind of value. */
export const forEachKind = <E, R>(program: (value: unknown, kind: Kind) => Effect.Effect<void, E, R>) =>
  Effect.forEach(kinds, (kind) => program(hostile[kind](), kind), { discard: true })
