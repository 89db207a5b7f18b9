/**
 * How programs stop: what holds them up, what is still answered, and with which exit code they end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { beforeAll } from "vitest"
import { launch } from "./utils/browser.ts"
import { ask } from "./utils/http.ts"
import { type Program, served } from "./utils/program.ts"
import { find } from "./utils/programs.ts"
import { get, hold, reading } from "./utils/raw.ts"
import { until } from "./utils/stage.ts"

/** Sends the signal and waits for the end: how it ended, and after how many milliseconds. */
const stop = (program: Program, signal: NodeJS.Signals = "SIGTERM") =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    program.child.kill(signal)
    const end = yield* program.ended
    return { end, millis: (yield* Clock.currentTimeMillis) - began }
  })

/** How long this machine takes to stop the program with nothing open, in milliseconds. */
let alone = 0

beforeAll(async () => {
  const { end, millis } = await Effect.runPromise(Effect.scoped(Effect.flatMap(served(), (program) => stop(program))))
  assert.strictEqual(end, 0)
  assert.isBelow(millis, 1_000)
  alone = millis
}, 30_000)

describe("a program that gets SIGTERM", () => {
  it.scopedLive(
    "stops within a second of what it needs alone, with an event stream, a silent socket, half a request and an idle connection open",
    () =>
      Effect.gen(function*() {
        const program = yield* served({ units: 5, unitMillis: 60_000 })
        const { port } = program
        const events = reading(yield* hold(port, get("/herds/numbers/events?history=true")))
        const keptAlive = reading(yield* hold(port, get("/herd")))
        yield* hold(port)
        yield* hold(port, "GET /he")
        yield* hold(port, "PATCH /herd HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{\"nu")
        yield* until(() => events.text().includes("\"running\":5") && keptAlive.text().includes("success"))
        const { end, millis } = yield* stop(program)
        assert.strictEqual(end, 0)
        assert.isBelow(millis, alone + 1_000)
        assert.isTrue(events.text().endsWith("\r\n0\r\n\r\n"), "expected the event stream to end as it should")
        assert.include(program.stdout(), "the server has stopped")
      }),
    30_000
  )

  it.scopedLive("delivers the answer in flight whole, and stops within a second of it", () =>
    Effect.gen(function*() {
      const program = yield* served({ mounted: true })
      const answer = reading(yield* hold(program.port, get("/slow")))
      yield* hold(program.port)
      const events = reading(yield* hold(program.port, get("/herds/numbers/events")))
      yield* until(() => program.stdout().includes("asked for /slow") && events.text().includes("data: "))
      const { end, millis } = yield* stop(program)
      assert.strictEqual(end, 0)
      assert.match(answer.text(), /^HTTP\/1\.1 200 OK\r\n/)
      assert.isTrue(answer.ended())
      assert.strictEqual(answer.text().split("\r\n\r\n")[1]?.length, 1_000_000)
      assert.isAbove(millis, 1_000)
      assert.isBelow(millis, 2_000 + alone + 1_000)
    }), 30_000)

  it.scopedLive.skipIf(find("chromium") === undefined)(
    "stops within a second of what it needs alone with a tab of Chromium open",
    () =>
      Effect.gen(function*() {
        const program = yield* served({ units: 5, unitMillis: 60_000 })
        const page = yield* Effect.flatMap(launch(), (browser) => Effect.promise(() => browser.newPage()))
        yield* Effect.promise(async () => {
          await page.goto(`${program.url}/`)
          await page.evaluate(`(async () => {
          const { body } = await fetch("herds/numbers/events")
          const reader = body.getReader()
          await reader.read()
          window.ended = (async () => {
            while (!(await reader.read()).done);
            return "ended"
          })()
        })()`)
        })
        const { end, millis } = yield* stop(program)
        assert.strictEqual(end, 0)
        assert.isBelow(millis, alone + 1_000)
        assert.strictEqual(yield* Effect.promise(() => page.evaluate("window.ended")), "ended")
      }),
    30_000
  )

  for (const mounted of [false, true]) {
    it.scopedLive(
      `that drains, goes on answering while the herd finishes what it has: ${
        mounted ? "an application that drains it first" : "HerdServer with drain"
      }`,
      () =>
        Effect.gen(function*() {
          const program = yield* served({ mounted, drain: true, gracePeriod: 60_000, units: 100, unitMillis: 300 })
          const { url } = program
          const events = reading(yield* hold(program.port, get("/herds/numbers/events")))
          yield* until(() => events.text().includes("data: "))
          const stopping = yield* Effect.fork(stop(program))
          yield* until(() => events.text().includes("\"closed\":true"))
          const metrics = yield* ask(`${url}/metrics`)
          assert.strictEqual(metrics.status, 200)
          assert.match(metrics.text, /gofherd_running\{herd="numbers"\} 10/)
          assert.include((yield* ask(`${url}/herds/numbers`)).json, { closed: true, drained: false })
          // So that it is over sooner.
          assert.strictEqual((yield* ask(`${url}/herd`, { method: "PATCH", body: "{\"num\":100}" })).status, 200)
          assert.strictEqual((yield* stopping).end, 0)
          const lines = program.stdout().trimEnd().split("\n")
          assert.strictEqual(lines.filter((line) => line.startsWith("finished")).length, 100)
          assert.strictEqual(lines.at(-1), "the server has stopped")
          assert.isTrue(events.text().endsWith("\r\n0\r\n\r\n"))
          assert.strictEqual(program.stderr(), "")
        }),
      30_000
    )
  }

  it.scopedLive("with drain, waits no longer than the grace period, and that once", () =>
    Effect.gen(function*() {
      const program = yield* served({ drain: true, gracePeriod: 1_500, units: 10, unitMillis: 60_000 })
      const { end, millis } = yield* stop(program)
      assert.strictEqual(end, 0)
      assert.isAtLeast(millis, 1_450)
      assert.isBelow(millis, 1_500 + alone + 1_000)
      assert.match(program.stdout(), /stopped with 10 units left over/)
    }), 30_000)

  it.scopedLive(
    "without drain, stops its server first, and the herd finishes what it has then",
    () =>
      Effect.gen(function*() {
        const program = yield* served({ gracePeriod: 60_000, units: 20, unitMillis: 300 })
        const { end } = yield* stop(program)
        assert.strictEqual(end, 0)
        const lines = program.stdout().trimEnd().split("\n")
        assert.strictEqual(lines.filter((line) => line.startsWith("finished")).length, 20)
        assert.match(lines.at(-1) ?? "", /^finished/)
      }),
    30_000
  )

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.scopedLive(`ends at once with a second ${signal}, by that signal`, () =>
      Effect.gen(function*() {
        const program = yield* served({ drain: true, gracePeriod: 60_000, units: 10, unitMillis: 60_000 })
        program.child.kill(signal)
        yield* until(
          Effect.map(ask(`${program.url}/herds/numbers`), ({ text }) => text.includes("\"closed\":true"))
        )
        const { end, millis } = yield* stop(program, signal)
        assert.strictEqual(end, signal)
        assert.isBelow(millis, alone + 1_000)
      }), 30_000)
  }

  it.scopedLive(
    "or SIGINT, with units left over, exits with 0: it has done as it was told",
    () =>
      Effect.gen(function*() {
        const program = yield* served({ units: 10, unitMillis: 60_000 })
        assert.strictEqual((yield* stop(program, "SIGINT")).end, 0)
        assert.match(program.stdout(), /stopped with 10 units left over/)
      }),
    30_000
  )
})
