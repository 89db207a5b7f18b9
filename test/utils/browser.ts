import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { path } from "./programs.ts"

/** Nothing that Chromium would do on its own account. */
const quiet = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]

export const launch = (...args: ReadonlyArray<string>): Effect.Effect<Browser, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => chromium.launch({ executablePath: path("chromium"), args: [...quiet, ...args] })),
    (browser) => Effect.promise(() => browser.close())
  )

/** A page in a profile of its own, and what it complained of. */
export const openPage = (
  browser: Browser,
  options: BrowserContextOptions = {}
): Effect.Effect<{ readonly page: Page; readonly complaints: Array<string> }, never, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Effect.acquireRelease(
      Effect.promise(() => browser.newContext(options)),
      (context) => Effect.promise(() => context.close())
    )
    const page = yield* Effect.promise(() => context.newPage())
    page.setDefaultTimeout(10_000)
    const complaints: Array<string> = []
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text())
    })
    page.on("pageerror", (error) => complaints.push(String(error)))
    page.on("requestfailed", (request) => {
      const failure = request.failure()?.errorText ?? ""
      // What the page itself gave up.
      if (failure !== "net::ERR_ABORTED") complaints.push(`${request.url()}: ${failure}`)
    })
    return { page, complaints }
  })

/** Waits until it holds of what is read, or tells what was read last. */
export const until = async <A>(read: () => Promise<A>, holds: (value: A) => boolean, within = 10_000): Promise<A> => {
  const end = Date.now() + within
  for (;;) {
    const value = await read()
    if (holds(value)) return value
    if (Date.now() > end) assert.fail(`expected it to hold within ${within} ms, got ${JSON.stringify(value)}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
