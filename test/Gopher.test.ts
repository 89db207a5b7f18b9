import { assert, describe, it } from "@effect/vitest"
import { type Context, Deferred, Effect, Exit, Fiber, LogLevel, Metric, Schedule, Stream, TestClock } from "effect"
import { Gopher, Herd, HerdError, HerdMetrics } from "gofherd"
import { makeLogs } from "./utils/logs.ts"
import { scoped, turns } from "./utils/stage.ts"

type Self = Context.Tag.Service<Gopher.Gopher>

/**
 * Gophers with a numbered resource; `lives` are those that have it now, and what happened to them
 * is in `events`.
 */
const makeGophers = () => {
  const events: Array<string> = []
  const lives = new Map<number, Self>()
  let born = 0
  const gopher = <In, Out, E>(process: (id: number, self: Self) => Herd.Process<In, Out, E, never>) =>
    Effect.gen(function*() {
      const self = yield* Gopher.Gopher
      const id = yield* Effect.acquireRelease(
        Effect.sync(() => {
          events.push(`+${++born}`)
          lives.set(born, self)
          return born
        }),
        (id) =>
          Effect.sync(() => {
            events.push(`-${id}`)
            lives.delete(id)
          })
      )
      return process(id, self)
    })
  const self = (id: number): Self => {
    const found = lives.get(id)
    if (found === undefined) throw new Error(`expected gopher ${id} to live, got ${[...lives.keys()]}`)
    return found
  }
  return { events, gopher, self }
}

const after = (millis: number) => Effect.zipRight(TestClock.adjust(millis), turns)

describe("Gopher.replace", () => {
  it.scoped("replaces the gopher once its unit has failed, and the unit is retried on the fresh one (G7, G8)", () =>
    Effect.gen(function*() {
      const { events, gopher } = makeGophers()
      const herd = yield* Herd.make({
        gopher: gopher((id, self) => (n: number) =>
          n === 0 && id === 1 ? Effect.zipRight(self.replace(), Effect.fail("lost")) : Effect.succeed(`${n} by ${id}`)
        ),
        retry: Schedule.recurs(1)
      })
      assert.strictEqual(yield* herd.run(7), "7 by 1")
      assert.strictEqual(yield* herd.run(0), "0 by 2")
      assert.deepStrictEqual(events, ["+1", "-1", "+2"])
      const { failed, live, retried, succeeded } = yield* herd.state
      assert.deepStrictEqual([failed, live, retried, succeeded], [0, 1, 1, 2])
    }))

  it.scoped("leaves what the unit ends with to the unit: a result is one, and a failure without a Schedule is one", () =>
    Effect.gen(function*() {
      const { events, gopher } = makeGophers()
      const herd = yield* Herd.make({
        gopher: gopher((_, self) => (n: number) =>
          Effect.zipRight(self.replace(), n === 0 ? Effect.fail("lost") : Effect.succeed(n))
        )
      })
      assert.strictEqual(yield* herd.run(1), 1)
      yield* after(100)
      assert.strictEqual(yield* Effect.flip(herd.run(0)), "lost")
      yield* after(200)
      assert.deepStrictEqual(events, ["+1", "-1", "+2", "-2", "+3"])
    }))

  it.scoped("replaces an idle gopher at once, before there is work for it", () =>
    Effect.gen(function*() {
      const { events, gopher, self } = makeGophers()
      const herd = yield* Herd.make({ gopher: gopher((id) => (_: void) => Effect.succeed(id)) })
      yield* herd.run()
      yield* turns
      yield* self(1).replace()
      yield* turns
      assert.deepStrictEqual(events, ["+1", "-1", "+2"])
      yield* herd.grow(1)
      yield* turns
      // Those have done nothing yet, so that who replaces them waits; the other one works.
      yield* self(2).replace()
      yield* turns
      assert.deepStrictEqual(events.slice(3), ["+3", "-2"])
      assert.strictEqual((yield* herd.state).live, 2)
      assert.strictEqual(yield* herd.run(), 3)
    }))

  it.scoped("does not call an idle gopher that it has replaced, so that work never waits for it (G2)", () =>
    Effect.gen(function*() {
      const { gopher, self } = makeGophers()
      const gate = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        gopher: gopher((id) => (_: void) => Effect.as(Deferred.await(gate), id)),
        size: 2
      })
      yield* turns
      const first = yield* Effect.fork(herd.run())
      yield* turns
      yield* self(1).replace()
      // There is work while its successor is not there yet.
      const second = yield* Effect.fork(herd.run())
      yield* after(100)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(Fiber.zip(first, second)), [2, 3])
      yield* turns
      assert.strictEqual(yield* Effect.timeout(herd.run(), "1 second"), 3)
    }))

  it.scoped("lets a busy gopher finish its unit, gives it no other, and counts it as live until it is released (G1)", () =>
    Effect.gen(function*() {
      const { events, gopher, self } = makeGophers()
      const gate = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        gopher: gopher((id) => (n: number) => n === 0 ? Effect.as(Deferred.await(gate), id) : Effect.succeed(id))
      })
      yield* herd.run(1)
      const first = yield* Effect.fork(herd.run(0))
      yield* turns
      yield* self(1).replace()
      const second = yield* Effect.fork(herd.run(1))
      yield* turns
      const { live, queued, running } = yield* herd.state
      assert.deepStrictEqual([live, queued, running], [1, 1, 1])
      assert.deepStrictEqual(events, ["+1"])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(first), 1)
      assert.strictEqual(yield* Fiber.join(second), 2)
      assert.deepStrictEqual(events, ["+1", "-1", "+2"])
    }))

  it.scoped("replaces at once a gopher that had ended a unit, and after 100, 200, … ms those that break before they have", () =>
    Effect.gen(function*() {
      const { events, gopher } = makeGophers()
      let broken = true
      const herd = yield* Herd.make({
        gopher: gopher((id, self) => (_: void) =>
          broken ? Effect.zipRight(self.replace(), Effect.fail("lost")) : Effect.succeed(id)
        ),
        retry: Schedule.forever
      })
      broken = false
      yield* herd.run()
      broken = true
      const caller = yield* Effect.fork(herd.run())
      yield* turns
      assert.deepStrictEqual(events, ["+1", "-1", "+2", "-2"])
      for (const [n, millis] of [100, 200, 400].entries()) {
        yield* after(millis - 1)
        assert.strictEqual(events.length, 2 * n + 4)
        yield* after(1)
        assert.strictEqual(events.length, 2 * n + 6)
      }
      broken = false
      yield* after(800)
      assert.strictEqual(yield* Fiber.join(caller), 6)
      broken = true
      // It has ended one: it starts over.
      yield* Effect.fork(herd.run())
      yield* turns
      assert.deepStrictEqual(events.slice(-4), ["+6", "-6", "+7", "-7"])
    }))

  it.scoped("waits for 30 s at the most, and a shrink ends the waiting (G5)", () =>
    Effect.gen(function*() {
      const { events, gopher } = makeGophers()
      const herd = yield* Herd.make({
        gopher: gopher((_, self) => (_: void) => Effect.zipRight(self.replace(), Effect.fail("lost"))),
        retry: Schedule.forever
      })
      yield* Effect.fork(herd.run())
      yield* turns
      for (let millis = 100; millis < 30_000; millis *= 2) yield* after(millis)
      const before = events.length
      yield* after(29_999)
      assert.strictEqual(events.length, before)
      yield* after(1)
      assert.strictEqual(events.length, before + 2)
      assert.strictEqual((yield* herd.state).live, 1)
      yield* herd.resize(0)
      yield* herd.settled
      assert.strictEqual((yield* herd.state).live, 0)
      // Who comes later does not inherit it.
      yield* herd.resize(1)
      yield* turns
      assert.strictEqual(events.length, before + 4)
    }))

  it.scoped("with maxCrashes makes a failure of a unit that broke so many gophers, whatever the Schedule says", () =>
    Effect.gen(function*() {
      const { gopher } = makeGophers()
      const herd = yield* Herd.make({
        gopher: gopher((_, self) => (n: number) =>
          n === 0 ? Effect.zipRight(self.replace({ maxCrashes: 3 }), Effect.fail("poison")) : Effect.succeed(n)
        ),
        retry: Schedule.forever
      })
      const caller = yield* Effect.fork(Effect.flip(herd.run(0)))
      yield* turns
      yield* after(100)
      assert.isNull(caller.unsafePoll())
      yield* after(200)
      assert.strictEqual(yield* Fiber.join(caller), "poison")
      const { failed, retried } = yield* herd.state
      assert.deepStrictEqual([failed, retried], [1, 2])
      yield* after(400)
      assert.strictEqual(yield* herd.run(5), 5)
    }))

  it.scoped("counts for maxCrashes only gophers that broke", () =>
    Effect.gen(function*() {
      const { gopher } = makeGophers()
      let attempts = 0
      const herd = yield* Herd.make({
        gopher: gopher((_, self) => (_: void) =>
          ++attempts <= 3 ? Effect.fail("no") : Effect.zipRight(self.replace({ maxCrashes: 2 }), Effect.fail("broken"))
        ),
        retry: Schedule.forever
      })
      const caller = yield* Effect.fork(Effect.flip(herd.run()))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(caller), "broken")
      assert.strictEqual(attempts, 5)
    }))

  it.scoped("keeps to the smallest maxCrashes that was said, and to it for that unit only", () =>
    Effect.gen(function*() {
      const { gopher } = makeGophers()
      let attempts = 0
      const herd = yield* Herd.make({
        gopher: gopher((_, self) => (maxCrashes: ReadonlyArray<number | undefined>) => {
          attempts++
          const breaking = Effect.forEach(maxCrashes, (maxCrashes) => self.replace({ maxCrashes }))
          return Effect.zipRight(breaking, Effect.fail("broken"))
        }),
        retry: Schedule.recurs(4)
      })
      for (const [said, expected] of [[[3, 2, 9, undefined], 2], [[undefined], 5], [[3], 3]] as const) {
        attempts = 0
        const caller = yield* Effect.fork(Effect.flip(herd.run(said)))
        yield* TestClock.adjust("10 minutes")
        yield* Fiber.join(caller)
        assert.strictEqual(attempts, expected)
      }
    }))

  it.scoped("says nothing new of a gopher that is going anyway, and nothing at all of one that is gone", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      const { events, gopher, self } = makeGophers()
      const gate = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        name: "fragile",
        gopher: gopher((id) => (n: number) => n === 0 ? Effect.as(Deferred.await(gate), id) : Effect.succeed(id))
      })
      yield* herd.run(1)
      const first = self(1)
      yield* Effect.fork(herd.run(0, { id: "the unit" }))
      yield* turns
      yield* first.replace()
      yield* first.replace()
      yield* herd.resize(0)
      yield* Deferred.succeed(gate, undefined)
      yield* herd.settled
      yield* first.replace()
      yield* turns
      assert.deepStrictEqual(events, ["+1", "-1"])
      assert.deepStrictEqual(logs.lines, [
        "INFO [fragile] a gopher is replaced, since its resource broke at unit the unit"
      ])
      const { count } = yield* Metric.value(Metric.tagged(HerdMetrics.replacements, "herd", herd.name))
      assert.strictEqual(count, 1)
    }))
  })

  it.scoped("counts and logs no replacement where a shrink takes the place of the gopher that broke (G5)", () =>
    Effect.gen(function*() {
      const { events, gopher } = makeGophers()
      const gate = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        name: "shrunk",
        gopher: gopher((_, self) => (_: void) =>
          Effect.zipRight(Deferred.await(gate), Effect.zipRight(self.replace(), Effect.fail("lost")))
        )
      })
      const caller = yield* Effect.fork(Effect.flip(herd.run()))
      yield* turns
      yield* herd.resize(0)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(caller), "lost")
      yield* herd.settled
      assert.deepStrictEqual(events, ["+1", "-1"])
      const { count } = yield* Metric.value(Metric.tagged(HerdMetrics.replacements, "herd", "shrunk"))
      assert.strictEqual(count, 0)
    }))

  it.scoped("gives up an acquiring that says so itself, and tries again later", () =>
    Effect.gen(function*() {
      let acquired = 0
      yield* Herd.make({
        gopher: Effect.flatMap(Gopher.Gopher, (self) => {
          acquired++
          return Effect.zipRight(self.replace(), Effect.as(Effect.never, Effect.succeed<number>))
        })
      })
      yield* turns
      assert.strictEqual(acquired, 1)
      yield* after(99)
      assert.strictEqual(acquired, 1)
      yield* after(1)
      assert.strictEqual(acquired, 2)
    }))

  it.scoped("dies with InvalidOption of a maxCrashes that makes no sense, and changes nothing", () =>
    Effect.gen(function*() {
      const { events, gopher, self } = makeGophers()
      yield* Herd.make({ gopher: gopher(() => Effect.succeed<number>) })
      yield* turns
      for (const maxCrashes of [0, -1, 1.5, Number.NaN, Infinity, "3", null]) {
        const exit = yield* Effect.exit(self(1).replace({ maxCrashes: maxCrashes as never }))
        const given = typeof maxCrashes === "string" ? `"${maxCrashes}"` : String(maxCrashes)
        const expected = new HerdError.InvalidOption({ option: "maxCrashes", expected: "an integer from 1", given })
        assert.deepStrictEqual(exit, Exit.die(expected))
      }
      yield* turns
      assert.deepStrictEqual(events, ["+1"])
    }))
})

describe("Gopher.putBack", () => {
  it.scoped("puts the unit back at the head, its attempt not spent, and replaces the gopher (G2, G15)", () =>
    Effect.gen(function*() {
      const { events, gopher } = makeGophers()
      const starts: Array<string> = []
      const herd = yield* Herd.make({
        gopher: gopher((id, self) => (n: number, { attempt }) => {
          starts.push(`${n}, attempt ${attempt} on ${id}`)
          return id === 1 && n === 2 ? self.putBack : Effect.succeed(n)
        })
      })
      yield* herd.sendAll([1, 2, 3])
      yield* herd.awaitIdle
      assert.deepStrictEqual(starts, [
        "1, attempt 1 on 1",
        "2, attempt 1 on 1",
        "2, attempt 1 on 2",
        "3, attempt 1 on 2"
      ])
      assert.deepStrictEqual(events, ["+1", "-1", "+2"])
      const { retried, succeeded } = yield* herd.state
      assert.deepStrictEqual([retried, succeeded], [0, 3])
    }))

  it.scoped("from without interrupts the unit first, and waits for its finalizers (G11)", () =>
    Effect.gen(function*() {
      const { events, gopher, self } = makeGophers()
      const herd = yield* Herd.make({
        gopher: gopher((id) => (_: void) =>
          id === 1
            ? Effect.onInterrupt(
              Effect.never,
              () => Effect.zipRight(turns, Effect.sync(() => events.push("finalized")))
            )
            : Effect.succeed(id)
        )
      })
      const caller = yield* Effect.fork(herd.run())
      yield* turns
      yield* Effect.fork(self(1).putBack)
      yield* turns
      yield* after(100)
      assert.strictEqual(yield* Fiber.join(caller), 2)
      assert.deepStrictEqual(events, ["+1", "finalized", "-1", "+2"])
    }))

  /** A unit that is put back, once its finalizer may end. */
  const lingering = Effect.gen(function*() {
    const { gopher, self } = makeGophers()
    const gate = yield* Deferred.make<void>()
    const { close, herd } = yield* scoped(
      Herd.make({ gopher: gopher(() => (_: void) => Effect.onInterrupt(Effect.never, () => Deferred.await(gate))) })
    )
    const putBack = Effect.forkDaemon(Effect.suspend(() => self(1).putBack))
    return { close, herd, putBack: Effect.zipRight(putBack, turns), open: Deferred.succeed(gate, undefined) }
  })

  it.scoped("does not put back a unit that was cancelled meanwhile (G11)", () =>
    Effect.gen(function*() {
      const { close, herd, open, putBack } = yield* lingering
      const caller = yield* Effect.fork(herd.run())
      yield* turns
      yield* putBack
      yield* Fiber.interruptFork(caller)
      yield* turns
      // If it waited again, it would now wait for ever.
      yield* herd.pause
      yield* open
      yield* Fiber.await(caller)
      const { interrupted, queued, running } = yield* herd.state
      assert.deepStrictEqual([interrupted, queued, running], [1, 0, 0])
      yield* close
    }))

  it.scoped("does not put back a unit whose scope closes: it was interrupted in its first attempt (G10)", () =>
    Effect.gen(function*() {
      const { close, herd, open, putBack } = yield* lingering
      yield* herd.send()
      yield* turns
      yield* putBack
      const closing = yield* Effect.fork(close)
      yield* turns
      yield* open
      yield* Fiber.join(closing)
      const outcomes = Array.from(yield* Stream.runCollect(herd.outcomes))
      assert.deepStrictEqual(outcomes.map(({ attempts, status }) => [status, attempts]), [["interrupted", 1]])
    }))

  it.scoped("puts back a unit that can't be interrupted where it says so, and tells of the replacement", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      const { gopher } = makeGophers()
      const herd = yield* Herd.make({
        name: "fragile",
        gopher: gopher((id, self) => (_: void) => id === 1 ? Effect.uninterruptible(self.putBack) : Effect.succeed(id))
      })
      const caller = yield* Effect.fork(herd.run())
      yield* after(100)
      assert.strictEqual(yield* Fiber.join(caller), 2)
      assert.deepStrictEqual(logs.lines, ["INFO [fragile] a gopher is replaced, since its resource broke at unit 1"])
    }))
  })

  it.scoped("interrupts whoever calls it from without, and says so by that alone", () =>
    Effect.gen(function*() {
      const { gopher, self } = makeGophers()
      yield* Herd.make({ gopher: gopher((id) => (_: void) => Effect.succeed(id)) })
      yield* turns
      assert.isTrue(Exit.isInterrupted(yield* Effect.exit(self(1).putBack)))
    }))

  it.scoped("leaves an idle gopher no unit to put back: it is replaced", () =>
    Effect.gen(function*() {
      const { events, gopher, self } = makeGophers()
      const herd = yield* Herd.make({ gopher: gopher((id) => (_: void) => Effect.succeed(id)) })
      yield* herd.run()
      yield* turns
      yield* Effect.fork(self(1).putBack)
      yield* turns
      assert.deepStrictEqual(events, ["+1", "-1", "+2"])
    }))

  it.scoped("does not take a result back: a unit that has ended, and whose callback runs, is settled", () =>
    Effect.gen(function*() {
      const { events, gopher, self } = makeGophers()
      const gate = yield* Deferred.make<void>()
      const herd = yield* Herd.make({
        gopher: gopher((id) => (_: void) => Effect.succeed(id)),
        onSuccess: () => Deferred.await(gate)
      })
      const caller = yield* Effect.fork(herd.run())
      yield* turns
      yield* Effect.fork(self(1).putBack)
      yield* turns
      assert.isNull(caller.unsafePoll())
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(caller), 1)
      yield* after(100)
      assert.deepStrictEqual(events, ["+1", "-1", "+2"])
    }))
})
