/**
 * What is seen of a herd while it runs, in a terminal and in a log.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  type Duration,
  Effect,
  Exit,
  FiberId,
  Layer,
  LogLevel,
  Ref,
  Schedule,
  Scope,
  Supervisor,
  TestClock
} from "effect"
import { Herd } from "gofherd"
import * as HerdProgress from "gofherd/HerdProgress"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { stripVTControlCharacters } from "node:util"
import { afterEach, beforeEach, vi } from "vitest"
import { Meter, type Progress } from "../src/internal/progress.ts"
import { finalLine, finalLog, progressLine, progressLog } from "../src/internal/progressLine.ts"
import { width } from "../src/internal/width.ts"
import { ask } from "./utils/http.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretty } from "./utils/pretty.ts"
import { find, path } from "./utils/programs.ts"
import { makeScreen } from "./utils/screen.ts"
import { makeStage, turns } from "./utils/stage.ts"

beforeEach(() => {
  vi.stubEnv("TERM", "xterm-256color")
  for (const name of ["NO_COLOR", "NODE_DISABLE_COLORS", "FORCE_COLOR", "CI"]) vi.stubEnv(name, undefined)
})

afterEach(() => {
  vi.unstubAllEnvs()
})

const busy: Progress = {
  done: 12_345,
  total: 26_112,
  inside: 1_024,
  failed: 0,
  interrupted: 0,
  retrying: 0,
  size: 8,
  paused: false,
  rate: 1_234,
  left: 11.2,
  elapsed: 10_300
}
const names = { label: "checksum", unit: "files" }
const plain = (progress: Partial<Progress>, columns: number, given: Partial<typeof names> = {}) =>
  progressLine({ ...busy, ...progress }, { ...names, ...given }, { columns, colors: false })

describe("the line", () => {
  it("has a bar, what is done, the rate, the time left, the size, what failed and what is retrying", () => {
    assert.strictEqual(
      plain({ failed: 3, retrying: 2 }, 120),
      "checksum  ━━━━━━━━━━━━━━────────────────  47%  12,345/26,112 files  1,234/s  12 s left  size 8  3 failed  2 retrying"
    )
  })

  it("leaves out, where the terminal is narrow, what is needed least", () => {
    const lines = [10, 20, 40, 60, 80, 200].map((columns) => plain({ failed: 3 }, columns))
    assert.deepStrictEqual(lines, [
      "47%",
      "47%  12,345/26,112",
      "47%  12,345/26,112  12 s left  3 failed",
      "━━━━──────  47%  12,345/26,112  12 s left  size 8  3 failed",
      "━━━━━━━────────  47%  12,345/26,112 files  1,234/s  12 s left  size 8  3 failed",
      "checksum  ━━━━━━━━━━━━━━━━━━──────────────────────  47%  12,345/26,112 files  1,234/s  12 s left  size 8  3 failed"
    ])
  })

  it("is narrower than the terminal, whatever that is, whatever is in it, and never empty but for lack of room", () => {
    const progresses: ReadonlyArray<Partial<Progress>> = [
      {},
      { total: undefined },
      { failed: 12_345, retrying: 678, interrupted: 9 },
      { paused: true, size: 0 },
      { done: 0, total: 0, rate: undefined, left: undefined },
      { done: 123_456_789, total: 987_654_321, left: 7_654_321 }
    ]
    for (
      const label of [
        "checksum",
        "",
        "日本語の長いラベルです👩‍👩‍👧‍👦",
        "a label that goes on and on and on and on and on and on"
      ]
    ) {
      for (const progress of progresses) {
        for (let columns = 1; columns <= 220; columns++) {
          for (const colors of [false, true]) {
            for (const line of [progressLine, finalLine]) {
              const text = line({ ...busy, ...progress }, { label, unit: "ファイル" }, { columns, colors })
              assert.isBelow(width(text), columns)
              if (columns > 1) assert.isAbove(width(text), 0)
            }
          }
        }
      }
    }
  })

  it("says paused, and that the size is 0, before anything else", () => {
    const held = { rate: undefined, left: undefined, inside: 100 }
    assert.strictEqual(plain({ ...held, paused: true }, 10), "paused")
    assert.strictEqual(plain({ ...held, size: 0 }, 10), "size 0")
    assert.strictEqual(plain({ ...held, size: 0, paused: true }, 20), "47%  paused  size 0")
    assert.include(plain({ ...held, paused: true }, 80), "12,345/26,112 files  paused  size 8")
  })

  it("has no bar without a total, and says what is in the herd and how long that will take at least", () => {
    assert.strictEqual(
      plain({ total: undefined, left: 0.8, retrying: 24 }, 100),
      "checksum  12,345 files  1,234/s  ≥ 1 s left  size 8  24 retrying  1,000 in the herd"
    )
  })

  it("keeps its other parts in their places while the count grows", () => {
    const bars = [0, 9, 999, 1_000, 26_111].map((done) => plain({ done }, 120).indexOf("/26,112"))
    assert.deepStrictEqual(new Set(bars), new Set([bars[0]]))
  })

  it("is 100% when all is done, not before", () => {
    assert.include(plain({ done: 26_111 }, 80), " 99%")
    assert.include(plain({ done: 26_112 }, 80), "100%")
    assert.include(plain({ done: 0, total: 0 }, 80), "100%")
    for (const all of [{ done: 26_112 }, { done: 0, total: 0 }]) {
      assert.include(plain(all, 80), "━")
      assert.notInclude(plain(all, 80), "─")
    }
  })

  it("gives rates per second, minute or hour, and times in the two largest units", () => {
    const rates = [1_234.4, 12.3, 9.96, 9.94, 1, 0.5, 0.0999, 0.001].map((rate) =>
      progressLog({ ...busy, rate }, names).split(", ")[1]
    )
    assert.deepStrictEqual(rates, ["1,234/s", "12/s", "10/s", "9.9/s", "1.0/s", "30/min", "6.0/min", "3.6/h"])
    const times = [0.01, 1, 59.5, 60, 3_599, 3_600, 86_399, 86_400, 90 * 86_400 + 3_600].map((left) =>
      progressLog({ ...busy, left }, names).split(", ")[2]
    )
    assert.deepStrictEqual(times, [
      "1 s left",
      "1 s left",
      "1 min 0 s left",
      "1 min 0 s left",
      "59 min 59 s left",
      "1 h 0 min left",
      "23 h 59 min left",
      "1 d 0 h left",
      "90 d 1 h left"
    ])
    assert.notInclude(progressLog({ ...busy, left: 1e12 }, names), "left")
    const elapsed = [0, 59_949, 59_950, 3_725_000].map((elapsed) =>
      finalLog({ ...busy, elapsed }, names).split(", ")[0]
    )
    assert.deepStrictEqual(elapsed, [
      "12,345/26,112 files in 0.0 s",
      "12,345/26,112 files in 59.9 s",
      "12,345/26,112 files in 1 min 0 s",
      "12,345/26,112 files in 1 h 2 min"
    ])
  })

  it("ends as what was done, in what time, and what not", () => {
    const last = (progress: Partial<Progress>) =>
      finalLine({ ...busy, inside: 0, ...progress }, names, { columns: 80, colors: false })
    assert.strictEqual(last({ done: 26_112, elapsed: 21_300 }), "checksum  26,112 files in 21.3 s  1,226/s")
    assert.strictEqual(
      last({ failed: 3, interrupted: 2 }),
      "checksum  12,345/26,112 files in 10.3 s  1,199/s  3 failed  2 interrupted"
    )
    assert.strictEqual(last({ total: undefined, inside: 5 }), "checksum  12,345/12,350 files in 10.3 s  1,199/s")
    assert.strictEqual(
      last({ total: undefined, interrupted: 7, inside: 5 }),
      "checksum  12,345/12,357 files in 10.3 s  1,199/s  7 interrupted"
    )
  })

  it("has colours only if it may, and the same words with them", () => {
    const progress = { ...busy, failed: 3, retrying: 2 }
    for (const columns of [20, 40, 80, 200]) {
      const colored = progressLine(progress, names, { columns, colors: true })
      const uncolored = progressLine(progress, names, { columns, colors: false })
      assert.strictEqual(stripVTControlCharacters(uncolored), uncolored)
      assert.strictEqual(stripVTControlCharacters(colored).replaceAll("─", "━"), uncolored.replaceAll("─", "━"))
    }
    assert.include(progressLine(progress, names, { columns: 80, colors: true }), "\u001b[31m3 failed\u001b[39m")
  })

  it("takes names apart that would break it", () => {
    const line = plain({}, 200, { label: "\u001b[31mred\u001b[0m\r\nand\u2028blue\u0007", unit: "fi\nles" })
    assert.match(line, /^red and blue {2}━+─+ {2}47% {2}12,345\/26,112 fi les {2}/)
    assert.match(plain({}, 80, { label: "x".repeat(50) }), /^━/)
    assert.match(plain({}, 120, { label: "x".repeat(50) }), /^x{29}… {2}━/)
  })
})

describe("the rate", () => {
  const start: Herd.HerdState = {
    name: "numbers",
    size: 4,
    live: 4,
    running: 4,
    queued: 1_000,
    retrying: 0,
    senders: 0,
    accepted: 1_104,
    succeeded: 100,
    retried: 0,
    failed: 0,
    interrupted: 0,
    paused: false,
    closed: false,
    drained: false
  }
  /**
   * What a meter says after each of these: at what second, how many were done since the start, and
   * what else changed.
   */
  const measure = (
    steps: ReadonlyArray<readonly [second: number, done: number, change?: Partial<Herd.HerdState>]>,
    total?: number
  ) => {
    const meter = new Meter(start, 1_000)
    return steps.map(([second, done, change]) =>
      meter.observe({ ...start, ...change, succeeded: 100 + done }, total, 1_000 + second * 1_000)
    )
  }
  const everySecond = (from: number, to: number, done: (second: number) => number) =>
    Array.from({ length: to - from + 1 }, (_, n) => [from + n, done(from + n)] as const)

  it("is that since the start at first, counts what succeeded and failed, and knows the time left", () => {
    const meter = new Meter(start, 0)
    const { done, failed, interrupted, left, rate } = meter.observe(
      { ...start, succeeded: 110, failed: 6, interrupted: 4 },
      100,
      2_000
    )
    // The herd has more in it than that.
    assert.deepStrictEqual({ done, failed, interrupted, rate, left }, {
      done: 16,
      failed: 6,
      interrupted: 4,
      rate: 8,
      left: 125.5
    })
    assert.strictEqual(measure([[2, 20]], 2_020)[0]?.left, 200)
  })

  it("counts nothing of what was before, and what is retrying as in the herd", () => {
    const before = { ...start, failed: 7, interrupted: 3 }
    const now = { ...before, failed: 9, interrupted: 4, queued: 10, running: 4, retrying: 5 }
    const { done, failed, inside, interrupted } = new Meter(before, 0).observe(now, undefined, 2_000)
    assert.deepStrictEqual({ done, failed, inside, interrupted }, { done: 2, failed: 2, inside: 19, interrupted: 1 })
  })

  it("is that of the last 5 s, so that it follows a resize within 5 s", () => {
    const steps = everySecond(0, 60, (second) => second <= 30 ? second * 100 : 3_000 + (second - 30) * 800)
    const rates = measure(steps).map(({ rate }) => rate)
    assert.strictEqual(rates[30], 100)
    assert.strictEqual(rates[32], (3 * 100 + 2 * 800) / 5)
    assert.strictEqual(rates[35], 800)
    assert.strictEqual(rates[36], 800)
  })

  it("is that of the last ten units where units are slow", () => {
    const rates = measure(everySecond(0, 400, (second) => Math.floor(second / 20))).map(({ rate }) => rate)
    assert.isUndefined(rates[19])
    assert.strictEqual(rates[20], 1 / 20)
    assert.strictEqual(rates[400], 1 / 20)
    const slower = measure(Array.from({ length: 21 }, (_, n) => [n * n, n] as const)).map(({ rate }) => rate)
    assert.strictEqual(slower[20], 10 / (400 - 100))
  })

  it("is nothing while nothing has settled, and sinks while nothing settles any more", () => {
    assert.deepStrictEqual(measure(everySecond(0, 10, () => 0)).map(({ rate }) => rate), Array(11).fill(undefined))
    const [before, , after] = measure([[1, 100], [2, 200], [200, 200]])
    assert.strictEqual(before?.rate, 100)
    assert.strictEqual(after?.rate, 100 / 199)
  })

  it("is measured anew after a pause, a size of 0 or a lack of work", () => {
    for (const held of [{ paused: true }, { size: 0 }, { queued: 0, running: 0 }]) {
      const steps = [
        [0, 0],
        [1, 100],
        [2, 100, held],
        [9, 100, held],
        [3_600, 100, held],
        [3_600.5, 125],
        [3_601, 150]
      ] as const
      const [, before, , during, , early, after] = measure(steps)
      assert.strictEqual(before?.rate, 100)
      assert.deepStrictEqual([during?.rate, during?.left], [undefined, undefined])
      assert.isUndefined(early?.rate)
      assert.strictEqual(after?.rate, 50)
    }
  })

  it("sinks for 5 s when there is no work left, and then is nothing", () => {
    const idle = { queued: 0, running: 0 }
    const progresses = measure([[1, 100], [2, 100, idle], [5, 100, idle], [5.9, 100, idle], [6, 100, idle]])
    const rates = progresses.map(({ rate }) => rate)
    assert.deepStrictEqual(rates, [100, 50, 20, 20, undefined])
  })

  it("stands still for a second at a time, unlike the counts", () => {
    const tenths = Array.from({ length: 41 }, (_, n) => [n / 10, n * n] as const)
    const progresses = measure(tenths)
    assert.strictEqual(new Set(progresses.map(({ done }) => done)).size, 41)
    assert.strictEqual(new Set(progresses.map(({ rate }) => rate)).size, 5)
    assert.isUndefined(progresses[9]?.rate)
    assert.isDefined(progresses[10]?.rate)
  })

  it("ends with all that is left, which is what the herd has once it is closed", () => {
    const [open, closed, ended] = measure([[1, 100], [2, 200, { closed: true }], [
      3,
      1_204,
      { closed: true, queued: 0, running: 0 }
    ]])
    assert.deepStrictEqual([open?.total, open?.left], [undefined, 10.04])
    assert.deepStrictEqual([closed?.total, closed?.left], [1_204, 10.04])
    assert.deepStrictEqual([ended?.total, ended?.left], [1_204, undefined])
  })
})

// ------------------------------------------------------------------------------------------------------ the layer

const herdOf = (options: Partial<Herd.Options<number, number, string>> = {}) => {
  const stage = makeStage()
  const all = { process: stage.process, name: "numbers", size: 2, outcomes: "discard", ...options }
  return Effect.map(Herd.make(all as Herd.Options<number, number, string>), (herd) => ({ herd, stage }))
}

/** Shows a herd until it is told how that ends. */
const show = <R = never>(herd: Herd.Control, options: HerdProgress.Options<R>) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    yield* Layer.buildWithScope(HerdProgress.layer(Effect.succeed(herd), options), scope)
    yield* turns
    return (exit: Exit.Exit<unknown, unknown> = Exit.void) => Scope.close(scope, exit)
  })

const pass = (duration: Duration.DurationInput) => Effect.zipRight(TestClock.adjust(duration), turns)

const test = (name: string, program: Effect.Effect<void, unknown, Scope.Scope>) => it.scoped(name, () => program)

describe("on a terminal", () => {
  test(
    "one line is drawn in place, and replaced by a last one with the totals",
    Effect.gen(function*() {
      const { herd, stage } = yield* herdOf()
      const screen = makeScreen(80)
      screen.stream.write("before\n")
      const end = yield* show(herd, { total: 4, unit: "numbers", stream: screen.stream })
      assert.deepStrictEqual(yield* screen.rows, ["before", "numbers  ────────────────────   0%  0/4 numbers  size 2"])
      yield* herd.sendAll([1, 2, 3, 4])
      yield* turns
      yield* stage.succeed(1)
      yield* pass("1 second")
      assert.deepStrictEqual(yield* screen.rows, [
        "before",
        "numbers  ━━━━━───────────────  25%  1/4 numbers  1.0/s  3 s left  size 2"
      ])
      yield* stage.fail(2, "no")
      yield* stage.finish
      yield* end()
      assert.deepStrictEqual(yield* screen.rows, ["before", "numbers  4 numbers in 1.0 s  4.0/s  1 failed", ""])
    })
  )

  for (
    const [how, exit] of [
      ["failure", Exit.fail("no")],
      ["a defect", Exit.die(new Error("no"))],
      ["interruption", Exit.interrupt(FiberId.none)]
    ] as const
  ) {
    test(
      `the last line is as clean after ${how}, and says what is missing`,
      Effect.gen(function*() {
        const { herd, stage } = yield* herdOf()
        const screen = makeScreen(80)
        const end = yield* show(herd, { total: 10, stream: screen.stream })
        yield* herd.sendAll([1, 2, 3])
        yield* turns
        yield* stage.succeed(1)
        yield* pass("2 seconds")
        yield* end(exit)
        assert.deepStrictEqual(yield* screen.rows, ["numbers  1/10 in 2.0 s  30/min", ""])
      })
    )
  }

  it.live("interrupting a program that shows it leaves the last line too", () =>
    Effect.gen(function*() {
      class Numbers extends Context.Tag("numbers")<Numbers, Herd.Herd<number, number>>() {}
      const screen = makeScreen(80)
      const Live = Layer.provideMerge(
        HerdProgress.layer(Numbers, { stream: screen.stream, total: 1 }),
        Herd.layer(Numbers, { process: () => Effect.never })
      )
      const program = Effect.provide(Effect.flatMap(Numbers, (herd) => herd.run(1)), Live)
      yield* Effect.timeoutOption(program, "300 millis")
      const rows = yield* screen.rows
      assert.match(rows[0] ?? "", /^numbers {2}0\/1 in 0\.\d s {2}1 interrupted$/)
      assert.deepStrictEqual(rows.slice(1), [""])
    }))

  test(
    "nothing is left behind with summary: false, nor if there was no work",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const screen = makeScreen(80)
      yield* Effect.flatMap(show(herd, { stream: screen.stream }), (end) => end())
      assert.deepStrictEqual(yield* screen.rows, [""])
      const end = yield* show(herd, { stream: screen.stream, summary: false })
      yield* herd.send(1)
      yield* pass("1 second")
      assert.notDeepEqual(yield* screen.rows, [""])
      yield* end()
      assert.deepStrictEqual(yield* screen.rows, [""])
    })
  )

  test(
    "it is drawn at most ten times a second, and not at all while nothing changes",
    Effect.gen(function*() {
      const { herd } = yield* herdOf({ process: Effect.succeed })
      const screen = makeScreen(80)
      yield* show(herd, { total: 100, stream: screen.stream })
      const before = screen.written.length
      for (let n = 0; n < 30; n++) yield* Effect.zipRight(herd.send(n), pass("20 millis"))
      const drawn = screen.written.length - before
      assert.isAtLeast(drawn, 5)
      assert.isAtMost(drawn, 7)
      // Until there is no rate left to be shown.
      yield* pass("6 seconds")
      const idle = screen.written.length
      yield* pass("2 seconds")
      assert.strictEqual(screen.written.length, idle)
      yield* herd.pause
      yield* pass("2 seconds")
      assert.strictEqual(screen.written.length, idle + 1)
    })
  )

  test(
    "it says so when it is paused, when its size is 0, and when that is over",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const screen = makeScreen(60)
      yield* show(herd, { total: 4, stream: screen.stream })
      const last = Effect.map(pass("100 millis").pipe(Effect.zipRight(screen.rows)), (rows) => rows.at(-1) ?? "")
      yield* herd.pause
      assert.match(yield* last, / {2}paused {2}size 2$/)
      yield* herd.resize(0)
      assert.match(yield* last, / {2}paused {2}size 0$/)
      yield* herd.resume
      assert.match(yield* last, /0\/4 {2}size 0$/)
      yield* herd.resize(12)
      assert.match(yield* last, /0\/4 {2}size 12$/)
    })
  )

  test(
    "it stays one line when the width of the terminal changes",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const screen = makeScreen(120)
      screen.stream.write("above\n")
      const end = yield* show(herd, { total: 1_000, unit: "numbers", label: "日本語", stream: screen.stream })
      yield* herd.sendAll([1, 2])
      for (const columns of [40, 20, 10, 80, 30, 200]) {
        yield* screen.resize(columns)
        yield* pass("100 millis")
        const [above, line = "", ...rest] = yield* screen.all
        assert.strictEqual(above, "above")
        assert.isBelow(width(line), columns)
        assert.deepStrictEqual(rest, [])
      }
      assert.strictEqual(
        (yield* screen.rows).at(-1),
        `日本語  ${"─".repeat(40)}   0%      0/1,000 numbers  size 2`
      )
      yield* screen.resize(20)
      yield* end()
      assert.deepStrictEqual(yield* screen.all, ["above", "0/1,000 in 0.6 s"])
    })
  )

  test(
    "what others write comes above it, and a line they have not ended is not drawn over",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const screen = makeScreen(40)
      const end = yield* show(herd, { total: 4, label: "", stream: screen.stream })
      yield* herd.send(1)
      yield* pass("100 millis")
      const line = "──────────   0%  0/4  size 2"
      screen.stream.write("one\ntwo\n")
      screen.stream.write(new TextEncoder().encode("three\n"))
      screen.stream.write("")
      assert.deepStrictEqual(yield* screen.rows, ["one", "two", "three", line])
      screen.stream.write("four")
      yield* herd.pause
      yield* pass("1 second")
      assert.deepStrictEqual(yield* screen.rows, ["one", "two", "three", "four"])
      screen.stream.write(" and five\n")
      assert.deepStrictEqual((yield* screen.rows).slice(3), ["four and five", "──────────   0%  0/4  paused  size 2"])
      // That it is bytes makes no difference.
      screen.stream.write(new TextEncoder().encode("six"))
      yield* end()
      assert.deepStrictEqual((yield* screen.rows).slice(3), ["four and five", "six", "0/4 in 1.1 s", ""])
    })
  )

  test(
    "a total that is known late, or grows, is waited for without stopping the line",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const screen = makeScreen(40)
      const last = Effect.map(pass("100 millis").pipe(Effect.zipRight(screen.rows)), (rows) => rows.at(-1) ?? "")
      const known = yield* Deferred.make<number>()
      const grows = yield* Ref.make<number | undefined>(undefined)
      const late = yield* show(herd, { total: Deferred.await(known), stream: screen.stream, summary: false })
      yield* herd.send(1)
      assert.strictEqual(yield* last, "numbers  0  size 2  1 in the herd")
      yield* Deferred.succeed(known, 4)
      assert.strictEqual(yield* last, "numbers  ──────────   0%  0/4  size 2")
      yield* late()
      const growing = yield* show(herd, { total: Ref.get(grows), stream: screen.stream })
      assert.strictEqual(yield* last, "numbers  0  size 2  1 in the herd")
      for (const total of [5, 60]) {
        yield* Ref.set(grows, total)
        assert.include(yield* last, `0/${total}`)
      }
      yield* Ref.set(grows, 70)
      yield* growing()
      assert.deepStrictEqual(yield* screen.rows, ["numbers  0/70 in 0.3 s", ""])
    })
  )

  test(
    "a total that dies is warned of once, and one that makes no sense is none",
    Effect.gen(function*() {
      const logs = makeLogs()
      const { herd } = yield* herdOf()
      const screen = makeScreen(40)
      yield* Effect.gen(function*() {
        const end = yield* show(herd, { total: Effect.die(new Error("lost")), stream: screen.stream, summary: false })
        yield* pass("1 second")
        yield* end()
      }).pipe(logs.collect)
      assert.deepStrictEqual(logs.lines.filter((line) => line.startsWith("WARN")), [
        "WARN [-] the total can't be read, and is not asked for any more Error: lost"
      ])
      for (const total of [-1, 0.5, NaN]) {
        const end = yield* show(herd, { total: Effect.succeed(total), stream: screen.stream, summary: false })
        assert.deepStrictEqual((yield* screen.rows).at(-1), "numbers  0  size 2")
        yield* end()
      }
    })
  )

  test(
    "a total that never comes does not hold up the end",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const screen = makeScreen(40)
      const end = yield* show(herd, { total: Effect.never, stream: screen.stream })
      yield* herd.send(1)
      yield* end()
      assert.deepStrictEqual(yield* screen.rows, ["numbers  0/1 in 0.0 s", ""])
    })
  )

  test(
    "it counts from when it is shown",
    Effect.gen(function*() {
      const { herd, stage } = yield* herdOf()
      const screen = makeScreen(40)
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      yield* stage.finish
      yield* pass("1 minute")
      const end = yield* show(herd, { total: 1, stream: screen.stream })
      assert.strictEqual((yield* screen.rows).at(-1), "numbers  ──────────   0%  0/1  size 2")
      yield* herd.send(4)
      yield* turns
      yield* stage.fail(4, "no")
      yield* end()
      assert.deepStrictEqual(yield* screen.rows, ["numbers  1 in 0.0 s  1 failed", ""])
    })
  )

  test(
    "a terminal has room for one: the second logs, above the line of the first",
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      const { herd } = yield* herdOf()
      const screen = makeScreen(40)
      yield* Effect.gen(function*() {
        const first = yield* show(herd, { stream: screen.stream, label: "first" })
        const second = yield* show(herd, { stream: screen.stream })
        yield* herd.send(1)
        yield* pass("1 second")
        yield* second()
        yield* first()
        assert.deepStrictEqual(yield* screen.rows, ["first  0/1 in 1.0 s", ""])
        assert.deepStrictEqual(logs.lines, ["INFO [numbers] 0/1 in 1.0 s"])
        yield* Effect.flatMap(show(herd, { stream: screen.stream, label: "third" }), (end) => end())
        assert.strictEqual(logs.lines.length, 1)
      }).pipe(logs.collect)
    })
  )

  test(
    "nothing is drawn or wrapped and no fiber runs any more when it has ended",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const screen = makeScreen(80)
      const { write } = screen.stream
      const supervisor = yield* Supervisor.track
      const end = yield* Effect.supervised(show(herd, { stream: screen.stream, total: Effect.never }), supervisor)
      yield* herd.send(1)
      yield* pass("300 millis")
      assert.notStrictEqual(screen.stream.write, write)
      assert.isAbove((yield* supervisor.value).length, 0)
      yield* end()
      assert.strictEqual(screen.stream.write, write)
      assert.strictEqual((yield* supervisor.value).length, 0)
      const written = screen.written.length
      yield* herd.pause
      yield* pass("300 millis")
      assert.strictEqual(screen.written.length, written)
      // As that of process.stdout is inherited.
      const heir = Object.create(screen.stream)
      const again = yield* show(herd, { stream: heir })
      assert.isTrue(Object.hasOwn(heir, "write"))
      yield* again()
      assert.isFalse(Object.hasOwn(heir, "write"))
    })
  )

  test(
    "a terminal that knows no size has 80 columns, and no colours if it can't say",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      for (const columns of [0, -1, NaN, "40", undefined]) {
        const screen = makeScreen(80)
        const { write } = screen.stream
        const hasColors = () => {
          throw new Error("no")
        }
        const end = yield* show(herd, { stream: { isTTY: true, columns, write, hasColors } as never, total: 1 })
        assert.deepStrictEqual(yield* screen.rows, ["numbers  ────────────────────   0%  0/1  size 2"], `${columns}`)
        assert.notInclude(screen.written.join(""), "\u001b[1m")
        yield* end()
      }
    })
  )

  test(
    "what is no text is refused by the terminal, in its own words",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const write = (chunk: unknown): boolean => {
        if (typeof chunk !== "string") throw new TypeError("the chunk has to be a string")
        return true
      }
      const stream = { isTTY: true, write }
      const end = yield* show(herd, { stream: stream as never })
      for (const chunk of [undefined, null, 7]) assert.throws(() => stream.write(chunk), "the chunk has to be a string")
      yield* end()
    })
  )

  test(
    "who wraps write later keeps their wrapping",
    Effect.gen(function*() {
      const { herd } = yield* herdOf()
      const screen = makeScreen(80)
      const end = yield* show(herd, { stream: screen.stream })
      const inner = screen.stream.write
      const theirs = (chunk: string | Uint8Array) => inner.call(screen.stream, chunk)
      screen.stream.write = theirs
      yield* end()
      assert.strictEqual(screen.stream.write, theirs)
      theirs("still here\n")
      assert.deepStrictEqual(yield* screen.rows, ["still here", ""])
    })
  )

  for (
    const [NO_COLOR, FORCE_COLOR, colors] of [
      [undefined, undefined, true],
      ["", undefined, true],
      ["1", undefined, false],
      [undefined, "0", false]
    ] as const
  ) {
    test(
      `it has ${colors ? "" : "no "}colours with NO_COLOR=${NO_COLOR} and FORCE_COLOR=${FORCE_COLOR}`,
      Effect.gen(function*() {
        vi.stubEnv("NO_COLOR", NO_COLOR)
        vi.stubEnv("FORCE_COLOR", FORCE_COLOR)
        const { herd } = yield* herdOf()
        const screen = makeScreen(80)
        const end = yield* show(herd, { stream: screen.stream, total: 1 })
        yield* herd.send(1)
        yield* end()
        assert.strictEqual(screen.written.join("").includes("\u001b[1mnumbers"), colors)
        assert.include(yield* screen.rows, "numbers  0/1 in 0.0 s")
      })
    )
  }
})

describe("elsewhere", () => {
  test(
    "a line is logged at each interval in which something happened, and one in the end",
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      yield* Effect.gen(function*() {
        const { herd, stage } = yield* herdOf({ retry: Schedule.spaced("1 hour") })
        const screen = makeScreen(80)
        const end = yield* show(herd, { total: 5, unit: "numbers", stream: { ...screen.stream, isTTY: false } })
        yield* pass("1 minute")
        assert.deepStrictEqual(logs.lines, [])
        yield* herd.sendAll([1, 2, 3, 4, 5])
        yield* turns
        yield* stage.succeed(1)
        yield* stage.fail(2, "no")
        yield* pass("10 seconds")
        yield* pass("1 minute")
        yield* herd.pause
        yield* pass("10 seconds")
        yield* end()
        assert.deepStrictEqual(logs.lines, [
          "INFO [numbers] 1/5 numbers (20%), 6.0/min, 40 s left, size 2, 1 retrying",
          "INFO [numbers] 1/5 numbers (20%), paused, size 2, 1 retrying",
          "INFO [numbers] 1/5 numbers in 2 min 20 s, 26/h"
        ])
        assert.deepStrictEqual(screen.written, [])
      }).pipe(Effect.scoped, logs.collect)
    })
  )

  test(
    "the interval can be set, summary: false logs no end, and neither does a herd without work",
    Effect.gen(function*() {
      const logs = makeLogs(LogLevel.Info)
      yield* Effect.gen(function*() {
        const { herd } = yield* herdOf()
        const { stream } = makeScreen(80)
        const log = { interval: "1 minute", stream: { ...stream, isTTY: false } } as const
        yield* Effect.flatMap(show(herd, log), (end) => end())
        const end = yield* show(herd, { ...log, summary: false })
        yield* herd.send(1)
        yield* pass("59 seconds")
        assert.deepStrictEqual(logs.lines, [])
        yield* pass("1 second")
        yield* end()
        assert.deepStrictEqual(logs.lines, ["INFO [numbers] 0, size 2, 1 in the herd"])
      }).pipe(logs.collect)
    })
  )

  test(
    "a dumb terminal is none",
    Effect.gen(function*() {
      vi.stubEnv("TERM", "dumb")
      const { herd } = yield* herdOf()
      const screen = makeScreen(80)
      yield* Effect.flatMap(show(herd, { stream: screen.stream }), (end) => end())
      assert.deepStrictEqual(screen.written, [])
    })
  )
})

describe("options", () => {
  for (
    const [options, message] of [
      [{ total: -1 }, "expected total to be an integer from 0, or an Effect of one, got -1"],
      [{ total: NaN }, "expected total to be an integer from 0, or an Effect of one, got NaN"],
      [{ label: 7 }, "expected label to be a string, got 7"],
      [{ unit: null }, "expected unit to be a string, got null"],
      [{ interval: 0 }, "expected interval to be a duration of more than 0, got 0"],
      [{ interval: "soon" }, "expected interval to be a duration of more than 0, got \"soon\""],
      [{ summary: "yes" }, "expected summary to be a boolean, got \"yes\""],
      [{ stream: {} }, "expected stream to be a stream to write to, got {}"]
    ] as const
  ) {
    test(
      `${message} is a defect`,
      Effect.gen(function*() {
        const { herd } = yield* herdOf()
        const exit = yield* Effect.exit(show(herd, options as HerdProgress.Options))
        assert.include(pretty(exit), message)
      })
    )
  }
})

// ------------------------------------------------------------------------------------------------------ a real one

/**
 * The `script` of util-linux gives a program a terminal; that of other systems takes other
 * arguments.
 */
describe.skipIf(process.platform !== "linux" || find("script") === undefined)("in a pseudo-terminal", () => {
  const root = new URL("..", import.meta.url).pathname

  const folder = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "gofherd-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )

  /** A port that nobody listens on. */
  const freePort = Effect.async<number>((resume) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = address !== null && typeof address === "object" ? address.port : 0
      server.close(() => resume(Effect.succeed(port)))
    })
  })

  /** `node --import tsx ...args`, as if somebody had typed it. */
  const typed = (columns: number, args: ReadonlyArray<string>) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const screen = makeScreen(columns)
        const quoted = [process.execPath, "--import", "tsx", ...args].map((arg) => `'${arg.replaceAll("'", "'\\''")}'`)
        const command = `stty cols ${columns} rows 24; exec ${quoted.join(" ")}`
        const child = spawn(path("script"), ["-qec", command, "/dev/null"], { cwd: root })
        child.stdout.on("data", (chunk: Buffer) => screen.stream.write(chunk))
        const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
        /** Looks again and again, until that is seen. */
        const sees = (text: string | RegExp) =>
          Effect.gen(function*() {
            const seen = (yield* screen.all).join("\n")
            const found = typeof text === "string" ? seen.includes(text) : text.test(seen)
            return yield* found ? Effect.void : Effect.fail(seen)
          }).pipe(Effect.retry(Schedule.spaced("50 millis")))
        return {
          screen,
          sees,
          type: (keys: string) => child.stdin.write(keys),
          ended: Effect.promise(() => ended),
          child
        }
      }),
      ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
    )

  /** A checksum that waits at size 0. */
  const checksum = (columns: number) =>
    Effect.gen(function*() {
      const dir = yield* folder
      const out = join(yield* folder, "sums")
      for (let n = 0; n < 30; n++) writeFileSync(join(dir, `${n}`), "x".repeat(n))
      const port = yield* freePort
      const args = ["examples/checksum.ts", "--dir", dir, "--out", out, "--size", "0", "--port", String(port)]
      return { out, port, run: yield* typed(columns, args) }
    })

  it.scopedLive(
    "Ctrl-C leaves nothing of the line, and the cursor where the next prompt belongs",
    () =>
      Effect.gen(function*() {
        const { run } = yield* checksum(40)
        yield* run.sees(/^──────────   0%   0\/30 files {2}size 0$/)
        run.type("\u0003")
        assert.strictEqual(yield* run.ended, 130)
        assert.deepStrictEqual(yield* run.screen.all, [])
        assert.deepStrictEqual(yield* run.screen.rows, [""])
        assert.notInclude(run.screen.written.join(""), "\u001b[?25l")
      }),
    30_000
  )

  it.scopedLive("the summary of the program takes the place of the line", () =>
    Effect.gen(function*() {
      const { out, port, run } = yield* checksum(200)
      yield* run.sees("size 0")
      yield* ask(`http://127.0.0.1:${port}/herd`, { method: "PATCH", body: "{\"num\": 4}" })
      assert.strictEqual(yield* run.ended, 0)
      const [summary = "", ...rest] = yield* run.screen.rows
      assert.match(summary, /^30 files, 435 bytes in \d+\.\d s, 0 failed: /)
      assert.isTrue(summary.endsWith(out))
      assert.deepStrictEqual(rest, [""])
    }), 30_000)

  it.scopedLive("logs, stdout and stderr come above the line, whole and in order", () =>
    Effect.gen(function*() {
      const program = `
        import { Console, Effect, Logger } from "effect"
        import * as Herd from "./src/Herd.ts"
        import * as HerdProgress from "./src/HerdProgress.ts"
        const logger = Logger.withLeveledConsole(Logger.make(({ message }) => \`log \${message}\`))
        await Effect.gen(function*() {
          const herd = yield* Herd.make({
            name: "demo",
            process: (n) => Effect.log(n).pipe(
              Effect.zipRight(Console.log("stdout", n)),
              Effect.zipRight(Console.error("stderr", n)),
              Effect.delay("150 millis")
            )
          })
          const all = Effect.forEach([1, 2, 3], (n) => herd.run(n))
          yield* Effect.provide(all, HerdProgress.layer(Effect.succeed(herd), { total: 3 }))
        }).pipe(Effect.scoped, Effect.provide(Logger.replace(Logger.defaultLogger, logger)), Effect.runPromise)
      `
      const run = yield* typed(60, ["--input-type=module", "--eval", program])
      assert.strictEqual(yield* run.ended, 0)
      const rows = yield* run.screen.rows
      assert.deepStrictEqual(rows.slice(0, 9), [1, 2, 3].flatMap((n) => [`log ${n}`, `stdout ${n}`, `stderr ${n}`]))
      assert.match(rows[9] ?? "", /^demo {2}3 in 0\.\d s {2}\d\.\d\/s$/)
      assert.deepStrictEqual(rows.slice(10), [""])
    }), 30_000)
})
