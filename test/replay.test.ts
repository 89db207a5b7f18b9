/**
 * A Schedule that begins in the middle says what one that has been there from the beginning says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schedule, ScheduleDecision, ScheduleIntervals } from "effect"
import { Pasts } from "../src/internal/pasts.ts"
import { Failure, Past, resumable } from "../src/internal/replay.ts"

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

/** Where the Schedule has gone: what is remembered of a unit. */
const pastOf = (state: unknown): Past => {
  assert.instanceOf(state, Past)
  return state
}

/** The same, each decision of a Schedule that goes on from what is remembered. */
const remembered = <A, R>(schedule: Schedule.Schedule<unknown, A, R>, input: A, most: number) =>
  Effect.gen(function*() {
    const decisions: Array<Decided> = []
    let now = START
    let past: Past | undefined
    for (let attempt = 1; attempt <= most; attempt++) {
      const failure = new Failure(attempt, attempt === 1 ? undefined : START, past)
      const { decided, next } = yield* step(resumable(schedule), now, input, failure)
      decisions.push(decided)
      if (decided === "done") break
      past = pastOf(next)
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
        assert.deepStrictEqual(yield* remembered(schedule, "again", 8), expected)
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

  it.effect("makes one step for a failure whose past is remembered, and those that are missing since", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const schedule = resumable(
        Schedule.exponential("100 millis").pipe(
          Schedule.tapInput((error: string) => Effect.sync(() => seen.push(error)))
        )
      )
      const { next } = yield* step(schedule, START, "first", new Failure(1, undefined))
      const second = yield* step(schedule, START, "second", new Failure(2, START, pastOf(next)))
      assert.deepStrictEqual(second.decided, { delay: 200 })
      assert.deepStrictEqual(seen.splice(0), ["first", "second"])
      // Attempts 3 and 4 were made elsewhere.
      const fifth = yield* step(schedule, START, "fifth", new Failure(5, START, pastOf(second.next)))
      assert.deepStrictEqual(fifth.decided, { delay: 1_600 })
      assert.deepStrictEqual(seen, ["fifth", "fifth", "fifth"])
    }))

  it.effect("replays at most 1,000 steps for one failure, and goes on with the next ones at the next failure", () =>
    Effect.gen(function*() {
      let steps = 0
      const counting = Schedule.tapInput(() => Effect.sync(() => steps++))
      const schedule = resumable(counting(Schedule.recurs(2_500)))
      const lengths: Array<number> = []
      let past: Past | undefined
      for (let attempt = 2_600;; attempt++) {
        steps = 0
        const { decided, next } = yield* step(schedule, START, "again", new Failure(attempt, START, past))
        lengths.push(steps)
        if (decided === "done") break
        past = pastOf(next)
      }
      assert.deepStrictEqual(lengths, [1_001, 1_001, 499])
      steps = 0
      yield* step(resumable(counting(Schedule.forever)), START, "again", new Failure(1e300, START))
      assert.strictEqual(steps, 1_001)
    }))

  it.effect("decides after 100,000 attempts what a Schedule decides that has seen them all", () =>
    Effect.gen(function*() {
      const late = START + 1e9
      const at = (schedule: Schedule.Schedule<unknown, string, never>, now = late) =>
        Effect.map(step(resumable(schedule), now, "again", new Failure(100_000, START)), ({ decided }) => decided)
      const spaced = Schedule.spaced("1 minute")
      assert.deepStrictEqual(yield* at(spaced), { delay: 60_000 })
      // Any delay of more than 100 years is one of 100 years.
      assert.deepStrictEqual(yield* at(Schedule.exponential("1 second", 2)), { delay: 2 ** 1_000 * 1_000 })
      assert.deepStrictEqual(yield* at(Schedule.union(Schedule.exponential("1 second"), spaced)), { delay: 60_000 })
      assert.deepStrictEqual(
        yield* at(Schedule.jittered(Schedule.union(Schedule.exponential("1 second"), spaced))).pipe(
          Effect.withRandom(Random.fixed([0.5]))
        ),
        { delay: 60_000 }
      )
      assert.deepStrictEqual(yield* at(Schedule.intersect(spaced, Schedule.recurs(1e6))), { delay: 60_000 })
      assert.strictEqual(yield* at(Schedule.intersect(spaced, Schedule.recurs(1_000))), "done")
      assert.strictEqual(yield* at(Schedule.upTo(spaced, "1 day")), "done")
      assert.deepStrictEqual(yield* at(Schedule.upTo(spaced, "1 day"), START + 80_000_000), { delay: 60_000 })
      assert.strictEqual(yield* at(Schedule.whileInput(spaced, (error: string) => error !== "again")), "done")
      assert.deepStrictEqual(yield* at(Schedule.fixed("1 minute"), START + 90_000), { delay: 30_000 })
    }))
})

describe("what is remembered of units that are retried", () => {
  const claimed = (attempt: number, firstFailureAt: number | undefined, id = "x") => ({
    id,
    body: "1",
    priority: 0,
    attempt,
    firstFailureAt,
    token: `${id} ${attempt}`
  })
  const retried = (attempt: number, firstFailureAt: number, id = "x") => ({
    _tag: "Retry" as const,
    claim: claimed(attempt, firstFailureAt, id),
    at: START,
    firstFailureAt,
    cause: "no"
  })
  const past = new Past(3, "state", START)

  it("is how far the Schedule has gone, until the unit is done; a release changes nothing", () => {
    for (
      const last of [
        { _tag: "Ack" as const, claim: claimed(4, START) },
        { _tag: "Bury" as const, claim: claimed(4, START), cause: "no" }
      ]
    ) {
      const pasts = new Pasts()
      pasts.follow(retried(3, START), past)
      assert.strictEqual(pasts.failureOf(claimed(4, START)).past, past)
      pasts.follow({ _tag: "Release", claim: claimed(4, START) }, undefined)
      assert.strictEqual(pasts.failureOf(claimed(4, START)).past, past)
      pasts.follow(last, undefined)
      assert.deepStrictEqual(pasts.failureOf(claimed(4, START)), new Failure(4, START))
    }
  })

  it("does not count for a unit that has begun anew under the same id", () => {
    const pasts = new Pasts()
    pasts.follow(retried(3, START), past)
    for (const claim of [claimed(1, undefined), claimed(2, START), claimed(3, START), claimed(4, START + 1)]) {
      assert.strictEqual(pasts.failureOf(claim).past, undefined)
    }
  })

  it("is of the 10,000 units that failed last", () => {
    const pasts = new Pasts()
    for (let n = 0; n < 10_000; n++) pasts.follow(retried(3, START, `unit ${n}`), past)
    pasts.follow(retried(4, START, "unit 0"), past)
    pasts.follow(retried(3, START, "one more"), past)
    const isKnown = (id: string) => pasts.failureOf(claimed(5, START, id)).past !== undefined
    assert.deepStrictEqual(["unit 0", "unit 1", "unit 2", "unit 9999", "one more"].map(isKnown), [
      true,
      false,
      true,
      true,
      true
    ])
  })
})
