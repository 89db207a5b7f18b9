import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger, LogLevel, Scope } from "effect"
import { Herd } from "gofherd"
import type { HerdRouter } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { readFileSync } from "node:fs"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { generate } from "../scripts/dashboard.ts"
import * as format from "../src/internal/dashboard/format.ts"
import type { Point, State } from "../src/internal/dashboard/model.ts"
import {
  append,
  conditionOf,
  doubt,
  pointOf,
  ratesAt,
  sliderEnd,
  spanOf,
  timeLeft
} from "../src/internal/dashboard/model.ts"
import { launch, openPage, until } from "./utils/browser.ts"
import { ask } from "./utils/http.ts"
import { shows, value, violations } from "./utils/page.ts"
import { find } from "./utils/programs.ts"
import { makeStage, turns } from "./utils/stage.ts"

// ------------------------------------------------------------------------------------------------------ its parts

describe("the page", () => {
  it("is what its sources build: npm run dashboard", async () => {
    const built = readFileSync(new URL("../src/internal/dashboardPage.ts", import.meta.url), "utf8")
    assert.isTrue(
      built === await generate(),
      "expected src/internal/dashboardPage.ts to be up to date, got an older one"
    )
  })
})

const state: State = {
  name: "herd",
  at: "2026-01-01T00:00:00.000Z",
  size: 4,
  maxSize: 100,
  live: 4,
  running: 4,
  queued: 10,
  retrying: 1,
  accepted: 20,
  succeeded: 4,
  retried: 2,
  failed: 1,
  interrupted: 0,
  paused: false,
  closed: false,
  drained: false,
  attemptSeconds: { p50: 0.1, p95: 0.2 },
  resizes: [],
  failures: []
}

const at = (time: number, change: Partial<Point> = {}): Point => ({ ...pointOf(state, time), ...change })

describe("the points of a chart", () => {
  it("are a second apart, and the latest always counts", () => {
    let points: ReadonlyArray<Point> = []
    for (let time = 0; time <= 10; time += 0.25) points = append(points, at(time, { queued: time * 4 }))
    assert.isAtMost(points.length, 12)
    assert.deepInclude(points.at(-1), { time: 10, queued: 40 })
  })

  it("hold a value over a time without news, so that no line slopes across it", () => {
    const points = append(append([], at(0, { queued: 5, succeeded: 3 })), at(100, { queued: 9, succeeded: 3 }))
    assert.deepStrictEqual(points.map(({ time }) => time), Array.from({ length: 101 }, (_, time) => time))
    assert.deepStrictEqual(new Set(points.slice(0, 100).map(({ queued }) => queued)), new Set([5]))
    // The server would have told so of attempts.
    assert.deepStrictEqual([points[60]?.p95, points[61]?.p95], [0.2, null])
    assert.strictEqual(points.at(-1)?.queued, 9)
  })

  it("are those of the last five minutes", () => {
    let points: ReadonlyArray<Point> = []
    for (let time = 0; time <= 1_000; time++) points = append(points, at(time))
    const [from, to] = spanOf(points.map(({ time }) => time))
    assert.deepStrictEqual([from, to], [700, 1_000])
    assert.isAtLeast(points[0]?.time ?? 0, 690)
  })

  it("span a minute at least", () => {
    assert.deepStrictEqual(spanOf([100, 110]), [50, 110])
    assert.deepStrictEqual(spanOf([10, 110]), [10, 110])
  })

  it("do not go back in time", () => {
    const points = append([], at(10))
    assert.strictEqual(append(points, at(9)), points)
  })
})

describe("a rate", () => {
  it("is what was counted over the last five seconds, per second", () => {
    const points = [0, 1, 2, 3, 4, 5, 6].map((time) => at(time, { succeeded: time * 10, retried: time, failed: 3 }))
    assert.deepStrictEqual(ratesAt(points, 6), { success: 10, retry: 1, failure: 0 })
  })

  it("is 0 of one point, and of a herd that began again", () => {
    assert.deepStrictEqual(ratesAt([at(0)], 0), { success: 0, retry: 0, failure: 0 })
    assert.deepStrictEqual(ratesAt([at(0, { succeeded: 50 }), at(6, { succeeded: 0 })], 1).success, 0)
  })
})

describe("the time left", () => {
  it("is that of what is in the herd at the rate at which it settles", () => {
    assert.strictEqual(timeLeft(state, { success: 4, failure: 1, retry: 9 }), 3)
  })

  it("is none with nothing in it, and for ever where nothing settles", () => {
    assert.isNull(timeLeft({ ...state, queued: 0, retrying: 0, running: 0 }, { success: 1, failure: 0, retry: 0 }))
    assert.strictEqual(timeLeft(state, { success: 0, failure: 0, retry: 9 }), Infinity)
  })
})

describe("the condition of a herd", () => {
  const rest = { running: 0, queued: 0, retrying: 0 }
  for (
    const [change, condition] of [
      [{}, "working"],
      [rest, "idle"],
      [{ paused: true }, "paused"],
      [{ size: 0 }, "holding"],
      [{ ...rest, senders: 1 }, "working"],
      [{ ...rest, senders: 1, size: 0 }, "holding"],
      [{ closed: true }, "closing"],
      [{ ...rest, closed: true }, "closed"],
      [{ ...rest, closed: true, drained: true, paused: true }, "drained"]
    ] as const
  ) {
    it(`is ${condition} with ${JSON.stringify(change)}`, () => {
      assert.strictEqual(conditionOf({ ...state, ...change }), condition)
    })
  }
})

describe("a resize", () => {
  it("is doubted to 0, to the tenfold or a tenth, and when it interrupts", () => {
    assert.match(doubt(5, 0, "graceful") ?? "", /starts nothing/)
    assert.match(doubt(5, 50, "graceful") ?? "", /10 times/)
    assert.match(doubt(50, 5, "graceful") ?? "", /10th/)
    assert.match(doubt(5, 4, "interrupt") ?? "", /interrupted/)
  })

  it("is not doubted otherwise", () => {
    for (const [from, to] of [[5, 49], [50, 6], [0, 1], [0, 100], [5, 5], [0, 0]] as const) {
      assert.isUndefined(doubt(from, to, "graceful"))
    }
    assert.isUndefined(doubt(5, 6, "interrupt"))
  })

  it("has a slider whose end is about twice the size, and never beyond maxSize", () => {
    assert.deepStrictEqual([0, 1, 5, 6, 10, 11, 60, 400].map((size) => sliderEnd(size, 500)), [
      10,
      10,
      10,
      20,
      20,
      50,
      200,
      500
    ])
    assert.strictEqual(sliderEnd(3, 7), 7)
  })
})

describe("figures", () => {
  it("are read easily", () => {
    assert.deepStrictEqual(
      [0, 0.0004, 0.0123, 0.25, 1.5, 42, 59.7, 75, 754, 3_700, 200_000, Infinity].map(format.duration),
      [
        "0",
        "400 µs",
        "12.3 ms",
        "250 ms",
        "1.5 s",
        "42 s",
        "1 min 0 s",
        "1 min 15 s",
        "13 min",
        "1 h 2 min",
        "2 d 7 h",
        "∞"
      ]
    )
    assert.deepStrictEqual([0, 0.5, 12.34, 99.96, 123.4, 1_234_567].map(format.rate), [
      "0",
      "0.50",
      "12.3",
      "100.0",
      "123",
      "1.2M"
    ])
    assert.deepStrictEqual([7, 99_999, 1_500_000].map(format.count), ["7", "99,999", "1.5M"])
    assert.deepStrictEqual(["75.0", "0.50", "400 ms"].map(format.tick), ["75", "0.50", "400 ms"])
  })
})

// ------------------------------------------------------------------------------------------------------ in a browser

class Numbers extends Context.Tag("numbers")<Numbers, Herd.Herd<number, number, string>>() {}
class Letters extends Context.Tag("letters/<img src=x onerror=alert(1)>")<Letters, Herd.Herd<number, number>>() {}

class Chromium extends Context.Tag("test/dashboard/Chromium")<Chromium, Browser>() {}
const ChromiumLive = Layer.scoped(Chromium, launch())

/**
 * A herd under control, served, and the dashboard in a page that has nothing to complain of at the
 * end.
 */
const open = (options: {
  readonly routes?: Omit<HerdRouter.Options<HerdRouter.Herds>, "herds">
  readonly browser?: BrowserContextOptions
  readonly herd?: Partial<Herd.Options<number, number, string>>
  readonly path?: string
} = {}) =>
  Effect.gen(function*() {
    const stage = makeStage()
    const made = {
      process: stage.process,
      size: 4,
      maxSize: 200,
      outcomes: "discard",
      ...options.herd
    } as Herd.Options<
      number,
      number,
      string
    >
    const herds = yield* Layer.build(
      Layer.merge(
        Herd.layer(Numbers, made),
        Herd.layer(Letters, { process: Effect.succeed<number>, outcomes: "discard", size: 2 })
      )
    )
    const herd = Context.get(herds, Numbers)
    const serve = (port: number) =>
      HerdServer.layer({ herds: [Numbers, Letters], port, ...options.routes }).pipe(
        Layer.provide(Layer.succeedContext(herds))
      )
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const { url } = Context.get(yield* Layer.buildWithScope(serve(0), scope), HerdServer.HerdServer)
    const { complaints, page } = yield* openPage(yield* Chromium, options.browser)
    const requests: Array<string> = []
    page.on("request", (request) => requests.push(request.url()))
    yield* Effect.promise(() => page.goto(`${url}${options.path ?? "/"}`))
    return { stage, herd, serve, scope, url, page, complaints, requests }
  })

const badge = (page: Page, text: string) =>
  Effect.promise(() => page.locator(".connection", { hasText: text }).waitFor())

describe.skipIf(find("chromium") === undefined)("the dashboard, in Chromium", () => {
  layer(ChromiumLive, { excludeTestServices: true, timeout: "30 seconds" })((it) => {
    const test = (name: string, program: Effect.Effect<void, unknown, Chromium | Scope.Scope>) =>
      it.scoped(name, () => Logger.withMinimumLogLevel(program, LogLevel.Error), 30_000)

    test(
      "shows live figures, and they move",
      Effect.gen(function*() {
        const { complaints, herd, page, stage } = yield* open()
        yield* badge(page, "live")
        yield* shows(page, "Size", "4")
        yield* shows(page, "Running", "0")
        yield* herd.sendAll([1, 2, 3, 4, 5, 6])
        yield* shows(page, "Running", "4")
        yield* shows(page, "Queued", "2")
        assert.strictEqual(yield* Effect.promise(() => page.locator(".condition").innerText()), "working")
        yield* turns
        yield* stage.finish
        yield* shows(page, "Queued", "0")
        yield* shows(page, "Senders", "0")
        yield* Effect.promise(() => until(() => value(page, "Success"), (text) => Number.parseFloat(text) > 0))
        yield* Effect.promise(() => until(() => value(page, "Attempt p95"), (text) => / m?s$/.test(text)))
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "has charts of it, each with its figures for screen readers and as a table",
      Effect.gen(function*() {
        const { complaints, herd, page } = yield* open()
        yield* herd.sendAll([1, 2, 3, 4, 5, 6])
        yield* shows(page, "Running", "4")
        for (
          const [title, now] of [
            ["Throughput", /success 0, retry 0, failure 0$/],
            ["Gophers", /running 4, size 4$/],
            ["Waiting", /queued 2, retrying 0, senders 0$/],
            ["Time of an attempt", /p95 –, p50 –$/]
          ] as const
        ) {
          const plot = page.getByRole("img", { name: title })
          yield* Effect.promise(() =>
            until(async () => await plot.getAttribute("aria-label") ?? "", (text) => now.test(text))
          )
        }
        const painted = yield* Effect.promise(() =>
          page.evaluate<ReadonlyArray<boolean>>(
            "Array.from(document.querySelectorAll('canvas'), (canvas) => "
              + "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0))"
          )
        )
        assert.deepStrictEqual(painted, [true, true, true, true])
        const chart = page.locator("figure", { hasText: "Waiting" })
        yield* Effect.promise(() => chart.getByText("Table").click())
        const row = chart.getByRole("row").nth(1)
        yield* Effect.promise(() => until(() => row.innerText(), (text) => /^\d\d:\d\d:\d\d\s+2\s+0\s+0$/.test(text)))
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "has a past to show when it opens",
      Effect.gen(function*() {
        const { herd, page, stage, url } = yield* open()
        yield* herd.send(1)
        yield* Effect.sleep("1100 millis")
        yield* turns
        yield* stage.succeed(1)
        yield* Effect.sleep("1100 millis")
        yield* Effect.promise(() => page.goto(`${url}/?again`))
        const chart = page.locator("figure", { hasText: "Gophers" })
        yield* Effect.promise(() => chart.getByText("Table").click())
        const rows = Effect.promise(() => chart.getByRole("row").count())
        assert.isAtLeast(yield* rows, 2)
      })
    )

    test(
      "resizes by the slider, with keyboard and pointer, and by the number",
      Effect.gen(function*() {
        const { complaints, herd, page } = yield* open()
        const size = (expected: number) =>
          Effect.promise(() => until(() => Effect.runPromise(herd.size), (size) => size === expected))
        const slider = page.getByRole("slider", { name: "Size" })
        yield* Effect.promise(() => slider.focus())
        yield* Effect.promise(() => page.keyboard.press("ArrowRight"))
        yield* size(5)
        yield* shows(page, "Size", "5")
        yield* Effect.promise(() => page.keyboard.press("ArrowLeft"))
        yield* size(4)
        yield* Effect.promise(async () => {
          const box = await slider.boundingBox()
          assert.isNotNull(box)
          await page.mouse.move(box.x + box.width * 0.4, box.y + box.height / 2)
          await page.mouse.down()
          await page.mouse.move(box.x + box.width * 0.795, box.y + box.height / 2, { steps: 5 })
          await page.mouse.up()
        })
        yield* size(8)
        const number = page.getByRole("spinbutton", { name: "Gophers" })
        yield* Effect.promise(() => number.fill("37"))
        yield* Effect.promise(() => number.press("Enter"))
        yield* size(37)
        yield* Effect.promise(() => number.fill("40"))
        yield* Effect.promise(() => page.getByRole("button", { name: "Resize" }).click())
        yield* size(40)
        yield* Effect.promise(() => page.getByText("numbers: the size is 40").waitFor())
        yield* Effect.promise(() => until(() => slider.inputValue(), (value) => value === "40"))
        const resizes = page.getByRole("region", { name: "Last resizes" }).getByRole("row")
        yield* Effect.promise(() => until(() => resizes.nth(1).innerText(), (text) => /37\s+40\s+graceful/.test(text)))
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "loses no key that is pressed while the server takes its time",
      Effect.gen(function*() {
        const { herd, page } = yield* open()
        yield* shows(page, "Size", "4")
        yield* Effect.promise(() =>
          page.route("**/herds/numbers", async (route) => {
            if (route.request().method() === "PATCH") await new Promise((resolve) => setTimeout(resolve, 150))
            return route.continue()
          })
        )
        yield* Effect.promise(() => page.getByRole("slider").focus())
        for (let i = 0; i < 5; i++) yield* Effect.promise(() => page.keyboard.press("ArrowRight"))
        yield* shows(page, "Size", "9")
        assert.strictEqual(yield* herd.size, 9)
      })
    )

    test(
      "does not send what is no size, and tells what the server refuses",
      Effect.gen(function*() {
        const { herd, page } = yield* open()
        const number = page.getByRole("spinbutton", { name: "Gophers" })
        const button = page.getByRole("button", { name: "Resize" })
        for (const text of ["-1", "201", "1.5", ""]) {
          yield* Effect.promise(() => number.fill(text))
          assert.isTrue(yield* Effect.promise(() => button.isDisabled()))
          yield* Effect.promise(() => number.press("Enter"))
        }
        assert.strictEqual(yield* herd.size, 4)
        yield* Effect.promise(() =>
          page.route("**/herds/numbers", (route) =>
            route.request().method() === "PATCH"
              ? route.fulfill({ status: 400, json: { num: 4, msg: "expected <b>less</b>", _tag: "InvalidSize" } })
              : route.continue())
        )
        yield* Effect.promise(() => number.fill("5"))
        yield* Effect.promise(() => number.press("Enter"))
        yield* Effect.promise(() => page.getByText("Nothing was changed: expected <b>less</b>").waitFor())
      })
    )

    test(
      "asks again before size 0, a tenfold change, and an interruption; no is no",
      Effect.gen(function*() {
        const { complaints, herd, page, stage } = yield* open()
        yield* herd.sendAll([1, 2, 3, 4])
        yield* shows(page, "Running", "4")
        const number = page.getByRole("spinbutton", { name: "Gophers" })
        const dialog = page.getByRole("dialog")
        const propose = (size: number) =>
          Effect.promise(async () => {
            await number.fill(String(size))
            await number.press("Enter")
            await dialog.waitFor()
          })
        for (const size of [0, 40]) {
          yield* propose(size)
          yield* Effect.promise(() => dialog.getByRole("button", { name: "Cancel" }).click())
          yield* propose(size)
          yield* Effect.promise(() => page.keyboard.press("Escape"))
          yield* Effect.promise(() => dialog.waitFor({ state: "detached" }))
          assert.strictEqual(yield* Effect.promise(() => number.inputValue()), "4")
        }
        assert.strictEqual(yield* herd.size, 4)
        yield* propose(0)
        yield* Effect.promise(() => dialog.getByRole("button", { name: "Resize to 0" }).click())
        yield* shows(page, "Size", "0")
        assert.strictEqual((yield* herd.state).running, 4)
        yield* herd.resize(4)
        yield* shows(page, "Size", "4")
        yield* Effect.promise(() => page.getByLabel("When shrinking").selectOption("interrupt"))
        yield* propose(1)
        yield* Effect.promise(() => dialog.getByRole("button", { name: "Resize to 1" }).click())
        yield* shows(page, "Running", "1")
        assert.deepStrictEqual(stage.interrupted.length, 3)
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "pauses and resumes",
      Effect.gen(function*() {
        const { complaints, herd, page } = yield* open()
        yield* Effect.promise(() => page.getByRole("button", { name: "Pause" }).click())
        yield* Effect.promise(() => page.locator(".condition", { hasText: "paused" }).waitFor())
        assert.isTrue((yield* herd.state).paused)
        yield* Effect.promise(() => page.getByRole("button", { name: "Resume" }).click())
        yield* Effect.promise(() => page.locator(".condition", { hasText: "idle" }).waitFor())
        assert.isFalse((yield* herd.state).paused)
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "lists the last failures with unit, attempts and message, whatever that says",
      Effect.gen(function*() {
        const { complaints, herd, page, stage } = yield* open()
        yield* herd.send(1, { id: "<script>alert(1)</script>" })
        yield* turns
        yield* stage.fail(1, "<img src=x onerror=alert(2)> was refused")
        const row = page.getByRole("region", { name: "Last failures" }).getByRole("row").nth(1)
        const text = yield* Effect.promise(() => row.innerText())
        assert.match(
          text,
          /^\d\d:\d\d:\d\d\s+<script>alert\(1\)<\/script>\s+1\s+<img src=x onerror=alert\(2\)> was refused$/
        )
        yield* Effect.promise(() => until(() => value(page, "Failure"), (text) => text !== "0/s"))
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "switches between herds, whatever their names, and stays with one when loaded again",
      Effect.gen(function*() {
        const { complaints, herd, page } = yield* open()
        const name = "letters/<img src=x onerror=alert(1)>"
        yield* Effect.promise(() => page.getByRole("navigation").getByRole("button", { name }).click())
        yield* Effect.promise(() => page.getByRole("heading", { level: 2, name }).waitFor())
        yield* shows(page, "Size", "2")
        yield* Effect.promise(() => page.reload())
        yield* Effect.promise(() => page.getByRole("heading", { level: 2, name }).waitFor())
        yield* Effect.promise(() => page.getByRole("slider").press("ArrowRight"))
        yield* shows(page, "Size", "3")
        assert.strictEqual(yield* herd.size, 4)
        const other = page.getByRole("navigation").getByRole("button", { name: "numbers" })
        yield* herd.sendAll([1, 2, 3])
        yield* Effect.promise(() => until(() => other.innerText(), (text) => text.includes("3 of 4 running, 0 queued")))
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "survives a restart of the server: says so, takes no commands meanwhile, and goes on",
      Effect.gen(function*() {
        const { herd, page, scope, serve, url } = yield* open()
        yield* badge(page, "live")
        yield* shows(page, "Size", "4")
        yield* Scope.close(scope, Exit.void)
        yield* badge(page, "reconnecting")
        assert.isTrue(yield* Effect.promise(() => page.getByRole("slider").isDisabled()))
        yield* herd.resize(9)
        yield* Layer.build(serve(Number(new URL(url).port)))
        yield* badge(page, "live")
        yield* shows(page, "Size", "9")
        yield* Effect.promise(() => page.getByRole("slider").press("ArrowRight"))
        yield* shows(page, "Size", "10")
      })
    )

    test(
      "says that it is reconnecting while the server has no place for its event stream, and is live when it has",
      Effect.gen(function*() {
        const { page, url } = yield* open({ routes: { maxEventStreams: 1 } })
        yield* badge(page, "live")
        const second = yield* Effect.promise(() => page.context().newPage())
        yield* Effect.promise(() => second.goto(url))
        yield* badge(second, "reconnecting")
        yield* Effect.promise(() => page.close())
        yield* badge(second, "live")
        yield* shows(second, "Size", "4")
      })
    )

    test(
      "asks for the token, keeps it out of the address, and shows nothing without it",
      Effect.gen(function*() {
        const { complaints, page, url } = yield* open({ routes: { token: "s3cret" } })
        const token = page.getByLabel("Token")
        yield* Effect.promise(() => token.waitFor())
        assert.strictEqual(yield* Effect.promise(() => page.locator(".card").count()), 0)
        for (let i = 0; i < 3; i++) yield* Effect.promise(() => page.keyboard.press("Escape"))
        yield* Effect.promise(() => token.waitFor())
        assert.deepStrictEqual(complaints, [])
        yield* Effect.promise(() => token.fill("wrong"))
        yield* Effect.promise(() => token.press("Enter"))
        yield* Effect.promise(() => page.getByText("got another one").waitFor())
        // The one complaint is the browser's own, of the 401.
        assert.isTrue(complaints.every((text) => text.includes("401")))
        complaints.length = 0
        yield* Effect.promise(() => token.fill("s3cret"))
        yield* Effect.promise(() => token.press("Enter"))
        yield* shows(page, "Size", "4")
        yield* Effect.promise(() => page.getByRole("slider").press("ArrowRight"))
        yield* shows(page, "Size", "5")
        yield* Effect.promise(() => page.reload())
        yield* shows(page, "Size", "5")
        assert.strictEqual(page.url(), `${url}/`)
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "takes the token from the address, and erases it there",
      Effect.gen(function*() {
        const { complaints, page } = yield* open({
          routes: { token: "a b&c".replaceAll(" ", "+") },
          path: "/#token=a%2Bb%26c"
        })
        yield* shows(page, "Size", "4")
        assert.notInclude(page.url(), "token")
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "shows no controls when read-only",
      Effect.gen(function*() {
        const { complaints, page } = yield* open({ routes: { readOnly: true } })
        yield* shows(page, "Size", "4")
        for (const role of ["slider", "spinbutton", "combobox"] as const) {
          assert.strictEqual(yield* Effect.promise(() => page.getByRole(role).count()), 0)
        }
        assert.strictEqual(yield* Effect.promise(() => page.getByRole("button", { name: "Pause" }).count()), 0)
        yield* Effect.promise(() => page.getByText("read-only").waitFor())
        assert.deepStrictEqual(complaints, [])
      })
    )

    for (const path of ["/ops/", ""]) {
      test(
        `works below a prefix, ${
          path === "" ? "without" : "with"
        } a slash at its end, and asks nothing of anybody else`,
        Effect.gen(function*() {
          const { complaints, page, requests, url } = yield* open({
            routes: { prefix: "/ops" },
            path: path === "" ? "" : "/"
          })
          yield* shows(page, "Size", "4")
          yield* Effect.promise(() => page.getByRole("slider").press("ArrowRight"))
          yield* shows(page, "Size", "5")
          assert.isAtLeast(requests.length, 4)
          for (const request of requests) assert.match(request, new RegExp(`^${url}`))
          assert.deepStrictEqual(complaints, [])
        })
      )
    }

    test(
      "runs no script but its own",
      Effect.gen(function*() {
        const { complaints, page } = yield* open()
        yield* badge(page, "live")
        yield* Effect.promise(() =>
          page.evaluate(
            "document.body.appendChild(document.createElement('script')).textContent = 'document.title = 1'"
          )
        )
        assert.strictEqual(yield* Effect.promise(() => page.title()), "gofherd")
        assert.match(complaints.join(), /Content Security Policy/)
      })
    )

    for (const colorScheme of ["light", "dark"] as const) {
      test(
        `has no fault that axe finds, ${colorScheme}, wide and narrow, with a dialog and a table open`,
        Effect.gen(function*() {
          const { complaints, herd, page, stage } = yield* open({ browser: { colorScheme } })
          yield* herd.sendAll([1, 2, 3, 4, 5])
          yield* turns
          yield* stage.fail(1, "no")
          yield* herd.resize(3)
          yield* shows(page, "Size", "3")
          yield* Effect.promise(() => page.getByText("Table").first().click())
          for (const width of [360, 768, 1600]) {
            yield* Effect.promise(() => page.setViewportSize({ width, height: 900 }))
            assert.deepStrictEqual(yield* violations(page), [])
          }
          yield* herd.pause
          yield* Effect.promise(() => page.locator(".condition", { hasText: "paused" }).waitFor())
          assert.deepStrictEqual(yield* violations(page), [])
          yield* Effect.promise(() => page.getByRole("spinbutton").fill("0"))
          yield* Effect.promise(() => page.getByRole("spinbutton").press("Enter"))
          yield* Effect.promise(() => page.getByRole("dialog").waitFor())
          assert.deepStrictEqual(yield* violations(page), [])
          assert.deepStrictEqual(complaints, [])
        })
      )
    }

    test(
      "fits every width from 360 to 1600 pixels",
      Effect.gen(function*() {
        const { page } = yield* open({
          herd: { name: "a-name-that-is-rather-long-for-a-narrow-screen-and-has-no-spaces" }
        })
        yield* shows(page, "Size", "4")
        for (const width of [360, 420, 600, 760, 761, 1080, 1081, 1280, 1600]) {
          yield* Effect.promise(() => page.setViewportSize({ width, height: 800 }))
          // What reaches beyond the edge, once the charts have followed.
          const wide = () =>
            page.evaluate<ReadonlyArray<string>>(
              "document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')]"
                + ".filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 120))"
            )
          yield* Effect.promise(() => until(wide, (elements) => elements.length === 0, 2_000))
        }
      })
    )

    test(
      "can be used by keyboard alone",
      Effect.gen(function*() {
        const { herd, page } = yield* open()
        yield* shows(page, "Size", "4")
        const focused = () => page.evaluate<string>("document.activeElement.id || document.activeElement.textContent")
        const reached: Array<string> = []
        for (let i = 0; i < 8; i++) {
          yield* Effect.promise(() => page.keyboard.press("Tab"))
          reached.push(yield* Effect.promise(focused))
        }
        assert.include(reached.join("|"), "slider|number|mode|❚❚ Pause")
        yield* Effect.promise(() => page.locator("button", { hasText: "Pause" }).focus())
        yield* Effect.promise(() => page.keyboard.press("Space"))
        yield* Effect.promise(() => page.locator(".condition", { hasText: "paused" }).waitFor())
        assert.isTrue((yield* herd.state).paused)
      })
    )

    test(
      "is told by the server to whom it is shown, not by the request",
      Effect.gen(function*() {
        const { url } = yield* open()
        const plain = yield* ask(`${url}/`)
        const odd = yield* ask(`${url}/?<script>alert(1)</script>`, { headers: { "x-forwarded-prefix": "<b>" } })
        assert.strictEqual(plain.text, odd.text)
      })
    )
  })
})
