/**
 * From the attacker's side: nobody reads, redrives or discards dead letters, or sets a fleet size,
 * who may not.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import type { Browser } from "playwright-core"
import { launch, openPage } from "./utils/browser.ts"
import { makeSource, serve, test } from "./utils/durable.ts"
import { type Answer, ask, pretend } from "./utils/http.ts"
import { find } from "./utils/programs.ts"
import { until } from "./utils/stage.ts"

/**
 * A durable herd with a dead letter and a fleet size of 40, and whether all of that is as it was.
 */
const victim = (options: Parameters<typeof serve>[1] = {}) =>
  Effect.gen(function*() {
    const source = makeSource({ fleet: 40 })
    const served = yield* serve(source, options)
    assert.strictEqual(served.herd.name, "mails")
    yield* served.kill("bad secret")
    const unchanged = Effect.gen(function*() {
      assert.include(yield* Effect.orDie(served.herd.depth), { ready: 0, held: 0, dead: 1 })
      assert.strictEqual((yield* served.herd.state).failed, 1)
      assert.strictEqual(source.fleet(), 40)
    })
    return { ...served, unchanged }
  })

const all = "{\"ids\":\"all\"}"
const routes: ReadonlyArray<readonly [method: string, path: string, body?: string]> = [
  ["GET", "/herds/mails/dead"],
  ["HEAD", "/herds/mails/dead"],
  ["POST", "/herds/mails/dead/redrive", all],
  ["POST", "/herds/mails/dead/discard", all],
  ["PATCH", "/herds/mails", "{\"fleet\":0}"]
]

/** Asks all of it, with these headers. */
const askAll = (url: string, headers: Record<string, string>) =>
  Effect.forEach(
    routes,
    ([method, path, body]) => ask(`${url}${path}`, { method, headers, ...(body !== undefined && { body }) })
  )

const refuses = (answers: ReadonlyArray<Answer>, status: number, msg: RegExp) => {
  for (const [i, answer] of answers.entries()) {
    assert.strictEqual(answer.status, status, routes[i]?.join(" "))
    assert.notInclude(answer.text, "bad secret")
    if (routes[i]?.[0] !== "HEAD") assert.match(answer.text, msg)
  }
}

describe("dead letters and the fleet size", () => {
  test(
    "are for those who have the token",
    Effect.gen(function*() {
      const { unchanged, url } = yield* victim({ token: "s3cret" })
      for (const headers of [{}, { authorization: "Bearer wrong" }, { cookie: "token=s3cret" }] as const) {
        refuses(yield* askAll(url, headers), 401, /"_tag":"Unauthorized"/)
        for (const path of ["/herds/nobody/dead", "/herds/plain/dead", "/herds/mails/dead?limit=0"]) {
          assert.strictEqual((yield* ask(`${url}${path}`, { headers })).status, 401, path)
        }
      }
      yield* unchanged
    })
  )

  test(
    "are of the hosts that are allowed",
    Effect.gen(function*() {
      const { unchanged, url } = yield* victim()
      for (const host of ["evil.test", "localhost.evil.test"]) {
        refuses(yield* askAll(url, { host }), 403, /expected Host to be in allowedHosts/)
      }
      yield* unchanged
    })
  )

  const foreign: ReadonlyArray<Record<string, string>> = [
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { origin: "null" },
    { origin: "http://evil.test" },
    { origin: "http://127.0.0.1:1" },
    // What a form sends, whose body can be made to be JSON.
    {
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "document",
      "content-type": "text/plain"
    }
  ]

  test(
    "are not for pages of other sites, whatever the content type",
    Effect.gen(function*() {
      const { unchanged, url } = yield* victim()
      for (const headers of foreign) {
        const answers = yield* askAll(url, headers)
        // A link may lead to what is read.
        const link = headers["sec-fetch-mode"] === "navigate"
        for (const [i, answer] of answers.entries()) {
          if (link && routes[i]?.[0] === "GET") continue
          assert.strictEqual(answer.status, 403, `${routes[i]?.join(" ")} ${JSON.stringify(headers)}`)
          assert.notInclude(answer.text, "bad secret")
        }
      }
      yield* unchanged
    })
  )

  test(
    "are not changed by a page of another site that has the token, which may read",
    Effect.gen(function*() {
      const { unchanged, url } = yield* victim({ token: "s3cret" })
      const answers = yield* askAll(url, { authorization: "Bearer s3cret", "sec-fetch-site": "cross-site" })
      assert.deepStrictEqual(answers.map(({ status }) => status), [200, 200, 403, 403, 403])
      yield* unchanged
    })
  )

  test(
    "are told in answers that are taken for what they are, and kept to their own site",
    Effect.gen(function*() {
      const { url } = yield* victim()
      const answers = [
        ...(yield* askAll(url, {})),
        ...(yield* askAll(url, { host: "evil.test" })),
        yield* ask(`${url}/herds/mails/dead?limit=<script>`),
        yield* ask(`${url}/herds/mails/dead/redrive`),
        yield* ask(`${url}/herds/<script>/dead`)
      ]
      for (const { headers } of answers) {
        assert.include(headers, {
          "cache-control": "no-store",
          "x-content-type-options": "nosniff",
          "cross-origin-resource-policy": "same-origin"
        })
        assert.match(String(headers["content-type"] ?? "application/json"), /^application\/json/)
      }
    })
  )
})

class Chromium extends Context.Tag("test/security/durable/Chromium")<Chromium, Browser>() {}

describe.skipIf(find("chromium") === undefined)("in Chromium", () => {
  layer(Layer.scoped(Chromium, launch("--host-resolver-rules=MAP *.test 127.0.0.1")), {
    excludeTestServices: true,
    timeout: 30_000
  })("a page of another site", (it) => {
    /** What a page can try without being asked first, and with; and what it came to know. */
    const attack = (target: string) =>
      `(async () => {
        const target = ${JSON.stringify(target)}, known = []
        const attempt = (run) => run().then((text) => known.push(String(text)), (error) => known.push("refused: " + error))
        const form = (path) => new Promise((resolve) => {
          const frame = Object.assign(document.createElement("iframe"), { name: "f" + Math.random() })
          const form = Object.assign(document.createElement("form"), {
            method: "POST", action: target + path, enctype: "text/plain", target: frame.name
          })
          form.append(Object.assign(document.createElement("input"), { name: '{"ids":"all","x":"', value: '"}' }))
          document.body.append(frame, form)
          frame.onload = () => frame.contentDocument?.URL === "about:blank" || resolve("sent")
          setTimeout(resolve, 3000, "nothing")
          form.submit()
        })
        await attempt(() => fetch(target + "/herds/mails/dead").then((answer) => answer.text()))
        for (const how of ["redrive", "discard"]) {
          const path = "/herds/mails/dead/" + how, body = '{"ids":"all"}'
          // Nobody is told when it has arrived, so it goes first.
          await attempt(async () => navigator.sendBeacon(target + path, body))
          await attempt(() => form(path))
          await attempt(() => fetch(target + path, { method: "POST", body, mode: "no-cors" }).then(() => "sent"))
          await attempt(() => fetch(target + path, { method: "POST", body }).then((answer) => answer.text()))
        }
        return known
      })()`

    const attacked = (
      target: string,
      from: string
    ): Effect.Effect<ReadonlyArray<string>, never, Chromium | Scope.Scope> =>
      Effect.gen(function*() {
        const { page } = yield* openPage(yield* Chromium)
        yield* Effect.promise(() => page.goto(from))
        return yield* Effect.promise(() => page.evaluate<Array<string>>(attack(target)))
      })

    const evil = Effect.map(
      pretend((_, response) => response.setHeader("content-type", "text/html").end("<!doctype html><body></body>")),
      ({ port }) => port
    )

    it.scoped("gets through to a server that lets it: the attacks are real", () =>
      Effect.gen(function*() {
        const bodies: Array<string> = []
        const { url } = yield* pretend((request, response) => {
          let body = ""
          request.on("data", (chunk) => body += String(chunk))
          request.on("end", () => {
            bodies.push(`${request.method} ${request.url} ${body.trim()}`)
            response.end("ok")
          })
        })
        yield* attacked(url, `http://evil.test:${yield* evil}/`)
        for (const how of ["redrive", "discard"]) {
          const post = `POST /herds/mails/dead/${how} {"ids":"all"`
          yield* until(() => bodies.filter((line) => line.startsWith(post)).length >= 4)
        }
      }), 40_000)

    for (const origin of ["http://127.0.0.1", "http://evil.test"]) {
      it.scoped(`at ${origin}, redrives and discards nothing, and reads nothing`, () =>
        Effect.gen(function*() {
          const { unchanged, url } = yield* victim()
          const known = yield* attacked(url, `${origin}:${yield* evil}/`)
          assert.strictEqual(known.length, 9)
          for (const text of known) assert.notInclude(text, "bad secret")
          yield* unchanged
        }), 40_000)
    }
  })
})
