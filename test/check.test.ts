/**
 * How options and what users' functions return are looked at: whatever they are, and whatever they
 * do when they are looked at.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { HerdError } from "gofherd"
import { check, holds, isName, isObject, read, readNow } from "../src/internal/check.ts"
import { noEffect } from "../src/internal/noEffect.ts"
import { pretty } from "./utils/pretty.ts"
import { unhandledRejections } from "./utils/rejections.ts"
import { turns } from "./utils/stage.ts"

const broken = new Error("broken")

const throws = (): never => {
  throw broken
}

describe("holds", () => {
  it("is what the question answers, and no where that throws", () => {
    assert.isTrue(holds((n: number) => n > 1, 2))
    assert.isFalse(holds((n: number) => n > 1, 1))
    assert.isFalse(holds(throws, 1))
  })
})

describe("isObject", () => {
  it("is so of objects alone", () => {
    for (const value of [{}, [], new Error("x"), Object.create(null)]) assert.isTrue(isObject(value))
    for (const value of [null, undefined, 1, "{}", true, Symbol("s"), () => {}]) assert.isFalse(isObject(value))
  })
})

describe("isName", () => {
  it("is so of what can stand in a path", () => {
    for (const name of ["a", "...", ".a", "a b", "a/b", "🦫", "__proto__"]) assert.isTrue(isName(name), name)
    for (const name of ["", ".", "..", "\ud83e", "a\udda4", undefined, 1, ["a"], new String("a")]) {
      assert.isFalse(isName(name), String(name))
    }
  })
})

describe("check", () => {
  it.effect("fails with what was expected of which option, and what was given", () =>
    Effect.gen(function*() {
      yield* check(true, "size", "an integer", "5")
      const error = yield* Effect.flip(check(false, "size", "an integer", "5"))
      assert.deepStrictEqual(
        error,
        new HerdError.InvalidOption({ option: "size", expected: "an integer", given: "\"5\"" })
      )
    }))
})

const message = <A>(options: unknown, take: (options: unknown) => A, option?: string) =>
  Effect.map(Effect.flip(read(options, take, option)), (error) => error.message)

describe("read", () => {
  it.effect("takes out of an object what is needed of it", () =>
    Effect.map(read({ a: 1, b: 2 }, ({ a }) => a), (a) => assert.strictEqual(a, 1)))

  it.effect("refuses what is no object, by the name it has, and by that of options if it has none", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* message(7, () => 1), "expected options to be an object, got 7")
      assert.strictEqual(yield* message(null, () => 1, "update"), "expected update to be an object, got null")
    }))

  it.effect("refuses an object that throws when it is read", () =>
    Effect.gen(function*() {
      const expected = "an object that can be read, got one that throws \"broken\""
      assert.strictEqual(yield* message({}, throws), `expected options to be ${expected}`)
      assert.strictEqual(yield* message({}, throws, "update"), `expected update to be ${expected}`)
    }))

  it("readNow throws the same", () => {
    const thrown = (options: unknown, take: (options: unknown) => unknown, option?: string) => {
      try {
        return readNow(options, take, option)
      } catch (error) {
        return error
      }
    }
    assert.strictEqual(thrown({ a: 1 }, (options) => isObject(options)), true)
    const refusals = [thrown(7, () => 1), thrown({}, throws, "update")]
    for (const error of refusals) assert.instanceOf(error, HerdError.InvalidOption)
    assert.deepStrictEqual(refusals.map((error) => error instanceof Error ? error.message : error), [
      "expected options to be an object, got 7",
      "expected update to be an object that can be read, got one that throws \"broken\""
    ])
  })
})

describe("noEffect", () => {
  it.effect("dies with the name of the function and what that returned", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(noEffect("process", 7))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(pretty(exit), "expected process to return an Effect, got 7")
    }))

  it.live("takes care of a Promise that is rejected, which would end the program", () =>
    Effect.gen(function*() {
      const unhandled = yield* unhandledRejections
      yield* Effect.exit(noEffect("process", Promise.reject(broken)))
      yield* turns
      assert.deepStrictEqual(unhandled, [])
    }).pipe(Effect.scoped))

  it.effect("asks nothing else of what is no Promise, and survives one that throws when it is looked at", () =>
    Effect.gen(function*() {
      let caught = 0
      const thenable = { catch: () => caught++ }
      assert.include(pretty(yield* Effect.exit(noEffect("process", thenable))), "got {}")
      assert.strictEqual(caught, 0)
      const proxy = new Proxy({}, { getPrototypeOf: throws, get: throws, ownKeys: throws })
      assert.include(pretty(yield* Effect.exit(noEffect("process", proxy))), "got a value of type object")
    }))
})
