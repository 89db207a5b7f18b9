/**
 * What the dashboard shows and changes of a durable herd, in Chromium.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, type Scope } from "effect"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import * as format from "../src/internal/dashboard/format.ts"
import type { Source, State } from "../src/internal/dashboard/model.ts"
import { conditionOf, headOf, timeLeft } from "../src/internal/dashboard/model.ts"
import { launch, openPage, until } from "./utils/browser.ts"
import { makeSource, serve } from "./utils/durable.ts"
import { shows, violations } from "./utils/page.ts"
import { find } from "./utils/programs.ts"
import { until as eventually } from "./utils/stage.ts"
import { claimOne, unit } from "./utils/stores.ts"

// ------------------------------------------------------------------------------------------------------ its parts

const source: Source = { ready: 20, delayed: 3, held: 4, dead: 2, oldestSeconds: 1.5 }

const state: State = {
  name: "mails",
  at: "2026-01-01T00:00:00.000Z",
  size: 4,
  maxSize: 100,
  live: 4,
  running: 4,
  queued: 0,
  retrying: 0,
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
  failures: [],
  source
}

describe("of a durable herd", () => {
  it("the time left is that of what is ready, too", () => {
    assert.strictEqual(timeLeft(state, { success: 2, failure: 0, retry: 0 }), 12)
    assert.isNull(
      timeLeft({ ...state, running: 0, source: { ...source, ready: 0 } }, { success: 2, failure: 0, retry: 0 })
    )
  })

  const rest = { running: 0, source }
  for (
    const [change, condition] of [
      [{}, "working"],
      [{ ...rest, size: 0 }, "holding"],
      [{ ...rest, source: { ...source, fleet: 0 } }, "holding"],
      [{ ...rest, source: { ...source, fleet: null } }, "idle"],
      [{ ...rest, size: 0, source: { ...source, ready: 0 } }, "idle"],
      [{ ...rest, size: 0, closed: true }, "closed"],
      [{ size: 0 }, "working"]
    ] as const
  ) {
    it(`the condition is ${condition} with ${JSON.stringify(change)}`, () => {
      assert.strictEqual(conditionOf({ ...state, ...change }), condition)
    })
  }
})

describe("a cause", () => {
  it("is headed by its first line, or the beginning of that", () => {
    assert.strictEqual(headOf("one line"), "one line")
    assert.strictEqual(headOf("Error: no\n    at x"), "Error: no")
    assert.strictEqual(headOf(""), "")
    assert.strictEqual(headOf("x".repeat(200)), "x".repeat(160))
    assert.strictEqual(headOf(`${"x".repeat(159)}🦫`), "x".repeat(159))
  })
})

describe("an instant", () => {
  it("is told by how long ago it was", () => {
    assert.deepStrictEqual([-3, 0.4, 1, 75, 90_000].map(format.ago), [
      "just now",
      "just now",
      "1 s ago",
      "1 min 15 s ago",
      "25 h 0 min ago"
    ])
  })
})

// ------------------------------------------------------------------------------------------------------ in a browser

class Chromium extends Context.Tag("test/dashboard/durable/Chromium")<Chromium, Browser>() {}
const ChromiumLive = Layer.scoped(Chromium, launch())

type Options = Parameters<typeof serve>[1] & {
  readonly fleet?: number | null
  readonly browser?: BrowserContextOptions
}

/**
 * A durable herd that is served, and its dashboard in a page that has nothing to complain of at the
 * end.
 */
const open = ({ browser, fleet, ...options }: Options = {}) =>
  Effect.gen(function*() {
    const source = makeSource(fleet === undefined ? {} : { fleet })
    const served = yield* serve(source, options)
    const { complaints, page } = yield* openPage(yield* Chromium, browser)
    /** Requests for dead letters, as method and path. */
    const requests: Array<string> = []
    page.on("request", (request) => {
      const { pathname, search } = new URL(request.url())
      if (pathname.includes("/dead")) requests.push(`${request.method()} ${pathname}${search}`)
    })
    const visit = Effect.promise(() => page.goto(`${served.url}/`))
    return { ...served, source, page, complaints, requests, visit }
  })

const visible = (page: Page, text: string) => Effect.promise(() => page.getByText(text).waitFor())

const expand = (page: Page) => Effect.promise(() => page.locator(".dead > summary").click())

const rows = (page: Page) => page.locator(".letters tbody tr")

const row = (page: Page, id: string) =>
  rows(page).filter({ has: page.getByRole("rowheader", { name: id, exact: true }) })

/** Waits until these are the units that are listed. */
const lists = (page: Page, ...ids: ReadonlyArray<string>) =>
  Effect.promise(() =>
    until(() => page.locator(".letters tbody th").allInnerTexts(), (texts) => texts.join() === ids.join())
  )

const press = (page: Page, name: string) =>
  Effect.promise(() => page.getByRole("button", { name, exact: true }).click())

const focused = (page: Page) =>
  page.evaluate<string>("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")

const focuses = (page: Page, expected: RegExp) =>
  Effect.promise(() => until(() => focused(page), (text) => expected.test(text)))

describe.skipIf(find("chromium") === undefined)("the dashboard of a durable herd, in Chromium", () => {
  layer(ChromiumLive, { excludeTestServices: true, timeout: "30 seconds" })((it) => {
    const test = (name: string, program: Effect.Effect<void, unknown, Chromium | Scope.Scope>) =>
      it.scoped(name, () => Logger.withMinimumLogLevel(program, LogLevel.Error), 30_000)

    test(
      "shows what the source has, also of other processes, and how long the oldest has waited, which goes on",
      Effect.gen(function*() {
        const { complaints, elsewhere, herd, kill, page, visit } = yield* open({ size: 1 })
        const other = yield* elsewhere
        yield* kill("bad 1")
        yield* herd.offer("runs")
        yield* herd.offer("later", { delay: "1 hour" })
        yield* visit
        yield* shows(page, "Held", "1")
        yield* shows(page, "Oldest wait", "–")
        yield* other.offer([unit("waits"), unit("waits too"), unit("is claimed")])
        yield* claimOne(other)
        for (const [card, figure] of [["Ready", "2"], ["Delayed", "1"], ["Held", "2"], ["Dead", "1"]] as const) {
          yield* shows(page, card, figure)
        }
        yield* shows(page, "Oldest wait", /^[3-9](\.\d)? s$/)
        assert.strictEqual(yield* Effect.promise(() => page.getByText("Fleet size").count()), 0)
        const nav = page.getByRole("navigation").getByRole("button", { name: "mails" })
        yield* Effect.promise(() => until(() => nav.innerText(), (text) => text.includes("1 of 1 running, 2 ready")))
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "shows nothing of that for a herd that is not durable",
      Effect.gen(function*() {
        const { complaints, page, visit } = yield* open({ fleet: 40 })
        yield* visit
        yield* shows(page, "Ready", "0")
        yield* Effect.promise(() => page.getByRole("navigation").getByRole("button", { name: "plain" }).click())
        yield* shows(page, "Size", "2")
        yield* Effect.promise(() => until(() => page.locator(".card").count(), (count) => count === 11))
        for (const text of ["Dead letters", "In the source", "Fleet size", "no limit"]) {
          assert.strictEqual(yield* Effect.promise(() => page.getByText(text).count()), 0, text)
        }
        assert.match(yield* Effect.promise(() => page.locator("nav").innerText()), /0 of 2 running, 0 queued/)
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "says so when the source does not answer, and keeps its place",
      Effect.gen(function*() {
        const { kill, page, source, visit } = yield* open({ fleet: 40 })
        yield* kill("bad 1")
        yield* visit
        yield* shows(page, "Dead", "1")
        yield* source.is("fails")
        yield* shows(page, "Dead", "–")
        yield* visible(page, "which does not answer")
        assert.isTrue(yield* Effect.promise(() => page.getByRole("spinbutton", { name: "Fleet size" }).isDisabled()))
        yield* expand(page)
        const msg =
          "The dead letters were not loaded: expected the test source to list dead letters, got the disk is <b>full</b>"
        yield* visible(page, msg)
        yield* source.is("answers")
        yield* press(page, "Try again")
        yield* lists(page, "bad 1")
        yield* shows(page, "Dead", "1")
      })
    )

    // -------------------------------------------------------------------------------------------------- fleet size

    test(
      "sets the fleet size, lifts it, and asks before 0; no is no",
      Effect.gen(function*() {
        const { complaints, page, source, visit } = yield* open({ fleet: 40 })
        yield* visit
        yield* shows(page, "Fleet size", "40")
        const number = page.getByRole("spinbutton", { name: "Fleet size" })
        const button = page.getByRole("button", { name: "Set fleet size" })
        assert.isTrue(yield* Effect.promise(() => button.isDisabled()))
        yield* Effect.promise(() => number.fill("7"))
        yield* Effect.promise(() => number.press("Enter"))
        yield* visible(page, "mails: the fleet size is 7")
        yield* shows(page, "Fleet size", "7")
        assert.strictEqual(source.fleet(), 7)
        for (const text of ["-1", "1.5", ""]) {
          yield* Effect.promise(() => number.fill(text))
          assert.isTrue(yield* Effect.promise(() => button.isDisabled()), text)
        }
        yield* Effect.promise(() => number.fill("9"))
        const limitless = page.getByRole("checkbox", { name: "no limit" })
        yield* Effect.promise(() => limitless.check())
        assert.isTrue(yield* Effect.promise(() => number.isDisabled()))
        yield* Effect.promise(() => button.click())
        yield* visible(page, "mails: the fleet size has no limit")
        yield* shows(page, "Fleet size", "no limit")
        assert.isNull(source.fleet())
        const dialog = page.getByRole("dialog")
        const propose = Effect.promise(async () => {
          await limitless.uncheck()
          await number.fill("0")
          await button.click()
          await dialog.waitFor()
        })
        yield* propose
        yield* Effect.promise(() => page.keyboard.press("Escape"))
        yield* Effect.promise(() => dialog.waitFor({ state: "detached" }))
        assert.isTrue(yield* Effect.promise(() => limitless.isChecked()))
        assert.isNull(source.fleet())
        yield* propose
        yield* Effect.promise(() => dialog.getByRole("button", { name: "Set to 0" }).click())
        yield* shows(page, "Fleet size", "0")
        assert.strictEqual(source.fleet(), 0)
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "shows a fleet size that others set, unless one is being chosen",
      Effect.gen(function*() {
        const { herd, page, source, url, visit } = yield* open({ fleet: 40 })
        yield* visit
        const number = page.getByRole("spinbutton", { name: "Fleet size" })
        const set = (fleet: number) =>
          Effect.promise(() => fetch(`${url}/herds/${herd.name}`, { method: "PATCH", body: JSON.stringify({ fleet }) }))
        yield* set(9)
        yield* shows(page, "Fleet size", "9")
        assert.strictEqual(yield* Effect.promise(() => number.inputValue()), "9")
        yield* Effect.promise(() => number.fill("12"))
        yield* set(10)
        yield* shows(page, "Fleet size", "10")
        assert.strictEqual(yield* Effect.promise(() => number.inputValue()), "12")
        yield* Effect.promise(() => number.press("Enter"))
        yield* shows(page, "Fleet size", "12")
        assert.strictEqual(source.fleet(), 12)
      })
    )

    // -------------------------------------------------------------------------------------------------- dead letters

    test(
      "loads the dead letters when they are looked at, and again when there are others, and not otherwise",
      Effect.gen(function*() {
        const { complaints, kill, page, requests, visit } = yield* open()
        yield* kill("bad 1")
        yield* visit
        yield* shows(page, "Dead", "1")
        yield* kill("bad 2")
        yield* shows(page, "Dead", "2")
        assert.deepStrictEqual(requests, [])
        yield* expand(page)
        yield* lists(page, "bad 2", "bad 1")
        assert.deepStrictEqual(requests, ["GET /herds/mails/dead?limit=100&offset=0"])
        yield* kill("bad 3")
        yield* lists(page, "bad 3", "bad 2", "bad 1")
        assert.strictEqual(requests.length, 2)
        yield* expand(page)
        yield* kill("bad 4")
        yield* shows(page, "Dead", "4")
        assert.strictEqual(requests.length, 2)
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "lists of each its unit, attempts, crashes, when it died, and why: a line, and the whole for who wants it",
      Effect.gen(function*() {
        const { complaints, herd, kill, page, visit } = yield* open()
        yield* kill("bad 1")
        yield* visit
        yield* expand(page)
        yield* lists(page, "bad 1")
        yield* Effect.promise(() => page.getByRole("region", { name: "Dead letters" }).waitFor())
        const cells = yield* Effect.promise(() => row(page, "bad 1").locator("td").allInnerTexts())
        assert.deepStrictEqual(cells.slice(0, 2), ["1", "0"])
        assert.match(cells[2] ?? "", /^(just now|\d\S* m?s ago)$/)
        const [letter] = yield* Effect.orDie(herd.dead.list())
        const died = new Date(letter?.diedAt ?? NaN)
        const time = row(page, "bad 1").locator("time")
        assert.strictEqual(yield* Effect.promise(() => time.getAttribute("datetime")), died.toISOString())
        const title = yield* Effect.promise(() => time.getAttribute("title"))
        assert.include(title, String(died.getFullYear()))
        assert.match(title ?? "", /\d\d:\d\d:\d\d \S/)
        const whole = row(page, "bad 1").getByText(/at process/)
        assert.isFalse(yield* Effect.promise(() => whole.isVisible()))
        yield* Effect.promise(() => row(page, "bad 1").getByText("Error: bad 1 is refused …").click())
        yield* Effect.promise(() => whole.waitFor())
        assert.strictEqual(yield* Effect.promise(() => whole.textContent()), letter?.cause)
        const body = row(page, "bad 1").locator("pre", { hasText: /^"bad 1"$/ })
        assert.isFalse(yield* Effect.promise(() => body.isVisible()))
        yield* Effect.promise(() => row(page, "bad 1").locator(".body summary").click())
        yield* Effect.promise(() => body.waitFor())
        // What is open stays open when the list is loaded again.
        yield* kill("bad 2")
        yield* lists(page, "bad 2", "bad 1")
        assert.isTrue(yield* Effect.promise(() => body.isVisible()))
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "shows ids, causes and bodies as text, whatever they say",
      Effect.gen(function*() {
        const { complaints, elsewhere, page, visit } = yield* open({ size: 0 })
        const other = yield* elsewhere
        const evil = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202e"
        yield* other.offer([{ ...unit(evil), body: JSON.stringify(evil) }])
        const claim = yield* claimOne(other)
        yield* other.settle([{ _tag: "Bury", claim, cause: `${evil}\n${evil}` }], 0)
        yield* visit
        yield* expand(page)
        yield* lists(page, evil)
        yield* Effect.promise(() => rows(page).locator(".body summary").click())
        assert.strictEqual(
          yield* Effect.promise(() => rows(page).locator(".body pre").textContent()),
          JSON.stringify(evil)
        )
        yield* press(page, `Discard ${evil}`)
        yield* Effect.promise(() => page.getByRole("dialog", { name: `Discard unit ${evil}?` }).waitFor())
        assert.strictEqual(yield* Effect.promise(() => page.locator("main img, main script").count()), 0)
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "redrives a unit at once, and says so; the focus does not get lost with its row",
      Effect.gen(function*() {
        const { complaints, herd, kill, page, visit } = yield* open()
        yield* kill("bad 1", "bad 2")
        yield* herd.resize(0)
        yield* visit
        yield* expand(page)
        yield* lists(page, "bad 2", "bad 1")
        yield* Effect.promise(() => page.getByRole("button", { name: "Redrive bad 2" }).focus())
        yield* Effect.promise(() => page.keyboard.press("Enter"))
        yield* visible(page, "mails: 1 dead letter redriven")
        yield* lists(page, "bad 1")
        yield* shows(page, "Ready", "1")
        yield* focuses(page, /^Dead letters/)
        assert.include(yield* herd.depth, { ready: 1, dead: 1 })
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "asks before it discards a unit, in a dialog that is used by keyboard; no is no, and the focus comes back",
      Effect.gen(function*() {
        const { complaints, herd, kill, page, requests, visit } = yield* open()
        yield* kill("bad 1", "bad 2")
        yield* visit
        yield* expand(page)
        yield* lists(page, "bad 2", "bad 1")
        const dialog = page.getByRole("dialog", { name: "Discard unit bad 1?" })
        const button = page.getByRole("button", { name: "Discard bad 1" })
        for (const no of ["Escape", "Enter"]) {
          yield* Effect.promise(() => button.focus())
          yield* Effect.promise(() => page.keyboard.press("Enter"))
          yield* Effect.promise(() => dialog.waitFor())
          yield* focuses(page, /^Cancel$/)
          yield* Effect.promise(() => page.keyboard.press(no))
          yield* Effect.promise(() => dialog.waitFor({ state: "detached" }))
          yield* focuses(page, /^Discard bad 1$/)
        }
        assert.deepStrictEqual(requests.filter((request) => request.startsWith("POST")), [])
        yield* Effect.promise(() => page.keyboard.press("Enter"))
        yield* focuses(page, /^Cancel$/)
        yield* Effect.promise(() => page.keyboard.press("Tab"))
        yield* focuses(page, /^Discard$/)
        yield* Effect.promise(() => page.keyboard.press("Enter"))
        yield* visible(page, "mails: 1 dead letter discarded")
        yield* lists(page, "bad 2")
        yield* focuses(page, /^Dead letters/)
        assert.include(yield* herd.depth, { ready: 0, dead: 1 })
        assert.deepStrictEqual(complaints, [])
      })
    )

    for (const [verb, done] of [["Redrive", "redriven"], ["Discard", "discarded"]] as const) {
      test(
        `asks before it ${verb.toLowerCase()}s all; no is no`,
        Effect.gen(function*() {
          const { complaints, herd, kill, page, visit } = yield* open()
          yield* kill("bad 1", "bad 2", "bad 3")
          yield* herd.resize(0)
          yield* visit
          yield* expand(page)
          const dialog = page.getByRole("dialog", { name: `${verb} all dead letters of mails?` })
          yield* press(page, `${verb} all`)
          yield* Effect.promise(() => dialog.getByRole("button", { name: "Cancel" }).click())
          yield* Effect.promise(() => dialog.waitFor({ state: "detached" }))
          assert.strictEqual((yield* herd.depth).dead, 3)
          yield* press(page, `${verb} all`)
          yield* Effect.promise(() => dialog.getByRole("button", { name: `${verb} all` }).click())
          yield* visible(page, `mails: 3 dead letters ${done}`)
          yield* visible(page, "There are none.")
          yield* shows(page, "Dead", "0")
          yield* focuses(page, /^Dead letters/)
          assert.include(yield* herd.depth, { ready: verb === "Redrive" ? 3 : 0, dead: 0 })
          assert.deepStrictEqual(complaints, [])
        })
      )
    }

    test(
      "tells what the source refuses, and nothing is changed",
      Effect.gen(function*() {
        const { herd, kill, page, visit } = yield* open()
        yield* kill("bad 1")
        yield* visit
        yield* expand(page)
        yield* lists(page, "bad 1")
        yield* Effect.promise(() =>
          page.route(
            "**/dead/redrive",
            (route) => route.fulfill({ status: 503, json: { msg: "expected <b>a source</b>", _tag: "SourceError" } })
          )
        )
        yield* press(page, "Redrive bad 1")
        yield* visible(page, "Nothing was changed: expected <b>a source</b>")
        yield* lists(page, "bad 1")
        assert.strictEqual((yield* herd.depth).dead, 1)
      })
    )

    test(
      "shows a hundred at first, and more for who wants them",
      Effect.gen(function*() {
        const { complaints, herd, page, visit } = yield* open({ size: 10 })
        yield* herd.offerAll(Array.from({ length: 230 }, (_, n) => `bad ${n}`))
        yield* eventually(Effect.map(Effect.orDie(herd.depth), ({ dead }) => dead === 230))
        yield* visit
        yield* expand(page)
        const count = (expected: number) =>
          Effect.promise(() => until(() => rows(page).count(), (count) => count === expected))
        yield* count(100)
        yield* visible(page, "100 of 230, the last buried first")
        yield* press(page, "More")
        yield* count(200)
        yield* press(page, "More")
        yield* count(230)
        assert.strictEqual(yield* Effect.promise(() => page.getByRole("button", { name: "More" }).count()), 0)
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "shows dead letters, and no way to change anything, when read-only",
      Effect.gen(function*() {
        const { complaints, kill, page, visit } = yield* open({ fleet: 40, readOnly: true })
        yield* kill("bad 1")
        yield* visit
        yield* expand(page)
        yield* lists(page, "bad 1")
        yield* shows(page, "Fleet size", "40")
        for (const role of ["spinbutton", "checkbox", "slider"] as const) {
          assert.strictEqual(yield* Effect.promise(() => page.getByRole(role).count()), 0)
        }
        for (const name of [/Redrive/, /Discard/, /Set/]) {
          assert.strictEqual(yield* Effect.promise(() => page.getByRole("button", { name }).count()), 0)
        }
        assert.deepStrictEqual(complaints, [])
      })
    )

    test(
      "sends the token with all of it, and asks for it when it is not right any more",
      Effect.gen(function*() {
        const { complaints, herd, kill, page, visit } = yield* open({ fleet: 40, token: "s3cret" })
        yield* kill("bad 1", "bad 2")
        yield* visit
        yield* Effect.promise(() => page.getByLabel("Token").fill("s3cret"))
        yield* Effect.promise(() => page.getByLabel("Token").press("Enter"))
        yield* expand(page)
        yield* lists(page, "bad 2", "bad 1")
        yield* press(page, "Discard bad 2")
        yield* press(page, "Discard")
        yield* lists(page, "bad 1")
        assert.strictEqual((yield* herd.depth).dead, 1)
        assert.deepStrictEqual(complaints, [])
        yield* Effect.promise(() => page.evaluate("sessionStorage.setItem('gofherd.token:', 'other')"))
        yield* press(page, "Redrive bad 1")
        yield* Effect.promise(() => page.getByLabel("Token").waitFor())
        yield* Effect.promise(() => page.getByRole("dialog").getByText("got another one").waitFor())
        yield* visible(page, "Nothing was changed: expected the header Authorization")
      })
    )

    for (const colorScheme of ["light", "dark"] as const) {
      test(
        `has no fault that axe finds, ${colorScheme}, wide and narrow, with dead letters and dialogs open`,
        Effect.gen(function*() {
          const { complaints, kill, page, visit } = yield* open({ fleet: 40, browser: { colorScheme } })
          yield* kill("bad 1", "bad 2")
          yield* visit
          yield* expand(page)
          yield* lists(page, "bad 2", "bad 1")
          yield* Effect.promise(() => row(page, "bad 2").locator("summary").first().click())
          yield* Effect.promise(() => row(page, "bad 2").locator(".body summary").click())
          for (const width of [360, 768, 1600]) {
            yield* Effect.promise(() => page.setViewportSize({ width, height: 900 }))
            assert.deepStrictEqual(yield* violations(page), [])
          }
          yield* press(page, "Discard all")
          yield* Effect.promise(() => page.getByRole("dialog").waitFor())
          assert.deepStrictEqual(yield* violations(page), [])
          yield* Effect.promise(() => page.keyboard.press("Escape"))
          yield* Effect.promise(() => page.getByRole("checkbox", { name: "no limit" }).check())
          assert.deepStrictEqual(yield* violations(page), [])
          assert.deepStrictEqual(complaints, [])
        })
      )
    }

    test(
      "fits every width from 360 to 1600 pixels",
      Effect.gen(function*() {
        const { elsewhere, page, visit } = yield* open({ fleet: null, size: 0 })
        const other = yield* elsewhere
        const long = "x".repeat(255)
        yield* other.offer([{ ...unit(long), body: JSON.stringify("y".repeat(500)) }])
        const claim = yield* claimOne(other)
        yield* other.settle([{ _tag: "Bury", claim, cause: `${"z".repeat(300)}\n${"z".repeat(300)}` }], 0)
        yield* visit
        yield* expand(page)
        yield* lists(page, long)
        for (const summary of [0, 1]) {
          yield* Effect.promise(() => rows(page).locator("summary").nth(summary).click())
        }
        for (const width of [360, 420, 560, 600, 760, 761, 1080, 1081, 1280, 1600]) {
          yield* Effect.promise(() => page.setViewportSize({ width, height: 800 }))
          // What reaches beyond the edge, once the charts have followed.
          const wide = () =>
            page.evaluate<ReadonlyArray<string>>(
              "document.documentElement.scrollWidth <= innerWidth && document.querySelector('.dead .scroll').scrollWidth "
                + "<= document.querySelector('.dead .scroll').clientWidth ? [] : [...document.querySelectorAll('main *')]"
                + ".map((e) => e.outerHTML.slice(0, 120)).slice(0, 3)"
            )
          yield* Effect.promise(() => until(wide, (elements) => elements.length === 0, 2_000))
        }
      })
    )
  })
})
