/**
 * What a durable herd promises, on every source: src/DurableHerd.ts as tests.
 */
import { assert, describe } from "@effect/vitest"
import {
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Either,
  Fiber,
  Layer,
  LogLevel,
  Metric,
  Schedule,
  Schema
} from "effect"
import { type Herd, HerdError, type Work } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceMetrics from "gofherd/HerdSourceMetrics"
import { killed, makePrograms } from "./durablePrograms.ts"
import { makeLogs } from "./logs.ts"
import { turns, until } from "./stage.ts"
import {
  ack,
  alone,
  alteredStore,
  claimOne,
  claimSoon,
  counts,
  open,
  type Store,
  type Subject,
  testing,
  unit,
  units
} from "./stores.ts"

// ------------------------------------------------------------------------------------------------------ herds

/** A `process` under the test's control, of any number of herds. */
const makeDesk = () => {
  const started: Array<string> = []
  const interrupted: Array<string> = []
  const inside = new Map<string, Deferred.Deferred<void, string>>()
  return {
    /** Ids and attempts, in order. */
    started,
    interrupted,
    inside,
    process: (_body: string, { attempt, id }: Work.Work<string>) =>
      Effect.suspend(() => {
        const unit = Deferred.unsafeMake<void, string>(Effect.runSync(Effect.fiberId))
        started.push(`${id} ${attempt}`)
        inside.set(id, unit)
        return Deferred.await(unit).pipe(
          Effect.onInterrupt(() => Effect.sync(() => interrupted.push(`${id} ${attempt}`))),
          Effect.ensuring(Effect.sync(() => inside.get(id) === unit && inside.delete(id)))
        )
      }),
    end: (id: string, how: Effect.Effect<void, string> = Effect.void) =>
      Effect.sync(() => {
        const unit = inside.get(id)
        if (unit === undefined) throw new Error(`expected unit ${id} to be running, got ${Array.from(inside.keys())}`)
        Deferred.unsafeDone(unit, how)
      })
  }
}

type HerdOptions<E> = Partial<DurableHerd.Options<string, string, void, E>> & {
  readonly process: Herd.Process<string, void, E, never>
}

const herdOn = <E>(store: Store, { process, ...options }: HerdOptions<E>) =>
  Effect.map(
    alone(
      store,
      DurableHerd.make<string, string, void, E>({
        name: store.herd,
        schema: Schema.String,
        ...options,
        gopher: undefined,
        process
      })
    ),
    ({ close, made: herd }) => ({ herd, close })
  )

const bodies = (...ids: ReadonlyArray<string>) => [ids, { id: (id: string) => id }] as const

// ------------------------------------------------------------------------------------------------------ the promises

class OutOfOrder extends Error {
  override readonly name = "OutOfOrder"
}

export const durableContract = ({ blocks = false, name, programs, skipped = false, store }: Subject): void => {
  const onStore = testing(store)

  describe.skipIf(skipped)(`a durable herd on ${name}`, { concurrent: !blocks }, () => {
    onStore("processes what is offered, and has nothing left then", (store) =>
      Effect.gen(function*() {
        const done: Array<string> = []
        const { herd } = yield* herdOn(store, { process: (body) => Effect.sync(() => done.push(body)), size: 3 })
        const ids = yield* herd.offerAll(["a", "b", "c", "d", "e"])
        yield* herd.awaitIdle
        assert.deepStrictEqual(done.toSorted(), ["a", "b", "c", "d", "e"])
        assert.strictEqual(new Set(ids).size, 5)
        const { accepted, failed, queued, running, succeeded } = yield* herd.state
        assert.deepStrictEqual([accepted, succeeded, queued, running, failed], [5, 5, 0, 0, 0])
      }))

    onStore(
      "claims no more units than it has gophers for, however the size changes, and G1: runs no more",
      (store) =>
        Effect.gen(function*() {
          const desk = makeDesk()
          const { herd } = yield* herdOn(store, { process: desk.process, size: 2 })
          yield* herd.offerAll(...bodies("a", "b", "c", "d", "e", "f"))
          yield* until(() => desk.inside.size === 2)
          assert.strictEqual((yield* herd.depth).held, 2)
          yield* herd.resize(4)
          yield* until(() => desk.inside.size === 4)
          assert.strictEqual((yield* herd.depth).held, 4)
          yield* herd.resize(1)
          yield* desk.end("a")
          yield* desk.end("b")
          yield* until(Effect.map(herd.depth, ({ held }) => held === 2))
          yield* desk.end("c")
          yield* until(Effect.map(herd.depth, ({ held }) => held === 1))
          yield* desk.end("d")
          yield* until(() => desk.started.length === 5)
          assert.deepStrictEqual(counts(yield* herd.depth), { ready: 1, delayed: 0, held: 1, dead: 0 })
          yield* desk.end("e")
          yield* until(() => desk.started.length === 6)
          yield* desk.end("f")
          yield* herd.awaitIdle
          assert.deepStrictEqual(desk.started, ["a 1", "b 1", "c 1", "d 1", "e 1", "f 1"])
        })
    )

    onStore(
      "holds nothing while it is idle, paused or of size 0, however it was shrunk",
      (store) =>
        Effect.gen(function*() {
          const desk = makeDesk()
          const { herd } = yield* herdOn(store, { process: desk.process, size: 16 })
          yield* herd.resize(1)
          yield* herd.offerAll(...bodies(...Array.from({ length: 20 }, (_, n) => `unit ${n}`)))
          yield* until(() => desk.inside.size === 1)
          assert.deepStrictEqual(counts(yield* herd.depth), { ready: 19, delayed: 0, held: 1, dead: 0 })
          yield* herd.pause
          yield* desk.end("unit 0")
          yield* until(Effect.map(herd.depth, ({ held }) => held === 0))
          yield* herd.resize(0)
          yield* herd.resume
          yield* herd.resize(3)
          yield* until(() => desk.inside.size === 3)
          yield* herd.resize(0, { mode: "interrupt" })
          yield* until(Effect.map(herd.depth, ({ held }) => held === 0))
          assert.deepStrictEqual(counts(yield* herd.depth), { ready: 19, delayed: 0, held: 0, dead: 0 })
          assert.deepStrictEqual(desk.started, ["unit 0 1", "unit 1 1", "unit 2 1", "unit 3 1"])
          yield* herd.resize(3)
          yield* until(() => desk.inside.size === 3)
          assert.deepStrictEqual(desk.started.slice(4).toSorted(), ["unit 1 1", "unit 2 1", "unit 3 1"])
          const { accepted, interrupted, running } = yield* herd.state
          assert.deepStrictEqual([accepted, running, interrupted], [4, 3, 0])
        })
    )

    onStore("runs a unit that takes longer than its lease once", (store) =>
      Effect.gen(function*() {
        const desk = makeDesk()
        const options = { process: desk.process, size: 2, lease: "1500 millis" } as const
        const { herd } = yield* herdOn(store, options)
        yield* herdOn(store, options)
        yield* herd.offer("long", { id: "long" })
        yield* until(() => desk.inside.size === 1)
        yield* Effect.sleep("5 seconds")
        yield* desk.end("long")
        yield* herd.awaitIdle
        assert.deepStrictEqual(desk.started, ["long 1"])
        assert.deepStrictEqual(desk.interrupted, [])
      }))

    onStore(
      "G8 retries as the Schedule says, each time the next delay, though the units wait in the source",
      (store) =>
        Effect.gen(function*() {
          const times: Array<number> = []
          const delays: Array<number> = []
          const { herd } = yield* herdOn(store, {
            process: () =>
              Effect.flatMap(Clock.currentTimeMillis, (now) => {
                times.push(now)
                return Effect.fail("no")
              }),
            retry: Schedule.exponential("100 millis").pipe(Schedule.intersect(Schedule.recurs(3))),
            onRetry: ({ delay }) => Effect.sync(() => delays.push(Duration.toMillis(delay)))
          })
          yield* herd.offer("x")
          yield* herd.awaitIdle
          assert.deepStrictEqual(delays, [100, 200, 400])
          times.slice(1).forEach((time, n) => assert.isAtLeast(time, (times[n] ?? 0) + (delays[n] ?? 0)))
          const { accepted, failed, retried, retrying } = yield* herd.state
          assert.deepStrictEqual([accepted, failed, retried, retrying], [1, 1, 3, 0])
        })
    )

    for (const [named, wait] of [["no end", Infinity], ["1e300 ms", 1e300]] as const) {
      onStore(
        `keeps a unit whose backoff has ${named} for as long as its store can, and works on others`,
        (store) =>
          Effect.gen(function*() {
            const started: Array<string> = []
            const { herd } = yield* herdOn(store, {
              process: (body) => {
                started.push(body)
                return body === "bad" ? Effect.fail("no") : Effect.void
              },
              size: 2,
              retry: Schedule.forever.pipe(Schedule.addDelay(() => wait))
            })
            yield* herd.offerAll(["bad", "a"])
            yield* until(Effect.map(herd.depth, ({ delayed }) => delayed === 1))
            yield* herd.offerAll(["b", "c", "bad"])
            yield* herd.offer("later", { delay: 1e300 })
            yield* until(Effect.map(herd.depth, ({ delayed, held, ready }) => delayed === 3 && ready + held === 0))
            yield* Effect.sleep("300 millis")
            assert.deepStrictEqual(started.toSorted(), ["a", "b", "bad", "bad", "c"])
          })
      )
    }

    onStore(
      "takes the longest lease that a duration can say, and keeps a unit's claim by it",
      (store) =>
        Effect.gen(function*() {
          const done: Array<string> = []
          const { herd } = yield* herdOn(store, { process: (body) => Effect.sync(() => done.push(body)), lease: 1e300 })
          yield* herd.offer("x")
          yield* until(() => done.length === 1)
          yield* herd.awaitIdle
          assert.deepStrictEqual(yield* herd.dead.list(), [])
        })
    )

    onStore(
      "keeps the cause of a dead letter whatever it is made of, and passes over ids that no unit can have",
      (store) =>
        Effect.gen(function*() {
          const { herd } = yield* herdOn(store, {
            process: (body) => Effect.fail(`\0 \ud800 ${body} \udc00 ${"🐹".repeat(100_000)}`),
            size: 4
          })
          yield* herd.offerAll(...bodies("a", "b"))
          yield* until(Effect.map(herd.depth, ({ dead }) => dead === 2))
          for (const { cause } of yield* herd.dead.list()) {
            assert.match(cause, /\ufffd \ufffd [ab] \ufffd 🐹/u)
            assert.isAtMost(cause.length, 4_000)
          }
          const ids = ["a\0", "\ud800", "x".repeat(1_000), ""]
          assert.strictEqual(yield* herd.dead.redrive(ids), 0)
          assert.strictEqual(yield* herd.dead.discard(ids), 0)
          assert.strictEqual(yield* herd.dead.discard([...ids, "a", "b"]), 2)
        })
    )

    onStore(
      "keeps a unit whatever its body, priority and delay are, or refuses the whole call with InvalidUnit",
      (store) =>
        Effect.gen(function*() {
          const { herd } = yield* herdOn(store, { process: () => Effect.void, size: 0 })
          const { queue } = yield* open(store)
          const bodies = [
            "\0",
            "\ud800",
            "\udfff\ud83d",
            "\\u0000",
            "\\\\ud800",
            "\ufeff\uffff\u2028\u{1f9ab}",
            "",
            "null"
          ]
          const priorities = [
            -0,
            0.5,
            0.1 + 0.2,
            5e-324,
            2 ** 20,
            2 ** 21,
            -(2 ** 63),
            10 ** 21 / 7,
            Number.MAX_VALUE
          ]
          const delays = [-0, 0.3, "1500 micros", Duration.nanos(1n)] as const
          const offers = [
            ...bodies.map((body) => ({ body, priority: 0, delay: 0 as Duration.DurationInput })),
            ...priorities.map((priority) => ({ body: "x", priority, delay: 0 })),
            ...delays.map((delay) => ({ body: "x", priority: 0, delay }))
          ]
          for (const { body, ...entry } of offers) {
            const told = yield* Effect.either(herd.offerAll([body, "good"], entry))
            if (Either.isLeft(told)) {
              assert.strictEqual(told.left._tag, "InvalidUnit", told.left.message)
              assert.deepStrictEqual(counts(yield* herd.depth), { ready: 0, delayed: 0, held: 0, dead: 0 })
              continue
            }
            const claims = yield* claimSoon(queue, 2)
            assert.sameMembers(claims.map(({ body }) => JSON.parse(body)), [body, "good"])
            // Not -0.
            for (const { priority } of claims) assert.deepStrictEqual(priority, entry.priority + 0)
            yield* queue.settle(claims.map(ack), 0)
          }
          assert.deepStrictEqual(counts(yield* herd.depth), { ready: 0, delayed: 0, held: 0, dead: 0 })
        })
    )

    onStore("offers and claims large bodies in parts, each of about 4 MB", (store) =>
      Effect.gen(function*() {
        const offered: Array<number> = []
        const claimed: Array<number> = []
        const bytesOf = (units: ReadonlyArray<{ readonly body: string }>) =>
          units.reduce((sum, { body }) => sum + body.length, 0)
        const note = (claims: ReadonlyArray<HerdSource.Claim>) =>
          Effect.sync(() => claims.length > 0 && claimed.push(bytesOf(claims)))
        const watched = alteredStore(store, (queue) => ({
          offer: (units) => Effect.zipRight(Effect.sync(() => offered.push(bytesOf(units))), queue.offer(units)),
          claim: (max) => Effect.tap(queue.claim(max), note),
          settle: (settlements, max) => Effect.tap(queue.settle(settlements, max), ({ claimed }) => note(claimed))
        }))
        const gate = yield* Deferred.make<void>()
        const done: Array<number> = []
        const { herd } = yield* herdOn(watched, {
          process: (body) => Effect.zipRight(Deferred.await(gate), Effect.sync(() => done.push(body.length))),
          size: 0
        })
        yield* herd.offerAll(Array.from({ length: 14 }, () => "x".repeat(600_000)))
        assert.deepStrictEqual(offered, [6, 6, 2].map((units) => units * 600_002))
        // It knows how large they are from the first ones that it has.
        yield* herd.resize(7)
        yield* until(Effect.map(herd.state, ({ running }) => running === 7))
        claimed.length = 0
        yield* herd.resize(14)
        yield* until(Effect.map(herd.state, ({ running }) => running === 14))
        for (const bytes of claimed) assert.isAtMost(bytes, 4_194_304)
        assert.strictEqual(claimed.reduce((sum, bytes) => sum + bytes, 0), 7 * 600_002)
        yield* Deferred.succeed(gate, undefined)
        yield* herd.awaitIdle
        assert.deepStrictEqual(done, Array.from({ length: 14 }, () => 600_000))
      }))

    onStore(
      "refuses a body that is larger than its source keeps, with the bound, and all of the call",
      (store) =>
        Effect.gen(function*() {
          const { queue: { maxBodyBytes } } = yield* open(store)
          if (maxBodyBytes === undefined) return
          const { herd } = yield* herdOn(store, { process: () => Effect.void, size: 0 })
          const error = yield* Effect.flip(herd.offerAll(["good", "x".repeat(maxBodyBytes - 1)]))
          assert.strictEqual(error._tag, "InvalidUnit")
          assert.include(
            error.message,
            `one of at most ${maxBodyBytes} bytes of JSON, got ${maxBodyBytes + 1} bytes of it`
          )
          assert.deepStrictEqual(counts(yield* herd.depth), { ready: 0, delayed: 0, held: 0, dead: 0 })
        })
    )

    for (
      const [kind, becomes] of [
        ["Ack", undefined],
        ["Retry", "delayed"],
        ["Bury", "dead"],
        ["Release", "ready"]
      ] as const
    ) {
      onStore(
        `goes on with the others if one ${kind} of a batch is refused, and settles that once it is taken`,
        (store) =>
          Effect.gen(function*() {
            const after = (settled: number, held: number) => ({
              ready: 0,
              delayed: 0,
              dead: 0,
              held,
              ...(becomes === undefined ? {} : { [becomes]: settled })
            })
            let refusing = true
            const refused: Array<number> = []
            const picky = alteredStore(store, (queue) => ({
              settle: (settlements, claim) =>
                Effect.suspend(() => {
                  const refuses = settlements.some(({ _tag, claim: { id } }) => _tag === kind && id === "b")
                  if (!refusing || !refuses) return queue.settle(settlements, claim)
                  refused.push(settlements.length)
                  return new HerdError.SourceError({ source: "picky", operation: "settle units", cause: "no" })
                })
            }))
            const gate = yield* Deferred.make<void>()
            const { close, herd } = yield* herdOn<string>(picky, {
              process: () => Effect.zipRight(Deferred.await(gate), kind === "Ack" ? Effect.void : Effect.fail("no")),
              retry: kind === "Retry" ? Schedule.spaced("1 hour") : Schedule.stop,
              size: 4
            })
            yield* herd.offerAll(...bodies("a", "b", "c", "d"))
            yield* until(Effect.map(herd.state, ({ running }) => running === 4))
            if (kind === "Release") yield* herd.resize(0, { mode: "interrupt" })
            else yield* Deferred.succeed(gate, undefined)
            yield* until(Effect.map(herd.depth, ({ held }) => held === 1))
            assert.deepStrictEqual(counts(yield* herd.depth), after(3, 1))
            // It was one of a batch, and then alone.
            assert.isAbove(refused[0] ?? 0, 1)
            yield* until(() => refused.at(-1) === 1)
            yield* until(Effect.map(herd.state, ({ running }) => running === 0))
            refusing = false
            yield* close
            const { queue } = yield* open(store)
            assert.deepStrictEqual(counts(yield* queue.depth), after(4, 0))
          })
      )
    }

    onStore("takes the longest name and the longest ids, of whatever characters", (store) =>
      Effect.gen(function*() {
        // None of them is like another, so that no database makes them shorter.
        const wide = (n: number) => String.fromCharCode(...Array.from({ length: 255 }, (_, i) => 0x4e00 + (n + i) * 73))
        const ids = [wide(1), wide(2), ":".repeat(255), "%".repeat(255), "\u{1f9ab}".repeat(127)]
        const done: Array<string> = []
        const { herd } = yield* herdOn({ ...store, herd: `${store.herd}${wide(3)}`.slice(0, 255) }, {
          process: (_, { id }) => Effect.sync(() => done.push(id))
        })
        yield* herd.offerAll(...bodies(...ids))
        yield* herd.awaitIdle
        assert.deepStrictEqual(done, ids)
      }))

    onStore("keeps a delay, and where the Schedule was, across a restart", (store) =>
      Effect.gen(function*() {
        const delays: Array<number> = []
        const starts: Array<number> = []
        const options: HerdOptions<string> = {
          process: () =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              starts.push(now)
              return Effect.fail("no")
            }),
          retry: Schedule.exponential("300 millis").pipe(Schedule.intersect(Schedule.recurs(2))),
          onRetry: ({ delay }) => Effect.sync(() => delays.push(Duration.toMillis(delay)))
        }
        const before = yield* herdOn(store, options)
        yield* before.herd.offer("x", { id: "x" })
        yield* until(Effect.map(before.herd.depth, ({ delayed }) => delayed === 1))
        yield* before.close
        const { herd } = yield* herdOn(store, options)
        yield* herd.awaitIdle
        assert.deepStrictEqual(delays, [300, 600])
        const [first = 0, second = 0, third = 0] = starts
        assert.isAtLeast(second - first, 300)
        assert.isAtLeast(third - second, 600)
        assert.deepStrictEqual((yield* herd.dead.list()).map(({ attempts, id }) => [id, attempts]), [["x", 3]])
      }))

    onStore(
      "G8 makes one step of the Schedule for each failure, of a unit that stays in its process",
      (store) =>
        Effect.gen(function*() {
          const seen: Array<string> = []
          const { herd } = yield* herdOn<string>(store, {
            process: (body, { attempt }) => Effect.fail(`${body} ${attempt}`),
            retry: Schedule.recurs(9).pipe(Schedule.tapInput((error: string) => Effect.sync(() => seen.push(error))))
          })
          yield* herd.offer("x")
          yield* herd.awaitIdle
          assert.deepStrictEqual(seen, Array.from({ length: 10 }, (_, n) => `x ${n + 1}`))
        })
    )

    onStore(
      "G8 replays the Schedule once, with the error of then, for a unit that comes from another process",
      (store) =>
        Effect.gen(function*() {
          const desk = makeDesk()
          const seen: Array<string> = []
          const options: HerdOptions<string> = {
            process: desk.process,
            retry: Schedule.recurs(3).pipe(Schedule.tapInput((error: string) => Effect.sync(() => seen.push(error)))),
            gracePeriod: 0
          }
          const failing = (attempt: number) =>
            Effect.gen(function*() {
              yield* until(() => desk.inside.has("x") && desk.started.at(-1) === `x ${attempt}`)
              yield* desk.end("x", Effect.fail(`error ${attempt}`))
            })
          const before = yield* herdOn(store, options)
          yield* before.herd.offerAll(...bodies("x"))
          yield* failing(1)
          yield* failing(2)
          yield* until(() => desk.inside.has("x") && desk.started.at(-1) === "x 3")
          yield* before.close
          assert.deepStrictEqual(seen.splice(0), ["error 1", "error 2"])
          const { herd } = yield* herdOn(store, options)
          yield* until(() => desk.started.length === 4)
          yield* failing(3)
          yield* failing(4)
          yield* herd.awaitIdle
          assert.deepStrictEqual(seen, ["error 3", "error 3", "error 3", "error 4"])
          assert.deepStrictEqual((yield* herd.dead.list()).map(({ attempts, id }) => [id, attempts]), [["x", 4]])
        })
    )

    onStore(
      "buries a unit that the Schedule gives up, with its cause, and runs it again once it is redriven",
      (store) =>
        Effect.gen(function*() {
          let broken = true
          const done: Array<string> = []
          const { herd } = yield* herdOn(store, {
            process: (body, { attempt }) =>
              broken ? Effect.fail(new OutOfOrder("out of order")) : Effect.sync(() => done.push(`${body} ${attempt}`)),
            retry: Schedule.recurs(1)
          })
          yield* herd.offer("x", { id: "x" })
          yield* until(Effect.map(herd.depth, ({ dead }) => dead === 1))
          const [letter] = yield* herd.dead.list()
          assert.deepStrictEqual([letter?.id, letter?.body, letter?.attempts, letter?.crashes], ["x", `"x"`, 2, 0])
          assert.match(letter?.cause ?? "", /^OutOfOrder: out of order\n\s+at /)
          broken = false
          assert.strictEqual(yield* herd.dead.redrive(["x"]), 1)
          yield* until(() => done.length === 1)
          assert.deepStrictEqual(done, ["x 1"])
          yield* herd.awaitIdle
          assert.deepStrictEqual(yield* herd.dead.list(), [])
        })
    )

    onStore(
      "buries what dies, what interrupts itself, and what its schema does not decode, each with the reason",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          const { herd } = yield* herdOn(store, {
            process: (body) => body === "die" ? Effect.die("dead") : body === "leave" ? Effect.interrupt : Effect.void,
            retry: Schedule.recurs(5)
          })
          yield* queue.offer([
            unit("number", { body: "17" }),
            unit("die", { body: `"die"` }),
            unit("leave", { body: `"leave"` }),
            unit("fine")
          ])
          yield* herd.awaitIdle
          const letters = new Map((yield* herd.dead.list()).map((letter) => [letter.id, letter]))
          assert.deepStrictEqual(Array.from(letters.keys()).toSorted(), ["die", "leave", "number"])
          assert.match(letters.get("die")?.cause ?? "", /dead/)
          assert.match(letters.get("leave")?.cause ?? "", /got interrupted by itself/)
          assert.match(
            letters.get("number")?.cause ?? "",
            /expected .* that its schema decodes, got .*Expected string, actual 17/s
          )
          const { accepted, failed, interrupted, succeeded } = yield* herd.state
          assert.deepStrictEqual([accepted, succeeded, failed, interrupted], [4, 1, 2, 1])
          const { failures } = yield* herd.history
          assert.deepStrictEqual(failures.map(({ attempts, id }) => [id, attempts]).toSorted(), [["die", 1], [
            "number",
            1
          ]])
        })
    )

    onStore(
      "does not bury a unit whose last attempt is interrupted, by a shrink or by the closing of the scope",
      (store) =>
        Effect.gen(function*() {
          const desk = makeDesk()
          const first = yield* herdOn(store, { process: desk.process, size: 2 })
          yield* first.herd.offerAll(...bodies("a", "b"))
          yield* until(() => desk.inside.size === 2)
          yield* first.herd.resize(0, { mode: "interrupt" })
          yield* until(Effect.map(first.herd.depth, ({ ready }) => ready === 2))
          yield* first.herd.resize(2)
          yield* until(() => desk.inside.size === 2)
          yield* first.close
          const { herd } = yield* herdOn(store, { process: desk.process, size: 2 })
          yield* until(() => desk.inside.size === 2)
          assert.deepStrictEqual(desk.started, ["a 1", "b 1", "a 1", "b 1", "a 1", "b 1"])
          assert.strictEqual(desk.interrupted.length, 4)
          yield* desk.end("a")
          yield* desk.end("b")
          yield* herd.awaitIdle
          assert.deepStrictEqual(yield* herd.dead.list(), [])
        })
    )

    onStore(
      "G10 finishes what it holds for gracePeriod when its scope closes, claims no more, and releases the rest",
      (store) =>
        Effect.gen(function*() {
          const desk = makeDesk()
          const { close, herd } = yield* herdOn(store, { process: desk.process, size: 2, gracePeriod: "300 millis" })
          yield* herd.offerAll(...bodies("a", "b", "c"))
          yield* until(() => desk.inside.size === 2)
          const closing = yield* Effect.fork(close)
          yield* until(Effect.map(herd.state, ({ closed }) => closed))
          yield* desk.end("a")
          yield* Fiber.join(closing)
          assert.deepStrictEqual(desk.started, ["a 1", "b 1"])
          assert.deepStrictEqual(desk.interrupted, ["b 1"])
          const { queue } = yield* open(store)
          assert.deepStrictEqual(counts(yield* queue.depth), { ready: 2, delayed: 0, held: 0, dead: 0 })
          assert.deepStrictEqual((yield* claimSoon(queue, 2)).map(({ attempt, id }) => [id, attempt]), [["b", 1], [
            "c",
            1
          ]])
        })
    )

    onStore(
      "with gophers that own a resource claims for those that have it, once they have it",
      (store) =>
        Effect.gen(function*() {
          const desk = makeDesk()
          const acquiring: Array<Deferred.Deferred<void>> = []
          const acquire = Effect.gen(function*() {
            const acquired = yield* Deferred.make<void>()
            acquiring.push(acquired)
            yield* Deferred.await(acquired)
            return desk.process
          })
          const { made: herd } = yield* alone(
            store,
            DurableHerd.make({ name: store.herd, schema: Schema.String, gopher: acquire, size: 3 })
          )
          yield* herd.offerAll(...bodies("a", "b", "c", "d"))
          yield* until(() => acquiring.length === 3)
          yield* turns
          assert.deepStrictEqual(counts(yield* herd.depth), { ready: 4, delayed: 0, held: 0, dead: 0 })
          const [one, two] = acquiring
          if (one === undefined || two === undefined) return
          yield* Deferred.succeed(one, undefined)
          yield* Deferred.succeed(two, undefined)
          yield* until(() => desk.inside.size === 2)
          assert.strictEqual((yield* herd.depth).held, 2)
          yield* desk.end("a")
          yield* until(() => desk.inside.has("c"))
          assert.strictEqual((yield* herd.depth).held, 2)
          assert.deepStrictEqual(desk.started, ["a 1", "b 1", "c 1"])
        })
    )

    onStore("shares its units with other processes' herds, each unit once", (store) =>
      Effect.gen(function*() {
        const done: Array<string> = []
        const options = {
          process: (body: string) => Effect.as(Effect.sleep("1 millis"), void done.push(body)),
          size: 4
        }
        const { herd } = yield* herdOn(store, options)
        const that = yield* herdOn(store, options)
        const ids = Array.from({ length: 400 }, (_, n) => `unit ${n}`)
        yield* herd.offerAll(ids)
        yield* herd.awaitIdle
        yield* that.herd.awaitIdle
        assert.deepStrictEqual(done.toSorted(), ids.toSorted())
        const [mine, others] = [yield* herd.state, yield* that.herd.state]
        assert.strictEqual(mine.succeeded + others.succeeded, 400)
        assert.isAbove(mine.succeeded, 0)
        assert.isAbove(others.succeeded, 0)
      }))

    onStore(
      "reports a lease that it has lost: it interrupts the attempt, warns and counts",
      (store) =>
        Effect.gen(function*() {
          const desk = makeDesk()
          const { collect, lines } = makeLogs(LogLevel.Warning)
          const { queue } = yield* open(store)
          const lost = (name: string) =>
            Effect.map(Metric.value(Metric.tagged(HerdSourceMetrics.leaseLost, "herd", name)), ({ count }) => count)
          // Its source forgets to renew.
          const forgetful = Layer.map(store.layer, (context) => {
            const source = Context.get(context, HerdSource.HerdSource)
            return Context.make(HerdSource.HerdSource, {
              open: (herd, options) =>
                Effect.map(source.open(herd, options), (queue): HerdSource.Queue => ({
                  offer: (units) => queue.offer(units),
                  claim: (max) => queue.claim(max),
                  settle: (settlements, claim) => queue.settle(settlements, claim),
                  renew: (claims) => Effect.flatMap(Effect.sleep("1 seconds"), () => queue.renew(claims)),
                  arrival: queue.arrival,
                  depth: queue.depth,
                  dead: queue.dead,
                  fleet: queue.fleet
                }))
            })
          })
          const { herd } = yield* collect(
            herdOn({ ...store, layer: forgetful }, {
              process: desk.process,
              size: 1,
              lease: "500 millis",
              maxCrashes: 10
            })
          )
          const before = yield* lost(herd.name)
          yield* queue.offer(units("x"))
          yield* until(() => desk.inside.size === 1)
          yield* herd.pause
          const { attempt, id } = yield* claimOne(queue)
          assert.deepStrictEqual([id, attempt], ["x", 2])
          yield* until(() => desk.interrupted.length === 1)
          assert.strictEqual((yield* lost(herd.name)) - before, 1)
          assert.deepStrictEqual(
            lines.filter((line) => line.startsWith("WARN")),
            [`WARN [${herd.name}] expected herd "${herd.name}" to hold unit x until attempt 1 has settled, got its lease lost`]
          )
          yield* until(Effect.map(herd.state, ({ interrupted }) => interrupted === 1))
          assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 0, held: 1, dead: 0 })
        })
    )
  })

  // One after the other: each keeps the event loop from all of them.
  describe.skipIf(skipped)(`a durable herd on ${name} whose units block the event loop`, () => {
    const block = (millis: number) =>
      Effect.sync(() => {
        const until = performance.now() + millis
        while (performance.now() < until);
      })

    onStore(
      "runs a unit once that does so for longer than its lease, whoever else of its process looks for units",
      (store) =>
        Effect.gen(function*() {
          const started: Array<string> = []
          const { collect, lines } = makeLogs(LogLevel.Warning)
          const options = {
            name: store.herd,
            schema: Schema.String,
            size: 2,
            lease: "500 millis",
            process: (_: string, { attempt, id }: Work.Work<string>) =>
              Effect.suspend(() => {
                started.push(`${id} ${attempt}`)
                return Effect.zipRight(block(800), Effect.sleep("300 millis"))
              })
          } as const
          const { made: [herd] } = yield* alone(
            store,
            Effect.all([DurableHerd.make(options), DurableHerd.make(options)])
          ).pipe(collect)
          yield* herd.offer("render", { id: "render" })
          yield* until(() => started.length > 0)
          yield* herd.awaitIdle
          assert.deepStrictEqual(started, ["render 1"])
          assert.deepStrictEqual([yield* herd.dead.list(), lines], [[], []])
        })
    )
  })

  // Memory ends with its program.
  if (!programs) return

  describe.skipIf(skipped)(`a process of a durable herd on ${name}`, { concurrent: !blocks }, () => {
    onStore(
      "killed with 7 units held, loses none: they run again, as their second attempt, and the others as their first",
      (store) =>
        Effect.gen(function*() {
          const { lines, start } = yield* makePrograms(store)
          const { queue } = yield* open(store)
          const held = Array.from({ length: 7 }, (_, n) => unit(`held ${n}`, { body: `"hold"` }))
          yield* queue.offer([...held, ...units("x", "y", "z")])
          const process = yield* start(7, { lease: 1_000 })
          yield* until(() => lines().length === 7)
          yield* killed(process)
          const desk = makeDesk()
          const { herd } = yield* herdOn(store, { process: desk.process, size: 10, lease: "1 seconds" })
          yield* until(() => desk.inside.size === 10)
          const expected = [...held.map(({ id }) => `${id} 2`), "x 1", "y 1", "z 1"]
          assert.deepStrictEqual(desk.started.toSorted(), expected.toSorted())
          for (const id of Array.from(desk.inside.keys())) yield* desk.end(id)
          yield* herd.awaitIdle
          assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 0, held: 0, dead: 0 })
        })
    )

    onStore(
      "that a poison unit kills again and again, buries it after maxCrashes, and does the others",
      (store) =>
        Effect.gen(function*() {
          const { lines, start } = yield* makePrograms(store)
          const { queue } = yield* open(store, { lease: 1_000, maxCrashes: 2 })
          yield* queue.offer([unit("poison", { body: `"poison"` })])
          for (const attempt of [1, 2]) {
            const { ended } = yield* start(1, { lease: 1_000, maxCrashes: 2 })
            assert.strictEqual(yield* ended, "SIGKILL")
            assert.strictEqual(lines().at(-1), `start poison ${attempt}`)
          }
          yield* queue.offer(units("fine"))
          yield* start(1, { lease: 1_000, maxCrashes: 2 })
          yield* until(() => lines().includes("end fine 1"))
          yield* until(Effect.map(queue.depth, ({ dead, held }) => dead === 1 && held === 0))
          const [letter] = yield* queue.dead.list()
          assert.deepStrictEqual([letter?.id, letter?.attempts, letter?.crashes], ["poison", 2, 2])
          assert.deepStrictEqual(lines(), ["start poison 1", "start poison 2", "start fine 1", "end fine 1"])
        })
    )

    for (const [way, clock] of [["behind", -3_600_000], ["ahead", 3_600_000]] as const) {
      onStore(
        `whose clock is an hour ${way}, keeps to the delays, backoffs and leases of all`,
        (store) =>
          Effect.gen(function*() {
            const { lines, start } = yield* makePrograms(store)
            const process = yield* start(4, { lease: 1_000, backoff: 1_500, clock })
            const { queue } = yield* open(store, { lease: 1_000 })
            const began = performance.now()
            yield* queue.offer([
              unit("late", { runAt: Date.now() + 1_500 }),
              unit("fails", { body: `"fail"` }),
              unit("held", { body: `"hold"` })
            ])
            const seen = (line: string) => Effect.map(until(() => lines().includes(line)), () => performance.now())
            const failed = yield* seen("start fails 1")
            yield* seen("start held 1")
            const times = yield* Effect.all([seen("end late 1"), seen("end fails 2")], { concurrency: 2 })
            assert.isAtLeast(times[0] - began, 1_400)
            assert.isAtLeast(times[1] - failed, 1_000)
            // Two leases later, its own is still kept up.
            yield* Effect.sleep(2_000)
            assert.deepStrictEqual(yield* queue.claim(1), [])
            yield* killed(process)
            assert.deepStrictEqual((yield* claimSoon(queue, 1)).map(({ attempt, id }) => [id, attempt]), [["held", 2]])
          })
      )
    }

    onStore("stopped by SIGTERM, releases what it holds", (store) =>
      Effect.gen(function*() {
        const { lines, start } = yield* makePrograms(store)
        const { queue } = yield* open(store)
        yield* queue.offer([unit("a", { body: `"hold"` }), unit("b", { body: `"hold"` })])
        const { child, ended } = yield* start(2)
        yield* until(() => lines().length === 2)
        child.kill("SIGTERM")
        assert.strictEqual(yield* ended, 0)
        assert.deepStrictEqual((yield* queue.claim(5)).map(({ attempt, id }) => [id, attempt]), [["a", 1], ["b", 1]])
      }))
  })
}
