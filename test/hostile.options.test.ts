/**
 * Hostile options of `Herd.make` and `Herd.layer`: a defect that says "expected ... got ...", and
 * nothing is left of the herd that was not made.
 */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Exit, Layer, Logger, LogLevel, Schedule, Scope } from "effect"
import { Herd } from "gofherd"
import { assertExpected, blank, forEachKind, type Kind, kinds, type Place, strings, unharmed } from "./utils/hostile.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretty } from "./utils/pretty.ts"
import { turns } from "./utils/stage.ts"

type AnyOptions = Herd.Options<unknown, unknown>

const process = (body: unknown) => Effect.succeed(typeof body === "number" ? body + 1 : 0)

const functions: ReadonlyArray<Kind> = ["a function that throws", "a Proxy that throws"]

const callback = (name: string): Place => ({
  accepts: ["undefined", ...functions],
  refusal: `expected ${name} to be a function, got `
})

const MOST = Number.MAX_SAFE_INTEGER

/** Every option: a new one does not compile without a row. */
const places = {
  name: {
    accepts: ["undefined", "\"3\"", "\"NaN\"", "a long string", "control characters"],
    refusal: `expected name to be a string that is not empty, ".", ".." or malformed Unicode, got `
  },
  size: { accepts: ["undefined", "-0"], refusal: "expected size to be an integer from 0 to 10000, got " },
  maxSize: { accepts: ["undefined"], refusal: "expected maxSize to be an integer from 1, got " },
  capacity: {
    accepts: ["undefined", "-0"],
    refusal: `expected capacity to be an integer from 0 to ${MOST} or "unbounded", got `
  },
  retry: { accepts: ["undefined"], refusal: "expected retry to be a Schedule, got " },
  onSuccess: callback("onSuccess"),
  onRetry: callback("onRetry"),
  onFailure: callback("onFailure"),
  outcomes: {
    accepts: ["undefined", ...blank, "an object whose properties throw"],
    refusal: "expected outcomes to be "
  },
  gracePeriod: {
    accepts: ["undefined", "-0", "0.5", "2 ** 53", "Infinity", "10n"],
    refusal: "expected gracePeriod to be a duration, got "
  },
  tracing: { accepts: ["undefined", "true"], refusal: "expected tracing to be a boolean, got " },
  // The rest has no process.
  process: { accepts: functions, refusal: "expected process to be a function (or else gopher an Effect of one), got " },
  gopher: {
    accepts: ["undefined"],
    refusal: "expected process to be a function (or else gopher an Effect of one), got "
  }
} satisfies Record<keyof AnyOptions, Place>

const outcomes = {
  capacity: {
    accepts: ["undefined"],
    refusal: `expected outcomes.capacity to be an integer from 1 to ${MOST} or "unbounded", got `
  }
} satisfies Record<keyof Exclude<NonNullable<AnyOptions["outcomes"]>, "discard">, Place>

const given: ReadonlyArray<readonly [string, Place, (value: unknown) => unknown]> = [
  [
    "options",
    {
      accepts: [],
      refusal: "expected "
    },
    (value) => value
  ],
  ...Object.entries(places).map(([option, place]): readonly [string, Place, (value: unknown) => unknown] => [
    option,
    // `name` and `size` are read of these as of outcomes.
    option === "outcomes"
      ? { ...place, accepts: place.accepts.filter((kind) => kind !== "an object whose properties throw") }
      : place,
    (value) => ({ process, [option]: value })
  ]),
  ["outcomes.capacity", outcomes.capacity, (value) => ({ process, outcomes: { capacity: value } })],
  [
    "gopher without process",
    { accepts: [], refusal: "expected " },
    (gopher) => ({ gopher })
  ]
]

class Tagged extends Context.Tag("test/hostile/Tagged")<Tagged, Herd.Herd<unknown, unknown>>() {}

const ways: Record<string, (options: never) => Effect.Effect<Herd.Herd<unknown, unknown>, unknown, Scope.Scope>> = {
  make: (options) => Herd.make<unknown, unknown>(options),
  layer: (options) => Effect.map(Layer.build(Herd.layer(Tagged, options)), Context.get(Tagged)),
  "layer of an Effect": (options) =>
    Effect.map(
      Layer.build(Herd.layer(Tagged, Effect.succeed<Herd.Options<unknown, unknown>>(options))),
      Context.get(Tagged)
    )
}

for (const [way, build] of Object.entries(ways)) {
  describe(`${way}, given hostile`, () => {
    for (const [option, place, options] of given) {
      it.effect(`${option}, makes a herd as documented, or none and says what it expected`, () =>
        forEachKind((value, kind) =>
          Effect.gen(function*() {
            const exit = yield* Effect.exit(Effect.scoped(Effect.suspend(() => build(options(value) as never))))
            assertExpected(place, kind, exit)
          })
        ))
    }

    it.effect("options, takes no name and leaves nothing running", () =>
      Effect.gen(function*() {
        const name = `refused by ${way}`
        const table: Record<string, Place> = places
        for (const [option, place] of Object.entries(table)) {
          yield* forEachKind((value, kind) => {
            if (place.accepts.includes(kind) || option === "name" || option === "outcomes") return Effect.void
            return Effect.exit(Effect.scoped(build({ process, name, [option]: value } as never)))
          })
        }
        const herd = yield* build({ process, name } as never)
        assert.strictEqual(herd.name, name)
      }).pipe(Effect.scoped))
  })
}

describe("options", () => {
  it.scoped("may be of a class, with getters of its prototype, for make and layer alike", () =>
    Effect.gen(function*() {
      class Options {
        get size() {
          return 3
        }
        get process() {
          return process
        }
      }
      for (const build of Object.values(ways)) assert.strictEqual(yield* (yield* build(new Options() as never)).size, 3)
    }))

  it.scoped("may be frozen", () =>
    Effect.gen(function*() {
      for (const build of Object.values(ways)) {
        yield* unharmed(
          yield* build(Object.freeze({ process, outcomes: Object.freeze({}) }) as never),
          "frozen options"
        )
      }
    }))

  it.scoped("are each read once", () =>
    Effect.gen(function*() {
      const reads = new Map<PropertyKey, number>()
      const options = new Proxy({ process, outcomes: {} }, {
        get: (target, key) => {
          reads.set(key, (reads.get(key) ?? 0) + 1)
          return Reflect.get(target, key)
        }
      })
      const herd = yield* Herd.make<unknown, unknown>(options)
      yield* unharmed(herd, "a Proxy of options")
      assert.deepStrictEqual(
        Object.keys(places).map((option) => [option, reads.get(option)]),
        Object.keys(places).map((option) => [option, 1])
      )
    }))

  it.scoped("that are changed afterwards change nothing for the herd", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const called = (name: string) => () => Effect.sync(() => void calls.push(name))
      const options: Record<string, unknown> = {
        process: (n: number) => n === 1 ? Effect.succeed(2) : Effect.fail("no"),
        retry: Schedule.recurs(1),
        onSuccess: called("success"),
        onRetry: called("retry"),
        onFailure: called("failure"),
        outcomes: { capacity: 4 },
        maxSize: 5
      }
      const herd = yield* Herd.make<unknown, unknown, string>(options as never)
      for (const option of Object.keys(options)) options[option] = option === "outcomes" ? "discard" : null
      options["gopher"] = 5
      options["tracing"] = "yes"
      yield* unharmed(herd, "options that change")
      assert.strictEqual(yield* Effect.flip(herd.run(0)), "no")
      assert.deepStrictEqual(calls, ["success", "retry", "failure"])
      assert.strictEqual(herd.maxSize, 5)
    }))

  it.effect("from a Config that gives garbage are a defect, and one that is missing fails the layer", () =>
    Effect.gen(function*() {
      const layer = Herd.layer(Tagged, Effect.map(Config.number("SIZE"), (size) => ({ process, size })))
      const build = (entries: ReadonlyArray<readonly [string, string]>) =>
        Effect.exit(Effect.scoped(Layer.build(layer))).pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map(entries)))
        )
      for (const [given, got] of [["-1", "-1"], ["1.5", "1.5"], ["1e999", "Infinity"], ["10001", "10001"]] as const) {
        const exit = pretty(yield* build([["SIZE", given]]))
        assert.include(exit, `expected size to be an integer from 0 to 10000, got ${got}`)
      }
      assert.isTrue(Exit.isFailure(yield* build([["SIZE", "many"]])))
      assert.isTrue(Exit.isFailure(yield* build([])))
      assert.isTrue(Exit.isSuccess(yield* build([["SIZE", "3"]])))
    }))

  it.effect("of which both process and gopher are given, whatever they are, are a defect", () =>
    Effect.gen(function*() {
      const gopher = Effect.succeed(process)
      for (
        const options of [{ process, gopher }, { process, gopher: null }, { process: null, gopher }, {
          process: 5,
          gopher
        }]
      ) {
        const exit = yield* Effect.exit(Effect.scoped(Herd.make<unknown, unknown>(options as never)))
        assert.match(
          pretty(exit),
          /expected process to be a function \(or else gopher an Effect of one\), got .* beside gopher/
        )
      }
    }))
})

describe("layer, given a hostile tag", () => {
  it.effect("is a defect that says so", () =>
    forEachKind((tag, kind) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(Herd.layer(tag as typeof Tagged, { process }))))
        assertExpected({ accepts: [], refusal: "expected tag to be a Context.Tag, got " }, kind, exit)
      })
    ))
})

describe("gopher, an Effect", () => {
  it.scoped("of anything but a function is logged, counted and tried again, and holds nothing else up", () => {
    const logs = makeLogs(LogLevel.Warning)
    return forEachKind((value, kind) => {
      if (functions.includes(kind)) return Effect.void
      return Effect.scoped(Effect.gen(function*() {
        logs.lines.length = 0
        const herd = yield* Herd.make({ gopher: Effect.succeed(value as typeof process) })
        yield* turns
        assert.match(
          logs.lines.join("\n"),
          /a gopher failed to acquire .* expected gopher to yield a function, got /s,
          kind
        )
        assert.isTrue(yield* herd.trySend(1))
        assert.include(yield* herd.state, { queued: 1, running: 0 })
        yield* herd.resize(0)
      }))
    }).pipe(logs.collect)
  })

  it.scoped("that throws, dies or interrupts itself is tried again too", () => {
    const logs = makeLogs(LogLevel.Warning)
    const gophers = [
      Effect.suspend((): Effect.Effect<typeof process> => {
        throw new Error("boom")
      }),
      Effect.die(new Proxy({}, {})),
      Effect.interrupt
    ]
    return Effect.forEach(gophers, (gopher) =>
      Effect.scoped(Effect.gen(function*() {
        logs.lines.length = 0
        const herd = yield* Herd.make({ gopher })
        yield* turns
        assert.match(logs.lines.join("\n"), /a gopher failed to acquire/)
        yield* herd.resize(0)
      }))).pipe(logs.collect)
  })
})

describe("retry, a Schedule", () => {
  const boom = (): never => {
    throw new Error("boom")
  }
  const schedules: Record<string, Schedule.Schedule<unknown, string>> = {
    "whose delay is NaN": Schedule.addDelay(Schedule.recurs(1), () => NaN),
    "whose delay is negative": Schedule.addDelay(Schedule.recurs(1), () => -1),
    "whose delay throws": Schedule.addDelay(Schedule.recurs(1), boom),
    "whose condition throws": Schedule.whileInput(Schedule.forever, boom),
    "that dies": Schedule.mapEffect(Schedule.forever, () => Effect.die("boom")),
    "that interrupts itself": Schedule.mapEffect(Schedule.forever, () => Effect.interrupt),
    "whose step is none": { ...Schedule.forever, step: () => 5 } as never
  }
  for (const [name, retry] of Object.entries(schedules)) {
    it.scoped(`${name} settles the unit, and the herd goes on (G2, G7)`, () =>
      Effect.gen(function*() {
        const herd = yield* Herd.make<unknown, unknown, string>({
          process: (n) => n === 1 ? Effect.succeed(2) : Effect.fail("no"),
          retry
        })
        assert.include(pretty(yield* Effect.exit(herd.run(0))), "no")
        yield* unharmed(herd, name)
      }))
  }

  it.scoped("whose delay is endless keeps the unit until the herd stops, and the herd goes on", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const herd = yield* Scope.extend(
        Herd.make<unknown, unknown, string>({
          process: (n) => n === 1 ? Effect.succeed(2) : Effect.fail("no"),
          retry: Schedule.addDelay(Schedule.recurs(1), () => Infinity)
        }),
        scope
      )
      yield* herd.send(0)
      yield* turns
      assert.include(yield* herd.state, { retrying: 1, retried: 1 })
      assert.strictEqual(yield* herd.run(1), 2)
      yield* Logger.withMinimumLogLevel(Scope.close(scope, Exit.void), LogLevel.None)
      assert.include(yield* herd.state, { retrying: 0, interrupted: 1 })
    }))
})

describe("the kinds of hostile values", () => {
  it("are told apart where they should be", () => {
    assert.isAtLeast(kinds.length, 30)
    for (const kind of [...strings, ...blank]) assert.include(kinds, kind)
  })
})
