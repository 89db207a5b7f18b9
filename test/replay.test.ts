/**
 * A Schedule that begins in the middle says what one that has been there from the beginning says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, ScheduleDecision, ScheduleIntervals } from "effect"
import { Failure, resumable } from "../src/internal/replay.ts"

const START = 1_000_000

type Decided = { readonly delay: number } | "done"

const step = <A, R>(schedule: Schedule.Schedule<unknown, A, R>, now: number, input: A, state: unknown) =>
  Effect.map(schedule.step(now, input, state), ([next, , decision]) => ({
    next,
    decided: ScheduleDecision.isDone(decision)
      ? "done" as const
      : { delay: ScheduleIntervals.start(decision.intervals) - now }
  }))

/** What it decides of each failure in a row, where each attempt takes no time. */
const straight = <A, R>(schedule: Schedule.Schedule<unknown, A, R>, input: A, most: number) =>
  Effect.gen(function*() {
    const decisions: Array<Decided> = []
    let { initial: state } = schedule
    let now = START
    for (let n = 0; n < most; n++) {
      const { decided, next } = yield* step(schedule, now, input, state)
      decisions.push(decided)
      if (decided === "done") break
      state = next
      now += decided.delay
    }
    return decisions
  })

/** The same, each decision of a Schedule that begins there. */
const resumed = <A, R>(schedule: Schedule.Schedule<unknown, A, R>, input: A, most: number) =>
  Effect.gen(function*() {
    const decisions: Array<Decided> = []
    let now = START
    for (let attempt = 1; attempt <= most; attempt++) {
      const failure = new Failure(attempt, attempt === 1 ? undefined : START)
      const { decided } = yield* step(resumable(schedule), now, input, failure)
      decisions.push(decided)
      if (decided === "done") break
      now += decided.delay
    }
    return decisions
  })

const schedules: Readonly<Record<string, Schedule.Schedule<unknown, string>>> = {
  "recurs": Schedule.recurs(3),
  "exponential and recurs": Schedule.exponential("100 millis").pipe(Schedule.intersect(Schedule.recurs(5))),
  "exponential, at most 1 s apart": Schedule.exponential("100 millis").pipe(
    Schedule.union(Schedule.spaced("1 second"))
  ),
  "fibonacci": Schedule.fibonacci("10 millis"),
  "spaced, for 2 s": Schedule.spaced("300 millis").pipe(Schedule.upTo("2 seconds")),
  "first fast, then slow": Schedule.recurs(2).pipe(Schedule.andThen(Schedule.spaced("1 minute"))),
  "fixed": Schedule.fixed("250 millis"),
  "stop": Schedule.stop,
  "while the input is what it is": Schedule.whileInput(
    Schedule.spaced("1 second"),
    (error: string) => error === "again"
  ),
  "unless the input is what it is": Schedule.whileInput(Schedule.forever, (error: string) => error !== "again"),
  "linear": Schedule.linear("7 millis").pipe(Schedule.whileOutput((delay) => String(delay) !== "never"))
}

describe("resumable", () => {
  for (const [name, schedule] of Object.entries(schedules)) {
    it.effect(`${name}: each delay is that of a Schedule which has seen all failures`, () =>
      Effect.gen(function*() {
        const expected = yield* straight(schedule, "again", 8)
        assert.deepStrictEqual(yield* resumed(schedule, "again", 8), expected)
        assert.isAbove(expected.length, 0)
      }))
  }

  it.effect("makes its last step at the time that it is, so that what has passed since the first failure counts", () =>
    Effect.gen(function*() {
      const schedule = Schedule.spaced("1 second").pipe(Schedule.upTo("10 seconds"))
      const at = (now: number) => step(resumable(schedule), now, "again", new Failure(2, START))
      assert.deepStrictEqual((yield* at(START + 9_000)).decided, { delay: 1_000 })
      assert.strictEqual((yield* at(START + 11_000)).decided, "done")
    }))

  it.effect("gives up if a step before would not have gone on, as with an error that is not retried", () =>
    Effect.gen(function*() {
      const schedule = Schedule.whileInput(Schedule.recurs(5), (error: string) => error === "again")
      assert.strictEqual((yield* step(resumable(schedule), START, "other", new Failure(3, START))).decided, "done")
      assert.strictEqual((yield* step(resumable(schedule), START, "again", new Failure(6, START))).decided, "done")
      assert.deepStrictEqual((yield* step(resumable(schedule), START, "again", new Failure(5, START))).decided, {
        delay: 0
      })
    }))

  it.effect("goes on from a state of its own like any other", () =>
    Effect.gen(function*() {
      const schedule = resumable(Schedule.exponential("100 millis"))
      const { next } = yield* step(schedule, START, "again", new Failure(2, START))
      assert.deepStrictEqual((yield* step(schedule, START, "again", next)).decided, { delay: 400 })
      assert.deepStrictEqual((yield* step(schedule, START, "again", schedule.initial)).decided, { delay: 100 })
    }))
})
