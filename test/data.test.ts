/**
 * G18: what users get is plain data to look at. A spread, JSON and a log line have all that is
 * public, and nothing else.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Logger, Option, Schedule, Schema, Stream } from "effect"
import { Herd, type Outcome } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"
import { inspect } from "node:util"
import { turns } from "./utils/stage.ts"

// The compiler sees to it that no member is missing here.
const control = {
  name: true,
  size: true,
  maxSize: true,
  resize: true,
  grow: true,
  shrink: true,
  settled: true,
  pause: true,
  resume: true,
  state: true,
  changes: true,
  history: true,
  awaitIdle: true,
  awaitDrained: true,
  drain: true
} satisfies Record<keyof Herd.Control, true>

const members = {
  herd: {
    ...control,
    send: true,
    sendAll: true,
    trySend: true,
    run: true,
    stream: true,
    close: true,
    outcomes: true
  } satisfies Record<keyof Herd.Herd<number, number>, true>,
  durable: {
    ...control,
    offer: true,
    offerAll: true,
    depth: true,
    dead: true,
    fleet: true
  } satisfies Record<keyof DurableHerd.DurableHerd<number>, true>,
  outcome: { work: true, exit: true, status: true, attempts: true, duration: true } satisfies Record<
    keyof Outcome.Outcome<number, number>,
    true
  >,
  retry: { work: true, cause: true, status: true, delay: true } satisfies Record<
    keyof Outcome.Retry<number, string>,
    true
  >
}

/** All that a spread takes along, and no more than JSON and `inspect` show. */
const isPlain = (value: object, expected: object) => {
  assert.deepStrictEqual(Object.keys(value).toSorted(), Object.keys(expected).toSorted())
  assert.strictEqual(Object.getPrototypeOf(value), Object.prototype)
  assert.deepStrictEqual(
    Object.values(Object.getOwnPropertyDescriptors(value)).filter(({ enumerable, get }) =>
      get !== undefined || !enumerable
    ),
    []
  )
}

const show = (n: number) => n < 0 ? Effect.fail("negative") : n === 0 ? Effect.interrupt : Effect.succeed(n * 10)

class Numbers extends Effect.Service<Numbers>()("test/Numbers", {
  scoped: Effect.map(Herd.make({ process: show, size: 2 }), (herd) => ({ ...herd, extra: 1 }))
}) {}

/**
 * Dead letters and a fleet as a source may have made them: classes whose methods need their `this`.
 */
class Letters implements HerdSource.DeadLetters {
  readonly letters: HerdSource.DeadLetters
  constructor(letters: HerdSource.DeadLetters) {
    this.letters = letters
  }
  list(options?: HerdSource.ListOptions) {
    return this.letters.list(options)
  }
  redrive(ids: ReadonlyArray<string> | "all") {
    return this.letters.redrive(ids)
  }
  discard(ids: ReadonlyArray<string> | "all") {
    return this.letters.discard(ids)
  }
}

class Bound implements HerdSource.Fleet {
  bound: Option.Option<number> = Option.none()
  readonly size = Effect.sync(() => this.bound)
  resize(size: Option.Option<number>) {
    return Effect.sync(() => {
      this.bound = size
    })
  }
}

const classySource = Layer.map(HerdSource.layerMemory(), (context) => {
  const { open } = Context.get(context, HerdSource.HerdSource)
  return Context.make(HerdSource.HerdSource, {
    open: (herd, options) =>
      Effect.map(open(herd, options), (queue): HerdSource.Queue => ({
        ...queue,
        dead: new Letters(queue.dead),
        fleet: Option.some(new Bound())
      }))
  })
})

describe("a herd", () => {
  it.scoped("G18: has its public members as properties of its own, and nothing private", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: show })
      isPlain(herd, members.herd)
      assert.deepStrictEqual(Object.keys(JSON.parse(JSON.stringify(herd))).filter((key) => !(key in members.herd)), [])
      const discarding = yield* Herd.make({ process: show, outcomes: "discard" })
      isPlain(discarding, members.herd)
    }))

  it.scoped("G18: spread into an Effect.Service has all that it had, and what was added", () =>
    Effect.gen(function*() {
      const numbers = yield* Numbers
      assert.deepStrictEqual(Object.keys(members.herd).filter((key) => !(key in numbers)), [])
      assert.strictEqual(numbers.extra, 1)
      assert.strictEqual(numbers.maxSize, 10_000)
      assert.strictEqual(yield* numbers.run(4), 40)
      yield* numbers.sendAll([1, 2])
      yield* numbers.awaitIdle
      yield* numbers.close
      yield* numbers.awaitDrained
      const outcomes = yield* Stream.runCollect(numbers.outcomes)
      assert.deepStrictEqual(Array.from(outcomes, ({ status }) => status), ["success", "success"])
    }).pipe(Effect.provide(Numbers.Default)))

  it.scoped("G18: members of a spread work when they are taken out of it", () =>
    Effect.gen(function*() {
      const { awaitDrained, awaitIdle, changes, close, drain, grow, history, outcomes, ...rest } = {
        ...yield* Herd.make({ process: show, name: "taken-out" })
      }
      const { pause, resize, resume, run, send, sendAll, settled, shrink, size, state, stream, trySend } = rest
      yield* send(1)
      yield* sendAll([2])
      assert.isTrue(yield* trySend(3))
      assert.strictEqual(yield* run(4), 40)
      assert.strictEqual((yield* Stream.runCollect(stream(Stream.make(5)))).length, 1)
      yield* resize(4)
      yield* grow(2)
      yield* shrink(1)
      yield* settled
      assert.strictEqual(yield* size, 5)
      yield* pause
      yield* resume
      yield* awaitIdle
      assert.strictEqual((yield* history).resizes.length, 3)
      assert.strictEqual(Option.getOrThrow(yield* Stream.runHead(changes)).name, "taken-out")
      yield* close
      yield* drain
      yield* awaitDrained
      assert.strictEqual((yield* state).succeeded, 5)
      assert.strictEqual((yield* Stream.runCollect(outcomes)).length, 3)
    }))

  it.scopedLive("G18: a durable one, too, with what its source has", () =>
    Effect.gen(function*() {
      const herd = yield* DurableHerd.make({ schema: Schema.Number, process: show })
      isPlain(herd, members.durable)
      const { awaitIdle, dead, depth, fleet, offer, offerAll, state } = { ...herd }
      yield* offer(1, { id: "one" })
      yield* offerAll([-1])
      yield* awaitIdle
      assert.strictEqual((yield* depth).dead, 1)
      assert.strictEqual((yield* state).succeeded, 1)
      const { discard, list, redrive } = { ...dead }
      assert.strictEqual((yield* list()).length, 1)
      assert.strictEqual(yield* redrive("all"), 1)
      yield* awaitIdle
      assert.strictEqual(yield* discard("all"), 1)
      const { resize, size } = { ...Option.getOrThrow(fleet) }
      yield* resize(Option.some(7))
      assert.deepStrictEqual(yield* size, Option.some(7))
    }).pipe(Effect.provide(classySource)))
})

describe("an outcome", () => {
  const every = Effect.gen(function*() {
    const outcomes: Array<Outcome.Outcome<number, number, string>> = []
    const retries: Array<Outcome.Retry<number, string>> = []
    const note = (outcome: Outcome.Outcome<number, number, string>) => Effect.sync(() => outcomes.push(outcome))
    const left = yield* Effect.scoped(Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (n: number) => n > 100 ? Effect.never : Effect.zipRight(Effect.yieldNow(), show(n)),
        retry: Schedule.recurs(1),
        onSuccess: note,
        onRetry: (retry) => Effect.sync(() => retries.push(retry)),
        onFailure: note
      })
      yield* herd.sendAll([1, -1, 0])
      outcomes.push(...yield* Stream.runCollect(herd.stream(Stream.make(2, -2))))
      const caller = yield* Effect.fork(herd.run(101))
      yield* turns
      yield* Fiber.interrupt(caller)
      yield* herd.sendAll([102, 103])
      return herd
    }))
    outcomes.push(...yield* Stream.runCollect(left.outcomes))
    return { outcomes, retries }
  })

  it.effect("G18: is plain data, whatever became of the unit and wherever it is read", () =>
    Effect.gen(function*() {
      const { outcomes, retries } = yield* every
      for (const outcome of outcomes) {
        isPlain(outcome, members.outcome)
        const copy = { ...outcome }
        assert.strictEqual(copy.status, Exit.isSuccess(outcome.exit) ? "success" : copy.status)
        assert.isTrue(Duration.isDuration(copy.duration))
      }
      assert.deepStrictEqual(
        new Set(outcomes.map(({ status }) => status)),
        new Set(["success", "failure", "interrupted"])
      )
      assert.strictEqual(retries.length, 2)
      for (const retry of retries) isPlain(retry, members.retry)
    }))

  it.scoped("G18: is whole in JSON, in inspect and in a log line", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logging = Logger.add(Logger.map(Logger.jsonLogger, (line) => lines.push(line)))
      const herd = yield* Herd.make({ process: show })
      yield* herd.send(-1, { id: "minus" })
      const outcome = Option.getOrThrow(yield* Stream.runHead(herd.outcomes))
      const json = JSON.parse(JSON.stringify(outcome))
      assert.deepStrictEqual(json, {
        work: { id: "minus", body: -1, attempt: 1, priority: 0 },
        exit: { _id: "Exit", _tag: "Failure", cause: { _id: "Cause", _tag: "Fail", error: "negative" } },
        status: "failure",
        attempts: 1,
        duration: JSON.parse(JSON.stringify(outcome.duration))
      })
      assert.match(inspect(outcome), /^\{[^]*status: 'failure'[^]*duration: \{[^]*\}$/)
      yield* Effect.provide(Effect.logInfo(outcome), logging)
      assert.deepStrictEqual(JSON.parse(lines.join()).message, json)
    }))
})
