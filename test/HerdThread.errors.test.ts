/**
 * What becomes of Errors between threads: what can cross does, and what can't is said in its place.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, LogLevel, Option } from "effect"
import { Herd } from "gofherd"
import * as HerdError from "gofherd/HerdError"
import * as HerdThread from "gofherd/HerdThread"
import type * as threadErrors from "./fixtures/threadErrors.ts"
import { bundledWorkers } from "./utils/threads.ts"

const worker = bundledWorkers("threadErrors")

const makeHerd = Effect.suspend(() =>
  Herd.make({
    gopher: HerdThread.gopher<typeof threadErrors>(worker("threadErrors")),
    size: 1,
    outcomes: "discard"
  })
).pipe(Logger.withMinimumLogLevel(LogLevel.None))

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (error: unknown): Fields => ({ ...error as object })

const gone = (what: string) => `[${what}: it could not be cloned]`

/** What a unit's failure, or its defect, is to be like. */
const expected: { readonly [value in threadErrors.Task["value"]]?: (error: Error & Fields) => void } = {
  "a function in a field": (error) => {
    assert.deepStrictEqual(fieldsOf(error), { code: "E_CODE", retry: gone("a function"), symbol: gone("Symbol(a)") })
    assert.match(error.stack ?? "", /at withFields/)
  },
  "a Response in a field": (error) =>
    assert.deepStrictEqual(fieldsOf(error), {
      status: 503,
      // As it is cloned anywhere.
      response: {},
      later: gone("an instance of Promise")
    }),
  "a deep field": (error) =>
    assert.deepStrictEqual(fieldsOf(error), {
      config: {
        url: "http://localhost/",
        headers: new Map([["a", [1, gone("a function")]]]),
        client: { url: "http://localhost/", retry: gone("a function") }
      },
      items: new Set([1, gone("Symbol(b)")])
    }),
  "a getter that throws": (error) =>
    assert.deepStrictEqual(fieldsOf(error), { code: 5, body: "[a getter that throws \"not read yet\"]" }),
  "a message that throws": (error) => assert.deepStrictEqual([error.message, error["code"]], ["", 5]),
  "an uncloneable cause": ({ cause }) => {
    assert.instanceOf(cause, Error)
    assert.strictEqual((cause as Error).message, "below")
    assert.deepStrictEqual(fieldsOf(cause), { code: "E_BELOW", retry: gone("a function") })
  },
  "an AggregateError": (error) => {
    assert.instanceOf(error, AggregateError)
    assert.deepStrictEqual(Object.keys(error), [])
    const [a, tagged, c] = (error as unknown as AggregateError).errors as ReadonlyArray<Error & Fields>
    assert.deepStrictEqual([a?.message, a?.["code"], c], ["a", 1, "c"])
    assert.deepStrictEqual([tagged?.name, tagged?.["_tag"], tagged?.["code"]], ["Tagged", "Tagged", 2])
    assert.instanceOf(tagged?.["nested"], TypeError)
  },
  "an AggregateError of functions": (error) => {
    const [a, b] = (error as unknown as AggregateError).errors
    assert.strictEqual(a.message, "a")
    assert.deepStrictEqual([fieldsOf(a), b], [{ retry: gone("a function") }, gone("a function")])
  },
  "a DOMException": (error) => {
    assert.instanceOf(error, DOMException)
    assert.deepStrictEqual([error.name, error.message, error["code"]], ["AbortError", "gone", 20])
  },
  "a TaggedError": (error) => {
    assert.deepStrictEqual([error["_tag"], error["code"]], ["Tagged", 7])
    const nested = error["nested"] as Error & Fields
    assert.deepStrictEqual([nested.message, nested["retry"]], ["inner", gone("a function")])
  },
  "a class of its own": (error) =>
    assert.deepStrictEqual([error.name, error["extra"]], ["Custom", { a: 1n, at: new Date(0) }]),
  "a cycle": (error) => {
    assert.strictEqual(error["self"], error)
    assert.strictEqual((error["all"] as ReadonlyArray<unknown>)[0], error)
    assert.deepStrictEqual([error["code"], error["retry"]], ["E_CYCLE", gone("a function")])
  },
  "entangled Errors": (error) => assert.strictEqual((error["other1"] as Error).message, "error 8"),
  "a long chain": (error) => {
    assert.strictEqual(error.message, "after 19999")
    assert.strictEqual((error.cause as Error).message, "after 19998")
  },
  "many elements": (error) => assert.strictEqual((error["list"] as ReadonlyArray<number>).length, 100_000),
  "a Proxy": (error) => assert.deepStrictEqual(fieldsOf(error), { code: 3, proxy: { a: 1 } })
}

describe("an Error keeps what can cross between threads, and says what can't:", () => {
  for (
    const [value, check] of Object.entries(expected) as ReadonlyArray<
      [threadErrors.Task["value"], (error: Error & Fields) => void]
    >
  ) {
    it.scopedLive(`${value}, as a failure, as a defect and in a log line`, () =>
      Effect.gen(function*() {
        const herd = yield* makeHerd
        const failure = yield* Effect.flip(herd.run({ how: "fail", value }))
        assert.instanceOf(failure, Error)
        check(failure as Error & Fields)
        const exit = yield* Effect.exit(herd.run({ how: "die", value }))
        const defect = Option.flatMap(Exit.causeOption(exit), Cause.dieOption)
        assert.instanceOf(Option.getOrThrow(defect), Error)
        check(Option.getOrThrow(defect) as Error & Fields)
        yield* herd.run({ how: "log", value })
      }), 30_000)
  }
})

it.scopedLive("a failure that is no Error keeps what can cross, too", () =>
  Effect.gen(function*() {
    const herd = yield* makeHerd
    assert.deepStrictEqual(yield* Effect.flip(herd.run({ how: "fail", value: "a plain object" })), {
      _tag: "HttpError",
      status: 503,
      response: {},
      retry: gone("a function")
    })
    const error = yield* Effect.flip(herd.run({ how: "fail", value: "a function" }, { id: "f" }))
    assert.instanceOf(error, HerdError.InvalidMessage)
    assert.match(String(error), /the error of unit f to cross between threads, got \(\) => 1 could not be cloned\.$/)
  }), 30_000)

it.scopedLive(
  "a body and a result that can't cross are InvalidMessage, which says where what can't be cloned sits",
  () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd
      const said = (value: threadErrors.Task["value"]) =>
        Effect.map(Effect.flip(herd.run({ how: "succeed", value }, { id: "r" })), (error) => String(error))
      assert.match(
        yield* said("a plain object"),
        /^InvalidMessage: expected the result of unit r to cross between threads, got .*cloned\. It is at \.items\[1\]\.retry$/s
      )
      assert.match(yield* said("a function"), /got \(\) => 1 could not be cloned\. It is at \.items\[1\]$/)
      const body = { how: "succeed", value: "a function", more: { "a b": [new Map([["k", () => 1]])] } } as const
      const error = yield* Effect.flip(herd.run(body, { id: "b" }))
      assert.match(
        String(error),
        /the body of unit b to cross between threads, got \(\) => 1 could not be cloned\. It is at \.more\["a b"\]\[0\]\.get\("k"\)$/
      )
    }),
  30_000
)
