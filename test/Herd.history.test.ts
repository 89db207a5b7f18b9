import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Fiber, Schedule, Schema, Scope } from "effect"
import { Herd } from "gofherd"
import { makeStage, turns } from "./utils/stage.ts"

class Quiet extends Data.TaggedError("Quiet")<{ readonly code: number }> {}
class Spoken extends Data.TaggedError("Spoken")<{ readonly message: string }> {}
class Described extends Schema.TaggedError<Described>()("Described", { message: Schema.String }) {}

describe("history", () => {
  it.scoped("has nothing to tell at first", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n), size: 5 })
      assert.deepStrictEqual(yield* herd.history, { resizes: [], failures: [] })
      yield* herd.run(1)
      yield* herd.resize(5)
      yield* Effect.flip(herd.resize(-1))
      assert.deepStrictEqual(yield* herd.history, { resizes: [], failures: [] })
    }))

  it.scoped("has the last 20 changes of the size, newest first, with their mode, whoever made them", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n), size: 5 })
      const before = Date.now()
      yield* herd.resize(7)
      yield* herd.grow(2)
      yield* herd.shrink(4)
      yield* herd.resize(0, { mode: "interrupt" })
      yield* herd.resize(1, { mode: undefined })
      const { resizes } = yield* herd.history
      assert.deepStrictEqual(resizes.map(({ from, mode, to }) => [from, to, mode]), [
        [0, 1, "graceful"],
        [5, 0, "interrupt"],
        [9, 5, "graceful"],
        [7, 9, "graceful"],
        [5, 7, "graceful"]
      ])
      for (const { at } of resizes) assert.isTrue(at.getTime() >= before && at.getTime() <= Date.now())
      for (let n = 2; n <= 100; n++) yield* herd.resize(n)
      const later = yield* herd.history
      assert.deepStrictEqual(later.resizes.map(({ to }) => to), Array.from({ length: 20 }, (_, i) => 100 - i))
      // What was read stays as it was.
      assert.strictEqual(resizes.length, 5)
    }))

  it.scoped("has the last 20 units that failed for good, newest first, with id and attempts", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) => n % 2 === 0 ? Effect.succeed(n) : Effect.fail(`odd ${n}`),
        retry: Schedule.recurs(2),
        outcomes: "discard"
      })
      const before = Date.now()
      yield* herd.send(1, { id: "first" })
      yield* herd.awaitIdle
      const { failures } = yield* herd.history
      for (const { at } of failures) assert.isTrue(at.getTime() >= before && at.getTime() <= Date.now())
      assert.deepStrictEqual(failures.map(({ attempts, id, message }) => ({ attempts, id, message })), [
        { attempts: 3, id: "first", message: "odd 1" }
      ])
      yield* herd.sendAll(Array.from({ length: 100 }, (_, n) => n))
      yield* herd.awaitIdle
      const later = yield* herd.history
      assert.deepStrictEqual(
        later.failures.map(({ message }) => message),
        Array.from({ length: 20 }, (_, i) => `odd ${99 - 2 * i}`)
      )
    }))

  it.scoped("counts failures of run and stream too, and those that someone recovers from", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.fail(n) })
      yield* Effect.ignore(herd.run(4))
      assert.deepStrictEqual((yield* herd.history).failures.map(({ message }) => message), ["4"])
    }))

  it.effect("has no units that were interrupted: cancelled, interrupting themselves, or left over", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const scope = yield* Scope.make()
      const herd = yield* Scope.extend(
        Herd.make({ process: (n: number) => n === 0 ? Effect.interrupt : stage.process(n), size: 2 }),
        scope
      )
      yield* Effect.exit(herd.run(0))
      const running = yield* Effect.fork(herd.run(1))
      yield* turns
      yield* Fiber.interrupt(running)
      yield* herd.sendAll([2, 3, 4])
      yield* turns
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* herd.state).interrupted, 5)
      assert.deepStrictEqual((yield* herd.history).failures, [])
    }))

  const messageOf = (process: Effect.Effect<never, unknown>) =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => process, size: 1 })
      yield* Effect.exit(herd.run(undefined))
      const { failures } = yield* herd.history
      assert.strictEqual(failures.length, 1)
      const message = failures[0]?.message ?? ""
      assert.notMatch(message, /[\r\n\t\u2028]/)
      assert.isAtMost(message.length, 300)
      return message
    }).pipe(Effect.scoped)

  const hostile = {
    get message(): string {
      throw new Error("no")
    },
    toString: () => {
      throw new Error("no")
    },
    toJSON: () => {
      throw new Error("no")
    }
  }
  const cyclic: { self?: unknown } = {}
  cyclic.self = cyclic
  const odd = (message: unknown, name: unknown = "Error") =>
    Object.defineProperties(new Error("x"), { message: { value: message }, name: { value: name } })
  const silent: Error = Object.defineProperty(new Error("x"), "message", {
    get: () => {
      throw new Error("no")
    }
  })

  const thrown: Effect.Effect<never> = Effect.suspend(() => {
    throw new Error("thrown")
  })
  const plain: unknown = new Error("no such page")
  const unsaid: unknown = new RangeError("")

  const kinds: ReadonlyArray<readonly [name: string, failure: Effect.Effect<never, unknown>, message: string]> = [
    ["an Error", Effect.fail(plain), "no such page"],
    ["a defect", Effect.die(new TypeError("x is undefined")), "x is undefined"],
    ["a defect that is no Error", Effect.die("boom"), "boom"],
    ["a throw", thrown, "thrown"],
    ["an Error without a message", Effect.fail(unsaid), "RangeError"],
    ["a tagged error without a message", Effect.fail(new Quiet({ code: 7 })), "Quiet"],
    ["a tagged error with one", Effect.fail(new Spoken({ message: "out of paper" })), "out of paper"],
    ["a tagged error of a schema", Effect.fail(new Described({ message: "out of ink" })), "out of ink"],
    ["a string", Effect.fail("too short"), "too short"],
    ["a number", Effect.fail(-0), "-0"],
    ["nothing", Effect.fail(undefined), "undefined"],
    ["null", Effect.fail(null), "null"],
    ["a symbol", Effect.fail(Symbol("s")), "Symbol(s)"],
    ["a plain object", Effect.fail({ _tag: "Gone", id: 3 }), "{\"_tag\":\"Gone\",\"id\":3}"],
    ["a cyclic object", Effect.fail(cyclic), `${"{\"self\":".repeat(10).slice(0, 77)}...`],
    ["bytes", Effect.fail(Buffer.alloc(9)), "an instance of Buffer"],
    ["bytes in an object", Effect.fail({ got: new Uint8Array(9) }), "{\"got\":\"an instance of Uint8Array\"}"],
    ["a bigint", Effect.fail(-12n), "-12n"],
    ["a bigint of a million digits", Effect.fail(1n << 3_000_000n), "a bigint of more than 256 bits"],
    ["a symbol of 10,000 characters", Effect.fail(Symbol("s".repeat(10_000))), `Symbol(${"s".repeat(70)}...`],
    ["an object whose every member throws", Effect.fail(hostile), "a value of type object"],
    ["an Error whose message throws", Effect.fail(silent), "{}"],
    ["an Error whose message is a number", Effect.fail(odd(42)), "Error"],
    ["an Error whose message is undefined", Effect.fail(odd(undefined, "Mine")), "Mine"],
    ["an Error whose message and name are objects", Effect.fail(odd({}, {})), "{}"],
    ["several lines", Effect.fail("one\n  two\r\n\tthree\u2028four "), "one two three four"],
    ["10,000 characters", Effect.fail("x".repeat(10_000)), `${"x".repeat(299)}…`],
    ["300 characters", Effect.fail("x".repeat(300)), "x".repeat(300)],
    ["two causes", Effect.failCause(Cause.parallel(Cause.fail("one"), Cause.die("two"))), "one"],
    ["a failure beside an interruption", Effect.ensuring(Effect.fail("one"), Effect.interrupt), "one"]
  ]
  for (const [name, failure, message] of kinds) {
    it.effect(`says of ${name}: ${message.slice(0, 50)}`, () =>
      Effect.map(messageOf(failure), (actual) => assert.strictEqual(actual, message)))
  }

  it.effect("looks at no more of a failure than it may tell", () =>
    Effect.gen(function*() {
      let looks = 0
      const counted = (inside: unknown) => ({
        get n() {
          looks++
          return inside
        },
        toJSON() {
          looks++
          return Object.defineProperty({ key: inside }, "n", { get: () => looks++, enumerable: true })
        }
      })
      const list = Array.from({ length: 100_000 }, () => counted([]))
      const nested = counted(Array.from({ length: 100_000 }, () => counted(list)))
      for (const failure of [list, nested, Object.fromEntries(list.entries()), { list }]) {
        looks = 0
        assert.match(yield* messageOf(Effect.fail(failure)), /^.{77}\.\.\.$/)
        assert.isBelow(looks, 200)
      }
    }))

  it.effect("cuts no character in two", () =>
    Effect.gen(function*() {
      for (const text of ["🦫".repeat(10_000), `x${"🦫".repeat(10_000)}`]) {
        const message = yield* messageOf(Effect.fail(text))
        assert.doesNotThrow(() => encodeURIComponent(message))
        assert.isAtLeast(message.length, 299)
      }
    }))
})
