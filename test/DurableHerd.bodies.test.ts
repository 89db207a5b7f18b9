/**
 * Bodies that JSON does not give back: they are refused as they are offered, and are no dead
 * letters later.
 */
import { assert, it } from "@effect/vitest"
import { Data, DateTime, Duration, Effect, Option, ParseResult, Redacted, Schema } from "effect"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"

type Body = readonly [name: string, schema: Schema.Schema.AnyNoContext, body: unknown]

const Pair = Schema.Struct({ a: Schema.Number, b: Schema.optional(Schema.Array(Schema.UndefinedOr(Schema.Number))) })

const cyclic: Record<string, unknown> = {}
cyclic["self"] = cyclic

let deep: unknown = 1
for (let n = 0; n < 100_000; n++) deep = [deep]

/** It encodes to what it does not take. */
const oneWay = Schema.transformOrFail(Schema.String, Schema.DateFromSelf, {
  strict: true,
  decode: (text, _, ast) => ParseResult.fail(new ParseResult.Type(ast, text, "no date")),
  encode: (date) => ParseResult.succeed(date.toISOString())
})

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}

const Tree: Schema.Schema<Tree> = Schema.Struct({
  value: Schema.Number,
  children: Schema.Array(Schema.suspend(() => Tree))
})

const deepTree = (): Tree => {
  let tree: Tree = { value: 0, children: [] }
  for (let n = 0; n < 100_000; n++) tree = { value: n, children: [tree] }
  return tree
}

const refused: ReadonlyArray<Body> = [
  ["NaN", Schema.Number, NaN],
  ["Infinity", Schema.Number, Infinity],
  ["NaN in a struct", Pair, { a: NaN }],
  ["an array with undefined", Pair, { a: 1, b: [1, undefined] }],
  ["NaN in a union", Schema.Union(Schema.String, Schema.Struct({ n: Schema.Number })), { n: -Infinity }],
  ["NaN in a record", Schema.Record({ key: Schema.String, value: Schema.Number }), { a: NaN }],
  ["DateFromSelf", Schema.DateFromSelf, new Date(0)],
  ["MapFromSelf", Schema.MapFromSelf({ key: Schema.String, value: Schema.Number }), new Map([["a", 1]])],
  ["SetFromSelf", Schema.SetFromSelf(Schema.Number), new Set([1])],
  ["OptionFromSelf", Schema.OptionFromSelf(Schema.Number), Option.some(1)],
  ["URLFromSelf", Schema.URLFromSelf, new URL("http://localhost/")],
  ["RedactedFromSelf", Schema.RedactedFromSelf(Schema.String), Redacted.make("secret")],
  ["Uint8ArrayFromSelf", Schema.Uint8ArrayFromSelf, new Uint8Array([1])],
  ["DateTimeUtcFromSelf", Schema.DateTimeUtcFromSelf, DateTime.unsafeMake(0)],
  ["DurationFromSelf", Schema.DurationFromSelf, Duration.seconds(1)],
  ["BigIntFromSelf", Schema.BigIntFromSelf, 5n],
  ["NaN where null may be", Schema.Struct({ n: Schema.NullOr(Schema.Number) }), { n: NaN }],
  ["a hole in an array", Schema.Array(Schema.Unknown), Array.from({ length: 1 }).concat(Array(1))],
  ["a Date in Unknown", Schema.Unknown, { at: new Date(0) }],
  ["a Map in Unknown", Schema.Unknown, { map: new Map([["a", 1]]) }],
  ["an Error in Any", Schema.Any, new Error("secret")],
  ["a function in Object", Schema.Object, { f: () => 1 }],
  ["what toJSON changes", Schema.Unknown, { toJSON: () => 1 }],
  ["what has itself in it", Schema.Unknown, cyclic],
  ["too deep a body", Schema.Unknown, deep],
  ["too deep a tree", Schema.suspend(() => Tree), deepTree()],
  ["NaN in a union of numbers and null", Schema.Union(Schema.Number, Schema.Null), NaN],
  ["a hole in an array of numbers", Schema.Array(Schema.Number), Array<number>(2)],
  ["a hole where undefined may be", Schema.Array(Schema.UndefinedOr(Schema.Number)), Array<number>(2)],
  ["what a transformation does not decode", oneWay, new Date(0)],
  ["a key that is a symbol", Schema.Struct({ [Symbol.for("key")]: Schema.Number }), { [Symbol.for("key")]: 1 }]
]

const accepted: ReadonlyArray<Body> = [
  ["a number", Schema.Number, 5],
  ["a struct", Pair, { a: 1, b: [1, 2] }],
  ["a field that is undefined", Schema.Struct({ a: Schema.UndefinedOr(Schema.String) }), { a: undefined }],
  ["the text null", Schema.String, "null"],
  ["null where it may be", Schema.Struct({ a: Schema.NullOr(Schema.Number), b: Schema.String }), {
    a: null,
    b: "null"
  }],
  ["a Date by its text", Schema.Date, new Date(0)],
  ["a Map by its entries", Schema.Map({ key: Schema.String, value: Schema.Number }), new Map([["a", 1]])],
  ["one of a union that survives", Schema.Union(Schema.DateFromSelf, Schema.String), "x"],
  ["plain data in Unknown", Schema.Unknown, { a: [1, "x", null, { b: undefined, c: false }] }],
  ["an object of Data in Unknown", Schema.Unknown, Data.struct({ a: 1 })],
  ["a tree", Tree, { value: 1, children: [{ value: 2, children: [] }] }],
  ["a BigInt by its text", Schema.BigInt, 5n]
]

const makeHerd = ([name, schema]: Body, process: (body: unknown) => Effect.Effect<void>) =>
  DurableHerd.make({ name, schema: schema as Schema.Schema<unknown, unknown>, process }).pipe(
    Effect.provide(HerdSource.layerMemory())
  )

for (const body of refused) {
  it.scopedLive(`${body[0]} is InvalidUnit at the offer, and nothing is given to the source`, () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd(body, () => Effect.void)
      for (const offer of [Effect.asVoid(herd.offer(body[2])), Effect.asVoid(herd.offerAll([body[2]]))]) {
        const error = yield* Effect.flip(offer)
        assert.strictEqual(error._tag, "InvalidUnit")
        assert.match(error.message, /to be one that its schema encodes to JSON, got /)
        assert.notInclude(error.message, "secret")
      }
      assert.deepInclude(yield* herd.depth, { ready: 0, delayed: 0, held: 0, dead: 0 })
    }))
}

for (const body of accepted) {
  it.scopedLive(`${body[0]} arrives as it was`, () =>
    Effect.gen(function*() {
      const got: Array<unknown> = []
      const herd = yield* makeHerd(body, (body) => Effect.sync(() => got.push(body)))
      yield* herd.offer(body[2])
      yield* herd.awaitIdle
      assert.deepStrictEqual(JSON.stringify(got, bigints), JSON.stringify([body[2]], bigints))
    }))
}

const bigints = (_: string, value: unknown) => typeof value === "bigint" ? `${value}n` : value

it.scopedLive("an offer decodes once what a transformation has encoded", () =>
  Effect.gen(function*() {
    let decoded = 0
    const schema = Schema.transform(Schema.DateFromString, Schema.DateFromSelf, {
      strict: true,
      decode: (date) => {
        decoded++
        return date
      },
      encode: (date) => date
    })
    const herd = yield* DurableHerd.make({ name: "once", schema, size: 0, process: () => Effect.void }).pipe(
      Effect.provide(HerdSource.layerMemory())
    )
    yield* herd.offer(new Date(0))
    assert.strictEqual(decoded, 1)
  }))
