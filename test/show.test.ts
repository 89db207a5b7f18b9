/**
 * What is told of a value in an error, a log or the history: short, on one line, never a throw.
 */
import { assert, describe, it } from "@effect/vitest"
import { cut, saidBy, show } from "../src/internal/show.ts"

const odd = (members: Readonly<Record<string, unknown>>): Error =>
  Object.defineProperties(
    new Error("odd"),
    Object.fromEntries(Object.entries(members).map(([name, value]) => [name, { value }]))
  )

const throwing = <A extends object>(value: A, name: string): A =>
  Object.defineProperty(value, name, {
    get: () => {
      throw new Error("no")
    },
    enumerable: true
  })

class Empty {
  readonly nothing = undefined
}

class Page {
  readonly url = "/"
}

const nameless = (() =>
  class {
    readonly nothing = undefined
  })()

describe("show", () => {
  const values: ReadonlyArray<readonly [told: string, value: unknown]> = [
    ["0", 0],
    ["-0", -0],
    ["-1.5", -1.5],
    ["NaN", Number.NaN],
    ["Infinity", Infinity],
    ["true", true],
    ["undefined", undefined],
    ["null", null],
    ["-7n", -7n],
    [`${2n ** 255n - 1n}n`, 2n ** 255n - 1n],
    ["a bigint of more than 256 bits", 2n ** 255n],
    ["a function", () => "a secret"],
    ["a function", Page],
    ["Symbol(s)", Symbol("s")],
    [`Symbol(${"s".repeat(72)})`, Symbol("s".repeat(72))],
    [`Symbol(${"s".repeat(70)}...`, Symbol("s".repeat(73))],
    ["\"\"", ""],
    ["\"a\\nb\"", "a\nb"],
    [`"${"x".repeat(78)}"`, "x".repeat(78)],
    [`"${"x".repeat(76)}...`, "x".repeat(79)],
    ["{}", {}],
    ["[]", []],
    ["[null]", [undefined]],
    ["{\"a\":1}", { a: 1 }],
    ["{\"url\":\"/\"}", new Page()],
    ["{}", Object.create(null)],
    ["{\"a\":1}", Object.assign(Object.create(null), { a: 1 })],
    ["an object", { toJSON: () => undefined }],
    ["null", { toJSON: () => null }],
    ["an instance of Empty", new Empty()],
    ["an instance of Map", new Map([[1, 2]])],
    ["an instance of Promise", Promise.resolve(1)],
    ["an instance of Generator", (function*() {})()],
    ["\"1970-01-01T00:00:00.000Z\"", new Date(0)],
    ["an instance of Date", new Date(Number.NaN)],
    // Of a class without a name, and with one that is no text.
    ["{}", new nameless()],
    ["{}", Object.assign(Object.create({ constructor: { name: "Page" } }))],
    ["{}", Object.assign(Object.create({ constructor: Object.defineProperty(() => {}, "name", { value: 1 }) }))],
    ["an instance of Uint8Array", new Uint8Array(3)],
    ["an instance of DataView", new DataView(new ArrayBuffer(3))],
    ["[\"an instance of Uint8Array\"]", [new Uint8Array(3)]],
    ["{\"a\":{\"b\":\"an instance of Buffer\"}}", { a: { b: Buffer.from("secret") } }],
    ["\"boom\"", new Error("boom")],
    ["\"RangeError\"", new RangeError("")],
    ["{}", odd({ message: "", name: "" })],
    ["an Error", odd({ message: "", name: "", toJSON: () => undefined })],
    ["a value of type object", { n: 1n }],
    ["a value of type object", throwing({}, "n")],
    ["a value of type object", throwing({}, "toJSON")]
  ]
  for (const [told, value] of values) {
    it(`tells ${told}`, () => assert.strictEqual(show(value), told))
  }

  it("writes down 40 members of a list or an object at most, and 40 objects in all", () => {
    const looked = (make: (look: (n: number) => object) => object): number => {
      const seen = new Set<number>()
      show(make((n) => ({
        get n() {
          seen.add(n)
          return 0
        }
      })))
      return seen.size
    }
    const many = Array.from({ length: 100 }, (_, n) => n)
    // The list itself is one.
    assert.strictEqual(looked((look) => many.map(look)), 39)
    assert.strictEqual(looked((look) => Object.fromEntries(many.map((n) => [n, look(n)]))), 39)
    assert.strictEqual(looked((look) => ({ list: many.map(look) })), 38)
    let read = 0
    show(Object.defineProperties(
      {},
      Object.fromEntries(many.map((n) => [n, { get: () => read++, enumerable: true }]))
    ))
    assert.strictEqual(read, 40)
  })

  it("looks no further into long texts and keys than it tells", () => {
    assert.strictEqual(show(["x".repeat(1_000_000)]), `["${"x".repeat(75)}...`)
    assert.strictEqual(show({ ["k".repeat(1_000_000)]: 1 }), `{"${"k".repeat(75)}...`)
    // Two that differ beyond that are one.
    const twins = { [`${"k".repeat(81)}1`]: 1, [`${"k".repeat(81)}2`]: 2 }
    assert.strictEqual(show(twins), show({ ["k".repeat(81)]: 2 }))
  })

  it("tells of a list of 40 all, and that a longer one is longer only where it is cut", () => {
    assert.strictEqual(show(Array.from({ length: 39 }, () => 0)), `[${"0,".repeat(38)}0]`)
    assert.strictEqual(show(Array.from({ length: 40 }, () => 0)), `[${"0,".repeat(38)}...`)
  })
})

describe("cut", () => {
  it("leaves a text that is short enough, and ends a longer one in the mark", () => {
    assert.strictEqual(cut("", 3, "…"), "")
    assert.strictEqual(cut("abc", 3, "…"), "abc")
    assert.strictEqual(cut("abcd", 3, "…"), "ab…")
    assert.strictEqual(cut("abcdef", 5, "..."), "ab...")
  })

  it("cuts no character in two, and drops none before the cut", () => {
    assert.strictEqual(cut("a🦫b", 3, "…"), "a…")
    assert.strictEqual(cut("a🦫bc", 4, "…"), "a🦫…")
    assert.strictEqual(cut("🦫🦫🦫", 4, "…"), "🦫…")
  })
})

describe("saidBy", () => {
  it("is the message of an Error, or else its name, where that is a text", () => {
    assert.strictEqual(saidBy(new TypeError("boom")), "boom")
    assert.strictEqual(saidBy(new TypeError("")), "TypeError")
    assert.strictEqual(saidBy(odd({ message: 42, name: "Mine" })), "Mine")
    assert.isUndefined(saidBy(odd({ message: 42, name: {} })))
    assert.isUndefined(saidBy(odd({ message: "", name: "" })))
  })

  it("is nothing for all else, and for an Error that throws", () => {
    for (const value of [undefined, null, "text", { message: "text" }, throwing(new Error("x"), "message")]) {
      assert.isUndefined(saidBy(value))
    }
  })
})
