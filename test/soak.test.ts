/**
 * `npm run soak`: that it runs to its end, and that each of its checks sees what is wrong.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Account } from "../soak/account.ts"
import { readArguments } from "../soak/arguments.ts"
import { Census } from "../soak/census.ts"
import { Chance } from "../soak/chance.ts"
import * as checks from "../soak/checks.ts"
import { misdirected } from "../soak/senders.ts"
import { Violations } from "../soak/violations.ts"
import { Unfetched, type Visit } from "../soak/visit.ts"
import { start } from "./utils/children.ts"
import { until } from "./utils/stage.ts"

const soak = (...args: ReadonlyArray<string>) =>
  start(process.execPath, ["--expose-gc", "--import", "tsx", "soak/index.ts", ...args])

describe("the soak", () => {
  it.scopedLive(
    "works herds for as long as it is told, finds nothing wrong, and ends by itself with a report",
    () =>
      Effect.gen(function*() {
        const { ended, stderr, stdout } = yield* soak("--minutes", "0.1", "--seed", "1")
        assert.strictEqual(yield* ended, 0, stdout() + stderr())
        assert.match(stdout(), /^soak: .* minutes of 0\.1, seed 1, /)
        assert.match(stdout(), /^no violations$/m)
        for (const herd of ["crawler", "links", "lookups"]) assert.match(stdout(), new RegExp(`^${herd} +[1-9]`, "m"))
        assert.match(stdout(), /^vanishing: port closed +[1-9]/m)
        assert.match(stdout(), /^GET \/herd 200 +[1-9]/m)
      }),
    90_000
  )

  it.scopedLive("ended by Ctrl-C, stops cleanly and early, with the report and 130", () =>
    Effect.gen(function*() {
      const { child, ended, stderr, stdout } = yield* soak("--minutes", "5", "--seed", "2")
      yield* until(() => stderr().includes("units"))
      child.kill("SIGINT")
      assert.strictEqual(yield* ended, 130, stdout() + stderr())
      assert.match(stdout(), /minutes of 5, ended early, seed 2/)
      assert.match(stdout(), /^no violations$/m)
    }), 90_000)

  it.scopedLive("says what it expected of its arguments, and ends with 2", () =>
    Effect.gen(function*() {
      const { ended, stderr, stdout } = yield* soak("--minutes", "0")
      assert.strictEqual(yield* ended, 2)
      assert.strictEqual(stdout(), "")
      assert.strictEqual(stderr(), "expected --minutes to be a number above 0 and up to 1440, got \"0\"\n")
    }), 30_000)
})

describe("its arguments", () => {
  it("are minutes, also in parts, and a seed", () => {
    assert.deepStrictEqual(readArguments(["--minutes", "0.2", "--seed", "7"]), { minutes: 0.2, seed: 7 })
    assert.deepStrictEqual(readArguments(["--minutes", ".5", "--seed", "0"]), { minutes: 0.5, seed: 0 })
    assert.strictEqual(readArguments([]).minutes, 30)
  })

  it("are refused when they make no sense", () => {
    for (const minutes of ["", "-1", "1e3", "NaN", "two", "1441", "0.0"]) {
      assert.throws(() => readArguments(["--minutes", minutes]), /^expected .*, got "/)
    }
    for (const seed of ["", "-1", "1.5", "x", "1234567890"]) {
      assert.throws(() => readArguments(["--seed", seed]), /^expected .*, got "/)
    }
    assert.throws(
      () => readArguments(["--hours", "1"]),
      "expected options of --minutes N and --seed N, got \"--hours 1\""
    )
    assert.throws(() => readArguments(["30"]), "expected options of --minutes N and --seed N, got \"30\"")
  })
})

describe("its chance", () => {
  it("is the same for the same seed and name, and another for another", () => {
    const numbers = (seed: number, name: string) => {
      const chance = new Chance(seed, name)
      return Array.from({ length: 20 }, () => chance.between(1, 1_000))
    }
    assert.deepStrictEqual(numbers(1, "a"), numbers(1, "a"))
    assert.notDeepEqual(numbers(1, "a"), numbers(2, "a"))
    assert.notDeepEqual(numbers(1, "a"), numbers(1, "b"))
  })
})

/** A state with nothing wrong about it. */
const state = {
  name: "herd",
  size: 4,
  live: 4,
  running: 3,
  queued: 5,
  retrying: 2,
  senders: 6,
  accepted: 20,
  succeeded: 7,
  retried: 4,
  failed: 2,
  interrupted: 1,
  drained: false
}

describe("its checks of a state", () => {
  it("see that the parts do not add up to what was accepted (G3), or are below zero", () => {
    assert.deepStrictEqual(checks.unbalanced(state), [])
    assert.deepStrictEqual(checks.unbalanced({ ...state, accepted: 21 }), [
      "herd: expected accepted to be the sum of the others, 20, got 21"
    ])
    assert.deepStrictEqual(checks.unbalanced({ ...state, queued: -1, running: 9 }), [
      "herd: expected counts from 0, got -1"
    ])
  })

  it("see more units than may wait and run (G4), units without a gopher, and more gophers than the size", () => {
    const bounds = { capacity: 6, largest: 4 }
    assert.deepStrictEqual(checks.overfull(state, bounds), [])
    assert.deepStrictEqual(checks.overfull({ ...state, retrying: 3 }, bounds), [
      "herd: expected at most 6 + 4 units in the herd, got 11"
    ])
    assert.deepStrictEqual(checks.overfull({ ...state, live: 2 }, bounds), [
      "herd: expected as many gophers as units that run, 3, or more, got 2"
    ])
    assert.deepStrictEqual(checks.overfull({ ...state, live: 5 }, bounds), ["herd: expected at most 4 gophers, got 5"])
  })

  it("see counters that fall", () => {
    assert.deepStrictEqual(checks.receding(state, { ...state, succeeded: 8 }), [])
    assert.deepStrictEqual(checks.receding(state, { ...state, retried: 3 }), [
      "herd: expected retried not to fall below 4, got 3"
    ])
  })

  it("see a herd that does nothing though it could", () => {
    assert.deepStrictEqual(checks.stuck(state, checks.MOST_STILL_SECONDS), [])
    assert.lengthOf(checks.stuck(state, checks.MOST_STILL_SECONDS + 1), 1)
  })
})

describe("its checks of the metrics", () => {
  const text = (changed: Readonly<Record<string, number>> = {}) =>
    Object.entries({
      gofherd_success_total: 7,
      gofherd_retry_total: 4,
      gofherd_failure_total: 2,
      gofherd_interrupted_total: 1,
      gofherd_size: 4,
      gofherd_running: 3,
      gofherd_queued: 5,
      gofherd_retrying: 2,
      gofherd_senders: 6,
      gofherd_attempt_duration_seconds_count: 13,
      ...changed
    }).map(([name, value]) => `${name}{herd="herd"} ${value}\n${name}{herd="other"} 99\n`).join("")
  const metrics = (changed?: Readonly<Record<string, number>>) => checks.metricsOf(text(changed), "herd")

  it("see counters that are not between the states before and after, and attempts without a time", () => {
    const after = { ...state, succeeded: 9 }
    assert.deepStrictEqual(checks.metricsOff(metrics(), state, after), [])
    assert.deepStrictEqual(checks.metricsOff(metrics({ gofherd_success_total: 6 }), state, after), [
      "herd: expected gofherd_success_total from 7 to 9, got 6"
    ])
    assert.deepStrictEqual(checks.metricsOff(metrics({ gofherd_failure_total: 3 }), state, after), [
      "herd: expected gofherd_failure_total from 2 to 2, got 3",
      "herd: expected times of 14 attempts or more, got 13"
    ])
    assert.deepStrictEqual(checks.metricsOff(metrics({ gofherd_queued: -1 }), state, after), [
      "herd: expected gofherd_queued from 0, got -1"
    ])
    assert.lengthOf(checks.metricsOff(new Map(), state, after), 10)
  })

  it("see any difference from the state when nothing happens", () => {
    assert.deepStrictEqual(checks.metricsDiffer(metrics(), state), [])
    assert.deepStrictEqual(checks.metricsDiffer(metrics({ gofherd_size: 5 }), state), [
      "herd: expected gofherd_size to be 4, got 5"
    ])
    assert.deepStrictEqual(checks.metricsDiffer(metrics({ gofherd_senders: 0 }), state), [
      "herd: expected gofherd_senders to be 6, got 0"
    ])
  })
})

const visit: Omit<Visit, "n"> = { target: "fast", to: "caller 1", fate: "visits" }

describe("its books (G2)", () => {
  const books = () => {
    const violations = new Violations()
    return { violations, account: new Account("herd", violations) }
  }
  const drained = { ...state, running: 0, queued: 0, retrying: 0, drained: true }

  it("see a unit that settles twice, or elsewhere, or after it was refused or cancelled", () => {
    const { account, violations } = books()
    const [twice, elsewhere, refused, cancelled] = [1, 2, 3, 4].map(() => account.give(visit))
    if (!twice || !elsewhere || !refused || !cancelled) throw new Error("expected four units")
    account.settle(twice, "success", "caller 1")
    account.refused(refused)
    account.cancel(cancelled)
    assert.strictEqual(violations.count, 0)
    account.settle(twice, "failure", "caller 1")
    account.settle(elsewhere, "success", "caller 2")
    account.settle(refused, "success", "caller 1")
    account.cancel(cancelled)
    assert.deepStrictEqual(violations.kept.map(({ check, detail }) => `${check} ${detail}`), [
      "G2 herd: expected one outcome of unit 1, got a second",
      "G2 herd: expected the outcome of 2 at caller 1, got it at caller 2",
      "G2 herd: expected one outcome of unit 3, got a second",
      "G2 herd: unit 4 was cancelled and had settled"
    ])
  })

  it("see units that never settle, and a herd that counts otherwise than those who were told", () => {
    const told = { cancelled: 0, openCount: 0, openOnes: "", settled: { success: 7, failure: 2, interrupted: 1 } }
    const herd = { ...drained, accepted: 10 }
    assert.deepStrictEqual(checks.booksOff(herd, told), [])
    assert.deepStrictEqual(checks.booksOff({ ...herd, drained: false, accepted: 11 }, told), [
      "herd: expected it to be drained, got 1 units left",
      "herd: expected accepted to be 10, or up to 0 more, got 11"
    ])
    assert.deepStrictEqual(checks.booksOff(herd, { ...told, openCount: 1, openOnes: "5" }), [
      "herd: expected an outcome of every unit, got none of 1: 5"
    ])
    assert.deepStrictEqual(checks.booksOff({ ...herd, succeeded: 8, failed: 1 }, told), [
      "herd: expected succeeded to be 7, or up to 0 more, got 8",
      "herd: expected failed to be 2, or up to 0 more, got 1"
    ])
    // Of what senders took back nobody is told.
    assert.deepStrictEqual(checks.booksOff({ ...herd, accepted: 11, interrupted: 2 }, { ...told, cancelled: 1 }), [])
  })

  it("see a result that is another unit's", () => {
    const own = { ...visit, n: 5 }
    assert.deepStrictEqual(misdirected(own, Exit.succeed({ n: 5 })), [])
    assert.deepStrictEqual(misdirected(own, Exit.fail(new Unfetched({ n: 5, why: "" }))), [])
    assert.deepStrictEqual(misdirected({ ...own, fate: "dies" }, Exit.die("")), [])
    for (const exit of [Exit.succeed({ n: 6 }), Exit.fail(new Unfetched({ n: 6, why: "" })), Exit.die("")]) {
      assert.lengthOf(misdirected(own, exit), 1)
    }
    assert.lengthOf(misdirected({ ...own, fate: "interrupts itself" }, Exit.succeed({ n: 5 })), 1)
  })
})

describe("its census", () => {
  it.effect("sees more units inside than the size (G1), a start during a pause (G6), and a unit twice or not open (G2)", () =>
    Effect.gen(function*() {
      const violations = new Violations()
      const account = new Account("herd", violations)
      const census = new Census("herd", account, violations)
      const seen = () => violations.kept.splice(0).map(({ check, detail }) => `${check} ${detail}`)
      const [first, second] = [account.give(visit), account.give(visit)]

      census.limits = () => ({ size: 1, paused: false })
      yield* census.counted(first, Effect.sync(() => assert.strictEqual(census.count, 1)))
      assert.strictEqual(census.count, 0)
      assert.deepStrictEqual(seen(), [])

      yield* census.counted(first, census.counted(second, Effect.void))
      assert.deepStrictEqual(seen(), ["G1 herd: expected a start with at most 1 inside, got 2"])
      yield* census.counted(first, census.counted(first, Effect.void))
      assert.deepStrictEqual(seen(), ["G2 herd: expected unit 1 once inside process, got it twice"])
      census.limits = () => ({ size: 1, paused: true })
      yield* census.counted(first, Effect.void)
      assert.deepStrictEqual(seen(), ["G6 herd: unit 1 started while the herd was paused"])
      census.limits = () => ({ size: 1, paused: false })
      account.settle(first, "success", "caller 1")
      yield* census.counted(first, Effect.void)
      assert.deepStrictEqual(seen(), ["G2 herd: unit 1 started and was not open"])
    }))
})

describe("its limits", () => {
  it("of time see answers that take too long", () => {
    const times = { count: 5_000, crowd: 0.5, p99: 100, processorP99: 50 }
    assert.deepStrictEqual(checks.slow("answers", times), [])
    assert.deepStrictEqual(checks.slow("answers", { ...times, p99: 501, processorP99: 502 }), [
      "expected answers of at most 500 ms at the 99th percentile, got 501",
      "expected answers of at most 500 ms of the processor at the 99th percentile, got 502"
    ])
    // On a machine that is busy with other things, only what is used of the processor says
    // something.
    assert.deepStrictEqual(checks.slow("answers", { ...times, crowd: 5, p99: 8_000 }), [])
    assert.lengthOf(checks.slow("answers", { ...times, crowd: 5, processorP99: 501 }), 1)
    // Of a few, the slowest is the percentile.
    assert.deepStrictEqual(checks.slow("answers", { ...times, count: 50, p99: 3_000 }), [])
  })

  it("of time see an event loop that is held up", () => {
    assert.deepStrictEqual(checks.late({ crowd: 0.5, p99: 43 }), [])
    assert.deepStrictEqual(checks.late({ crowd: 0.5, p99: 201 }), [
      "expected an event loop late by 200 ms at most at the 99th percentile, got 201"
    ])
    assert.deepStrictEqual(checks.late({ crowd: 5, p99: 8_000 }), [])
  })

  it("of memory see a heap that has grown too much, and one that grows and grows", () => {
    const samples = (minutes: number, megabytesEach: number) =>
      Array.from({ length: minutes + 1 }, (_, minute) => ({ minute, bytes: (60 + minute * megabytesEach) * 2 ** 20 }))
    assert.deepStrictEqual(checks.growing(samples(20, 0.1)), [])
    assert.deepStrictEqual(checks.growing(samples(3, 6)), [
      "expected a heap at most 16 MB larger than when warm, got 18.0 MB"
    ])
    assert.deepStrictEqual(checks.growing(samples(20, 0.5)), [
      "expected a heap that grows by at most 256 kB a minute, got 512 kB"
    ])
    assert.deepStrictEqual(checks.growing([]), [])
  })

  it("see too many fibers and resources, and what is left of them", () => {
    assert.deepStrictEqual(checks.tooMany("fibers", 10, 10), [])
    assert.deepStrictEqual(checks.tooMany("fibers", 11, 10), ["expected at most 10 fibers, got 11"])
    assert.deepStrictEqual(checks.leftOver({ PipeWrap: 2 }, { PipeWrap: 1 }), [])
    assert.deepStrictEqual(checks.leftOver({ PipeWrap: 2 }, { PipeWrap: 3, TCPSocketWrap: 1 }), [
      "expected 2 of PipeWrap, as before the start, got 3",
      "expected 0 of TCPSocketWrap, as before the start, got 1"
    ])
  })

  it("keep ten violations of a kind, and count all", () => {
    const violations = new Violations()
    for (let n = 0; n < 25; n++) violations.add("G3", String(n))
    violations.add("G1", "another")
    assert.strictEqual(violations.count, 26)
    assert.lengthOf(violations.kept, 11)
  })
})
