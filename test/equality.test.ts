/**
 * What `deepStrictEqual` of the tests means (test/utils/equality.ts): with chai's own, several of
 * these pairs would be equal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Chunk, Data, Duration, Effect, Either, Exit, HashMap, Option } from "effect"
import { HerdError } from "gofherd"

class Tagged extends Data.TaggedError("Tagged")<{ readonly status: number }> {}

const closed = (accepted: number) => new HerdError.HerdClosed({ herd: "h", accepted })

const pairs: Readonly<Record<string, readonly [unknown, unknown]>> = {
  "a value and none": [Option.some(1), Option.none()],
  "values": [Option.some(1), Option.some(2)],
  "either side": [Either.right(1), Either.left(1)],
  "exits": [Exit.succeed(1), Exit.succeed(2)],
  "ways to end": [Exit.die(1), Exit.fail(1)],
  "causes": [Cause.sequential(Cause.fail(1), Cause.die(2)), Cause.parallel(Cause.fail(1), Cause.die(2))],
  "members of an error": [new Tagged({ status: 1 }), new Tagged({ status: 2 })],
  "what an error adds to an Error": [
    Object.assign(new Error("x"), { at: 1 }),
    Object.assign(new Error("x"), { at: 2 })
  ],
  "errors of a schema": [closed(1), closed(2)],
  "errors in an exit": [Exit.fail(new Tagged({ status: 1 })), Exit.fail(new Tagged({ status: 2 }))],
  "classes": [new RangeError("x"), new TypeError("x")],
  "Effects": [Effect.succeed(1), Effect.sync(() => 1)],
  "chunks": [Chunk.make(1), Chunk.make(2)],
  "durations": [Duration.millis(1), Duration.infinity],
  "maps": [HashMap.make(["a", 1]), HashMap.make(["a", 2])],
  "signs of zero": [0, -0]
}

describe("deepStrictEqual", () => {
  for (const [name, [self, that]] of Object.entries(pairs)) {
    it(`tells ${name} apart, also in a list`, () => {
      assert.notDeepEqual(self, that)
      assert.throws(() => assert.deepStrictEqual(self, that))
      assert.throws(() => assert.deepStrictEqual([self], [that]))
      assert.throws(() => assert.deepInclude([self], that))
      assert.deepStrictEqual(self, self)
    })
  }
})
