/**
 * Values that nobody who reads the types would pass, given to every member of a herd, as a caller
 * without types may. What comes of it is what is documented, a typed error, or a defect that says
 * "expected ... got ...", and the herd is unharmed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Context, Deferred, Effect, Exit, Fiber, Logger, LogLevel, Scope, Stream } from "effect"
import { Herd, HerdError } from "gofherd"
import {
  assertExpected,
  blank,
  Boom,
  forEachKind,
  hostile,
  type Kind,
  kinds,
  type Place,
  strings,
  unharmed
} from "./utils/hostile.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretty } from "./utils/pretty.ts"
import { turns } from "./utils/stage.ts"

type AnyHerd = Herd.Herd<unknown, unknown>

/** Adds 1 to a number, and leaves everything else alone. */
const process = (body: unknown) => Effect.succeed(typeof body === "number" ? body + 1 : 0)

const make: Effect.Effect<AnyHerd, never, Scope.Scope> = Herd.make<unknown, unknown>({
  process,
  size: 2,
  outcomes: "discard"
})

/** What is not refused in the place of a number from 0 to 10,000. */
const zero: ReadonlyArray<Kind> = ["-0"]

const finite: ReadonlyArray<Kind> = ["undefined", "-0", "-1", "0.5", "2 ** 53"]

const options: Place = { accepts: ["undefined", ...blank], refusal: "expected options to be an object" }
const priority: Place = { accepts: finite, refusal: "expected priority to be a finite number, got " }
const id: Place = { accepts: ["undefined", ...strings], refusal: "expected id to be a string, got " }

const sendAllOptions = { priority } satisfies Record<keyof Herd.SendAllOptions, Place>
const sendOptions = { priority, id } satisfies Record<keyof Herd.SendOptions, Place>
const resizeOptions = {
  mode: { accepts: ["undefined"], refusal: "expected mode to be \"graceful\" or \"interrupt\", got " }
} satisfies Record<keyof Herd.ResizeOptions, Place>

type Give = (herd: AnyHerd, value: never) => Effect.Effect<unknown, unknown>

interface Argument extends Place {
  readonly give: Give
}

/** An argument that is an object of options: as a whole, and each of them. */
const eachOption = (
  places: Record<string, Place>,
  give: (herd: AnyHerd, options: never) => Effect.Effect<unknown, unknown>
): Record<string, Argument> => ({
  options: { ...options, give },
  ...Object.fromEntries(
    Object.entries(places).map(([key, place]) => [
      `options.${key}`,
      { ...place, give: (herd, value) => give(herd, { [key]: value } as never) } satisfies Argument
    ])
  )
})

const anything: Place = { accepts: kinds, refusal: "" }

const size: Place = { accepts: zero, refusal: "to be an integer from 0 to 10000, got " }

const iterables: ReadonlyArray<Kind> = [...strings, "[]", "[1]"]

/** Of a member: its arguments, or that it has none. */
const members = {
  name: {},
  size: {},
  maxSize: {},
  resize: {
    size: { ...size, give: (herd, size) => herd.resize(size) },
    ...eachOption(resizeOptions, (herd, options) => herd.resize(2, options))
  },
  grow: { by: { ...size, give: (herd, by) => herd.grow(by) } },
  shrink: { by: { ...size, give: (herd, by) => herd.shrink(by) } },
  settled: {},
  pause: {},
  resume: {},
  state: {},
  changes: {},
  history: {},
  awaitIdle: {},
  awaitDrained: {},
  drain: {},
  send: {
    body: { ...anything, give: (herd, body) => herd.send(body) },
    ...eachOption(sendOptions, (herd, options) => herd.send(1 as never, options))
  },
  sendAll: {
    bodies: {
      accepts: iterables,
      refusal: "expected bodies to be an iterable, got ",
      give: (herd, bodies) => herd.sendAll(bodies)
    },
    "one of bodies": { ...anything, give: (herd, body) => herd.sendAll([body]) },
    ...eachOption(sendAllOptions, (herd, options) => herd.sendAll([1 as never], options))
  },
  trySend: {
    body: { ...anything, give: (herd, body) => herd.trySend(body) },
    ...eachOption(sendOptions, (herd, options) => herd.trySend(1 as never, options))
  },
  run: {
    body: { ...anything, give: (herd, body) => herd.run(body) },
    ...eachOption(sendOptions, (herd, options) => herd.run(1 as never, options))
  },
  stream: {
    input: {
      accepts: [],
      refusal: "expected input to be a Stream, got ",
      give: (herd, input) => Stream.runDrain(herd.stream<unknown, never>(input))
    },
    "one of input": { ...anything, give: (herd, body) => Stream.runDrain(herd.stream(Stream.make(body))) }
  },
  close: {},
  outcomes: {}
} satisfies Record<keyof AnyHerd, Record<string, Argument>>

const argumentsOf: ReadonlyArray<readonly [string, Record<string, Argument>]> = Object.entries(members)

describe("the table of members", () => {
  it.scoped("has those that a herd has, each with as many arguments as are declared", () =>
    Effect.gen(function*() {
      const herd = yield* make
      for (const [member, args] of argumentsOf) {
        const value: unknown = Reflect.get(herd, member)
        assert.notStrictEqual(value, undefined, member)
        assert.strictEqual(typeof value === "function", Object.keys(args).length > 0, member)
      }
    }))
})

for (const [member, args] of argumentsOf) {
  for (const [name, argument] of Object.entries(args)) {
    describe(`${member}, given hostile ${name},`, () => {
      it.scoped("takes it as documented or says what it expected, unharmed either way (G3)", () =>
        forEachKind((value, kind) =>
          Effect.scoped(Effect.gen(function*() {
            const herd = yield* make
            const before = yield* herd.state
            const exit = yield* Effect.exit(Effect.suspend(() => argument.give(herd, value as never)))
            assertExpected(argument, kind, exit)
            if (Exit.isFailure(exit)) assert.deepStrictEqual(yield* herd.state, before, kind)
            yield* herd.resize(2)
            yield* unharmed(herd, kind)
          }))
        ))
    })
  }
}

describe("calls without running what they give", () => {
  it.scoped("never throw, and do nothing", () =>
    Effect.gen(function*() {
      const herd = yield* make
      const before = yield* herd.state
      for (const [, args] of argumentsOf) {
        for (const { give } of Object.values(args)) for (const kind of kinds) give(herd, hostile[kind]() as never)
      }
      yield* turns
      assert.deepStrictEqual(yield* herd.state, before)
    }))
})

describe("a body of any kind", () => {
  /** The ways in, each for one unit whose body comes out of `process`. */
  const ways: Record<string, (herd: AnyHerd, body: unknown) => Effect.Effect<unknown>> = {
    send: (herd, body) => herd.send(body).pipe(Effect.zipRight(Stream.runHead(herd.outcomes)), Effect.orDie),
    "send with a priority": (herd, body) =>
      herd.send(body, { priority: 1, id: "x" }).pipe(Effect.zipRight(Stream.runHead(herd.outcomes)), Effect.orDie),
    sendAll: (herd, body) => herd.sendAll([body]).pipe(Effect.zipRight(Stream.runHead(herd.outcomes)), Effect.orDie),
    trySend: (herd, body) => herd.trySend(body).pipe(Effect.zipRight(Stream.runHead(herd.outcomes)), Effect.orDie),
    run: (herd, body) => Effect.orDie(herd.run(body)),
    stream: (herd, body) => Stream.runDrain(herd.stream(Stream.make(body)))
  }
  const herds: Record<string, Omit<Herd.CommonOptions<unknown, unknown, never, never, never>, "name">> = {
    "plain": {},
    "with capacity 0": { capacity: 0 },
    "with spans": { tracing: true },
    "with callbacks": { onSuccess: () => Effect.void }
  }
  for (const [way, enter] of Object.entries(ways)) {
    for (const [which, options] of Object.entries(herds)) {
      it.scoped(`goes untouched by ${way} into a herd ${which}, and out again`, () =>
        forEachKind((body, kind) =>
          Effect.scoped(Effect.gen(function*() {
            const seen: Array<unknown> = []
            const herd = yield* Herd.make<unknown, unknown>({
              ...options,
              process: (body, work) =>
                Effect.sync(() => {
                  seen.push(body, work.body)
                  return body === 1 ? 2 : body
                })
            })
            yield* Effect.fork(enter(herd, body))
            yield* turns
            assert.strictEqual(seen.length, 2, kind)
            assert.isTrue(Object.is(seen[0], body) && Object.is(seen[1], body), kind)
            assert.include(yield* herd.state, { succeeded: 1, accepted: 1 })
            yield* unharmed(herd, kind)
          }))
        ))
    }
  }

  it.scoped("goes untouched through retries, a shrink that interrupts, and the end of the herd (G2)", () =>
    forEachKind((body, kind) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const seen: Array<unknown> = []
        const herd = yield* Scope.extend(
          Herd.make<unknown, unknown>({
            process: (body) => Effect.zipRight(Effect.sync(() => seen.push(body)), Effect.never)
          }),
          scope
        )
        yield* herd.sendAll([body, body])
        yield* herd.send(body, { priority: -1 })
        const run = yield* Effect.fork(herd.run(body, { priority: 1 }))
        yield* turns
        yield* Fiber.interrupt(run)
        yield* herd.resize(0, { mode: "interrupt" })
        yield* herd.resize(1)
        yield* turns
        assert.isTrue(seen.length >= 2 && seen.every((one) => Object.is(one, body)), kind)
        yield* Logger.withMinimumLogLevel(Scope.close(scope, Exit.void), LogLevel.None)
        const outcomes = Chunk.toReadonlyArray(yield* Stream.runCollect(herd.outcomes))
        assert.deepStrictEqual(
          outcomes.map(({ status }) => status),
          ["interrupted", "interrupted", "interrupted"],
          kind
        )
        assert.isTrue(outcomes.every(({ work }) => Object.is(work.body, body)), kind)
        const { accepted, interrupted } = yield* herd.state
        assert.deepStrictEqual([accepted, interrupted], [4, 4], kind)
      })
    ))
})

describe("sendAll, given an iterable that", () => {
  interface Hostile {
    readonly iterable: unknown
    readonly accepted: number
    readonly error?: string
    /** Is `return` to be called, as with `for of`? */
    readonly returned?: boolean
  }

  /** An iterator by hand, that notes whether it was returned. */
  const handmade = (next: (n: number) => unknown, parts: object = {}) => {
    let n = 0
    const calls = { returned: 0 }
    const iterator = {
      next: () => next(n++),
      return: () => {
        calls.returned++
        return { done: true, value: undefined }
      },
      ...parts
    }
    return { calls, iterable: { [Symbol.iterator]: () => iterator } }
  }
  const boom = (): never => {
    throw new Boom()
  }
  const two = (then: () => unknown) => (n: number) => n < 2 ? { done: false, value: n } : then()
  const objects = "expected bodies to be an iterable whose iterator gives objects, got one that gives"

  const cases: Record<string, Hostile & { readonly calls?: { readonly returned: number } }> = {
    "throws when asked for its iterator": { iterable: { [Symbol.iterator]: boom }, accepted: 0, error: "boom" },
    "gives no iterator": {
      iterable: { [Symbol.iterator]: () => 5 },
      accepted: 0,
      error: "expected bodies to be an iterable, got"
    },
    "gives an iterator without next": {
      iterable: { [Symbol.iterator]: () => ({}) },
      accepted: 0,
      error: "expected bodies to be an iterable, got"
    },
    "gives an iterator whose next is no function": {
      iterable: { [Symbol.iterator]: () => ({ next: 5 }) },
      accepted: 0,
      error: "expected bodies to be an iterable, got"
    },
    "is asynchronous": {
      iterable: (async function*() {
        yield 1
      })(),
      accepted: 0,
      error: "expected bodies to be an iterable, got an instance of"
    },
    "throws half-way, and is not returned": { ...handmade(two(boom)), accepted: 2, error: "boom", returned: false },
    "gives a number half-way": { ...handmade(two(() => 5)), accepted: 2, error: `${objects} 5`, returned: false },
    "gives nothing half-way": {
      ...handmade(two(() => undefined)),
      accepted: 2,
      error: `${objects} undefined`,
      returned: false
    },
    "gives null half-way": { ...handmade(two(() => null)), accepted: 2, error: `${objects} null`, returned: false },
    "gives a `done` that throws": {
      ...handmade(two(() => ({
        get done() {
          return boom()
        }
      }))),
      accepted: 2,
      error: "boom",
      returned: false
    },
    "is done with 1 instead of true": { ...handmade(two(() => ({ done: 1 }))), accepted: 2, returned: false },
    "says nothing of done until the end": {
      ...handmade((n) => n < 2 ? { value: n } : { done: true }),
      accepted: 2,
      returned: false
    },
    "has a return that is no function, and goes on": {
      ...handmade(two(() => ({ done: true })), { return: 5 }),
      accepted: 2
    },
    "is a string, which has its characters": { iterable: "a🦫", accepted: 2 },
    "is a string in an object": { iterable: Object("ab"), accepted: 2 },
    "has holes": { iterable: Array(2), accepted: 2 }
  }
  for (const [name, { accepted, calls, error, iterable, returned }] of Object.entries(cases)) {
    it.scoped(`${name}: what came before is accepted, and nothing else`, () =>
      Effect.gen(function*() {
        const herd = yield* make
        const exit = yield* Effect.exit(herd.sendAll(iterable as never))
        assert.include(pretty(exit), error ?? "success")
        if (returned !== undefined) assert.strictEqual(calls?.returned, returned ? 1 : 0)
        assert.strictEqual((yield* herd.state).accepted, accepted)
        yield* unharmed(herd, name)
      }))
  }

  for (
    const [how, stop] of [
      ["its sender is interrupted", (sender: Fiber.RuntimeFiber<unknown, unknown>) => Fiber.interrupt(sender)],
      ["the herd closes", (_: Fiber.RuntimeFiber<unknown, unknown>, herd: AnyHerd) => herd.close]
    ] as const
  ) {
    it.scoped(`is endless is returned, once, when ${how}`, () =>
      Effect.gen(function*() {
        const herd = yield* Herd.make<unknown, unknown>({ process, capacity: 3, size: 0 })
        const { calls, iterable } = handmade((n) => ({ done: false, value: n }))
        const sender = yield* Effect.fork(herd.sendAll(iterable as never))
        yield* turns
        assert.strictEqual(calls.returned, 0)
        yield* stop(sender, herd)
        const exit = yield* Fiber.await(sender)
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(calls.returned, 1)
        assert.include(yield* herd.state, { accepted: 3, queued: 3 })
      }))

    it.scoped(`is endless and whose return throws still ends when ${how}`, () =>
      Effect.gen(function*() {
        const herd = yield* Herd.make<unknown, unknown>({ process, capacity: 3, size: 0 })
        const { iterable } = handmade((n) => ({ done: false, value: n }), { return: boom })
        const sender = yield* Effect.fork(herd.sendAll(iterable as never))
        yield* turns
        yield* stop(sender, herd)
        assert.include(pretty(yield* Fiber.await(sender)), how === "the herd closes" ? "expected herd" : "boom")
        assert.include(yield* herd.state, { accepted: 3, queued: 3 })
      }))
  }

  it.scopedLive("is endless into a herd with room for all can be interrupted", () =>
    Effect.gen(function*() {
      const herd = yield* make
      const { calls, iterable } = handmade((n) => ({ done: false, value: n }))
      yield* Effect.timeoutOption(herd.sendAll(iterable as never), "50 millis")
      assert.strictEqual(calls.returned, 1)
      yield* herd.awaitIdle
      yield* unharmed(herd, "an endless iterable")
    }))

  const reentrant: Record<string, (herd: AnyHerd) => Effect.Effect<unknown, unknown>> = {
    "closes the herd": (herd) => herd.close,
    "resizes it": (herd) => Effect.zipRight(herd.resize(0, { mode: "interrupt" }), herd.resize(3)),
    "pauses it": (herd) => Effect.zipRight(herd.pause, herd.resume),
    "sends more": (herd) => herd.send(7),
    "sends many more": (herd) => herd.sendAll([7, 8, 9]),
    "tries to send more": (herd) => herd.trySend(7)
  }
  for (const [what, call] of Object.entries(reentrant)) {
    for (const capacity of [0, 2, 1024]) {
      it.scoped(`${what} while it is read, with capacity ${capacity}, loses nothing (G3)`, () =>
        Effect.gen(function*() {
          const herd = yield* Herd.make<unknown, unknown>({ process, capacity, outcomes: "discard", size: 2 })
          const calls: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
          const bodies = function*() {
            for (let n = 0; n < 6; n++) {
              if (n === 3) calls.push(Effect.runFork(call(herd)))
              yield n
            }
          }
          const exit = yield* Effect.exit(herd.sendAll(bodies()))
          yield* Effect.forEach(calls, Fiber.await)
          yield* herd.awaitIdle
          const { accepted, succeeded } = yield* herd.state
          assert.strictEqual(accepted, succeeded)
          if (what === "closes the herd") {
            const error = Exit.isFailure(exit) ? yield* Effect.flip(exit) : undefined
            assert.instanceOf(error, HerdError.HerdClosed)
            assert.strictEqual(error.accepted, accepted)
          } else {
            assert.isTrue(Exit.isSuccess(exit))
            assert.isAtLeast(accepted, 6)
            yield* unharmed(herd, what)
          }
        }))
    }
  }

  it.scoped("closes it while senders wait in line fails each of them with HerdClosed (G9)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process, capacity: 1, size: 0 })
      const waiting = yield* Effect.forEach([1, 2, 3], (n) => Effect.fork(herd.send(n)))
      yield* turns
      yield* Effect.exit(herd.sendAll((function*() {
        Effect.runSync(herd.close)
        yield 1
      })()))
      const exits = yield* Effect.forEach(waiting, Fiber.await)
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, false])
    }))
})

describe("stream, given an input that", () => {
  const inputs: Record<string, readonly [input: Stream.Stream<number, unknown>, outcomes: number, end: string]> = {
    "fails": [Stream.concat(Stream.make(1, 2), Stream.fail("no")), 2, "Error: no"],
    "dies": [Stream.concat(Stream.make(1, 2), Stream.die(new Boom())), 2, "boom"],
    "is interrupted": [Stream.concat(Stream.make(1, 2), Stream.fromEffect(Effect.interrupt)), 2, "interrupted"],
    "throws while it is read": [
      Stream.map(Stream.make(1, 2, 3), (n) => {
        if (n === 3) throw new Boom()
        return n
      }),
      0,
      "boom"
    ],
    "is made of an iterable that throws": [
      Stream.fromIterable((function*() {
        yield 1
        throw new Boom()
      })()),
      0,
      "boom"
    ],
    "ends in the middle of a chunk": [
      Stream.take(Stream.fromChunk(Chunk.unsafeFromArray(Array.from({ length: 3_000 }, (_, n) => n))), 2_001),
      2_001,
      "success"
    ],
    "has empty chunks": [Stream.concat(Stream.fromChunk(Chunk.empty<number>()), Stream.make(1)), 1, "success"],
    "is empty": [Stream.empty, 0, "success"],
    "is an Effect, which is a stream of one": [Effect.succeed(1) as never, 1, "success"]
  }
  for (const [what, [input, count, end]] of Object.entries(inputs)) {
    it.scoped(`${what} gives the outcomes of what was accepted, then ends as it did`, () =>
      Effect.gen(function*() {
        const herd = yield* make
        let outcomes = 0
        const exit = yield* herd.stream<unknown, never>(input as never).pipe(
          Stream.runForEach(() => Effect.sync(() => outcomes++)),
          Effect.exit
        )
        assert.strictEqual(outcomes, count)
        assert.include(pretty(exit), end)
        yield* unharmed(herd, what)
      }))
  }

  it.scoped("closes the herd half-way dies with HerdClosed", () =>
    Effect.gen(function*() {
      const herd = yield* make
      const input = Stream.concat(Stream.make(1), Stream.concat(Stream.execute(herd.close), Stream.make(2)))
      const exit = yield* Effect.exit(Stream.runDrain(herd.stream<unknown, never>(input as never)))
      assert.match(pretty(exit), /expected herd ".*" to be open, got closed/)
    }))
})

describe("a herd whose Logger throws", () => {
  const throwing = Logger.replace(
    Logger.defaultLogger,
    Logger.make(() => {
      throw new Boom()
    })
  )

  it.effect("lives, settles, resizes, closes and stops as if it logged", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      let failures = 0
      const herd = yield* Scope.extend(
        Herd.make<number, number, string>({
          process: (n) => n === 3 ? Effect.fail("three") : n === 4 ? Effect.never : Effect.succeed(n + 1),
          onFailure: () => Effect.die(failures++)
        }),
        scope
      )
      yield* herd.pause
      yield* herd.resume
      yield* herd.resize(3)
      assert.strictEqual(pretty(yield* Effect.exit(herd.run(3))), "Error: three")
      assert.strictEqual(failures, 1)
      yield* unharmed(herd, "a Logger that throws")
      yield* herd.send(4)
      yield* turns
      yield* herd.close
      yield* Scope.close(scope, Exit.void)
      assert.include(yield* herd.state, { accepted: 3, succeeded: 1, failed: 1, interrupted: 1, drained: true })
    }).pipe(Effect.provide(throwing), Logger.withMinimumLogLevel(LogLevel.All)))
})

describe("an id of any text", () => {
  it.scoped("is kept as it is, in outcomes, history and the log of what was left over", () => {
    const logs = makeLogs()
    return Effect.forEach(strings, (kind) =>
      Effect.gen(function*() {
        const id = String(hostile[kind]())
        const scope = yield* Scope.make()
        const herd = yield* Scope.extend(
          Herd.make({ process: () => Effect.fail("no"), outcomes: { capacity: 1 } }),
          scope
        )
        yield* Effect.exit(herd.run(0, { id }))
        assert.strictEqual((yield* herd.history).failures[0]?.id, id)
        yield* herd.pause
        yield* herd.send(1, { id })
        yield* Scope.close(scope, Exit.void)
        const [outcome] = yield* Stream.runCollect(herd.outcomes)
        assert.strictEqual(outcome?.work.id, id)
        const left = logs.lines.findLast((line) => line.includes("stopped with 1 units left over")) ?? ""
        assert.isTrue(left.endsWith(`: ${id}`) || left.endsWith(`: ${id.slice(0, 99)}…`), kind)
      })).pipe(logs.collect)
  })
})

describe("members taken off a herd", () => {
  class Numbers extends Context.Tag("test/hostile/Numbers")<Numbers, AnyHerd>() {}

  it.scoped("work without it", () =>
    Effect.gen(function*() {
      const { awaitDrained, awaitIdle, close, pause, resume, settled, size, state } = yield* Numbers
      const { grow, resize, run, send, sendAll, shrink, stream, trySend } = yield* Numbers
      yield* Effect.all([pause, resize(4), shrink(2), grow(1), settled, resume])
      assert.strictEqual(yield* size, 3)
      assert.strictEqual(yield* Effect.flatMap(Effect.succeed(1), run), 2)
      yield* Effect.forEach([1, 2], (n) => send(n))
      yield* sendAll([3, 4])
      assert.isTrue(yield* trySend(5))
      assert.strictEqual(yield* Stream.runCount(stream(Stream.make(6, 7))), 2)
      yield* Effect.all([awaitIdle, close, awaitDrained])
      assert.strictEqual((yield* state).succeeded, 8)
    }).pipe(Effect.provideServiceEffect(Numbers, make)))

  it.scoped("close twice, at once and again, without harm (G9)", () =>
    Effect.gen(function*() {
      const herd = yield* make
      const latch = yield* Deferred.make<void>()
      const closing = Effect.zipRight(Deferred.await(latch), herd.close)
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(closing))
      yield* Deferred.succeed(latch, undefined)
      yield* Effect.forEach(fibers, Fiber.join)
      yield* herd.awaitDrained
    }))
})
