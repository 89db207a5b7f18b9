/**
 * What the errors say, and what they are known by.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema } from "effect"
import { HerdError } from "gofherd"

const { HerdClosed, InvalidMessage, InvalidOption, InvalidSize, InvalidUnit, LeaseLost, ListenError } = HerdError
const { SourceError, ThreadCrashed, ThreadNotStarted, UnprotectedHost } = HerdError

const inUse = Object.assign(new Error("listen EADDRINUSE"), { code: "EADDRINUSE" })

/** Of this class, and what it says. */
const known = <A extends HerdError.HerdError, I>(
  type: Schema.Schema<A, I> & { readonly identifier: string; new(...given: never): A },
  error: A,
  message: string
) => ({
  name: error._tag,
  error,
  message,
  identifier: type.identifier,
  readBack: () => Schema.decodeUnknownSync(type)(JSON.parse(JSON.stringify(Schema.encodeSync(type)(error)))),
  isOne: (value: unknown) => value instanceof type
})

const errors = [
  known(
    InvalidSize,
    new InvalidSize({ herd: "crawler", given: "-1", size: 4, maxSize: 100 }),
    "expected the size of herd \"crawler\" to be an integer from 0 to 100, got -1"
  ),
  known(
    HerdClosed,
    new HerdClosed({ herd: "crawler", accepted: 3 }),
    "expected herd \"crawler\" to be open, got closed (3 units of this call were accepted)"
  ),
  known(
    InvalidOption,
    new InvalidOption({ option: "size", expected: "an integer from 0", given: "\"5\"" }),
    "expected size to be an integer from 0, got \"5\""
  ),
  known(
    ListenError,
    new ListenError({ host: "localhost", port: 80, cause: inUse }),
    "expected to listen on localhost:80, got listen EADDRINUSE"
  ),
  known(
    UnprotectedHost,
    new UnprotectedHost({ host: "0.0.0.0" }),
    "expected a token or readOnly for host \"0.0.0.0\", which others can reach, got neither: set token "
      + "(GOFHERD_TOKEN), set readOnly (GOFHERD_READ_ONLY=true), or listen on 127.0.0.1"
  ),
  known(
    ThreadCrashed,
    new ThreadCrashed({
      file: "file:///worker.js",
      unit: "7",
      reason: "error",
      exitCode: 1,
      cause: new TypeError("no")
    }),
    "expected the thread of file:///worker.js to answer unit 7, got an uncaught TypeError: no"
  ),
  known(
    ThreadNotStarted,
    new ThreadNotStarted({ file: "file:///worker.js", cause: new Error("Cannot find module") }),
    "expected file:///worker.js to start a thread, got Cannot find module"
  ),
  known(
    InvalidMessage,
    new InvalidMessage({ unit: "7", part: "body", reason: "() => {} could not be cloned." }),
    "expected the body of unit 7 to cross between threads, got () => {} could not be cloned."
  ),
  known(
    InvalidUnit,
    new InvalidUnit({ herd: "mails", part: "id", expected: "a string", given: "17" }),
    "expected the id of a unit of herd \"mails\" to be a string, got 17"
  ),
  known(
    SourceError,
    new SourceError({ source: "SQLite", operation: "claim units", cause: new Error("disk I/O error") }),
    "expected the SQLite source to claim units, got disk I/O error"
  ),
  known(
    LeaseLost,
    new LeaseLost({ herd: "mails", unit: "order-17", attempt: 2 }),
    "expected herd \"mails\" to hold unit order-17 until attempt 2 has settled, got its lease lost"
  )
]

describe("HerdError", () => {
  it("has all its errors here, each with the tag and the identifier that are its name", () => {
    const names = [
      "InvalidSize",
      "HerdClosed",
      "InvalidOption",
      "ListenError",
      "UnprotectedHost",
      "ThreadCrashed",
      "ThreadNotStarted",
      "InvalidMessage",
      "InvalidUnit",
      "SourceError",
      "LeaseLost"
    ]
    assert.sameMembers(Object.keys(HerdError), names)
    assert.deepStrictEqual(errors.map(({ error }) => error.name), names)
    assert.deepStrictEqual(errors.map(({ error }) => error._tag), names)
    assert.deepStrictEqual(errors.map(({ identifier }) => identifier), names.map((name) => `gofherd/${name}`))
  })

  for (const { error, isOne, message, name, readBack } of errors) {
    it(`${name} says what was expected, also when it is read back from JSON`, () => {
      assert.strictEqual(error.message, message)
      assert.isTrue(isOne(readBack()))
      assert.strictEqual(readBack().message, message)
    })

    it.effect(`${name} is caught by its tag, and shown with its message where nobody catches it`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Effect.catchTag(Effect.fail<HerdError.HerdError>(error), name, Effect.succeed), error)
        const exit = yield* Effect.exit(Effect.fail(error))
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", `${name}: ${message}`)
      }))
  }

  it("ThreadCrashed says how the thread ended", () => {
    const said = (reason: "exit" | "error" | "memory", cause?: unknown) =>
      new ThreadCrashed({ file: "f", unit: "u", reason, exitCode: 3, ...(cause !== undefined && { cause }) }).message
    assert.match(said("exit"), /got its exit with code 3$/)
    assert.match(said("memory", new Error("out of memory")), /got out of memory$/)
    assert.match(said("error", "a text"), /got an uncaught "a text"$/)
    assert.match(said("error", new RangeError("")), /got an uncaught RangeError$/)
  })

  it("ListenError shows a cause that says nothing", () => {
    const { message } = new ListenError({ host: "h", port: 1, cause: { errno: -98 } })
    assert.strictEqual(message, "expected to listen on h:1, got {\"errno\":-98}")
  })
})
