/**
 * Hostile arguments of `HerdThread.gopher` and `HerdThread.serve`: they throw "expected ... got
 * ..."; and hostile values that are to cross between threads: a result, or an error that says so,
 * and the herd goes on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, LogLevel } from "effect"
import { Herd, HerdError } from "gofherd"
import * as HerdThread from "gofherd/HerdThread"
import type * as thread from "./fixtures/thread.ts"
import { blank, forEachKind, hostile, type Kind, kinds, type Place } from "./utils/hostile.ts"
import { pretty } from "./utils/pretty.ts"
import { bundledWorkers } from "./utils/threads.ts"

const worker = bundledWorkers("thread")

const url = new URL("file:///nowhere.mjs")

const functions: ReadonlyArray<Kind> = ["a function that throws", "a Proxy that throws"]
const objects: ReadonlyArray<Kind> = [...blank, "an object whose properties throw"]
const durations: ReadonlyArray<Kind> = ["undefined", "-0", "0.5", "2 ** 53", "Infinity", "10n"]

/** Every option: a new one does not compile without a row. */
const gopherPlaces = {
  schema: { accepts: ["undefined", ...objects], refusal: "expected schema to be an object, got " },
  transfer: { accepts: ["undefined", ...functions], refusal: "expected transfer to be a function, got " },
  terminateAfter: { accepts: durations, refusal: "expected terminateAfter to be a duration, got " },
  startTimeout: {
    accepts: durations.filter((kind) => kind !== "-0"),
    refusal: "expected startTimeout to be a duration of more than 0, got "
  },
  maxCrashes: { accepts: ["undefined"], refusal: "expected maxCrashes to be an integer from 1, got " },
  resourceLimits: {
    accepts: ["undefined", ...blank.filter((kind) => kind !== "an Error whose message throws")],
    refusal: "expected resourceLimits to be an object"
  },
  execArgv: { accepts: ["undefined", "[]"], refusal: "expected execArgv to be an array of strings, got " },
  env: {
    // Those that have no member that is no string.
    accepts: [
      "undefined",
      ...blank.filter((kind) =>
        ![
          "[1]",
          "an object whose valueOf and toString throw",
          "an object that contains itself",
          "a thenable",
          "an Error whose message throws"
        ].includes(
          kind
        )
      )
    ],
    refusal: "expected env to be an object of strings, got "
  }
} satisfies Record<keyof HerdThread.Options<unknown, unknown, unknown>, Place>

const servePlaces = {
  schema: gopherPlaces.schema,
  transfer: gopherPlaces.transfer,
  layer: { accepts: ["undefined"], refusal: "expected layer to be a Layer, got " }
} satisfies Record<keyof HerdThread.ServeOptions<unknown, unknown, unknown> | "layer", Place>

const schemaPlace: Place = { accepts: ["undefined"], refusal: "to be a Schema, got " }

const given: ReadonlyArray<readonly [string, Place, (value: unknown) => unknown]> = [
  ["HerdThread.gopher url", { accepts: [], refusal: "expected url to be a URL, got " }, (url) => gopherOf(url)],
  [
    "HerdThread.gopher options",
    { accepts: ["undefined", ...objects], refusal: "expected options to be an object" },
    (options) => gopherOf(url, options)
  ],
  ...Object.entries(gopherPlaces).map(([name, place]) =>
    [`HerdThread.gopher ${name}`, place, (value: unknown) => gopherOf(url, { [name]: value })] as const
  ),
  ...["body", "result", "error"].map((part) =>
    [
      `HerdThread.gopher schema.${part}`,
      schemaPlace,
      (value: unknown) => gopherOf(url, { schema: { [part]: value } })
    ] as const
  ),
  [
    "HerdThread.serve process",
    { accepts: functions, refusal: "expected process to be a function, got " },
    (process) => serveOf(process)
  ],
  [
    "HerdThread.serve options",
    { accepts: ["undefined", ...objects], refusal: "expected options to be an object" },
    (options) => serveOf(Effect.succeed, options)
  ],
  ...Object.entries(servePlaces).map(([name, place]) =>
    [`HerdThread.serve ${name}`, place, (value: unknown) => serveOf(Effect.succeed, { [name]: value })] as const
  )
]

const gopherOf = (url: unknown, options?: unknown) => HerdThread.gopher<typeof thread>(url as never, options as never)

const serveOf = (process: unknown, options?: unknown) => HerdThread.serve(process as never, options as never)

describe("a hostile argument", () => {
  for (const [name, { accepts, refusal }, give] of given) {
    it.effect(`of ${name} is refused with what was expected`, () =>
      forEachKind((value, kind) =>
        Effect.gen(function*() {
          // Whether that has a member that can be seen differs between versions of V8.
          if (/ (?:resourceLimits|env)$/.test(name) && kind === "an Error whose message throws") return
          const exit = yield* Effect.exit(Effect.sync(() => give(value)))
          if (accepts.includes(kind)) return assert.isTrue(Exit.isSuccess(exit), `${kind}: ${pretty(exit)}`)
          assert.isFalse(Exit.isSuccess(exit), `took ${kind}`)
          const thrown = yield* Effect.flip(Effect.sandbox(Effect.sync(() => give(value))))
          const error = thrown._tag === "Die" ? thrown.defect : thrown
          assert.instanceOf(error, HerdError.InvalidOption, kind)
          assert.include(error.message, refusal.replace(/, got $/, ""), kind)
          assert.match(error.message, /^expected .* got /, kind)
        })
      ))
  }
})

describe("a hostile value", () => {
  const makeHerd = Effect.suspend(() => Herd.make({ gopher: HerdThread.gopher<typeof thread>(worker("thread")) })).pipe(
    Logger.withMinimumLogLevel(LogLevel.None)
  )

  it.scopedLive(
    "as a body or in one crosses, or is InvalidMessage, and the herd goes on",
    () =>
      Effect.gen(function*() {
        const herd = yield* makeHerd
        for (const kind of kinds) {
          for (const body of [{ do: "double", n: hostile[kind]() }, hostile[kind]()]) {
            const exit = yield* Effect.exit(Effect.timeout(herd.run(body as never), "5 seconds"))
            const told = pretty(exit)
            assert.isTrue(
              Exit.isSuccess(exit) || /InvalidMessage|expected process to return|TypeError/.test(told),
              `${kind}: ${told}`
            )
          }
        }
        assert.strictEqual(yield* herd.run({ do: "double", n: 2 }), 4)
      }),
    30_000
  )

  it.scopedLive(
    "that a unit in a thread fails, dies or ends with comes back, or is told of, and the herd goes on",
    () =>
      Effect.gen(function*() {
        const herd = yield* makeHerd
        for (const how of ["succeed", "fail", "die", "throw", "return", "log"] as const) {
          for (const value of ["a Proxy that throws", "an Error whose members throw", "getters that throw"] as const) {
            const exit = yield* Effect.exit(Effect.timeout(herd.run({ do: "be hostile", how, value }), "5 seconds"))
            const told = pretty(exit)
            const expected = how === "log" ||
              /InvalidMessage|Error|expected process to return|a value of type|boom|an instance of|{}|an Error/.test(
                told
              )
            assert.isTrue(expected, `${how} ${value}: ${told}`)
            assert.notMatch(told, /ThreadCrashed|Timeout/, `${how} ${value}: ${told}`)
            assert.strictEqual(yield* herd.run({ do: "double", n: 2 }), 4)
          }
        }
      }),
    30_000
  )
})
