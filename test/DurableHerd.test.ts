/**
 * What a durable herd does whatever its source: options, offers, a source in trouble. What it
 * promises on every source is in utils/durableContract.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  type Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  LogLevel,
  Metric,
  Option,
  Schedule,
  Schema,
  TestClock
} from "effect"
import { HerdError, HerdMetrics } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceMetrics from "gofherd/HerdSourceMetrics"
import { ask } from "./utils/http.ts"
import { makeLogs } from "./utils/logs.ts"
import { makeStage, scoped, turns } from "./utils/stage.ts"
import { altered } from "./utils/stores.ts"

type Source = Context.Tag.Service<HerdSource.HerdSource>

const memory = Effect.map(Layer.build(HerdSource.layerMemory()), Context.get(HerdSource.HerdSource))

const on = (source: Source) => Effect.provideService(HerdSource.HerdSource, source)

const numbers = { name: "numbers", schema: Schema.Number } as const

const refusal = new HerdError.SourceError({ source: "test", operation: "answer", cause: new Error("no") })

/** What a defect says. */
const died = <A, E>(exit: Exit.Exit<A, E>) =>
  Exit.isFailure(exit)
    ? Option.match(Cause.dieOption(exit.cause), {
      onNone: () => "no defect",
      onSome: (defect) => (defect as Error).message
    })
    : "a success"

const count = (metric: Metric.Metric.Counter<number>, herd: string) =>
  Effect.map(Metric.value(Metric.tagged(metric, "herd", herd)), ({ count }) => count)

describe("the options of a durable herd", () => {
  const wrong: Readonly<Record<string, readonly [object, string]>> = {
    "no schema": [{ schema: undefined }, "expected schema to be a Schema, got undefined"],
    "a schema that is none": [{ schema: {} }, "expected schema to be a Schema, got {}"],
    "a lease of 0": [{ lease: 0 }, "expected lease to be a finite duration of more than 0, got 0"],
    "an endless lease": [{ lease: Infinity }, "expected lease to be a finite duration of more than 0, got Infinity"],
    "a lease that is no duration": [
      { lease: "soon" },
      "expected lease to be a finite duration of more than 0, got \"soon\""
    ],
    "no crash": [{ maxCrashes: 0 }, "expected maxCrashes to be an integer from 1, got 0"],
    "half a crash": [{ maxCrashes: 1.5 }, "expected maxCrashes to be an integer from 1, got 1.5"],
    "a size that is none": [{ size: -1 }, "expected size to be an integer from 0 to 10000, got -1"],
    "no process": [
      { process: undefined },
      "expected process to be a function (or else gopher an Effect of one), got undefined"
    ]
  }
  for (const [name, [options, message]] of Object.entries(wrong)) {
    it.scoped(`refuse ${name}`, () =>
      Effect.gen(function*() {
        const given = { ...numbers, process: () => Effect.void, ...options }
        const exit = yield* Effect.exit(Effect.provide(DurableHerd.make(given), HerdSource.layerMemory()))
        assert.strictEqual(died(exit), message)
      }))
  }

  for (const concurrency of [0, 1.5, Number.NaN]) {
    it.scoped(`refuse a source that can be asked ${concurrency} things at a time`, () =>
      Effect.gen(function*() {
        const source = altered(yield* memory, () => ({ concurrency }))
        const exit = yield* Effect.exit(DurableHerd.make({ ...numbers, process: Effect.succeed }).pipe(on(source)))
        assert.strictEqual(
          died(exit),
          `expected concurrency to be an integer from 1, got ${concurrency}`
        )
      }))
  }

  it.scoped("may come from an Effect, whose failure is the layer's; so is a source that can't be opened", () =>
    Effect.gen(function*() {
      class Numbers extends Context.Tag("numbers")<Numbers, DurableHerd.DurableHerd<number>>() {}
      const options = { schema: Schema.Number, process: () => Effect.void }
      const failing: Source = { open: () => Effect.fail(refusal) }
      const build = <E>(layer: Layer.Layer<Numbers, E, HerdSource.HerdSource>, source: Source) =>
        Effect.exit(
          Effect.provide(
            Effect.map(Numbers, ({ name }) => name),
            Layer.provide(layer, Layer.succeed(HerdSource.HerdSource, source))
          )
        )
      assert.deepStrictEqual(yield* build(DurableHerd.layer(Numbers, options), yield* memory), Exit.succeed("numbers"))
      assert.deepStrictEqual(
        yield* build(DurableHerd.layer(Numbers, Effect.succeed({ ...options, name: "other" })), yield* memory),
        Exit.succeed("other")
      )
      assert.deepStrictEqual(
        yield* build(
          DurableHerd.layer(Numbers, Effect.zipRight(Effect.fail("no config"), Effect.succeed(options))),
          yield* memory
        ),
        Exit.fail("no config")
      )
      assert.deepStrictEqual(yield* build(DurableHerd.layer(Numbers, options), failing), Exit.fail(refusal))
    }))
})

describe("offering to a durable herd", () => {
  const idle = (more: object = {}) =>
    DurableHerd.make({ ...numbers, size: 0, process: () => Effect.void, ...more }).pipe(
      Effect.provide(HerdSource.layerMemory())
    )

  it.scoped("refuses a body that the schema does not encode, before it gives any to the source", () =>
    Effect.gen(function*() {
      const herd = yield* DurableHerd.make({
        name: "positive",
        schema: Schema.Positive,
        size: 0,
        process: () => Effect.void
      }).pipe(Effect.provide(HerdSource.layerMemory()))
      const error = yield* Effect.flip(herd.offerAll([1, 2, -3]))
      assert.strictEqual(error._tag, "InvalidUnit")
      assert.match(
        error.message,
        /^expected the body of a unit of herd "positive" to be one that its schema encodes to JSON, got .*Expected a positive number, actual -3/s
      )
      assert.strictEqual((yield* Effect.flip(herd.offer(-1)))._tag, "InvalidUnit")
      assert.strictEqual((yield* herd.depth).ready, 0)
    }))

  it.scoped("refuses what JSON has no text for", () =>
    Effect.gen(function*() {
      const herd = yield* DurableHerd.make({
        name: "anything",
        schema: Schema.Unknown,
        size: 0,
        process: () => Effect.void
      }).pipe(Effect.provide(HerdSource.layerMemory()))
      const circular: Record<string, unknown> = {}
      circular["self"] = circular
      for (const body of [undefined, () => {}, 1n, circular]) {
        assert.strictEqual((yield* Effect.flip(herd.offer(body)))._tag, "InvalidUnit", String(body))
      }
      yield* herd.offer(null)
      assert.strictEqual((yield* herd.depth).ready, 1)
    }))

  it.scoped("refuses an id that is none", () =>
    Effect.gen(function*() {
      const herd = yield* idle()
      for (const id of ["", "x".repeat(256), "half \ud800", "\u0000", 17 as unknown as string]) {
        const error = yield* Effect.flip(herd.offer(1, { id }))
        assert.match(
          error.message,
          /^expected the id of a unit of herd "numbers" to be a well-formed string of 1 to 255 characters, got /
        )
      }
      assert.strictEqual(
        (yield* Effect.flip(herd.offerAll([1, 2], { id: (n) => n === 2 ? "" : "fine" })))._tag,
        "InvalidUnit"
      )
      assert.strictEqual((yield* herd.depth).ready, 0)
    }))

  it.scoped("refuses a name that is no key of a database, before it opens its source", () =>
    Effect.gen(function*() {
      for (const name of ["x".repeat(256), "a\0b", "\0"]) {
        assert.include(
          died(yield* Effect.exit(idle({ name }))),
          "expected name to be a string of at most 255 characters, without NUL, got "
        )
      }
      for (const name of ["", "half \ud800"]) {
        assert.include(died(yield* Effect.exit(idle({ name }))), "expected name to be ")
      }
      yield* idle({ name: "x".repeat(255) })
    }))

  it.scoped("dies of options that make no sense, and does nothing", () =>
    Effect.gen(function*() {
      const herd = yield* idle()
      const dies = (effect: Effect.Effect<unknown, unknown>) => Effect.map(Effect.exit(effect), died)
      assert.strictEqual(
        yield* dies(herd.offer(1, { priority: Number.NaN })),
        "expected priority to be a finite number, got NaN"
      )
      assert.strictEqual(
        yield* dies(herd.offer(1, { delay: Infinity })),
        "expected delay to be a finite duration, got Infinity"
      )
      assert.strictEqual(yield* dies(herd.offer(1, null as never)), "expected options to be an object, got null")
      assert.strictEqual(
        yield* dies(herd.offerAll([1], { id: "x" as never })),
        "expected id to be a function, got \"x\""
      )
      assert.strictEqual(yield* dies(herd.offerAll(17 as never)), "expected bodies to be an iterable, got 17")
      assert.strictEqual((yield* herd.depth).ready, 0)
    }))

  it.scoped("returns ids, each another, or those that were given; an id that is known is accepted without doing anything", () =>
    Effect.gen(function*() {
      const herd = yield* idle()
      const ids = [yield* herd.offer(1), ...(yield* herd.offerAll([1, 2, 3])), yield* herd.offer(1)]
      assert.strictEqual(new Set(ids).size, 5)
      assert.strictEqual(yield* herd.offer(1, { id: "a" }), "a")
      assert.deepStrictEqual(yield* herd.offerAll([1, 2], { id: (n) => n === 1 ? "a" : "b" }), ["a", "b"])
      assert.strictEqual((yield* herd.depth).ready, 7)
    }))

  it.scoped("gives 2,500 units to the source in the order that they have, a thousand at a time", () =>
    Effect.gen(function*() {
      const batches: Array<number> = []
      const started: Array<number> = []
      const source = altered(yield* memory, (queue) => ({
        offer: (units) => Effect.zipRight(Effect.sync(() => batches.push(units.length)), queue.offer(units))
      }))
      const herd = yield* DurableHerd.make({
        ...numbers,
        size: 1,
        process: (n) => Effect.sync(() => started.push(n))
      }).pipe(on(source))
      const bodies = Array.from({ length: 2_500 }, (_, n) => n)
      yield* herd.offerAll(bodies.values())
      assert.deepStrictEqual(batches, [1_000, 1_000, 500])
      yield* Effect.repeat(turns, { until: () => started.length === 2_500 })
      assert.deepStrictEqual(started, bodies)
    }))

  it.scoped("for later: the unit starts when its delay is over, by the Clock", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, process: stage.process }).pipe(
        Effect.provide(HerdSource.layerMemory())
      )
      yield* herd.offer(1, { delay: "1 minute" })
      yield* herd.offerAll([2, 3], { delay: "30 seconds", priority: 1 })
      yield* turns
      assert.deepStrictEqual(stage.started, [])
      yield* TestClock.adjust("30 seconds")
      yield* turns
      assert.deepStrictEqual(stage.started, [2])
      yield* stage.finish
      yield* TestClock.adjust("29 seconds")
      yield* turns
      assert.deepStrictEqual(stage.started, [2, 3])
      yield* TestClock.adjust("1 second")
      yield* turns
      assert.deepStrictEqual(stage.started, [2, 3, 1])
      yield* stage.finish
    }))

  it.scoped("has no senders, whatever waits: no unit of the source's, and no call for a source that is slow", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const source = altered(yield* memory, (queue) => ({
        offer: (units) => Effect.zipRight(units.length === 1 ? Deferred.await(gate) : Effect.void, queue.offer(units))
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, process: stage.process }).pipe(on(source))
      yield* herd.offerAll(Array.from({ length: 2_000 }, (_, n) => n))
      yield* herd.offerAll([1, 2], { delay: "1 hour" })
      const waiting = yield* Effect.forkAll(Array.from({ length: 10 }, () => herd.offer(1)))
      yield* turns
      assert.deepInclude(yield* herd.depth, { ready: 1_999, delayed: 2, held: 1 })
      const senders = Effect.map(
        Metric.value(Metric.tagged(HerdMetrics.senders, "herd", herd.name)),
        ({ value }) => value
      )
      assert.deepInclude(yield* herd.state, { senders: 0, queued: 0, retrying: 0, running: 1 })
      assert.strictEqual(yield* senders, 0)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(waiting)
      yield* herd.pause
      assert.strictEqual((yield* herd.state).senders, 0)
      assert.strictEqual(yield* senders, 0)
      yield* herd.resume
      yield* herd.resize(0, { mode: "interrupt" })
    }))

  it.scoped("fails as the source does, and goes on", () =>
    Effect.gen(function*() {
      let away = true
      const source = altered(yield* memory, (queue) => ({
        offer: (units) => Effect.suspend(() => away ? Effect.fail(refusal) : queue.offer(units))
      }))
      const herd = yield* DurableHerd.make({ ...numbers, size: 0, process: () => Effect.void }).pipe(on(source))
      assert.strictEqual(yield* Effect.flip(herd.offer(1)), refusal)
      away = false
      yield* herd.offer(1)
      assert.strictEqual((yield* herd.depth).ready, 1)
    }))

  it.scoped("goes to the source also once the herd is closed, for whoever comes", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, process: stage.process, size: 2 }).pipe(
        Effect.provide(HerdSource.layerMemory())
      )
      yield* herd.drain
      yield* herd.awaitDrained
      yield* herd.offer(1)
      yield* turns
      assert.deepStrictEqual(stage.started, [])
      assert.strictEqual((yield* herd.depth).ready, 1)
    }))
})

describe("a durable herd whose source is in trouble", () => {
  const silent = makeLogs(LogLevel.Warning)

  for (const concurrency of [1, 2]) {
    it.scoped(`tries again after 100 ms, 200 ms and so on up to 5 s, warns once, counts, and goes on when it answers; concurrency ${concurrency}`, () =>
      Effect.gen(function*() {
        const { collect, lines } = makeLogs(LogLevel.Warning)
        const asked: Array<number> = []
        let away = true
        const source = altered(yield* memory, (queue) => ({
          concurrency,
          claim: (max) =>
            Effect.flatMap(Effect.clock, (clock) => {
              asked.push(clock.unsafeCurrentTimeMillis())
              return away ? Effect.fail(refusal) : queue.claim(max)
            })
        }))
        const stage = makeStage()
        const name = `troubled ${concurrency}`
        const herd = yield* DurableHerd.make({ ...numbers, name, process: stage.process }).pipe(
          on(source),
          collect
        )
        yield* herd.offer(1)
        yield* turns
        for (let n = 0; n < 200; n++) yield* Effect.zipRight(TestClock.adjust("100 millis"), turns)
        assert.deepStrictEqual(asked, [0, 100, 300, 700, 1_500, 3_100, 6_300, 11_300, 16_300])
        assert.deepStrictEqual(lines, [
          `WARN [${name}] expected the test source to answer, got no; next attempt in 100ms`
        ])
        assert.strictEqual(yield* count(HerdSourceMetrics.sourceErrors, name), 9)
        assert.deepStrictEqual(stage.started, [])
        away = false
        yield* TestClock.adjust("5 seconds")
        yield* turns
        assert.deepStrictEqual(stage.started, [1])
        yield* stage.finish
      }))
  }

  it.scoped("lets a gopher wait until its source has heard of the unit, and runs no unit meanwhile in its stead", () =>
    Effect.gen(function*() {
      let away = false
      const source = altered(yield* memory, (queue) => ({
        settle: (settlements, claim) =>
          Effect.suspend(() => away ? Effect.fail(refusal) : queue.settle(settlements, claim))
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, name: "waiting", process: stage.process }).pipe(
        on(source),
        silent.collect
      )
      yield* herd.offerAll([1, 2])
      yield* turns
      away = true
      yield* stage.succeed(1)
      yield* TestClock.adjust("10 seconds")
      yield* turns
      assert.deepStrictEqual(stage.started, [1])
      const { running, succeeded } = yield* herd.state
      assert.deepStrictEqual([running, succeeded, (yield* herd.depth).held], [1, 0, 1])
      away = false
      yield* TestClock.adjust("10 seconds")
      yield* turns
      assert.deepStrictEqual(stage.started, [1, 2])
      assert.strictEqual((yield* herd.state).succeeded, 1)
      yield* stage.finish
    }))

  /** A source that refuses the settlements of these units, as long as there are any. */
  const refusing = (source: Source, ids: Set<string>, more: Partial<HerdSource.Queue> = {}) => {
    const requests: Array<number> = []
    const renewed = new Set<string>()
    return {
      /** How many settlements each request had. */
      requests,
      /** Units whose leases were renewed. */
      renewed,
      source: altered(source, (queue) => ({
        ...more,
        settle: (settlements, claim) =>
          Effect.suspend(() => {
            requests.push(settlements.length)
            return settlements.some((settlement) => ids.has(settlement.claim.id))
              ? Effect.fail(refusal)
              : queue.settle(settlements, claim)
          }),
        renew: (claims) =>
          Effect.suspend(() => {
            for (const { id } of claims) renewed.add(id)
            return queue.renew(claims)
          })
      }))
    }
  }

  /** Lets time pass, in steps of that many seconds. */
  const pass = (seconds: number, step = 0.1) =>
    Effect.repeatN(Effect.zipRight(TestClock.adjust(Duration.seconds(step)), turns), Math.ceil(seconds / step) - 1)

  const refusedLine = (herd: string, id: string) =>
    `WARN [${herd}] expected the source to settle attempt 1 of unit ${id}, got a refusal: expected the test source to answer, `
    + "got no; the herd goes on, keeps the unit's lease and tries again after 5s, then less and less often"

  for (const concurrency of [1, 2]) {
    it.scoped(`does not let a settlement that the source refuses hold up others, and settles it once the source takes it; concurrency ${concurrency}`, () =>
      Effect.gen(function*() {
        const { collect, lines } = makeLogs(LogLevel.Warning)
        const ids = new Set(["2"])
        const { renewed, requests, source } = refusing(yield* memory, ids, { concurrency })
        const stage = makeStage()
        const name = `refused ${concurrency}`
        const herd = yield* DurableHerd.make({ ...numbers, name, process: stage.process, size: 4, lease: "3 seconds" })
          .pipe(on(source), collect)
        yield* herd.offerAll([1, 2, 3, 4, 5, 6], { id: String })
        yield* turns
        yield* Effect.forEach([1, 2, 3, 4], stage.succeed, { concurrency: "unbounded" })
        yield* pass(2)
        assert.deepStrictEqual(stage.started, [1, 2, 3, 4, 5, 6])
        yield* stage.finish
        yield* pass(1)
        assert.strictEqual((yield* herd.state).succeeded, 6)
        assert.deepStrictEqual(lines.filter((line) => line.includes("refusal")), [refusedLine(name, "2")])

        renewed.clear()
        const before = requests.length
        yield* pass(60, 2.5)
        assert.deepStrictEqual(Array.from(renewed), ["2"])
        // After 5, 10 and 20 seconds more each time.
        assert.strictEqual(requests.length - before, 3)
        const { held, ready } = yield* herd.depth
        assert.deepStrictEqual([held, ready, stage.started.length], [1, 0, 6])
        ids.clear()
        yield* pass(60, 2.5)
        yield* herd.awaitIdle
        assert.deepStrictEqual([stage.started.length, (yield* herd.dead.list()).length], [6, 0])
        assert.strictEqual(lines.filter((line) => line.includes("refusal")).length, 1)
      }))
  }

  it.scoped("settles the rest of a large batch of which a few are refused, in a few requests", () =>
    Effect.gen(function*() {
      const { collect, lines } = makeLogs(LogLevel.Warning)
      const { requests, source } = refusing(yield* memory, new Set(["0", "1", "500"]))
      const gate = yield* Deferred.make<void>()
      const herd = yield* DurableHerd.make({
        ...numbers,
        name: "large",
        process: () => Deferred.await(gate),
        size: 1_000
      })
        .pipe(on(source), collect)
      yield* herd.offerAll(Array.from({ length: 1_000 }, (_, n) => n), { id: String })
      yield* turns
      yield* Deferred.succeed(gate, undefined)
      yield* pass(3)
      assert.strictEqual((yield* herd.depth).held, 3)
      // Halving down to each of the three takes 20 requests at most.
      assert.isBelow(requests.length, 80)
      assert.deepStrictEqual(
        lines.filter((line) => line.includes("refusal")).toSorted(),
        ["0", "1", "500"].map((id) => refusedLine("large", id))
      )
    }))

  it.scoped("keeps a dead letter that the source refuses from holding up others, be it that its body can't be read", () =>
    Effect.gen(function*() {
      const source = yield* memory
      const queue = yield* source.open("unreadable", { lease: Duration.seconds(3), maxCrashes: 3 })
      yield* queue.offer([{ id: "x", body: "{", priority: 0, runAt: undefined }])
      const refused = refusing(source, new Set(["x"]))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({
        ...numbers,
        name: "unreadable",
        process: stage.process,
        lease: "3 seconds"
      })
        .pipe(on(refused.source), silent.collect)
      yield* herd.offerAll([1, 2])
      yield* pass(1)
      yield* stage.finish
      yield* pass(60, 2.5)
      yield* stage.finish
      assert.deepStrictEqual(stage.started, [1, 2])
      assert.include(Array.from(refused.renewed), "x")
    }))

  it.scoped("runs on with one gopher whose unit the source refuses to settle, but not if it refuses the next one too", () =>
    Effect.gen(function*() {
      const ids = new Set(["1", "3", "4"])
      const { source } = refusing(yield* memory, ids)
      const started: Array<number> = []
      const herd = yield* DurableHerd.make({
        ...numbers,
        name: "alone",
        process: (n) => Effect.sync(() => started.push(n))
      }).pipe(on(source), silent.collect)
      yield* herd.offerAll([1, 2, 3, 4, 5, 6], { id: String })
      yield* pass(20, 2)
      assert.deepStrictEqual(started, [1])
      yield* pass(20, 2)
      assert.deepStrictEqual(started, [1, 2, 3])
      yield* pass(100, 5)
      assert.deepStrictEqual(started, [1, 2, 3, 4])
      ids.clear()
      yield* pass(200, 5)
      yield* herd.awaitIdle
      assert.deepStrictEqual(started, [1, 2, 3, 4, 5, 6])
    }))

  it.scoped("tries a settlement that was refused once more when it stops, and says what it leaves to the leases", () =>
    Effect.gen(function*() {
      for (const taken of [true, false]) {
        const { collect, lines } = makeLogs(LogLevel.Warning)
        const ids = new Set(["1"])
        const kept = yield* memory
        const { close, herd } = yield* scoped(
          Effect.orDie(DurableHerd.make({ ...numbers, name: "last", process: () => Effect.void, size: 2 })).pipe(
            on(refusing(kept, ids).source),
            collect
          )
        )
        yield* herd.offerAll([1, 2], { id: String })
        yield* pass(2)
        assert.strictEqual((yield* herd.depth).held, 1)
        if (taken) ids.clear()
        yield* close
        assert.strictEqual((yield* herd.depth).ready, taken ? 0 : 1)
        assert.deepStrictEqual(
          lines.filter((line) => line.includes("stopped")),
          taken
            ? []
            : [
              "WARN [last] stopped before the source has heard of 1 units: they run again once their leases have run out"
            ]
        )
      }
    }))

  it.scoped("reports the lost lease of a unit whose settlement was refused once, and forgets that", () =>
    Effect.gen(function*() {
      const { collect, lines } = makeLogs(LogLevel.Warning)
      const kept = yield* memory
      const refused = refusing(kept, new Set(["1"]))
      let lost = false
      const source = altered(refused.source, (queue) => ({
        renew: (claims) => Effect.map(queue.renew(claims), () => lost ? claims : [])
      }))
      const herd = yield* DurableHerd.make({
        ...numbers,
        name: "gone",
        process: () => Effect.void,
        lease: "3 seconds",
        size: 2
      })
        .pipe(on(source), collect)
      yield* herd.offerAll([1, 2], { id: String })
      yield* pass(2)
      lost = true
      yield* pass(2)
      const before = refused.requests.length
      yield* pass(60, 2.5)
      assert.strictEqual(refused.requests.length, before)
      assert.strictEqual(lines.filter((line) => line.includes("lease lost")).length, 1)
    }))

  it.scoped("takes a source that dies for one that fails", () =>
    Effect.gen(function*() {
      let dies = true
      const source = altered(yield* memory, (queue) => ({
        claim: (max) => Effect.suspend(() => dies ? Effect.die(new Error("a fault in the source")) : queue.claim(max)),
        arrival: Effect.suspend(() => dies ? Effect.die("too") : queue.arrival),
        depth: Effect.suspend(() => dies ? Effect.die("too") : queue.depth)
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, name: "dying", process: stage.process }).pipe(
        on(source),
        silent.collect
      )
      yield* herd.offer(1)
      yield* TestClock.adjust("1 second")
      yield* turns
      dies = false
      yield* TestClock.adjust("5 seconds")
      yield* turns
      assert.deepStrictEqual(stage.started, [1])
      yield* stage.finish
      assert.include(silent.lines.join("\n"), "expected the herd's source to answer, got a fault in the source")
    }))

  it.scoped("stops within 5 s though its source does not answer, and says what it leaves to the leases", () =>
    Effect.gen(function*() {
      const { collect, lines } = makeLogs(LogLevel.Warning)
      const source = altered(yield* memory, () => ({ settle: () => Effect.never }))
      const stage = makeStage()
      const { close, herd } = yield* scoped(
        Effect.orDie(DurableHerd.make({ ...numbers, name: "stuck", process: stage.process, size: 2 })).pipe(
          on(source),
          collect
        )
      )
      yield* herd.offerAll([1, 2], { id: (n) => n === 1 ? "a" : "b" })
      yield* turns
      const closing = yield* Effect.fork(close)
      yield* turns
      yield* TestClock.adjust("4999 millis")
      yield* turns
      assert.isNull(closing.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(lines, [
        "WARN [stuck] stopped with 2 units left over, now given back: 1, 2".replace(
          "1, 2",
          lines[0]?.split(": ")[1] ?? ""
        ),
        "WARN [stuck] stopped before the source has heard of 2 units: they run again once their leases have run out"
      ])
    }))

  it.scoped("warns again, and begins with 100 ms again, once the source has answered in between", () =>
    Effect.gen(function*() {
      const { collect, lines } = makeLogs(LogLevel.Warning)
      let away = false
      const source = altered(yield* memory, (queue) => ({
        settle: (settlements, claim) =>
          Effect.suspend(() => away ? Effect.fail(refusal) : queue.settle(settlements, claim))
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, name: "again", process: stage.process }).pipe(
        on(source),
        collect
      )
      yield* herd.offerAll([1, 2, 3])
      yield* turns
      for (const n of [1, 2]) {
        away = true
        yield* stage.succeed(n)
        yield* Effect.zipRight(TestClock.adjust("100 millis"), turns)
        away = false
        yield* Effect.zipRight(TestClock.adjust("200 millis"), turns)
        assert.strictEqual(stage.started.length, n + 1)
      }
      const line = "WARN [again] expected the test source to answer, got no; next attempt in 100ms"
      assert.deepStrictEqual(lines, [line, line])
      yield* stage.finish
    }))

  it.scoped("stops at once while it leaves its source alone", () =>
    Effect.gen(function*() {
      const source = altered(yield* memory, () => ({ claim: () => Effect.fail(refusal) }))
      const { close } = yield* scoped(
        Effect.orDie(DurableHerd.make({ ...numbers, process: () => Effect.void })).pipe(on(source), silent.collect)
      )
      yield* turns
      yield* TestClock.adjust("1 second")
      yield* turns
      yield* close
    }))

  it.scoped("gives back a unit that it claims while it is being closed", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const claimed: Array<number> = []
      const source = altered(yield* memory, (queue) => ({
        claim: (max) =>
          Effect.zipLeft(
            Effect.tap(queue.claim(max), (claims) => Effect.sync(() => claimed.push(claims.length))),
            Deferred.await(gate)
          )
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, size: 0, process: stage.process }).pipe(on(source))
      yield* herd.offer(1)
      yield* herd.resize(1)
      yield* turns
      assert.deepStrictEqual(claimed, [1])
      yield* herd.drain
      yield* Deferred.succeed(gate, undefined)
      yield* turns
      const { held, ready } = yield* herd.depth
      assert.deepStrictEqual([ready, held, stage.started.length], [1, 0, 0])
      yield* herd.awaitDrained
    }))

  it.scoped("reports a lease that is lost once, if the unit is being settled meanwhile, too", () =>
    Effect.gen(function*() {
      const { collect, lines } = makeLogs(LogLevel.Warning)
      const gate = yield* Deferred.make<void>()
      const source = altered(yield* memory, () => ({
        renew: (claims) => Effect.succeed(claims),
        settle: (settlements) =>
          Effect.as(Deferred.await(gate), { lost: settlements.map(({ claim }) => claim), claimed: [] })
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, name: "late", process: stage.process, lease: "3 seconds" })
        .pipe(
          on(source),
          collect
        )
      yield* herd.offer(1, { id: "x" })
      yield* turns
      yield* stage.succeed(1)
      yield* TestClock.adjust("2 seconds")
      yield* turns
      assert.deepStrictEqual(lines, [])
      yield* Deferred.succeed(gate, undefined)
      yield* turns
      assert.strictEqual(yield* count(HerdSourceMetrics.leaseLost, "late"), 1)
      assert.deepStrictEqual(lines, [
        "WARN [late] expected herd \"late\" to hold unit x until attempt 1 has settled, got its lease lost"
      ])
    }))

  it.scoped("tells its source once what has become of a unit whose gopher is interrupted while that is told", () =>
    Effect.gen(function*() {
      let away = true
      const told: Array<string> = []
      const source = altered(yield* memory, (queue) => ({
        settle: (settlements, claim) =>
          Effect.suspend(() => {
            if (away) return Effect.fail(refusal)
            told.push(...settlements.map(({ _tag, claim: { body } }) => `${_tag} ${body}`))
            return queue.settle(settlements, claim)
          })
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, name: "once", process: stage.process }).pipe(
        on(source),
        silent.collect
      )
      yield* herd.offer(1)
      yield* turns
      yield* stage.succeed(1)
      yield* herd.resize(0, { mode: "interrupt" })
      yield* turns
      assert.strictEqual((yield* herd.state).succeeded, 1)
      away = false
      yield* TestClock.adjust("1 second")
      yield* turns
      assert.deepStrictEqual(told, ["Ack 1"])
    }))

  it.scoped("does not stop because the source has lost a unit while it ran: the next one follows", () =>
    Effect.gen(function*() {
      const source = altered(yield* memory, (queue) => ({
        renew: (claims) => Effect.map(queue.renew(claims), () => claims)
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, name: "losing", process: stage.process, lease: "3 seconds" })
        .pipe(
          on(source),
          silent.collect
        )
      yield* herd.offerAll([1, 2])
      yield* turns
      yield* TestClock.adjust("1 second")
      yield* turns
      assert.deepStrictEqual(stage.interrupted, [1])
      assert.deepStrictEqual(stage.started, [1, 2])
      assert.strictEqual(yield* count(HerdSourceMetrics.leaseLost, "losing"), 1)
      assert.strictEqual((yield* herd.state).interrupted, 1)
    }))
})

describe("a durable herd", () => {
  it.scoped("renews the leases of what it holds every third of a lease, and of nothing else", () =>
    Effect.gen(function*() {
      const renewed: Array<ReadonlyArray<string>> = []
      const source = altered(yield* memory, (queue) => ({
        renew: (claims) =>
          Effect.zipRight(Effect.sync(() => renewed.push(claims.map(({ body }) => body))), queue.renew(claims))
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, process: stage.process, size: 2, lease: "9 seconds" }).pipe(
        on(source)
      )
      yield* TestClock.adjust("6 seconds")
      yield* herd.offerAll([1, 2, 3])
      yield* turns
      yield* TestClock.adjust("3 seconds")
      yield* TestClock.adjust("2 seconds")
      yield* stage.succeed(1)
      yield* turns
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(renewed, [["1", "2"], ["2", "3"]])
      yield* stage.finish
    }))

  it.scoped("awaitIdle of the memory source needs no timer: under the TestClock it returns without an adjustment", () =>
    Effect.gen(function*() {
      const herd = yield* DurableHerd.make({
        ...numbers,
        process: (n) => n % 2 === 0 ? Effect.fail("odd") : Effect.promise(() => Promise.resolve())
      }).pipe(on(yield* memory))
      yield* herd.offerAll(Array.from({ length: 3_000 }, (_, n) => n))
      yield* herd.awaitIdle
      assert.deepStrictEqual((yield* herd.state).succeeded, 1_500)
      yield* herd.offer(1)
      yield* Effect.all([herd.awaitIdle, herd.awaitIdle], { concurrency: "unbounded" })
      assert.strictEqual((yield* herd.state).succeeded, 1_501)
    }))

  it.scoped("sleeps on no timer while the memory source has nothing ready, delayed or held, whoever waits", () =>
    Effect.gen(function*() {
      const slept: Array<Duration.Duration> = []
      const clock = yield* Effect.clock
      const counting: Clock.Clock = Object.create(clock, {
        sleep: {
          value: (duration: Duration.Duration) =>
            Effect.suspend(() => {
              slept.push(duration)
              return clock.sleep(duration)
            })
        }
      })
      yield* Effect.gen(function*() {
        const stage = makeStage()
        const herd = yield* DurableHerd.make({ ...numbers, process: stage.process, size: 2 })
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(slept, [])
        yield* herd.offer(1)
        yield* turns
        const waiting = yield* Effect.fork(herd.awaitIdle)
        yield* turns
        yield* stage.finish
        yield* Fiber.join(waiting)
        // What was begun meanwhile ends: a third of the lease, a look for the metrics.
        yield* TestClock.adjust("1 minute")
        slept.length = 0
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(slept, [])
      }).pipe(on(yield* memory), Effect.withClock(counting))
    }))

  it.scoped("shows in the metrics what comes and goes in the memory source, within 5 s, also when a unit falls due", () =>
    Effect.gen(function*() {
      const ready = Metric.value(HerdSourceMetrics.sourceUnits.pipe(
        Metric.tagged("herd", "shown"),
        Metric.tagged("state", "ready")
      ))
      const herd = yield* DurableHerd.make({ ...numbers, name: "shown", process: () => Effect.void, size: 0 }).pipe(
        on(yield* memory)
      )
      yield* TestClock.adjust("1 hour")
      yield* herd.offer(1)
      yield* herd.offer(2, { delay: "1 hour" })
      yield* Effect.zipRight(TestClock.adjust("5 seconds"), turns)
      assert.strictEqual((yield* ready).value, 1)
      yield* herd.resize(1)
      yield* turns
      yield* Effect.zipRight(TestClock.adjust("5 seconds"), turns)
      assert.strictEqual((yield* ready).value, 0)
      yield* herd.resize(0)
      yield* Effect.zipRight(TestClock.adjust("1 hour"), turns)
      yield* Effect.zipRight(TestClock.adjust("5 seconds"), turns)
      assert.strictEqual((yield* ready).value, 1)
    }))

  it.scoped("asks a source once for all who wait for it to be idle, and asks again for those who came meanwhile", () =>
    Effect.gen(function*() {
      let asked = 0
      let idle = false
      const gates: Array<Deferred.Deferred<void>> = []
      const source = altered(yield* memory, () => ({
        changes: undefined,
        depth: Effect.die("a count of all units"),
        idle: Effect.gen(function*() {
          asked++
          const answer = idle
          const gate = yield* Deferred.make<void>()
          gates.push(gate)
          yield* Deferred.await(gate)
          return answer
        })
      }))
      const open = Effect.suspend(() =>
        Effect.zipRight(Deferred.succeed(gates[asked - 1] ?? gates[0]!, undefined), turns)
      )
      const herd = yield* DurableHerd.make({ ...numbers, name: "asked", process: () => Effect.void }).pipe(
        on(source),
        makeLogs(LogLevel.None).collect
      )
      const first = yield* Effect.fork(herd.awaitIdle)
      yield* turns
      const others = yield* Effect.fork(Effect.all([herd.awaitIdle, herd.awaitIdle], { concurrency: "unbounded" }))
      const leaving = yield* Effect.fork(herd.awaitIdle)
      yield* turns
      assert.strictEqual(asked, 1)
      yield* open
      assert.strictEqual(asked, 2)
      yield* open
      assert.strictEqual(asked, 2)
      idle = true
      yield* Effect.zipRight(TestClock.adjust("100 millis"), turns)
      assert.strictEqual(asked, 3)
      const late = yield* Effect.fork(herd.awaitIdle)
      yield* turns
      yield* Fiber.interrupt(leaving)
      yield* open
      yield* Fiber.join(first)
      yield* Fiber.join(others)
      assert.isNull(late.unsafePoll())
      assert.strictEqual(asked, 4)
      yield* open
      yield* Fiber.join(late)
      // Nobody waits, so nobody asks.
      yield* Effect.zipRight(TestClock.adjust("1 second"), turns)
      assert.strictEqual(asked, 4)
    }))

  it.scoped("settles what has ended in a turn at once, and claims as many in the same step", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const source = altered(yield* memory, (queue) => ({
        claim: (max) =>
          Effect.suspend(() => {
            asked.push(`claim ${max}`)
            return queue.claim(max)
          }),
        settle: (settlements, claim) =>
          Effect.suspend(() => {
            asked.push(`settle ${settlements.length}, claim ${claim}`)
            return queue.settle(settlements, claim)
          })
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, process: stage.process, size: 3 }).pipe(on(source))
      yield* turns
      yield* herd.offerAll([1, 2, 3, 4, 5, 6, 7])
      yield* turns
      assert.deepStrictEqual(stage.running, [1, 2, 3])
      asked.length = 0
      yield* Effect.zip(stage.succeed(1), stage.succeed(2), { concurrent: true })
      assert.deepStrictEqual(stage.running, [3, 4, 5])
      assert.deepStrictEqual(asked, ["settle 2, claim 2"])
      yield* stage.succeed(4)
      assert.deepStrictEqual(asked.slice(1), ["settle 1, claim 1"])
      yield* stage.finish
    }))

  it.scoped("has a source hear of some units while gophers work on others, if it may be asked several things at a time", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const answers: Array<Deferred.Deferred<void>> = []
      let closing = false
      const answer = Effect.suspend(() => {
        const first = answers.shift()
        return Effect.zipRight(first === undefined ? Effect.void : Deferred.succeed(first, undefined), turns)
      })
      const source = altered(yield* memory, (queue) => ({
        concurrency: 2,
        settle: (settlements, claim) =>
          Effect.gen(function*() {
            const settled = settlements.map(({ claim: { body } }) => body)
            asked.push(`settle ${settled}, claim ${claim}`)
            const answered = yield* Deferred.make<void>()
            answers.push(answered)
            if (!closing) yield* Deferred.await(answered)
            return yield* queue.settle(settlements, claim)
          })
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, process: stage.process, size: 4 }).pipe(on(source))
      yield* Effect.addFinalizer(() => {
        closing = true
        return answer
      })
      yield* turns
      yield* herd.offerAll(Array.from({ length: 12 }, (_, n) => n + 1))
      yield* turns
      assert.deepStrictEqual(stage.running, [1, 2, 3, 4])
      yield* Effect.all([1, 2, 3, 4].map(stage.succeed), { concurrency: "unbounded" })
      assert.deepStrictEqual(asked.splice(0), ["settle 1,2, claim 2", "settle 3,4, claim 2"])
      assert.deepStrictEqual(stage.running, [])
      // Those it has heard of make room, while it is still told of the others.
      yield* answer
      assert.deepStrictEqual(stage.running, [5, 6])
      yield* stage.succeed(5)
      assert.deepStrictEqual(asked.splice(0), ["settle 5, claim 1"])
      // A third thing waits.
      yield* stage.succeed(6)
      assert.deepStrictEqual(asked, [])
      yield* answer
      assert.deepStrictEqual(asked.splice(0), ["settle 6, claim 1"])
      assert.deepStrictEqual(stage.running, [7, 8])
      // What is claimed while a shrink goes on goes back.
      yield* herd.resize(1)
      for (let n = 0; n < 12; n++) yield* Effect.zipRight(stage.finish, answer)
      assert.deepStrictEqual(asked, [
        "settle 7,8, claim 0",
        "settle 9,10, claim 1",
        ...[9, 10, 11, 12].map((n) => `settle ${n}, claim 1`)
      ])
      assert.deepStrictEqual(stage.started, Array.from({ length: 12 }, (_, n) => n + 1))
      assert.strictEqual(stage.most, 4)
    }))

  it.scoped("claims in the same step also for gophers that own a resource", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const source = altered(yield* memory, (queue) => ({
        settle: (settlements, claim) =>
          Effect.suspend(() => {
            asked.push(`settle ${settlements.length}, claim ${claim}`)
            return queue.settle(settlements, claim)
          })
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, gopher: Effect.succeed(stage.process), size: 2 }).pipe(
        on(source)
      )
      yield* turns
      yield* herd.offerAll([1, 2, 3])
      yield* turns
      assert.deepStrictEqual(stage.running, [1, 2])
      yield* stage.succeed(1)
      yield* turns
      assert.deepStrictEqual(asked, ["settle 1, claim 1"])
      assert.deepStrictEqual(stage.running, [2, 3])
      yield* stage.finish
    }))

  it.scoped("G8 measures the time of a Schedule from the first failure on", () =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      const herd = yield* DurableHerd.make({
        ...numbers,
        process: (_, { attempt }) => Effect.zipRight(Effect.sync(() => attempts.push(attempt)), Effect.fail("no")),
        retry: Schedule.spaced("1 second").pipe(Schedule.upTo("2500 millis"))
      }).pipe(Effect.provide(HerdSource.layerMemory()))
      yield* herd.offer(1)
      yield* turns
      for (let n = 0; n < 10; n++) yield* Effect.zipRight(TestClock.adjust("1 second"), turns)
      assert.deepStrictEqual(attempts, [1, 2, 3, 4])
      assert.strictEqual((yield* herd.depth).dead, 1)
    }))

  it.scoped("counts an attempt that failed also if a shrink interrupts its callback", () =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      const herd = yield* DurableHerd.make({
        ...numbers,
        process: (_, { attempt }) => Effect.zipRight(Effect.sync(() => attempts.push(attempt)), Effect.fail("no")),
        retry: Schedule.spaced("1 second"),
        onRetry: () => Effect.never
      }).pipe(Effect.provide(HerdSource.layerMemory()))
      yield* herd.offer(1)
      yield* turns
      yield* herd.resize(0, { mode: "interrupt" })
      yield* turns
      assert.strictEqual((yield* herd.depth).delayed, 1)
      yield* herd.resize(1)
      yield* TestClock.adjust("1 second")
      yield* turns
      assert.deepStrictEqual(attempts, [1, 2])
    }))

  it.scoped("listens to its source only while it has a gopher to spare", () =>
    Effect.gen(function*() {
      let listening = 0
      const source = altered(yield* memory, (queue) => ({
        arrival: Effect.acquireUseRelease(
          Effect.sync(() => listening++),
          () => queue.arrival,
          () => Effect.sync(() => listening--)
        )
      }))
      const stage = makeStage()
      const herd = yield* DurableHerd.make({ ...numbers, process: stage.process }).pipe(on(source))
      yield* turns
      assert.strictEqual(listening, 1)
      yield* herd.pause
      yield* turns
      assert.strictEqual(listening, 0)
      yield* herd.resume
      yield* turns
      assert.strictEqual(listening, 1)
      yield* herd.offer(1)
      yield* turns
      assert.strictEqual(listening, 0)
      yield* stage.finish
      yield* turns
      assert.strictEqual(listening, 1)
      yield* herd.resize(0)
      yield* turns
      assert.strictEqual(listening, 0)
    }))

  it.scoped("G14 runs callbacks before the source hears of the unit, so that they run at least once, too", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const source = altered(yield* memory, (queue) => ({
        settle: (settlements, claim) => {
          events.push(...settlements.map(({ _tag, claim: { body } }) => `${_tag} ${body}`))
          return queue.settle(settlements, claim)
        }
      }))
      const say = (what: string) => Effect.sync(() => void events.push(what))
      const herd = yield* DurableHerd.make({
        ...numbers,
        process: (n, { attempt }) =>
          n === 2 && attempt === 1 ? Effect.fail("again") : n === 3 ? Effect.fail("no") : Effect.void,
        retry: Schedule.whileInput(Schedule.recurs(1), (error: string) => error === "again"),
        onSuccess: ({ work }) => say(`success ${work.body}`),
        onRetry: ({ work }) => say(`retry ${work.body}`),
        onFailure: ({ work }) => Effect.zipRight(say(`failure ${work.body}`), Effect.die("which changes nothing"))
      }).pipe(on(source), makeLogs(LogLevel.None).collect)
      yield* herd.offerAll([1, 2, 3])
      yield* Effect.repeat(turns, { until: () => events.length === 8 })
      assert.deepStrictEqual(events, [
        "success 1",
        "Ack 1",
        "retry 2",
        "Retry 2",
        "failure 3",
        "Bury 3",
        "success 2",
        "Ack 2"
      ])
    }))

  it.scoped("has its own name in metrics where two have the same, and the same units", () =>
    Effect.gen(function*() {
      const source = yield* memory
      const make = DurableHerd.make({ ...numbers, name: "twins", process: () => Effect.void, size: 0 }).pipe(on(source))
      const [self, that] = [yield* make, yield* make]
      assert.deepStrictEqual([self.name, that.name], ["twins", "twins-2"])
      yield* self.offer(1)
      assert.strictEqual((yield* that.depth).ready, 1)
      yield* that.resize(1)
      yield* Effect.repeat(turns, { until: () => Effect.map(that.state, ({ succeeded }) => succeeded === 1) })
      assert.strictEqual(yield* count(HerdMetrics.success, "twins-2"), 1)
      assert.strictEqual(yield* count(HerdMetrics.success, "twins"), 0)
    }))

  it.scoped("tells in metrics what its source has, every 5 s, and nothing any more once it has stopped", () =>
    Effect.gen(function*() {
      const gauge = (state: string) =>
        Metric.value(HerdSourceMetrics.sourceUnits.pipe(Metric.tagged("herd", "gauged"), Metric.tagged("state", state)))
          .pipe(
            Effect.map(({ value }) => value)
          )
      const oldest = Effect.map(
        Metric.value(Metric.tagged(HerdSourceMetrics.oldestWait, "herd", "gauged")),
        ({ value }) => value
      )
      const all = Effect.all([gauge("ready"), gauge("delayed"), gauge("held"), gauge("dead"), oldest])
      const stage = makeStage()
      const { close, herd } = yield* scoped(
        Effect.orDie(DurableHerd.make({ ...numbers, name: "gauged", process: stage.process })).pipe(
          on(yield* memory)
        )
      )
      assert.deepStrictEqual(yield* all, [0, 0, 0, 0, 0])
      yield* herd.offerAll([1, 2, 3])
      yield* herd.offer(4, { delay: "1 hour" })
      yield* turns
      yield* stage.fail(1, "no")
      yield* turns
      yield* TestClock.adjust("5 seconds")
      yield* turns
      assert.deepStrictEqual(yield* all, [1, 1, 1, 1, 5])
      yield* close
      assert.deepStrictEqual(yield* all, [0, 0, 0, 0, 0])
    }))

  it.scopedLive("is resized, paused and watched over HTTP as any other", () =>
    Effect.gen(function*() {
      class Served extends Context.Tag("served")<Served, DurableHerd.DurableHerd<number>>() {}
      const stage = makeStage()
      const context = yield* Layer.build(
        HerdServer.layer({ herds: [Served], port: 0 }).pipe(
          Layer.provideMerge(DurableHerd.layer(Served, { schema: Schema.Number, process: stage.process, size: 0 })),
          Layer.provide(HerdSource.layerMemory())
        )
      )
      const herd = Context.get(context, Served)
      const { url } = Context.get(context, HerdServer.HerdServer)
      yield* herd.offerAll([1, 2, 3])
      assert.deepStrictEqual(stage.started, [])
      assert.deepStrictEqual((yield* ask(`${url}/herd`, { method: "PATCH", body: "{\"num\": 2}" })).json, {
        num: 2,
        msg: "success"
      })
      yield* Effect.repeat(turns, { until: () => stage.started.length === 2 })
      yield* ask(`${url}/herds/served`, { method: "PATCH", body: "{\"paused\": true}" })
      yield* stage.finish
      const { json } = yield* ask(`${url}/herds/served`)
      assert.deepInclude(json, { name: "served", size: 2, running: 0, succeeded: 2, paused: true })
      assert.deepStrictEqual(stage.started, [1, 2])
      yield* ask(`${url}/herds/served`, { method: "PATCH", body: "{\"paused\": false}" })
      yield* Effect.repeat(turns, { until: () => stage.started.length === 3 })
      yield* stage.finish
      yield* herd.awaitIdle
      assert.include((yield* ask(`${url}/metrics`)).text, "gofherd_source_units{herd=\"served\",state=\"ready\"}")
    }))
})
