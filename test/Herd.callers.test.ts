/**
 * What a unit of `run` inherits of its caller: as through `Effect.withPermits`, its logs and spans
 * are its caller's.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FiberRef, HashMap, List, Logger, LogLevel, Option, Schedule, Tracer } from "effect"
import { Herd } from "gofherd"

/** What the fiber has that runs now. */
const seen = Effect.gen(function*() {
  const span = yield* Effect.option(Effect.currentParentSpan)
  return {
    annotations: Object.fromEntries(yield* FiberRef.get(FiberRef.currentLogAnnotations)),
    logSpans: Array.from(List.map(yield* FiberRef.get(FiberRef.currentLogSpan), ({ label }) => label)),
    level: (yield* FiberRef.get(FiberRef.currentMinimumLogLevel)).label,
    span: Option.getOrUndefined(Option.map(span, ({ spanId }) => spanId))
  }
})

type Seen = Effect.Effect.Success<typeof seen>

const nothing: Seen = { annotations: {}, logSpans: [], level: "INFO", span: undefined }
const all: Seen = { annotations: { request: 7 }, logSpans: ["inner", "outer"], level: "DEBUG", span: "caller" }

const span = Tracer.externalSpan({ spanId: "caller", traceId: "trace" })

const asCaller = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.annotateLogs("request", 7),
    Effect.withLogSpan("inner"),
    Effect.withLogSpan("outer"),
    Logger.withMinimumLogLevel(LogLevel.Debug),
    Effect.withParentSpan(span)
  )

describe("a unit of run", () => {
  it.scoped("has log annotations, log spans, level and parent span as through withPermits", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => seen })
      const semaphore = yield* Effect.makeSemaphore(1)
      const permitted = yield* asCaller(semaphore.withPermits(1)(seen))
      assert.deepStrictEqual(permitted, all)
      assert.deepStrictEqual(yield* asCaller(herd.run(1)), permitted)
    }))

  it.scoped("G12: leaves its gopher without them, and other units with their own", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => Effect.zipRight(Effect.yieldNow(), seen) })
      const runs = [
        asCaller(herd.run(1)),
        herd.run(2),
        Effect.annotateLogs(herd.run(3), "request", 8),
        Effect.withLogSpan(herd.run(4), "alone"),
        herd.run(5)
      ]
      assert.deepStrictEqual(yield* Effect.all(runs, { concurrency: "unbounded" }), [
        all,
        nothing,
        { ...nothing, annotations: { request: 8 } },
        { ...nothing, logSpans: ["alone"] },
        nothing
      ])
    }))

  it.scoped("has each of them alone, too", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => seen })
      const { run } = herd
      assert.deepStrictEqual(yield* Logger.withMinimumLogLevel(run(1), LogLevel.None), { ...nothing, level: "OFF" })
      assert.deepStrictEqual(yield* Effect.withParentSpan(run(2), span), { ...nothing, span: "caller" })
    }))

  it.scoped("has them at every attempt, also when a shrink has put it back, and so have its Schedule and callbacks", () =>
    Effect.gen(function*() {
      const sights: Array<readonly [string, Seen]> = []
      const see = (what: string) => Effect.asVoid(Effect.map(seen, (seen) => sights.push([what, seen])))
      const latch = yield* Effect.makeLatch()
      const herd = yield* Herd.make({
        process: (_: number, { attempt }) =>
          Effect.zipRight(
            see(`attempt ${attempt}`),
            attempt === 1 ? Effect.fail("again") : Effect.zipRight(latch.open, Effect.never)
          ),
        retry: Schedule.tapInput(Schedule.recurs(1), () => see("schedule")),
        onRetry: () => see("onRetry"),
        onFailure: () => see("onFailure")
      })
      const caller = yield* Effect.fork(asCaller(herd.run(1)))
      yield* latch.await
      yield* latch.close
      yield* herd.resize(0, { mode: "interrupt" })
      yield* herd.settled
      yield* herd.resize(1)
      yield* latch.await
      yield* caller.interruptAsFork(caller.id())
      yield* herd.awaitIdle
      assert.deepStrictEqual(sights, [
        ["attempt 1", all],
        ["schedule", all],
        ["onRetry", all],
        ["attempt 2", all],
        ["attempt 2", all]
      ])
      yield* herd.send(2)
      yield* latch.close
      yield* latch.await
      assert.deepStrictEqual(sights.slice(-1), [["attempt 2", nothing]])
    }))

  it.scoped("adds its caller's annotations to the herd's, and keeps the herd's level where the caller has none", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => seen }).pipe(
        Effect.annotateLogs({ app: "shop", request: "none" }),
        Effect.withLogSpan("main"),
        Logger.withMinimumLogLevel(LogLevel.Warning)
      )
      const own = {
        ...nothing,
        annotations: { app: "shop", request: "none" },
        logSpans: ["main"],
        level: "WARN" as const
      }
      assert.deepStrictEqual(yield* herd.run(1), own)
      assert.deepStrictEqual(yield* Effect.annotateLogs(herd.run(2), "request", 7), {
        ...own,
        annotations: { app: "shop", request: 7 }
      })
      assert.deepStrictEqual(yield* asCaller(herd.run(3)), { ...all, annotations: { app: "shop", request: 7 } })
    }))

  it.scoped("has them in the process of a gopher that owns a resource", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        gopher: Effect.as(Effect.acquireRelease(Effect.void, () => Effect.void), () => seen)
      })
      assert.deepStrictEqual(yield* asCaller(herd.run(1)), all)
      assert.deepStrictEqual(yield* herd.run(2), nothing)
    }))

  it.scoped("has the span of its attempt for a parent where attempts are traced, and that is its caller's child", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: () => Effect.orDie(Effect.currentSpan), tracing: true })
      const attempt = yield* asCaller(herd.run(1))
      assert.strictEqual(attempt.name, "gofherd.attempt")
      assert.strictEqual(Option.getOrThrow(attempt.parent).spanId, "caller")
    }))

  it.scoped("hears nothing of its caller's other FiberRefs and services; nor does a unit of send of any", () =>
    Effect.gen(function*() {
      class Name extends Context.Tag("test/callers/Name")<Name, string>() {}
      const local = FiberRef.unsafeMake("initial")
      const sights: Array<Seen> = []
      const herd = yield* Herd.make({
        process: () =>
          Effect.gen(function*() {
            sights.push(yield* seen)
            return [yield* FiberRef.get(local), yield* Effect.serviceOption(Name)] as const
          })
      })
      const result = yield* asCaller(herd.run(1)).pipe(
        Effect.locally(local, "mine"),
        Effect.provideService(Name, "caller")
      )
      assert.deepStrictEqual(result, ["initial", Option.none()])
      yield* asCaller(herd.send(2))
      yield* herd.awaitIdle
      assert.deepStrictEqual(sights, [all, nothing])
    }))

  it.scoped("logs with its caller's annotations, and the herd's own lines keep the herd's level", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ annotations, message }) => {
        lines.push(`${String(message)} ${String(Option.getOrElse(HashMap.get(annotations, "request"), () => "-"))}`)
      })
      yield* Effect.gen(function*() {
        const herd = yield* Herd.make({
          process: () => Effect.logInfo("unit"),
          onSuccess: () => Effect.zipRight(Effect.logInfo("callback"), Effect.die("defect"))
        })
        yield* Effect.annotateLogs(herd.run(1), "request", 7)
        yield* Logger.withMinimumLogLevel(herd.run(2), LogLevel.None)
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      assert.deepStrictEqual(lines, [
        "unit 7",
        "callback 7",
        "onSuccess failed, which changes nothing for the unit -",
        "onSuccess failed, which changes nothing for the unit -"
      ])
    }))
})
