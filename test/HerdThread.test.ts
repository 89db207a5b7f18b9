import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Context,
  Effect,
  Either,
  Exit,
  Fiber,
  FiberRef,
  HashMap,
  Layer,
  Logger,
  LogLevel,
  Metric,
  Option,
  Schedule,
  Tracer
} from "effect"
import { Gopher, Herd, HerdError, HerdMetrics, type Work } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdThread from "gofherd/HerdThread"
import { writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { nested } from "./fixtures/nested.ts"
import type * as thread from "./fixtures/thread.ts"
import type * as threadFailing from "./fixtures/threadFailing.ts"
import type * as threadSchemas from "./fixtures/threadSchemas.ts"
import { Order, Refused, schema } from "./fixtures/threadSchemas.ts"
import { folder } from "./utils/children.ts"
import { makeLogs as makeLoudLogs } from "./utils/logs.ts"
import { spin } from "./utils/spin.ts"
import { scoped, turn, turns, until } from "./utils/stage.ts"
import { bundledWorkers, liveThreads } from "./utils/threads.ts"

const worker = bundledWorkers("thread", "threadFailing", "threadSchemas")

type Module = typeof thread

const gopher = (options: HerdThread.Options<thread.Task, unknown, unknown> = {}) =>
  HerdThread.gopher<Module>(worker("thread"), options)

const quiet = Logger.withMinimumLogLevel(LogLevel.None)

/** A herd of threads that says nothing. */
const makeHerd = (
  options: Partial<Herd.Options<thread.Task, unknown, unknown>> = {},
  threads: HerdThread.Options<thread.Task, unknown, unknown> = {}
) => quiet(Herd.make({ gopher: gopher(threads), ...options } as Herd.Options<thread.Task, unknown, unknown>))

/** Collects what is logged, and prints nothing, as tests with real time would. */
const makeLogs = (minimum: LogLevel.LogLevel = LogLevel.Debug) => {
  const { collect, lines } = makeLoudLogs(minimum)
  return {
    lines,
    collect: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provide(collect(effect), Logger.remove(Logger.defaultLogger))
  }
}

const countOf = (counter: Metric.Metric.Counter<number>, { name }: Herd.Control) =>
  Effect.map(Metric.value(Metric.tagged(counter, "herd", name)), ({ count }) => count)

const allThreads = Effect.sync(() => liveThreads.size)

describe("HerdThread.gopher", () => {
  it.scopedLive("runs units in threads, as many as the herd's size, and brings back what they came to", () =>
    Effect.gen(function*() {
      const before = yield* allThreads
      const herd = yield* makeHerd({ size: 2 })
      assert.strictEqual(yield* herd.run({ do: "double", n: 21 }), 42)
      const waiting = Array.from({ length: 2 }, () => herd.run({ do: "wait", millis: 50 }))
      assert.deepStrictEqual(yield* Effect.all(waiting, { concurrency: 2 }), ["waited", "waited"])
      assert.strictEqual(yield* allThreads, before + 2)
    }))

  it.scopedLive("gives the unit its id, attempt and priority, and what its Layer provides, built once in each thread", () =>
    Effect.gen(function*() {
      const logs = makeLogs()
      const herd = yield* logs.collect(Herd.make({ gopher: gopher() }))
      const first = yield* herd.run({ do: "look" }, { id: "the first", priority: 3 })
      const { threadId, ...seen } = first as { readonly threadId: number }
      assert.deepStrictEqual(seen as unknown, {
        id: "the first",
        body: "look",
        attempt: 1,
        priority: 3,
        text: "hello from the Layer"
      })
      assert.isAbove(threadId, 0)
      yield* herd.run({ do: "look" })
      assert.deepStrictEqual(logs.lines.filter((line) => line.includes("Layer")), ["DEBUG [-] the Layer is built"])
    }))

  it.scopedLive("releases the Layer when its gopher retires, before the thread ends, and its last words arrive", () =>
    Effect.gen(function*() {
      const logs = makeLogs()
      const before = yield* allThreads
      const herd = yield* logs.collect(Herd.make({ gopher: gopher() }))
      yield* herd.run({ do: "double", n: 1 })
      yield* logs.collect(herd.resize(0))
      yield* herd.settled
      assert.strictEqual(yield* allThreads, before)
      assert.include(logs.lines, "DEBUG [-] the Layer is released")
    }))

  it.scopedLive("starts and stops threads with a resize: 0, 4, 1, 0, with units running, none of them lost (G5)", () =>
    Effect.gen(function*() {
      const before = yield* allThreads
      const herd = yield* makeHerd({ size: 0, outcomes: "discard" })
      // The first ones still run when the last thread has started.
      const units = Array.from({ length: 40 }, (_, n) => ({ do: "wait", millis: n < 4 ? 1_000 : 20 } as const))
      yield* herd.sendAll(units)
      assert.strictEqual(yield* allThreads, before)
      yield* herd.resize(4)
      yield* until(() => liveThreads.size === before + 4)
      yield* until(Effect.map(herd.state, ({ running }) => running === 4))
      yield* herd.resize(1)
      yield* herd.settled
      assert.strictEqual(yield* allThreads, before + 1)
      yield* until(Effect.map(herd.state, ({ running, succeeded }) => running === 1 && succeeded > 4))
      yield* herd.resize(0)
      yield* herd.settled
      assert.strictEqual(yield* allThreads, before)
      const { interrupted, queued, running, succeeded } = yield* herd.state
      assert.deepStrictEqual([interrupted, running, queued + succeeded], [0, 0, 40])
      assert.isAbove(succeeded, 4)
      yield* herd.resize(2)
      yield* herd.awaitIdle
      assert.strictEqual((yield* herd.state).succeeded, 40)
    }))

  it.scopedLive("lets a busy gopher that retires finish its unit, and interrupts it when told to, which puts it back (G5)", () =>
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      const herd = yield* logs.collect(Herd.make({ gopher: gopher() }))
      const begun = (times: number) => until(() => logs.lines.filter((line) => line.endsWith("begun")).length === times)
      const first = yield* Effect.fork(herd.run({ do: "wait", millis: 200 }))
      yield* begun(1)
      yield* herd.resize(0)
      assert.strictEqual(yield* Fiber.join(first), "waited")
      yield* herd.resize(1)
      const second = yield* Effect.fork(herd.run({ do: "wait", millis: 300 }))
      yield* begun(2)
      yield* herd.resize(0, { mode: "interrupt" })
      yield* herd.settled
      assert.strictEqual((yield* herd.state).queued, 1)
      assert.strictEqual(logs.lines.at(-1), "INFO [-] ended: Failure")
      yield* herd.resize(1)
      assert.strictEqual(yield* Fiber.join(second), "waited")
    }))

  it.live("leaves no thread, no port and no listener when the scope closes (G10)", () =>
    Effect.gen(function*() {
      const census = () => [
        liveThreads.size,
        process.getActiveResourcesInfo().filter((name) => /port|worker/i.test(name)).length,
        process.eventNames().map((event) => `${String(event)}: ${process.listenerCount(event)}`).toSorted()
      ]
      const before = census()
      const { close, herd } = yield* scoped(makeHerd({ size: 2 }))
      yield* herd.run({ do: "double", n: 1 })
      yield* Effect.fork(Effect.exit(herd.run({ do: "wait", millis: 60_000 })))
      yield* until(Effect.map(herd.state, ({ running }) => running === 1))
      yield* close
      assert.deepStrictEqual(census(), before)
    }))

  it.scopedLive("is resized by PATCH /herd: the number of threads follows", () =>
    Effect.gen(function*() {
      class Threads extends Context.Tag("threads")<Threads, Herd.Herd<thread.Task, unknown, unknown>>() {}
      const before = yield* allThreads
      const herds = Herd.layer(Threads, { gopher: gopher() })
      const main = HerdServer.layer({ herds: [Threads], port: 0 }).pipe(
        Layer.provideMerge(herds),
        Layer.provide(Logger.minimumLogLevel(LogLevel.None))
      )
      const { herd, url } = yield* Effect.gen(function*() {
        return { herd: yield* Threads, url: (yield* HerdServer.HerdServer).url }
      }).pipe(Effect.provide(yield* Layer.build(main)))
      const patch = (num: number) =>
        Effect.promise(async () => {
          const response = await fetch(`${url}/herd`, { method: "PATCH", body: JSON.stringify({ num }) })
          return response.json()
        })
      for (const num of [3, 0, 2]) {
        assert.deepStrictEqual(yield* patch(num), { num, msg: "success" })
        yield* herd.settled
        yield* until(() => liveThreads.size === before + num)
      }
      assert.strictEqual(yield* herd.run({ do: "double", n: 4 }), 8)
    }))
})

describe("a thread", () => {
  it.scopedLive("has the environment and Node's options that it is given, otherwise those of the process", () =>
    Effect.gen(function*() {
      const ask = (threads: HerdThread.Options<thread.Task, unknown, unknown>) =>
        Effect.gen(function*() {
          const herd = yield* makeHerd({}, threads)
          return yield* Effect.all([herd.run({ do: "environment", name: "PATH" }), herd.run({ do: "options" })])
        })
      assert.deepStrictEqual(yield* ask({}), [process.env["PATH"], process.execArgv])
      assert.deepStrictEqual(yield* ask({ env: { PATH: "given" }, execArgv: ["--no-warnings"] }), [
        "given",
        ["--no-warnings"]
      ])
    }))

  it.scopedLive("starts while at most as many of its herd do as there are cores, or two", () =>
    Effect.gen(function*() {
      const file = join(yield* folder, "worker.mjs")
      writeFileSync(file, "setInterval(() => {}, 1000)")
      const atOnce = Math.max(2, availableParallelism())
      const before = yield* allThreads
      const herd = yield* quiet(
        Herd.make({ gopher: HerdThread.gopher<Module>(pathToFileURL(file)), size: atOnce + 3 })
      )
      yield* until(() => liveThreads.size >= before + atOnce)
      yield* turns
      assert.strictEqual(yield* allThreads, before + atOnce)
      yield* herd.resize(0)
      yield* herd.settled
      assert.strictEqual(yield* allThreads, before)
    }))

  it.scopedLive("may use its parentPort for something else, which the herd does not hear", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd()
      yield* herd.run({ do: "talk" })
      assert.strictEqual(yield* herd.run({ do: "double", n: 2 }), 4)
    }))
})

describe("what crosses to a thread and back", () => {
  it.scopedLive("a failure arrives as an Error with its tag, its message and its fields, and can be retried by its tag (G8)", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({ size: 1, retry: Schedule.recurs(1) })
      const error = yield* Effect.flip(herd.run({ do: "fail", tries: 3 }))
      assert.instanceOf(error, Error)
      const { _tag, at, name, tries } = error as unknown as thread.NoLuck
      assert.deepStrictEqual([_tag, name, tries, at], ["NoLuck", "NoLuck", 3, new Date(7)])
      assert.match((error as Error).stack ?? "", /NoLuck/)
      assert.strictEqual((yield* herd.state).retried, 1)
      const cycle = yield* Effect.flip(herd.run({ do: "fail with", what: "a cycle" }))
      assert.instanceOf(cycle, Error)
      assert.strictEqual((cycle.cause as Error).message, "its own cause")
      assert.include(cycle.stack, fileURLToPath(worker("thread")))
      const known = yield* Effect.flip(herd.run({ do: "fail with", what: "a cause" }))
      assert.instanceOf(known, TypeError)
      assert.deepStrictEqual([Reflect.get(known as object, "code"), (known as Error).cause], [9, "below"])
    }))

  it.scopedLive("a defect arrives as one, with its cause and what caused that, and replaces the gopher as any other (G7)", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({ size: 1, retry: Schedule.recurs(5) })
      const replacements = countOf(HerdMetrics.replacements, herd)
      const replaced = yield* replacements
      const exit = yield* Effect.exit(herd.run({ do: "die", message: "far above" }))
      const defect = Option.getOrThrow(Exit.causeOption(exit).pipe(Option.flatMap(Cause.dieOption)))
      assert.instanceOf(defect, RangeError)
      assert.strictEqual(defect.message, "far above")
      assert.instanceOf(defect.cause, Error)
      assert.strictEqual((defect.cause as Error).message, "below")
      assert.strictEqual((yield* herd.state).retried, 0)
      for (
        const [task, said] of [["throw", "thrown by process"], [
          "nonsense",
          `expected process to return an Effect, got "no Effect"`
        ]] as const
      ) {
        const exit = yield* Effect.exit(herd.run({ do: task }))
        assert.include(String(Exit.causeOption(exit).pipe(Option.flatMap(Cause.dieOption), Option.getOrThrow)), said)
      }
      assert.strictEqual(yield* replacements, replaced + 3)
    }))

  it.scopedLive("all failures and defects of a Cause arrive, and a unit that interrupts itself is interrupted (G7)", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({ size: 1 })
      const exit = yield* Effect.exit(herd.run({ do: "die of many things" }))
      const cause = Option.getOrThrow(Exit.causeOption(exit))
      assert.deepStrictEqual(Array.from(Cause.failures(cause)), ["a", "c"])
      assert.deepStrictEqual(Array.from(Cause.defects(cause)), ["b"])
      assert.isTrue(Exit.isInterrupted(yield* Effect.exit(herd.run({ do: "interrupt itself" }))))
      assert.strictEqual((yield* herd.state).interrupted, 1)
    }))

  it.scopedLive("what can't be cloned is InvalidMessage, which says which part, and the thread goes on", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({ size: 1 })
      const body = yield* Effect.flip(herd.run({ do: "double", n: () => {} } as never, { id: "b" }))
      assert.instanceOf(body, HerdError.InvalidMessage)
      assert.match(
        String(body),
        /^InvalidMessage: expected the body of unit b to cross between threads, got .* could not be cloned/s
      )
      const result = yield* Effect.flip(herd.run({ do: "answer", with: "a function" }, { id: "r" }))
      assert.match(
        String(result),
        /^InvalidMessage: expected the result of unit r to cross between threads, got .* could not be cloned/s
      )
      const error = yield* Effect.flip(herd.run({ do: "fail with", what: "a function" }, { id: "e" }))
      assert.match(
        String(error),
        /^InvalidMessage: expected the error of unit e to cross between threads, got .* could not be cloned/s
      )
      const defect = yield* Effect.exit(herd.run({ do: "die with a function" }))
      assert.deepStrictEqual(defect, Exit.die("a function"))
      assert.strictEqual(yield* herd.run({ do: "double", n: 2 }), 4)
    }))

  it.scopedLive("plain data arrives as it was, an instance of a class as a plain object", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({ size: 1 })
      assert.deepStrictEqual(yield* herd.run({ do: "answer", with: "a buffer" }), {
        bytes: new Uint8Array([1, 2, 3]).buffer
      })
      const { value } = (yield* herd.run({ do: "answer", with: "a class" })) as { readonly value: Date }
      assert.deepStrictEqual(value, new Date(5))
      const { value: one } = (yield* Effect.flip(herd.run({ do: "fail with", what: "a class" }))) as {
        readonly value: number
      }
      assert.strictEqual(one, 1)
    }))

  it.scopedLive("what transfer names of a body is moved: it is gone here, and one moved already is InvalidMessage", () =>
    Effect.gen(function*() {
      const copied = yield* makeHerd({ size: 1 })
      const moved = yield* makeHerd({ size: 1 }, { transfer: (task) => task.do === "read" ? [task.bytes] : [] })
      const bytes = new Uint8Array([1, 2, 3]).buffer
      assert.deepStrictEqual(yield* copied.run({ do: "read", bytes }), [1, 2, 3])
      assert.strictEqual(bytes.byteLength, 3)
      assert.deepStrictEqual(yield* moved.run({ do: "read", bytes }), [1, 2, 3])
      assert.strictEqual(bytes.byteLength, 0)
      const again = yield* Effect.flip(moved.run({ do: "read", bytes }))
      assert.match(String(again), /^InvalidMessage: expected the body of unit 2 .*moved before/s)
      const empty = new ArrayBuffer(0)
      assert.deepStrictEqual(yield* moved.run({ do: "read", bytes: empty }), [])
      const nonsense = yield* makeHerd({ size: 1 }, { transfer: () => ["no buffer"] as never })
      assert.match(String(yield* Effect.flip(nonsense.run({ do: "look" }))), /^InvalidMessage: expected the body/)
      const throwing = yield* makeHerd({ size: 1 }, {
        transfer: () => {
          throw new Error("boom")
        }
      })
      assert.match(
        String(yield* Effect.flip(throwing.run({ do: "look" }))),
        /^InvalidMessage: expected the body .*boom/
      )
    }))

  it.scopedLive("a Schema that throws, on either side, is a defect of its unit (G7)", () =>
    Effect.gen(function*() {
      const threads = HerdThread.gopher<typeof threadSchemas>(worker("threadSchemas"), { schema })
      const herd = yield* quiet(Herd.make({ gopher: threads }))
      const at = new Date(1)
      for (const order of [new Order({ id: 13, at }), new Order({ id: 1, at, picky: 13 })]) {
        const cause = yield* Effect.flip(Effect.sandbox(herd.run(order)))
        assert.include(Cause.pretty(cause), "13 is no number of mine")
        assert.isTrue(Cause.isDieType(cause) || Cause.defects(cause).length > 0)
      }
      assert.isTrue(Option.isSome(yield* herd.run(new Order({ id: 1, at }))))
    }))

  it.scopedLive("what is too deep for the other side to read is InvalidMessage, and the thread goes on", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({}, { resourceLimits: { stackSizeMb: 1 } })
      const body = yield* Effect.flip(herd.run({ do: "carry", what: nested(3_000) }, { id: "x" }))
      assert.match(String(body), /^InvalidMessage: expected the body of unit x to cross between threads, got /)
      const wide = yield* makeHerd()
      const first = yield* wide.run({ do: "look" })
      const result = yield* Effect.flip(wide.run({ do: "nest", depth: 8_000, exits: false }, { id: "y" }))
      assert.match(String(result), /^InvalidMessage: expected the result of unit y to cross between threads, got /)
      assert.deepStrictEqual(
        Reflect.get((yield* wide.run({ do: "look" })) as object, "threadId"),
        Reflect.get(first as object, "threadId")
      )
      assert.strictEqual(yield* herd.run({ do: "double", n: 2 }), 4)
    }))

  it.scopedLive("a log line that is too deep is lost, and its unit goes on, alone (G1)", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({ retry: Schedule.recurs(2) })
      const loud = yield* Herd.make({ gopher: gopher(), retry: Schedule.recurs(2) }).pipe(
        Effect.provide(Logger.remove(Logger.defaultLogger))
      )
      assert.strictEqual(yield* loud.run({ do: "log deep", depth: 8_000 }), 1)
      const error = yield* Effect.flip(Effect.sandbox(herd.run({ do: "fail with", what: "too deep" })))
      assert.match(Cause.pretty(error), /expected the error of unit 1 to cross between threads/)
    }))

  it.scopedLive("what transfer names of a result is moved", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd()
      assert.strictEqual(yield* herd.run({ do: "keep" }), 3)
      assert.deepStrictEqual(yield* herd.run({ do: "answer", with: "a buffer" }), {
        bytes: new Uint8Array([1, 2, 3]).buffer
      })
      assert.strictEqual(yield* herd.run({ do: "keep" }), 0)
      const again = yield* Effect.flip(herd.run({ do: "answer", with: "a buffer" }))
      assert.match(String(again), /^InvalidMessage: expected the result of unit \d+ .*moved before/s)
    }))

  it.scopedLive("parts with a Schema arrive as what they are, validated on the side that gets them", () =>
    Effect.gen(function*() {
      const threads = HerdThread.gopher<typeof threadSchemas>(worker("threadSchemas"), { schema })
      const herd = yield* quiet(Herd.make({ gopher: threads }))
      const at = new Date(1)
      const result = yield* herd.run(new Order({ id: 4, at }))
      assert.deepStrictEqual(result, Option.some({ label: "order 4", at, picky: 4 }))
      const refused = yield* Effect.flip(herd.run(new Order({ id: -4, at })))
      assert.instanceOf(refused, Refused)
      assert.deepStrictEqual([refused.id, refused.at], [-4, at])
      // It is no Order, and the thread never sees it.
      const body = yield* Effect.flip(herd.run({ id: 0.5, at } as Order, { id: "x" }))
      assert.match(String(body), /^InvalidMessage: expected the body of unit x to cross between threads, got .*Order/s)
      const empty = yield* Effect.flip(herd.run(new Order({ id: 0, at }), { id: "y" }))
      assert.match(
        String(empty),
        /^InvalidMessage: expected the result of unit y to cross between threads, got .*label/s
      )
    }))
})

describe("what a unit in a thread inherits of the herd's fiber", () => {
  const seen = (herd: Herd.Herd<thread.Task, unknown, unknown>) =>
    Effect.map(
      herd.run({ do: "see what is inherited" }),
      (seen) =>
        seen as {
          readonly level: string
          readonly annotations: object
          readonly logSpans: ReadonlyArray<string>
          readonly span: object | null
        }
    )

  it.scopedLive("is the log level, the annotations and the parent of spans", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ gopher: gopher(), tracing: true }).pipe(
        Effect.annotateLogs({ app: "crawler", odd: { of: [1] } }),
        Logger.withMinimumLogLevel(LogLevel.Debug),
        Effect.provide(Logger.remove(Logger.defaultLogger))
      )
      const outer = yield* Effect.makeSpanScoped("outer")
      const { annotations, level, span } = yield* Effect.withParentSpan(seen(herd), outer)
      assert.deepStrictEqual([level, annotations], ["Debug", {
        app: "crawler",
        odd: `{
  "of": [
    1
  ]
}`
      }])
      assert.strictEqual(Reflect.get(span ?? {}, "traceId"), outer.traceId)
      // That of the attempt is in between.
      assert.notStrictEqual(Reflect.get(span ?? {}, "spanId"), outer.spanId)
      const next = yield* seen(herd)
      assert.notStrictEqual(Reflect.get(next.span ?? {}, "traceId"), outer.traceId)
    }))

  it.scopedLive("is what the caller of run has set: log annotations, log spans, level and parent span", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ gopher: gopher() }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
      const span = Tracer.externalSpan({ spanId: "caller", traceId: "trace", sampled: true })
      const inherited = yield* seen(herd).pipe(
        Effect.annotateLogs("request", 7),
        Effect.withLogSpan("request"),
        Logger.withMinimumLogLevel(LogLevel.Debug),
        Effect.withParentSpan(span)
      )
      assert.deepStrictEqual(inherited, {
        level: "Debug",
        annotations: { request: 7 },
        logSpans: ["request"],
        span: { sampled: true, spanId: "caller", traceId: "trace" }
      })
      assert.deepStrictEqual(yield* seen(herd), { level: "Info", annotations: {}, logSpans: [], span: null })
    }))

  it.scopedLive("is nothing where there is nothing, and nothing of the unit before (G12)", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ gopher: gopher() }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
      assert.deepStrictEqual(yield* seen(herd), { level: "Info", annotations: {}, logSpans: [], span: null })
      for (let n = 0; n < 2; n++) {
        assert.deepStrictEqual(yield* herd.run({ do: "leave something behind" }), { before: 0, child: true })
      }
    }))

  it.scopedLive("is the level that the unit sets for itself, as anywhere", () =>
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      const herd = yield* logs.collect(Herd.make({ gopher: gopher() }))
      yield* herd.run({ do: "log finely" })
      yield* until(() => logs.lines.length > 0)
      assert.deepStrictEqual(logs.lines, ["TRACE [-] in detail"])
    }))

  it.scopedLive("is what is put around a unit, too, and that unit's alone", () =>
    Effect.gen(function*() {
      const annotations = new Map(["a", "b"].map((id) => [id, HashMap.make(["unit", id])]))
      const annotating = Effect.map(
        gopher(),
        (process) => (body: thread.Task, work: Work.Work<thread.Task>) =>
          Effect.locally(
            process(body, work),
            FiberRef.currentLogAnnotations,
            annotations.get(work.id) ?? HashMap.empty()
          )
      )
      const herd = yield* Herd.make({ gopher: annotating }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
      // What a unit that can't cross has brought has not arrived.
      assert.instanceOf(
        yield* Effect.flip(herd.run({ do: "double", n: (() => 1) as never }, { id: "a" })),
        HerdError.InvalidMessage
      )
      for (const id of ["a", "b", "b", "a"]) {
        const inherited = yield* herd.run({ do: "see what is inherited" }, { id })
        assert.deepStrictEqual(Reflect.get(inherited as object, "annotations"), { unit: id })
      }
    }))

  it.scopedLive("makes its logs the herd's: at the same place, with level, annotations, spans and cause (G16)", () =>
    Effect.gen(function*() {
      const entries: Array<Record<string, unknown>> = []
      const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message, spans }) => {
        entries.push({
          level: logLevel.label,
          message,
          annotations: Object.fromEntries(annotations),
          spans: Array.from(spans, ({ label }) => label),
          cause: Cause.isEmpty(cause) ? "" : Cause.pretty(cause).split("\n")[0]
        })
      })
      const herd = yield* Herd.make({ gopher: gopher() }).pipe(
        Effect.annotateLogs("app", "crawler"),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      yield* herd.run({ do: "log" })
      yield* until(() => entries.length === 2)
      const annotations = { app: "crawler", place: "thread", odd: "a function" }
      assert.deepStrictEqual(entries, [
        {
          level: "WARN",
          message: ["a line", { of: "parts" }],
          annotations,
          spans: ["span"],
          cause: "Error: its cause"
        },
        { level: "ERROR", message: ["what can't be cloned", "a function"], annotations, spans: ["span"], cause: "" }
      ])
    }))
})

describe("what is put around the process of a thread", () => {
  type Unit = HerdThread.In<Module>
  /** A herd whose units are programs of units. */
  const around = <A>(program: (run: (task: Unit) => Effect.Effect<unknown, unknown>) => Effect.Effect<A, unknown>) =>
    Effect.map(
      gopher(),
      (process) => (body: string, work: Work.Work<string>) =>
        Effect.map(program((task) => process(task, { ...work, body: task })), (result) => ({ body, result }))
    )

  it.scopedLive("may have several units at a time, each of which gets its own answer", () =>
    Effect.gen(function*() {
      const long = { do: "wait", millis: 60_000 } as const
      const together = around((run) =>
        Effect.all(
          [
            Effect.race(run(long), run({ do: "double", n: 2 })),
            run({ do: "wait", millis: 50 }),
            run({ do: "double", n: 3 })
          ],
          { concurrency: 3 }
        )
      )
      const herd = yield* quiet(Herd.make({ gopher: together }))
      assert.deepStrictEqual(yield* herd.run("a"), { body: "a", result: [4, "waited", 6] })
    }))

  it.scopedLive("hears of each of several units that the thread has crashed (G7)", () =>
    Effect.gen(function*() {
      const crashing = around((run) =>
        Effect.all([
          Effect.flip(run({ do: "wait", millis: 60_000 })),
          Effect.flip(run({ do: "exit", code: 3 }))
        ], { concurrency: 3 })
      )
      const herd = yield* quiet(Herd.make({ gopher: crashing }))
      const { result } = yield* herd.run("a")
      assert.deepStrictEqual(
        result.map((error) => error instanceof HerdError.ThreadCrashed),
        [true, true]
      )
    }))

  it.scopedLive("that sends a unit again to a thread which it has ended fails it, so that it is not put back for ever", () =>
    Effect.gen(function*() {
      const fatal = { do: "exit", code: 3 } as const
      const spin = { do: "spin", millis: Infinity } as const
      const again = around((run) => Effect.retry(run(fatal), { times: 1 }))
      const together = around((run) => Effect.all([run(fatal), run({ do: "look" })], { concurrency: 2 }))
      const impatient = Effect.map(
        gopher({ terminateAfter: 0 }),
        (process) => (body: string, work: Work.Work<string>) =>
          process(spin, { ...work, body: spin }).pipe(
            Effect.timeout("50 millis"),
            Effect.retry({ times: 1 }),
            Effect.map((result): { readonly body: string; readonly result: unknown } => ({ body, result }))
          )
      )
      for (const gopher of [again, together, impatient]) {
        const herd = yield* quiet(Herd.make({ gopher }))
        assert.instanceOf(yield* Effect.flip(herd.run("a")), HerdError.ThreadCrashed)
      }
    }))

  it.scopedLive("may give a unit up before that has ended, which does not end the next one", () =>
    Effect.gen(function*() {
      const impatient = around((run) =>
        Effect.gen(function*() {
          const unit = run({ do: "wait", millis: 60_000, lingers: 100 })
          const first = yield* Effect.timeoutOption(Effect.disconnect(unit), "20 millis")
          return [Option.isSome(first), yield* run({ do: "wait", millis: 200 })]
        })
      )
      const herd = yield* quiet(Herd.make({ gopher: impatient }))
      assert.deepStrictEqual((yield* herd.run("a")).result, [false, "waited"])
    }))

  it.scopedLive("may leave a unit behind, for whose end the Layer's release waits (G11)", () =>
    Effect.gen(function*() {
      const logs = makeLogs()
      const leaving = around((run) => Effect.disconnect(run({ do: "wait", millis: 60_000, lingers: 100 })))
      const herd = yield* logs.collect(Herd.make({ gopher: leaving }))
      const caller = yield* Effect.fork(herd.run("a"))
      yield* until(() => logs.lines.includes("INFO [-] begun"))
      yield* Fiber.interrupt(caller)
      yield* logs.collect(herd.resize(0))
      yield* herd.settled
      const last = logs.lines.filter((line) => line.includes("[-]")).slice(-2)
      assert.deepStrictEqual(last, ["INFO [-] ended: Failure", "DEBUG [-] the Layer is released"])
    }))
})

describe("a thread that crashes", () => {
  const crashes = [
    { task: { do: "exit", code: 3 }, reason: "exit", said: "got its exit with code 3", exitCode: 3 },
    {
      task: { do: "throw later" },
      reason: "error",
      said: "got an uncaught TypeError: nobody catches this",
      exitCode: 1
    },
    { task: { do: "reject" }, reason: "error", said: "got an uncaught TypeError: nobody takes this", exitCode: 1 },
    { task: { do: "allocate" }, reason: "memory", said: "reaching memory limit", exitCode: 1 }
  ] as const

  for (const { exitCode, reason, said, task } of crashes) {
    it.scopedLive(`by ${JSON.stringify(task)} fails its unit with ThreadCrashed, and another thread goes on (G7)`, () =>
      Effect.gen(function*() {
        const before = yield* allThreads
        const herd = yield* makeHerd({ size: 1 }, { resourceLimits: { maxOldGenerationSizeMb: 32 } })
        yield* herd.run({ do: "double", n: 1 })
        const replacements = countOf(HerdMetrics.replacements, herd)
        const replaced = yield* replacements
        const error = yield* Effect.flip(herd.run(task, { id: "x" }))
        assert.instanceOf(error, HerdError.ThreadCrashed)
        const { exitCode: code, file, reason: why, unit } = error
        assert.deepStrictEqual([code, file, unit, why], [exitCode, worker("thread").href, "x", reason])
        assert.include(error.message, `expected the thread of ${file} to answer unit x, got`)
        assert.include(error.message, said)
        assert.strictEqual(yield* herd.run({ do: "double", n: 4 }), 8)
        assert.strictEqual(yield* allThreads, before + 1)
        assert.strictEqual(yield* replacements, replaced + 1)
      }))
  }

  it.scopedLive("lets the Schedule retry its unit, on another thread (G8)", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({
        size: 1,
        retry: Schedule.whileInput(Schedule.recurs(1), (error) => error instanceof HerdError.ThreadCrashed)
      })
      assert.instanceOf(yield* Effect.flip(herd.run({ do: "exit", code: 1 })), HerdError.ThreadCrashed)
      assert.instanceOf(yield* Effect.flip(herd.run({ do: "fail", tries: 1 })), Error)
      const { failed, retried } = yield* herd.state
      assert.deepStrictEqual([failed, retried], [2, 1])
    }))

  it.scopedLive("three times at the same unit makes that a failure, whatever the Schedule says; maxCrashes says how many", () =>
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      const herd = yield* logs.collect(Herd.make({ gopher: gopher(), retry: Schedule.forever }))
      assert.instanceOf(yield* Effect.flip(herd.run({ do: "exit", code: 1 })), HerdError.ThreadCrashed)
      assert.strictEqual((yield* herd.state).retried, 2)
      const replaced = `INFO [${herd.name}] a gopher is replaced, since its resource broke at unit 1`
      assert.deepStrictEqual(logs.lines, [replaced, replaced, replaced])
      const strict = yield* makeHerd({ size: 1, retry: Schedule.forever }, { maxCrashes: 1 })
      assert.instanceOf(yield* Effect.flip(strict.run({ do: "exit", code: 1 })), HerdError.ThreadCrashed)
      assert.strictEqual((yield* strict.state).retried, 0)
    }))

  it.scopedLive(
    "of a body that is too much for its memory fails the unit, too, as often as maxCrashes says",
    () =>
      Effect.gen(function*() {
        const threads = { resourceLimits: { maxOldGenerationSizeMb: 24 }, maxCrashes: 2 }
        const herd = yield* makeHerd({ retry: Schedule.forever }, threads)
        const what = Array.from({ length: 1_000_000 }, () => [1])
        const error = yield* Effect.flip(herd.run({ do: "carry", what }))
        assert.instanceOf(error, HerdError.ThreadCrashed)
        assert.strictEqual(error.reason, "memory")
        assert.strictEqual((yield* herd.state).retried, 1)
      }),
    20_000
  )

  it.live("after it has said what can't be read ends its unit, and its scope can close (G10)", () =>
    Effect.gen(function*() {
      const { close, herd } = yield* scoped(makeHerd())
      yield* herd.run({ do: "look" })
      const caller = yield* Effect.fork(Effect.exit(herd.run({ do: "nest", depth: 8_000, exits: true })))
      yield* turns
      // Both of its messages are here before anybody hears one.
      spin(300)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(caller)))
      yield* close
    }))

  it.scopedLive("while it is idle is warned of and replaced, and costs no unit an attempt", () =>
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      const herd = yield* logs.collect(Herd.make({ gopher: gopher(), name: "fragile" }))
      yield* herd.run({ do: "throw when idle" })
      yield* until(() => logs.lines.length === 2)
      assert.deepStrictEqual(logs.lines, [
        `WARN [-] expected the idle thread of ${
          worker("thread").href
        } to wait for a unit, got an uncaught TypeError: thrown when idle`,
        "INFO [fragile] a gopher is replaced, since its resource broke"
      ])
      assert.strictEqual(yield* herd.run({ do: "double", n: 4 }), 8)
    }))

  it.scopedLive("before it has begun its unit puts that back, its attempt not spent (G2)", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd()
      const first = yield* herd.run({ do: "look" })
      yield* herd.run({ do: "exit soon", millis: 100 })
      const second = yield* herd.run({ do: "look" })
      const [was, is] = [first, second] as ReadonlyArray<{ readonly attempt: number; readonly threadId: number }>
      assert.strictEqual(is?.attempt, 1)
      assert.notStrictEqual(is?.threadId, was?.threadId)
      assert.strictEqual((yield* herd.state).failed, 0)
    }))

  it.scopedLive("right after its answer has given that", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd()
      for (let n = 0; n < 5; n++) yield* herd.run({ do: "exit soon", millis: 0 })
      assert.strictEqual((yield* herd.state).succeeded, 5)
    }))

  it.scopedLive("puts back one that it has not begun also if it has the id of the one before (G2)", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd()
      yield* herd.run({ do: "exit soon", millis: 100 }, { id: "x" })
      assert.strictEqual(yield* herd.run({ do: "double", n: 2 }, { id: "x" }), 4)
      const impatient = Effect.map(
        gopher({ terminateAfter: 0 }),
        (process) => (body: thread.Task, work: Work.Work<thread.Task>) => Effect.timeout(process(body, work), 50)
      )
      const other = yield* quiet(Herd.make({ gopher: impatient }))
      const slow = yield* Effect.flip(other.run({ do: "spin", millis: Infinity }, { id: "x" }))
      assert.isTrue(Cause.isTimeoutException(slow))
      assert.strictEqual(yield* other.run({ do: "double", n: 2 }, { id: "x" }), 4)
    }))

  it.scopedLive("before it is given a unit puts that back, too (G2)", () =>
    Effect.gen(function*() {
      let replaced = 0
      // A herd would have replaced the gopher by then, unless it has just begun the unit.
      const units = yield* gopher().pipe(
        Effect.provideService(Gopher.Gopher, {
          replace: () => Effect.sync(() => void replaced++),
          putBack: Effect.dieMessage("put back")
        }),
        quiet
      )
      const unit = (body: thread.Task) => units(body, { id: body.do, body, attempt: 1, priority: 0 })
      yield* unit({ do: "throw when idle" })
      yield* until(() => replaced === 1)
      const put = yield* Effect.flip(Effect.sandbox(unit({ do: "look" })))
      assert.include(Cause.pretty(put), "put back")
    }))

  it.scopedLive("about when it gets its unit loses none (G2)", () =>
    Effect.gen(function*() {
      const herd = yield* makeHerd({ size: 2 })
      const attempts: Array<unknown> = []
      for (let n = 0; n < 10; n++) {
        yield* herd.run({ do: "throw when idle" })
        // Some come while it lives, some when it has died and nobody knows, some later.
        yield* Effect.sleep(18 + n / 2)
        const looks = Array.from({ length: 2 }, () => Effect.either(herd.run({ do: "look" })))
        attempts.push(...(yield* Effect.all(looks, { concurrency: 2 })))
      }
      for (const attempt of attempts) {
        // The thread that throws may have begun one, which is blamed for that: it can't be known
        // better.
        if (Either.isLeft(attempt as Either.Either<unknown, unknown>)) continue
        assert.strictEqual(Reflect.get((attempt as Either.Right<never, object>).right, "attempt"), 1)
      }
      const { accepted, failed, succeeded } = yield* herd.state
      assert.strictEqual(succeeded + failed, accepted)
    }))
})

describe("interrupting a unit in a thread", () => {
  it.scopedLive("interrupts the Effect, whose finalizers run, and waits for them (G11)", () =>
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      const herd = yield* logs.collect(Herd.make({ gopher: gopher() }))
      const caller = yield* Effect.fork(herd.run({ do: "wait", millis: 60_000 }))
      yield* until(() => logs.lines.length === 1)
      yield* Fiber.interrupt(caller)
      assert.deepStrictEqual(logs.lines, ["INFO [-] begun", "INFO [-] ended: Failure"])
      assert.strictEqual((yield* herd.state).interrupted, 1)
      assert.strictEqual(yield* herd.run({ do: "double", n: 1 }), 2)
    }))

  it.scopedLive("tells what the Effect died of meanwhile, as for a unit of any other herd (G7, G11)", () =>
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      const herd = yield* logs.collect(Herd.make({ gopher: gopher() }))
      const caller = yield* Effect.fork(herd.run({ do: "die when interrupted" }))
      yield* until(() => logs.lines.length === 1)
      yield* Fiber.interrupt(caller)
      const { failed, interrupted } = yield* herd.state
      assert.deepStrictEqual([failed, interrupted], [1, 0])
    }))

  it.scopedLive("ends the thread of one that spins, after terminateAfter, and not before (G11)", () =>
    Effect.gen(function*() {
      const before = yield* allThreads
      for (const [terminateAfter, spin] of [[undefined, 1_000], ["200 millis", 200], [0, 0]] as const) {
        const logs = makeLogs(LogLevel.Info)
        const herd = yield* logs.collect(
          Herd.make({ gopher: gopher(terminateAfter === undefined ? {} : { terminateAfter }) })
        )
        const caller = yield* Effect.fork(herd.run({ do: "spin", millis: Infinity }))
        yield* until(() => logs.lines.length === 1)
        const began = performance.now()
        yield* Fiber.interrupt(caller)
        const took = performance.now() - began
        assert.isAtLeast(took, spin - 1)
        assert.isBelow(took, spin + 900)
        assert.strictEqual(yield* herd.run({ do: "double", n: 1 }), 2)
        yield* herd.resize(0)
        yield* herd.settled
        assert.strictEqual(yield* allThreads, before)
      }
    }))

  it.scopedLive("leaves the thread to one that answers in time, though it spins", () =>
    Effect.gen(function*() {
      const logs = makeLogs()
      const herd = yield* logs.collect(Herd.make({ gopher: gopher({ terminateAfter: "10 seconds" }) }))
      const caller = yield* Effect.fork(herd.run({ do: "spin", millis: 300 }))
      yield* until(() => logs.lines.includes("INFO [-] spins"))
      yield* Fiber.interrupt(caller)
      yield* logs.collect(herd.resize(0))
      yield* herd.settled
      // It was asked to stop, and not terminated.
      assert.include(logs.lines, "DEBUG [-] the Layer is released")
      assert.strictEqual((yield* herd.state).interrupted, 1)
    }))

  it.scopedLive("hears an answer that came in time, though the main thread was busy (G11)", () =>
    Effect.gen(function*() {
      const logs = makeLogs()
      const before = yield* allThreads
      const herd = yield* logs.collect(Herd.make({ gopher: gopher({ terminateAfter: "200 millis" }) }))
      const caller = yield* Effect.fork(herd.run({ do: "wait", millis: 60_000 }))
      yield* until(() => logs.lines.includes("INFO [-] begun"))
      yield* Fiber.interruptFork(caller)
      yield* turn
      spin(400)
      yield* Fiber.await(caller)
      yield* logs.collect(herd.resize(0))
      yield* herd.settled
      assert.strictEqual(yield* allThreads, before)
      assert.include(logs.lines, "DEBUG [-] the Layer is released")
    }))

  it.live("ends it when the scope closes, also one that spins (G10)", () =>
    Effect.gen(function*() {
      const before = yield* allThreads
      const logs = makeLogs(LogLevel.Info)
      const { close, herd } = yield* scoped(
        logs.collect(Herd.make({ gopher: gopher({ terminateAfter: "50 millis" }), size: 2 }))
      )
      yield* Effect.forkDaemon(Effect.exit(herd.run({ do: "spin", millis: Infinity })))
      yield* until(() => logs.lines.length === 1)
      yield* close
      assert.strictEqual(yield* allThreads, before)
      assert.strictEqual((yield* herd.state).interrupted, 1)
    }))
})

describe("a thread that can't start", () => {
  const failing = (name: string, source: string) =>
    Effect.gen(function*() {
      const file = join(yield* folder, name)
      writeFileSync(file, source)
      return pathToFileURL(file)
    })

  const cases: ReadonlyArray<readonly [what: string, source: string | undefined, said: RegExp]> = [
    ["that is not there", undefined, /Cannot find module/],
    ["with a syntax error", "let = ;", /let is disallowed|Unexpected/],
    ["that throws", "throw new RangeError('boom')", /boom/],
    ["that exits", "process.exit(4)", /its exit with code 4 before it was ready/],
    ["that serves nothing", "export default 7", /its exit with code 0 before it was ready/],
    [
      "that serves nothing and stays",
      "setInterval(() => {}, 1000)",
      /no call of HerdThread.serve that was ready within 300ms/
    ]
  ]

  for (const [what, source, said] of cases) {
    it.scopedLive(`since its module is one ${what} is told of once, with the file and the cause, and its units wait`, () =>
      Effect.gen(function*() {
        const url = source === undefined ? new URL("file:///nowhere/worker.mjs") : yield* failing("worker.mjs", source)
        const logs = makeLogs(LogLevel.Info)
        const before = yield* allThreads
        const { close, herd } = yield* scoped(logs.collect(Herd.make({
          // Of the others none is in time for that, on a machine that is busy enough.
          gopher: HerdThread.gopher<Module>(url, what.endsWith("stays") ? { startTimeout: "300 millis" } : {}),
          size: 2,
          name: "unlucky"
        })))
        yield* herd.send({ do: "double", n: 1 })
        const failures = countOf(HerdMetrics.acquireFailures, herd)
        const failed = yield* failures
        yield* until(Effect.map(failures, (count) => count >= failed + 3))
        assert.strictEqual(logs.lines.length, 1, logs.lines.join("; "))
        assert.match(
          logs.lines[0] ?? "",
          new RegExp(`WARN \\[unlucky[-\\d]*\\] a gopher failed .* expected ${url.href} to start a thread, got .*`)
        )
        assert.match(logs.lines[0] ?? "", said)
        assert.strictEqual((yield* herd.state).queued, 1)
        yield* close
        assert.strictEqual(yield* allThreads, before)
      }))
  }

  const reasons: ReadonlyArray<readonly [reason: string, why: string, said: string]> = [
    ["layer", "its Layer fails", "no Layer"],
    ["layer, with a function", "its Layer fails with what can't be cloned", "no Layer"],
    [
      "second call",
      "it calls serve twice",
      "expected a worker module to call HerdThread.serve once, got a second call"
    ],
    ["later", "its module throws after it has called serve", "thrown after the call"]
  ]

  for (const [reason, why, said] of reasons) {
    it.scopedLive(`since ${why} says so`, () =>
      Effect.gen(function*() {
        const logs = makeLogs(LogLevel.Info)
        yield* logs.collect(Herd.make({
          gopher: HerdThread.gopher<typeof threadFailing>(worker("threadFailing"), { env: { REASON: reason } })
        }))
        yield* until(() => logs.lines.length === 1)
        assert.include(logs.lines[0] ?? "", `to start a thread, got ${said}`)
      }))
  }

  it.scopedLive("since the Schemas of the two sides differ says so", () =>
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      yield* logs.collect(Herd.make({
        gopher: HerdThread.gopher<typeof threadSchemas>(worker("threadSchemas"), { schema: { body: Order } })
      }))
      yield* until(() => logs.lines.length === 1)
      assert.match(
        logs.lines[0] ?? "",
        /expected the same Schemas in gopher and in serve, got body and body, result, error/
      )
    }))

  it.scopedLive("is given up at once when its gopher retires meanwhile", () =>
    Effect.gen(function*() {
      const url = yield* failing("worker.mjs", "while (true);")
      const before = yield* allThreads
      const herd = yield* makeHerd({ gopher: HerdThread.gopher<Module>(url), size: 2 } as never)
      yield* until(() => liveThreads.size === before + 2)
      const began = performance.now()
      yield* herd.resize(0)
      yield* herd.settled
      assert.isBelow(performance.now() - began, 900)
      assert.strictEqual(yield* allThreads, before)
    }))
})
