/**
 * From the attacker's side: nobody changes or reads what they may not, whatever they send, and the
 * server stays up.
 */
import { HttpLayerRouter, HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import { Herd, HerdRouter } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { readFileSync } from "node:fs"
import { type RequestListener } from "node:http"
import type { Browser, Page } from "playwright-core"
import { defaults, gracefulServer, type Limits } from "../src/internal/gracefulServer.ts"
import { launch } from "./utils/browser.ts"
import { type Answer, ask, pretend } from "./utils/http.ts"
import { connections, peakMemory, type Program, served } from "./utils/program.ts"
import { find } from "./utils/programs.ts"
import { exchange, get, hold, random } from "./utils/raw.ts"
import { until } from "./utils/stage.ts"

class Numbers extends Context.Tag("secret-herd")<Numbers, Herd.Herd<number, number>>() {}

const NumbersLive = Herd.layer(Numbers, { process: (n) => Effect.succeed(n), size: 7, maxSize: 100 })

type Options = Omit<HerdServer.Options<readonly [typeof Numbers]>, "herds">

interface Victim {
  readonly url: string
  readonly port: number
  readonly herd: Herd.Control
}

const victimAt = (url: string, herd: Herd.Control): Victim => ({ url, herd, port: Number(new URL(url).port) })

/** A herd of size 7 behind a `HerdServer`. */
const alone = (options: Options = {}): Effect.Effect<Victim, never, Scope.Scope> =>
  Effect.gen(function*() {
    const layer = Layer.provideMerge(HerdServer.layer({ herds: [Numbers], port: 0, ...options }), NumbersLive)
    const context = yield* Effect.orDie(Layer.build(layer))
    return victimAt(Context.get(context, HerdServer.HerdServer).url, Context.get(context, Numbers))
  })

/** A herd of size 7 in an application of its own, that sends CORS headers with everything. */
const mounted = (
  options: Omit<Options, "port" | "host"> = {},
  limits: Partial<Limits> = {}
): Effect.Effect<Victim, never, Scope.Scope> =>
  Effect.gen(function*() {
    const routes = Layer.merge(HerdRouter.layer({ herds: [Numbers], ...options }), HttpLayerRouter.cors())
    const layer = HttpLayerRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => gracefulServer(limits), { port: 0, host: "127.0.0.1" })),
      Layer.provideMerge(NumbersLive)
    )
    const context = yield* Effect.orDie(Layer.build(layer))
    const { address } = Context.get(context, HttpServer.HttpServer)
    const port = address._tag === "TcpAddress" ? address.port : 0
    return victimAt(`http://127.0.0.1:${port}`, Context.get(context, Numbers))
  })

const unchanged = ({ herd }: Victim) =>
  Effect.map(herd.state, ({ paused, size }) => assert.deepStrictEqual({ size, paused }, { size: 7, paused: false }))

// ------------------------------------------------------------------------------------------------------ browsers

/** A server of the attacker's, on a free port. */
const attacker = (listener: RequestListener): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(pretend(listener), ({ port }) => port)

const page = attacker((_, response) =>
  response.setHeader("content-type", "text/html").end("<!doctype html><title>free kittens</title><body></body>")
)

/** What a page can try: each attempt with what it came to know. */
const attacks = (target: string): Effect.Effect<string> =>
  Effect.succeed(`(async () => {
    const target = ${JSON.stringify(target)}, known = {}
    const late = () => new Promise((resolve) => setTimeout(resolve, 3000, "nothing"))
    const attempt = async (name, run) => {
      known[name] = await Promise.race([run(), late()]).then(String, (error) => "refused: " + error)
    }
    const read = (path, options) => async () => {
      const response = await fetch(target + path, options)
      const reader = response.body?.getReader()
      const chunk = await reader?.read()
      await reader?.cancel()
      return response.type + " " + response.status + " " + new TextDecoder().decode(chunk?.value)
    }
    const body = JSON.stringify({ num: 3 }), json = { "content-type": "application/json" }
    const added = (tag, set) => () => new Promise((resolve, reject) => {
      const element = Object.assign(document.createElement(tag), set)
      element.onload = () => {
        let text = "loaded"
        try { text += " " + element.contentDocument.documentElement.outerHTML } catch {}
        resolve(text)
      }
      element.onerror = () => reject("error")
      document.body.append(element)
    })
    const form = (method, path) => () => new Promise((resolve) => {
      const frame = Object.assign(document.createElement("iframe"), { name: "f" + Math.random() })
      const form = Object.assign(document.createElement("form"), {
        method, action: target + path, enctype: "text/plain", target: frame.name
      })
      form.append(Object.assign(document.createElement("input"), { name: '{"num": 3, "x": "', value: '"}' }))
      document.body.append(frame, form)
      frame.onload = () => frame.contentDocument?.URL === "about:blank" || resolve("sent")
      form.submit()
    })
    await attempt("PATCH", read("/herd", { method: "PATCH", body, headers: json }))
    await attempt("PATCH of a herd", read("/herds/secret-herd", { method: "PATCH", body: '{"num":3,"paused":true}' }))
    await attempt("PATCH without CORS", read("/herd", { method: "PATCH", body, mode: "no-cors" }))
    await attempt("PATCH with credentials", read("/herd", { method: "PATCH", body, credentials: "include" }))
    await attempt("POST", read("/herd", { method: "POST", body }))
    await attempt("POST without CORS", read("/herd", { method: "POST", body, mode: "no-cors" }))
    await attempt("POST that says it is a PATCH", read("/herd?_method=PATCH", {
      method: "POST", body, headers: { "x-http-method-override": "PATCH" }
    }))
    await attempt("beacon", async () => navigator.sendBeacon(target + "/herd", body))
    await attempt("form", form("POST", "/herd"))
    await attempt("form that says it is a PATCH", form("POST", "/herd?_method=PATCH"))
    await attempt("form by GET", form("GET", "/herd?num=3"))
    for (const path of ["/herd", "/herds", "/herds/secret-herd", "/herds/secret-herd/events", "/metrics", "/"]) {
      await attempt("GET " + path, read(path))
      await attempt("GET without CORS " + path, read(path, { mode: "no-cors" }))
      if (!path.endsWith("/events")) {
        await attempt("image " + path, added("img", { src: target + path }))
        await attempt("script " + path, added("script", { src: target + path }))
        await attempt("style " + path, added("link", { rel: "stylesheet", href: target + path }))
        await attempt("frame " + path, added("iframe", { src: target + path }))
        await attempt("object " + path, added("object", { data: target + path }))
      }
    }
    await attempt("EventSource", () => new Promise((resolve, reject) => {
      const events = new EventSource(target + "/herds/secret-herd/events")
      events.onmessage = ({ data }) => resolve(data)
      events.onerror = () => reject("error")
    }))
    return known
  })()`)

const attack = (page: Page, target: string): Effect.Effect<Readonly<Record<string, string>>> =>
  Effect.flatMap(
    attacks(target),
    (code) => Effect.promise(() => page.evaluate<Record<string, string>>(code))
  )

class Chromium extends Context.Tag("test/security/Chromium")<Chromium, Browser>() {}

const open = (url: string): Effect.Effect<Page, never, Chromium | Scope.Scope> =>
  Effect.flatMap(
    Chromium,
    (browser) =>
      Effect.acquireRelease(
        Effect.promise(async () => {
          const page = await browser.newPage()
          await page.goto(url)
          return page
        }),
        (page) => Effect.promise(() => page.close())
      )
  )

/** What a page can know of a herd that it was told of. */
const secrets = /"num":7|"size":7|gofherd_|maxSize/

const knowsNothing = (known: Readonly<Record<string, string>>) => {
  for (const [name, text] of Object.entries(known)) {
    assert.notMatch(text, secrets, `expected ${name} to tell nothing, got ${text}`)
  }
}

describe.skipIf(find("chromium") === undefined)("in Chromium", () => {
  layer(Layer.scoped(Chromium, launch("--host-resolver-rules=MAP *.test 127.0.0.1")), {
    excludeTestServices: true,
    timeout: 30_000
  })(
    "a page of another site",
    (it) => {
      it.scoped("succeeds with a server that lets it: the attacks are real", () =>
        Effect.gen(function*() {
          const came: Array<string> = []
          const port = yield* attacker((request, response) => {
            came.push(`${request.method}`)
            response.setHeader("access-control-allow-origin", request.headers.origin ?? "*")
            response.setHeader("access-control-allow-credentials", "true")
            response.setHeader("access-control-allow-methods", "PATCH")
            response.setHeader("access-control-allow-headers", "content-type, x-http-method-override")
            const events = request.url?.endsWith("/events") === true
            response.setHeader("content-type", events ? "text/event-stream" : "text/plain")
            response.end("data: {\"size\":7}\n\n")
          })
          const known = yield* attack(yield* open(`http://evil.test:${yield* page}/`), `http://127.0.0.1:${port}`)
          const told = Object.entries(known).filter(([, text]) => secrets.test(text)).map(([name]) => name)
          assert.includeMembers(told, [
            "PATCH",
            "PATCH with credentials",
            "POST",
            "GET /herds",
            "GET /metrics",
            "EventSource"
          ])
          assert.strictEqual(known["form"], "sent")
          assert.strictEqual(came.filter((method) => method === "PATCH").length, 3)
          assert.isAtLeast(came.filter((method) => method === "POST").length, 6)
        }), 40_000)

      for (
        const [site, origin] of [
          ["the same host and another port", "http://127.0.0.1"],
          ["another host", "http://evil.test"]
        ] as const
      ) {
        it.scoped(`of ${site}, changes and reads nothing of a HerdServer`, () =>
          Effect.gen(function*() {
            const victim = yield* alone()
            const known = yield* attack(yield* open(`${origin}:${yield* page}/`), victim.url)
            knowsNothing(known)
            yield* unchanged(victim)
            assert.match(known["PATCH"] ?? "", /^refused/)
          }), 40_000)

        it.scoped(
          `of ${site}, changes and reads nothing where the application sends CORS headers`,
          () =>
            Effect.gen(function*() {
              const victim = yield* mounted()
              const known = yield* attack(yield* open(`${origin}:${yield* page}/`), victim.url)
              knowsNothing(known)
              yield* unchanged(victim)
              // It was let through by the browser, and refused by the routes.
              for (const name of ["PATCH", "GET /herds"]) {
                assert.match(known[name] ?? "", /^cors 403 \{"msg":"expected a request of this site, got one of/)
              }
            }),
          40_000
        )
      }

      it.scoped(
        "changes and reads nothing where the browser says no more than the origin, since the host is not trustworthy",
        () =>
          Effect.gen(function*() {
            const victim = yield* mounted({ allowedHosts: ["victim.test"] })
            const target = `http://victim.test:${victim.port}`
            const evil = yield* open(`http://evil.test:${yield* page}/`)
            const sites: Array<unknown> = []
            const witness = yield* attacker((request, response) => {
              sites.push(request.headers["sec-fetch-site"])
              response.end()
            })
            yield* Effect.promise(() => evil.evaluate(`fetch("http://victim.test:${witness}/", { mode: "no-cors" })`))
            assert.deepStrictEqual(sites, [undefined])
            knowsNothing(yield* attack(evil, target))
            yield* unchanged(victim)
          }),
        40_000
      )

      it.scoped("whose own name has come to mean this machine, gets 403 for all it asks", () =>
        Effect.gen(function*() {
          for (const options of [{}, { readOnly: true }]) {
            const victim = yield* alone(options)
            const evil = yield* open(`http://evil.test:${victim.port}/`)
            const known = yield* attack(evil, "")
            knowsNothing(known)
            yield* unchanged(victim)
            for (const name of ["PATCH", "GET /herds", "GET /metrics"]) {
              assert.match(known[name] ?? "", /^basic 403 \{"msg":"expected Host to be in allowedHosts, got/)
            }
          }
        }), 60_000)

      it.scoped(
        "may link here, and the page that opens is of this site: it reads and steers",
        () =>
          Effect.gen(function*() {
            for (const host of ["127.0.0.1", "victim.test"]) {
              const victim = yield* alone({ allowedHosts: [host] })
              const tab = yield* open(`http://evil.test:${yield* page}/`)
              const known = yield* Effect.promise(async () => {
                await tab.evaluate(`void (location.href = "http://${host}:${victim.port}/")`)
                await tab.waitForURL(`http://${host}:${victim.port}/`)
                return tab.evaluate<string>(
                  `fetch("herd").then((r) => r.text()).then((a) => fetch("herd", { method: "PATCH", body: '{"num":9}' }).then((r) => r.text()).then((b) => a + b))`
                )
              })
              assert.strictEqual(known, "{\"num\":7,\"msg\":\"success\"}{\"num\":9,\"msg\":\"success\"}")
            }
          }),
        40_000
      )
    }
  )
})

// ------------------------------------------------------------------------------------------------------ hosts, sites

/** One request as these bytes, and what the first answer says. */
const first = (victim: Victim, head: string, body = ""): Effect.Effect<number | undefined> =>
  Effect.map(
    exchange(victim.port, `${head}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`),
    ({ statuses }) => statuses[0]
  )

const lines = (line: string, headers: Readonly<Record<string, string>>) =>
  [line, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)].join("\r\n")

describe("without a token and allowedHosts", () => {
  const allowed = [
    "localhost",
    "LOCALHOST",
    "localhost:2112",
    "localhost.",
    "localhost.:80",
    "app.localhost",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.1.2.3",
    "10.0.0.1:8080",
    "[::1]",
    "[::1]:2112",
    "[FE80::1]"
  ]
  const refused = [
    "evil.test",
    "evil.test:2112",
    "localhost.evil.test",
    "127.0.0.1.evil.test",
    "evil.test.localhost.test",
    "localhostt",
    "notlocalhost",
    "evil@localhost",
    "localhost@evil.test",
    "localhost:80@evil.test",
    "localhost:evil",
    "localhost:80:80",
    "localhost,evil.test",
    "localhost evil.test",
    "localhost/evil.test",
    "127.1",
    "0x7f000001",
    "2130706433",
    "127.0.0.1..",
    "[::1",
    "::1",
    "[evil.test]",
    "[]",
    "*",
    "."
  ]
  it.scopedLive(`requests are answered that were sent to ${allowed.join(" ")}`, () =>
    Effect.gen(function*() {
      const victim = yield* alone()
      for (const host of allowed) {
        assert.strictEqual(yield* first(victim, lines("GET /herd HTTP/1.1", { Host: host })), 200, host)
      }
    }))

  it.scopedLive(`and refused, the reading and the writing ones, that were sent to ${refused.join(" ")}`, () =>
    Effect.gen(function*() {
      const victim = yield* alone()
      for (const host of [...refused, ""]) {
        for (const path of ["/", "/herd", "/herds", "/metrics", "/openapi.json", "/nope"]) {
          assert.strictEqual(yield* first(victim, lines(`GET ${path} HTTP/1.1`, { Host: host })), 403, host)
        }
        for (const method of ["PATCH", "POST", "OPTIONS", "TRACE"]) {
          const line = `${method} /herd HTTP/1.1`
          assert.strictEqual(yield* first(victim, lines(line, { Host: host }), "{\"num\":3}"), 403, host)
        }
      }
      yield* unchanged(victim)
    }))

  it.scopedLive("the first of several Host headers counts, and of the first line each that it names", () =>
    Effect.gen(function*() {
      const victim = yield* alone()
      const ask = (line: string, ...hosts: ReadonlyArray<string>) =>
        first(victim, [line, ...hosts.map((host) => `Host: ${host}`)].join("\r\n"))
      assert.strictEqual(yield* ask("GET /herd HTTP/1.1", "evil.test", "localhost"), 403)
      assert.strictEqual(yield* ask("GET http://evil.test/herd HTTP/1.1", "localhost"), 403)
      assert.strictEqual(yield* ask("GET http://localhost/herd HTTP/1.1", "evil.test"), 403)
      assert.strictEqual(yield* ask("GET http://evil.test HTTP/1.1", "localhost"), 403)
      assert.strictEqual(yield* ask("GET http://localhost:1/herd HTTP/1.1", "localhost"), 200)
      assert.strictEqual(yield* ask("GET /herd HTTP/1.1"), 400)
      assert.strictEqual(yield* ask("GET /herd HTTP/1.0"), 403)
      assert.strictEqual(yield* ask("GET /herd HTTP/1.0", "localhost"), 200)
      assert.strictEqual(yield* ask("GET http://localhost/herd HTTP/1.0"), 200)
    }))
})

it.scopedLive("with allowedHosts these hosts and no others get through, also with a token; with \"*\" all do", () =>
  Effect.gen(function*() {
    for (const token of [undefined, "s3cret"]) {
      const victim = yield* alone({ allowedHosts: ["Herd.example", "[::1]"], token })
      const get = (host: string) =>
        first(victim, lines("GET /herd HTTP/1.1", { Host: host, Authorization: "Bearer s3cret" }))
      for (const host of ["herd.example", "HERD.EXAMPLE:443", "[::1]:80"]) assert.strictEqual(yield* get(host), 200)
      for (const host of ["localhost", "127.0.0.1", "x.herd.example", "herd.example.x", "*"]) {
        assert.strictEqual(yield* get(host), 403)
      }
    }
    const open = yield* alone({ allowedHosts: ["*"] })
    assert.strictEqual(yield* first(open, lines("GET /herd HTTP/1.1", { Host: "evil.test" })), 200)
  }))

describe("a request that names no host, as a health check by HTTP/1.0", () => {
  const mounts = { HerdServer: alone, HerdRouter: mounted }
  const open: ReadonlyArray<Omit<Options, "port" | "host">> = [
    { allowedHosts: ["*"] },
    { allowedHosts: ["herd.example", "*"] },
    { token: "s3cret" },
    { token: "s3cret", allowedHosts: ["herd.example"] }
  ]
  const closed: ReadonlyArray<Omit<Options, "port" | "host">> = [
    {},
    { readOnly: true },
    { allowedHosts: ["herd.example"] },
    { allowedHosts: [] }
  ]
  /** No header, an empty one, one of blanks, and a first line that has an empty one. */
  const nameless = (method: string, path: string) => [
    `${method} ${path} HTTP/1.0`,
    `${method} ${path} HTTP/1.0\r\nHost:`,
    `${method} ${path} HTTP/1.1\r\nHost:   `,
    `${method} http://${path} HTTP/1.1\r\nHost:`
  ]
  const token = "\r\nAuthorization: Bearer s3cret"

  for (const [mount, make] of Object.entries(mounts)) {
    it.scopedLive(`is answered by a ${mount} with a token or with "*" in allowedHosts`, () =>
      Effect.gen(function*() {
        for (const options of open) {
          yield* Effect.scoped(Effect.gen(function*() {
            const victim = yield* make(options)
            for (const path of ["/", "/herd", "/herds/secret-herd", "/metrics", "/openapi.json"]) {
              for (const head of nameless("GET", path)) {
                assert.strictEqual(yield* first(victim, head + token), 200, `${JSON.stringify(options)} ${head}`)
              }
            }
            for (const head of nameless("PATCH", "/herd")) {
              assert.strictEqual(yield* first(victim, head + token, "{\"num\":7}"), 200, head)
              // Of another site, whatever its name: there is none that it could be the same as.
              const foreign = `${head}${token}\r\nOrigin: http://evil.test`
              assert.strictEqual(yield* first(victim, foreign, "{\"num\":3}"), 403, head)
            }
            yield* unchanged(victim)
            if (options.token === undefined) return
            for (const head of nameless("GET", "/metrics")) assert.strictEqual(yield* first(victim, head), 401, head)
            for (const head of nameless("PATCH", "/herd")) {
              assert.strictEqual(yield* first(victim, head, "{\"num\":3}"), 401, head)
            }
            // A name that is not allowed is one, with the token too.
            if (options.allowedHosts === undefined) return
            for (const head of ["GET /herd HTTP/1.0\r\nHost: evil.test", "GET http://evil.test/herd HTTP/1.0"]) {
              assert.strictEqual(yield* first(victim, head + token), 403, head)
            }
            yield* unchanged(victim)
          }))
        }
      }))

    it.scopedLive(`is refused by any other ${mount}, since it may be meant for a name that is not allowed`, () =>
      Effect.gen(function*() {
        for (const options of closed) {
          const victim = yield* make(options)
          for (const path of ["/", "/herd", "/metrics"]) {
            for (const head of nameless("GET", path)) {
              assert.strictEqual(yield* first(victim, head + token), 403, `${JSON.stringify(options)} ${head}`)
            }
          }
          for (const head of nameless("PATCH", "/herd")) {
            assert.strictEqual(yield* first(victim, head + token, "{\"num\":3}"), 403, head)
          }
          yield* unchanged(victim)
        }
      }))
  }

  it.scopedLive("is, to a web handler, one to the host of its URL", () =>
    Effect.gen(function*() {
      for (
        const [options, status] of [[{ allowedHosts: ["*"] }, 200], [{ token: "s3cret" }, 200], [{}, 403]] as const
      ) {
        const app = HerdRouter.layer({ herds: [Numbers], ...options }).pipe(
          Layer.provide(NumbersLive),
          Layer.provide(HttpServer.layerContext)
        )
        const { handler } = yield* Effect.acquireRelease(
          Effect.sync(() => HttpLayerRouter.toWebHandler(app, { disableLogger: true })),
          ({ dispose }) => Effect.promise(dispose)
        )
        const request = new Request("http://evil.test/herd", { headers: { authorization: "Bearer s3cret" } })
        assert.strictEqual((yield* Effect.promise(() => handler(request))).status, status)
      }
    }))
})

describe("of what a browser says of the site that asks,", () => {
  const ok = [
    {},
    { "Sec-Fetch-Site": "same-origin" },
    { "Sec-Fetch-Site": "none" },
    { "Sec-Fetch-Site": "same-origin", Origin: "http://127.0.0.1:5555" },
    { Origin: "http://127.0.0.1:5555" },
    { Origin: "https://127.0.0.1:5555" },
    { Origin: "HTTP://127.0.0.1:5555" }
  ]
  const foreign = [
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
    { "Sec-Fetch-Site": "Same-Origin" },
    { "Sec-Fetch-Site": "" },
    { "Sec-Fetch-Site": "same-origin, cross-site" },
    { "Sec-Fetch-Site": "cross-site", Origin: "http://127.0.0.1:5555" },
    { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe" },
    { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "document" },
    { Origin: "null" },
    { Origin: "" },
    { Origin: "http://127.0.0.1" },
    { Origin: "http://127.0.0.1:5556" },
    { Origin: "http://localhost:5555" },
    { Origin: "http://127.0.0.1:5555.evil.test" },
    { Origin: "http://evil.test:5555" },
    { Origin: "127.0.0.1:5555" },
    { Origin: "file://127.0.0.1:5555" }
  ]
  for (const mount of ["HerdServer", "HerdRouter"]) {
    it.scopedLive(`all is refused that another site asks for: ${mount}`, () =>
      Effect.gen(function*() {
        const victim = yield* mount === "HerdServer" ? alone() : mounted()
        const ask = (headers: Readonly<Record<string, string>>, method: string, path = "/herd") =>
          first(victim, lines(`${method} ${path} HTTP/1.1`, { Host: "127.0.0.1:5555", ...headers }), "{\"num\":7}")
        for (const headers of ok) {
          assert.strictEqual(yield* ask(headers, "PATCH"), 200, JSON.stringify(headers))
          assert.strictEqual(yield* ask(headers, "GET"), 200, JSON.stringify(headers))
        }
        for (const headers of foreign) {
          for (const path of ["/herd", "/herds", "/herds/secret-herd", "/metrics", "/", "/openapi.json"]) {
            assert.strictEqual(yield* ask(headers, "GET", path), 403, JSON.stringify(headers))
            assert.strictEqual(yield* ask(headers, "HEAD", path), 403, JSON.stringify(headers))
          }
          assert.strictEqual(yield* ask(headers, "PATCH"), 403, JSON.stringify(headers))
          assert.strictEqual(yield* ask(headers, "PATCH", "/herds/secret-herd"), 403, JSON.stringify(headers))
        }
        const link = { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" }
        assert.strictEqual(yield* ask(link, "GET", "/"), 200)
        assert.strictEqual(yield* ask(link, "PATCH"), 403)
      }))
  }

  it.scopedLive("reading is granted to who has the token, from wherever", () =>
    Effect.gen(function*() {
      const victim = yield* alone({ token: "s3cret" })
      const ask = (headers: Readonly<Record<string, string>>, method: string) =>
        first(
          victim,
          lines(`${method} /herd HTTP/1.1`, { Host: "127.0.0.1:5555", "Sec-Fetch-Site": "cross-site", ...headers }),
          "{\"num\":7}"
        )
      const token = { Authorization: "Bearer s3cret" }
      assert.strictEqual(yield* ask(token, "GET"), 200)
      assert.strictEqual(yield* ask({}, "GET"), 401)
      assert.strictEqual(yield* ask(token, "PATCH"), 403)
    }))

  it.scopedLive("a port that goes without saying makes no difference", () =>
    Effect.gen(function*() {
      const victim = yield* alone({ allowedHosts: ["herd.example"] })
      const ask = (host: string, origin: string) =>
        first(victim, lines("PATCH /herd HTTP/1.1", { Host: host, Origin: origin }), "{\"num\":7}")
      assert.strictEqual(yield* ask("herd.example", "http://herd.example"), 200)
      assert.strictEqual(yield* ask("herd.example:80", "http://herd.example"), 200)
      assert.strictEqual(yield* ask("herd.example:443", "https://herd.example"), 200)
      assert.strictEqual(yield* ask("Herd.Example", "https://herd.example:443"), 200)
      assert.strictEqual(yield* ask("herd.example:443", "http://herd.example"), 403)
      assert.strictEqual(yield* ask("herd.example:8080", "http://herd.example"), 403)
    }))
})

// ------------------------------------------------------------------------------------------------------ the token

describe("with a token", () => {
  const protectedPaths = [
    ["GET", "/herd"],
    ["HEAD", "/herd"],
    ["PATCH", "/herd"],
    ["GET", "/herds"],
    ["GET", "/herds/secret-herd"],
    ["PATCH", "/herds/secret-herd"],
    ["GET", "/herds/secret-herd/events"],
    ["GET", "/herds/nobody"],
    ["PATCH", "/herds/nobody"],
    ["GET", "/herds/nobody/events"],
    ["GET", "/metrics"]
  ] as const
  const wrong: ReadonlyArray<Record<string, string>> = [
    {},
    { authorization: "" },
    { authorization: "Bearer" },
    { authorization: "Bearer " },
    { authorization: "Bearer wrong" },
    { authorization: "Bearer s3cre" },
    { authorization: "Bearer s3crets" },
    { authorization: "Bearer S3CRET" },
    { authorization: "Bearer s3cret, Bearer wrong" },
    { authorization: "Bearer wrong, Bearer s3cret" },
    { authorization: "s3cret" },
    { authorization: "XXXXXX s3cret" },
    { authorization: "Basic s3cret" },
    { authorization: `Basic ${Buffer.from("x:s3cret").toString("base64")}` },
    { authorization: "Digest s3cret" },
    { authorization: "Bearers3cret" },
    { "x-authorization": "Bearer s3cret" },
    { "proxy-authorization": "Bearer s3cret" },
    { cookie: "token=s3cret; authorization=Bearer s3cret" }
  ]

  it.scopedLive("whoever has another one or none is told so and nothing else, whatever it is that they ask for", () =>
    Effect.gen(function*() {
      const victim = yield* alone({ token: "s3cret" })
      for (const headers of wrong) {
        for (const [method, path] of protectedPaths) {
          const asked = `${victim.url}${path}?token=s3cret&access_token=s3cret`
          const answer = yield* ask(asked, { method, headers, ...(method === "PATCH" && { body: "{\"num\":3}" }) })
          assert.strictEqual(answer.status, 401, `${method} ${path} ${JSON.stringify(headers)}`)
          assert.strictEqual(answer.headers["www-authenticate"], "Bearer realm=\"gofherd\"")
          if (method === "HEAD") continue
          const got = headers["authorization"]?.startsWith("Bearer ") === true && headers["authorization"] !== "Bearer "
            ? "another one"
            : "none"
          assert.deepStrictEqual(answer.json, {
            msg: `expected the header Authorization: Bearer with the token, got ${got}`,
            _tag: "Unauthorized"
          })
        }
      }
      yield* unchanged(victim)
    }))

  it.scopedLive("whoever has it may, whatever the case of the scheme, and is told which names are none of a herd", () =>
    Effect.gen(function*() {
      const victim = yield* alone({ token: "s3cret" })
      for (const authorization of ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret"]) {
        for (const [method, path] of protectedPaths) {
          if (path.endsWith("secret-herd/events")) continue
          const answer = yield* ask(`${victim.url}${path}`, {
            method,
            headers: { authorization },
            ...(method === "PATCH" && { body: "{\"num\":7}" })
          })
          assert.strictEqual(answer.status, path.includes("nobody") ? 404 : 200, `${method} ${path}`)
        }
      }
    }))

  it.scopedLive("the pages that ask for none tell nothing of the herds", () =>
    Effect.gen(function*() {
      const victim = yield* alone({ token: "s3cret" })
      for (const path of ["/", "/openapi.json", "/nope"]) {
        const { text } = yield* ask(`${victim.url}${path}`)
        assert.notMatch(text, /secret-herd|s3cret/)
      }
      const { text } = yield* ask(`${victim.url}/herds/secret-herd`, { method: "DELETE" })
      assert.strictEqual(
        text,
        "{\"msg\":\"expected one of GET, HEAD, PATCH, got DELETE\",\"_tag\":\"MethodNotAllowed\"}"
      )
    }))

  it("it is compared in a time that does not tell how much of it is right", () => {
    const source = readFileSync(new URL("../src/internal/access.ts", import.meta.url), "utf8")
    assert.match(source, /timingSafeEqual\(sha256\(given\), expected\)/)
  })
})

// ------------------------------------------------------------------------------------------------------ answers

describe("every answer", () => {
  const sealed = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin"
  }
  const isSealed = (answer: Answer, status: number) => {
    assert.strictEqual(answer.status, status)
    for (const [name, value] of Object.entries(sealed)) assert.strictEqual(answer.headers[name], value, name)
  }

  it.scopedLive("says that it is to be taken for what it is, and kept to its own site", () =>
    Effect.gen(function*() {
      const { url } = yield* alone()
      const patch = (body: string) => ask(`${url}/herd`, { method: "PATCH", body })
      for (const path of ["/", "/herd", "/herds", "/herds/secret-herd", "/metrics", "/openapi.json"]) {
        isSealed(yield* ask(`${url}${path}`), 200)
        isSealed(yield* ask(`${url}${path}`, { method: "HEAD" }), 200)
        isSealed(yield* ask(`${url}${path}`, { method: "DELETE" }), 405)
        isSealed(yield* ask(`${url}${path}`, { headers: { host: "evil.test" } }), 403)
      }
      isSealed(yield* patch("{\"num\":7}"), 200)
      isSealed(yield* patch("{\"num\":-1}"), 400)
      isSealed(yield* patch("nonsense"), 400)
      isSealed(yield* patch("x".repeat(5_000)), 413)
      isSealed(yield* ask(`${url}/herds/nobody`), 404)
      isSealed(yield* ask(`${url}/herds/secret-herd/events?history=nonsense`), 400)
      isSealed(yield* ask(`${url}/nope`), 404)
      const readOnly = yield* alone({ readOnly: true, dashboard: false })
      isSealed(yield* ask(`${readOnly.url}/herd`, { method: "PATCH", body: "{\"num\":3}" }), 403)
      isSealed(yield* ask(`${readOnly.url}/`), 404)
      const withToken = yield* alone({ token: "s3cret" })
      isSealed(yield* ask(`${withToken.url}/herd`), 401)
    }))

  it.scopedLive("says so too if it is a stream, or comes from an application's router", () =>
    Effect.gen(function*() {
      const { port, url } = yield* mounted()
      const { text } = yield* exchange(port, "GET /herds/secret-herd/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
      for (const [name, value] of Object.entries(sealed)) {
        assert.include(text.toLowerCase(), `${name}: ${value}`.toLowerCase())
      }
      isSealed(yield* ask(`${url}/herd`), 200)
      isSealed(yield* ask(`${url}/herd`, { method: "PUT" }), 405)
      isSealed(yield* ask(`${url}/herd`, { headers: { host: "evil.test" } }), 403)
    }))

  it.scopedLive("is no HTML if it says again what was asked", () =>
    Effect.gen(function*() {
      const script = "<script>alert(1)</script>"
      const encoded = encodeURIComponent(script)
      const { url } = yield* alone()
      const answers = [
        yield* ask(`${url}/herds/${encoded}`),
        yield* ask(`${url}/herds/${encoded}/events`),
        yield* ask(`${url}/${encoded}`),
        yield* ask(`${url}/herds/secret-herd/events?history=${encoded}`),
        yield* ask(`${url}/herd`, { method: "PATCH", body: `"${script}"` }),
        yield* ask(`${url}/herd`, { method: "PATCH", body: `{"num":"${script}"}` }),
        yield* ask(`${url}/herds/secret-herd`, { method: "PATCH", body: `{"num":1,"mode":"${script}"}` }),
        yield* ask(`${url}/herd`, { headers: { host: script } }),
        yield* ask(`${url}/herd`, { headers: { origin: script } })
      ]
      for (const answer of answers) {
        assert.match(String(answer.headers["content-type"]), /^application\/json/)
        assert.isAtLeast(answer.status, 400)
      }
      const page = yield* ask(`${url}/?${encoded}#${encoded}`, { headers: { "user-agent": script, referer: script } })
      assert.strictEqual(page.status, 200)
      assert.notInclude(page.text, "alert(1)")
    }))
})

// ------------------------------------------------------------------------------------------------------ endurance

describe("a client that takes its time", () => {
  it("has 10 s for its headers, of at most 8 KiB, and 30 s for its request, and 255 others beside it", () => {
    assert.deepStrictEqual(defaults, {
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 8_192,
      maxConnections: 256,
      maxRequestsPerSocket: 100,
      grace: 5_000,
      rest: 250
    })
    const { headersTimeout, maxConnections, requestTimeout } = HerdServer.gracefulServer()
    assert.deepStrictEqual([headersTimeout, requestTimeout, maxConnections], [10_000, 30_000, 256])
  })

  const short: Partial<Limits> = { headersTimeout: 300, requestTimeout: 600, connectionsCheckingInterval: 50 }
  const patch = "PATCH /herd HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"

  for (
    const [name, head, tail] of [
      ["that says nothing", "", ""],
      [
        "whose headers come byte by byte",
        "GET /herd HTTP/1.1\r\nHost: localhost\r\n",
        "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyy"
      ],
      ["whose body comes byte by byte", patch.replace("9", "90"), "{\"num\":3}          "],
      ["whose body does not end", `${patch}{"num":3`, ""],
      [
        "whose chunks do not end",
        "PATCH /herd HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        "1\r\n{\r\n"
      ]
    ] as const
  ) {
    it.scopedLive(`${name}, is answered with 408, and its connection closed`, () =>
      Effect.gen(function*() {
        const victim = yield* mounted({}, short)
        const socket = yield* hold(victim.port, head)
        let text = ""
        let closed = false
        socket.on("data", (chunk) => text += String(chunk))
        socket.on("close", () => {
          closed = true
        })
        yield* Effect.forkScoped(Effect.forEach(tail, (byte) =>
          Effect.delay(
            Effect.sync(() => socket.write(byte)),
            "60 millis"
          )))
        yield* until(Effect.sync(() => closed))
        assert.match(text, /^HTTP\/1\.1 408 /)
        yield* unchanged(victim)
        assert.strictEqual((yield* ask(`${victim.url}/herd`)).status, 200)
      }))
  }
})

/** A program that is attacked, so that its memory is its own. */
class Target extends Context.Tag("test/security/Target")<Target, Program>() {}

const target = Layer.scoped(Target, served({ endless: true, unitMillis: 5, maxEventStreams: 200 }))

layer(target, { excludeTestServices: true, timeout: 30_000 })("a server that is attacked", (it) => {
  const state = Effect.map(
    Effect.flatMap(Target, ({ url }) => ask(`${url}/herds/numbers`)),
    ({ json }) => json as { readonly succeeded: number; readonly size: number; readonly paused: boolean }
  )

  /**
   * Runs the attack; the server then answers as ever, has changed nothing, and has needed no more
   * than so many MB more.
   */
  const withstands = (
    megabytes: number,
    attack: (target: Program & { readonly idle: number }) => Effect.Effect<void, never, Target | Scope.Scope>
  ) =>
    Effect.gen(function*() {
      const target = yield* Target
      const before = peakMemory(target.pid)
      const idle = connections(target.pid)
      yield* Effect.scoped(attack({ ...target, idle }))
      const grown = peakMemory(target.pid) - before
      assert.isBelow(grown, megabytes, `expected less than ${megabytes} MB more, got ${grown}`)
      const { paused, size } = yield* state
      assert.deepStrictEqual({ size, paused }, { size: 10, paused: false })
      assert.strictEqual((yield* ask(`${target.url}/metrics`)).status, 200)
      yield* until(Effect.sync(() => connections(target.pid) <= idle + 2))
    })

  const head = (headers: string) => `PATCH /herd HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n\r\n`

  it.scoped(
    "answers bodies of 15 MB with 413, and the connection is not reset",
    () =>
      // 600 MB are sent.
      withstands(250, ({ port }) =>
        Effect.gen(function*() {
          const body = `{"num":3}${" ".repeat(15_000_000)}`
          const announced = `${head(`Content-Length: ${body.length}\r\nConnection: close`)}${body}`
          const chunk = " ".repeat(1_000_000)
          const chunked = `${head("Transfer-Encoding: chunked\r\nConnection: close")}${
            `${chunk.length.toString(16)}\r\n${chunk}\r\n`.repeat(15)
          }0\r\n\r\n`
          yield* Effect.forEach(Array.from({ length: 40 }, (_, i) => i % 8 === 0 ? chunked : announced), (bytes) =>
            Effect.gen(function*() {
              const answer = yield* exchange(port, bytes, { hold: true, sendFirst: true })
              assert.deepStrictEqual([answer.statuses, answer.reset], [[413], false])
              assert.include(answer.text, "BodyTooLarge")
            }), { concurrency: 4 })
        })),
    20_000
  )

  it.scoped(
    "takes no more of an endless body than 16 MB, and of endless chunk extensions and trailers nothing",
    () =>
      withstands(100, ({ port }) =>
        Effect.gen(function*() {
          const chunk = `100000\r\n${" ".repeat(0x100000)}\r\n`
          const sent = yield* Effect.forEach(
            [1, 2, 3, 4],
            () => flood(port, head("Transfer-Encoding: chunked"), chunk, 100),
            {
              concurrency: "unbounded"
            }
          )
          for (const bytes of sent) {
            assert.isBelow(bytes, 40_000_000)
          }
          const extension = yield* exchange(port, `${head("Transfer-Encoding: chunked")}1;${"x".repeat(100_000)}\r\n`)
          assert.deepStrictEqual(extension.statuses, [413])
          const trailers = `${head("Transfer-Encoding: chunked")}0\r\n${"x: y\r\n".repeat(20_000)}`
          const trailed = yield* exchange(port, trailers, { hold: true })
          assert.notInclude(trailed.statuses, 200)
        })),
    20_000
  )

  it.scoped("answers headers of more than 8 KiB with 431", () =>
    withstands(30, ({ port }) =>
      Effect.gen(function*() {
        for (
          const bytes of [
            `GET /herd HTTP/1.1\r\nHost: localhost\r\nx: ${"y".repeat(8_192)}\r\n\r\n`,
            `GET /herd HTTP/1.1\r\nHost: localhost\r\n${"x: y\r\n".repeat(5_000)}\r\n`,
            `GET /${"y".repeat(8_192)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
            "y".repeat(20_000)
          ]
        ) {
          const { statuses } = yield* exchange(port, bytes, { hold: true })
          assert.isTrue(statuses.length === 1 && (statuses[0] === 431 || statuses[0] === 400), String(statuses))
        }
        const fits = `GET /herd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx: ${"y".repeat(7_000)}\r\n\r\n`
        assert.deepStrictEqual((yield* exchange(port, fits)).statuses, [200])
      })))

  it.scoped(
    "answers 100 requests that come in one go, in order, and holds nothing back for who sends more",
    () =>
      withstands(200, ({ port, url }) =>
        Effect.gen(function*() {
          const requests = Array.from({ length: 100 }, (_, i) => get(i % 2 === 0 ? "/herd" : "/nope"))
          const { statuses, text } = yield* exchange(port, requests.join(""), { hold: true, millis: 1_500 })
          assert.deepStrictEqual(statuses, Array.from(requests, (_, i) => i % 2 === 0 ? 200 : 404))
          assert.strictEqual(text.split("Connection: close").length, 2)
          for (let i = 0; i < 20; i++) (yield* hold(port)).pause().write(get("/metrics").repeat(2_000))
          yield* Effect.sleep("500 millis")
          assert.strictEqual((yield* ask(`${url}/herd`)).status, 200)
        })),
    20_000
  )

  it.scoped(
    "answers others while 1,000 connections are held open",
    () =>
      withstands(60, ({ idle, pid, port, url }) =>
        Effect.gen(function*() {
          for (const bytes of ["", "GET /herd HTTP/1.1\r\nHost: local"]) {
            yield* Effect.forEach(Array.from({ length: 500 }), () => hold(port, bytes), { concurrency: 50 })
            for (let i = 0; i < 10; i++) assert.strictEqual((yield* ask(`${url}/herd`)).status, 200)
            assert.isAtMost(connections(pid) - idle, 257)
          }
        })),
    20_000
  )

  it.scoped("forgets clients that vanish", () =>
    withstands(60, ({ idle, pid, port }) =>
      Effect.gen(function*() {
        for (
          const bytes of [
            `${head("Content-Length: 9")}{"num`,
            `${head("Transfer-Encoding: chunked")}5\r\n{"num`,
            "GET /herds/numbers/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /met"
          ]
        ) {
          const sockets = yield* Effect.forEach(Array.from({ length: 50 }), () => hold(port, bytes), {
            concurrency: 50
          })
          yield* Effect.sleep("100 millis")
          for (const socket of sockets) socket.resetAndDestroy()
          yield* until(Effect.sync(() => connections(pid) <= idle + 2))
        }
      })), 20_000)

  it.scoped(
    "is not slowed by 200 event streams that nobody reads, and answers beside them",
    () =>
      withstands(100, ({ port, url }) =>
        Effect.gen(function*() {
          const done = (over: number) =>
            Effect.gen(function*() {
              const { succeeded } = yield* state
              const [duration] = yield* Effect.timed(Effect.sleep(over))
              return ((yield* state).succeeded - succeeded) / Duration.toSeconds(duration)
            })
          const alone = yield* done(500)
          const events = "GET /herds/numbers/events?history=true HTTP/1.1\r\nHost: localhost\r\n\r\n"
          const sockets = yield* Effect.forEach(Array.from({ length: 200 }), () => hold(port, events), {
            concurrency: 50
          })
          for (const socket of sockets) socket.pause()
          const attacked = yield* done(1_500)
          assert.isAbove(attacked, alone / 4)
          for (const path of ["/herd", "/metrics"]) {
            const [duration, { status }] = yield* Effect.timed(ask(`${url}${path}`))
            assert.strictEqual(status, 200)
            assert.isBelow(Duration.toMillis(duration), 1_000)
          }
        })),
    20_000
  )
})

it.scopedLive("what event streams tell is made once, however many read it", () =>
  Effect.gen(function*() {
    const herd = yield* Herd.make({ name: "numbers", process: (n: number) => Effect.succeed(n), outcomes: "discard" })
    let made = 0
    const control: Herd.Control = Object.create(herd, {
      history: { value: Effect.zipRight(Effect.sync(() => made++), herd.history) }
    })
    const layer = HerdServer.layer({ herds: [Effect.succeed(control)], port: 0 })
    const { url } = Context.get(yield* Layer.build(layer), HerdServer.HerdServer)
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(herd.send(1), Effect.sleep("10 millis"))))
    const events = Array.from({ length: 30 }, () => 0)
    yield* Effect.forEach(events, (_, i) =>
      Effect.map(
        hold(Number(new URL(url).port), "GET /herds/numbers/events HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (socket) =>
          socket.on("data", (chunk) => {
            events[i] = (events[i] ?? 0) + String(chunk).split("data: ").length - 1
          })
      ), { concurrency: 10 })
    yield* until(Effect.sync(() => events.every((count) => count > 0)))
    const [before, told] = [made, [...events]]
    const [duration] = yield* Effect.timed(
      until(Effect.sync(() => events.every((count, i) => count >= (told[i] ?? 0) + 4)))
    )
    assert.isAtMost(made - before, Duration.toMillis(duration) / 250 + 2)
  }))

/** Sends a chunk again and again until the server has enough; how many bytes it took. */
const flood = (port: number, head: string, chunk: string, times: number): Effect.Effect<number, never, Scope.Scope> =>
  Effect.flatMap(hold(port, head), (socket) =>
    Effect.async<number>((resume) => {
      let left = times
      const write = () => {
        while (left-- > 0) if (!socket.write(chunk)) return
        socket.end()
      }
      socket.on("drain", write)
      socket.on("close", () => resume(Effect.succeed(socket.bytesWritten)))
      write()
    }))

// ------------------------------------------------------------------------------------------------------ nonsense

/**
 * To see again what a run has found, or to look for more:
 * `SEED=7 npx vitest run test/security.test.ts -t mutated`.
 */
const seed = Number(process.env["SEED"] ?? 1)

/** Sizes that no valid request asks for: what is hidden in the body of another one. */
const HIDDEN = 500_000

/** The size that the first request asks for; each asks for another one. */
const FIRST = 10_000

const TOKEN = "s3cret"

/** A valid request, or what has become of one. */
const makeRequest = (id: number, next: () => number): Buffer => {
  const int = (below: number) => Math.floor(next() * below)
  const one = <A>(values: readonly [A, ...Array<A>]): A => values[int(values.length)] ?? values[0]
  const body = `{"num":${id}}`
  const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  const patch = `PATCH /herd HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n`
  const hidden = (method: string) =>
    `${method} /herd HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 14\r\n\r\n{"num":${
      HIDDEN + id
    }}`
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n`
  let text = one([
    `${get("/herd")}\r\n`,
    `${get("/herds")}\r\n`,
    `${get("/herds/secret-herd")}\r\n`,
    `${get("/herds/secret-herd/events?history=true")}\r\n`,
    `${get("/metrics")}\r\n`,
    `${get("/")}\r\n`,
    `${get("/openapi.json")}\r\n`,
    `${get("/herd")}Content-Length: ${hidden("PATCH").length}\r\n\r\n${hidden("PATCH")}`,
    `${patch}Content-Length: ${hidden("PATCH").length}\r\n\r\n${hidden("PATCH")}`,
    ...Array.from({ length: 3 }, () => `${patch}Content-Length: ${body.length}\r\n\r\n${body}`),
    ...Array.from({ length: 2 }, () => `${patch}Transfer-Encoding: chunked\r\n\r\n${chunks}`),
    `${patch.replace("/herd", "/herds/secret-herd")}Content-Length: ${
      body.length + 27
    }\r\n\r\n{"num":${id},"mode":"graceful" ${" ".repeat(8)}}`,
    `${patch}Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}${hidden("PATCH")}`,
    `${patch}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${chunks}${hidden("PATCH")}`
  ])

  const headers = [
    "Transfer-Encoding : chunked",
    ...[
      "chunked",
      "Chunked",
      "identity",
      "gzip, chunked",
      "chunked, identity",
      "xchunked",
      "\tchunked",
      "chunked\u000b"
    ].map(
      (coding) => `Transfer-Encoding: ${coding}`
    ),
    " Transfer-Encoding: chunked",
    "Transfer_Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    ...["0", "1", "-1", "+9", "9, 9", "9 ", "0x9", "1e1", "99999999999999999999", "4096", "", "nine"].map(
      (length) => `Content-Length: ${length}`
    ),
    "Content-Length : 0",
    "Content-Encoding: gzip",
    "Expect: 100-continue",
    "Expect: nonsense",
    "Connection: close",
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==",
    "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    "Host: evil.test",
    "Host: localhost",
    "Host:",
    "Origin: http://evil.test",
    "Sec-Fetch-Site: cross-site",
    "Authorization: Bearer wrong",
    "X-HTTP-Method-Override: PATCH",
    "Range: bytes=0-5",
    "If-None-Match: *",
    "Accept: application/xml",
    "Cookie: \u00ff\u00fe=%%%",
    "Content-Type: application/json; charset=utf-16",
    "Trailer: x",
    "Bad Name: x",
    ": x",
    "x",
    "x: \u0000",
    "x:\r\n folded",
    `x: ${"y".repeat(int(12_000))}`
  ] as const
  const paths = [
    "//herd",
    "/herd/",
    "/herd/../herds",
    "/./herd",
    "/%2e%2e/herd",
    "/herd%00",
    "/herd%2f",
    "/herds/%",
    "/herds/%ff%fe",
    "/herds/%E0%A4%A",
    "/herds/secret-herd/events?history=nonsense",
    "/herds//events",
    "/herds/__proto__",
    "/herds/constructor/events",
    "/herd?num=3&num[]=4&__proto__[num]=5",
    "/herd?%",
    "/herd#x",
    "/herd;x",
    "/HERD",
    "*",
    "herd",
    "http://evil.test/herd",
    "http://localhost/herd",
    "http://[/herd",
    "https://localhost:99999999/herd",
    "/\u00ff\u00fe",
    `/${"a/".repeat(int(3_000))}`,
    `/herds/${"a".repeat(int(8_000))}`,
    `/herd?${"a=b&".repeat(int(1_500))}`
  ] as const
  const bodies = [
    "",
    "{",
    "[]",
    "null",
    "\u0000",
    "\u00ff\u00fe{",
    "{\"num\":-1}",
    "{\"num\":1e999}",
    "{\"num\":1e21}",
    "{\"num\":0.5}",
    "{\"num\":\"5\"}",
    "{\"num\":null}",
    "{\"num\":[5]}",
    "{\"__proto__\":{\"num\":5}}",
    "{\"constructor\":{\"prototype\":{\"num\":5}}}",
    "{\"mode\":\"interrupt\"}",
    "{\"paused\":1}",
    "[".repeat(4_000),
    "{\"a\":".repeat(600),
    " ".repeat(5_000),
    "num=5"
  ] as const
  const methods = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "QUERY",
    "M-SEARCH",
    "PURGE",
    "PATCH",
    "patch",
    "PATCHX",
    "P\u0000TCH",
    ""
  ] as const

  for (let times = int(4); times > 0; times--) {
    const at = int(text.length)
    const to = at + int(30)
    switch (int(11)) {
      case 0:
        text = text.slice(0, at) + String.fromCharCode(int(256)) + text.slice(at + 1)
        break
      case 1:
        text = text.slice(0, at) + String.fromCharCode(int(256)) + text.slice(at)
        break
      case 2:
        text = text.slice(0, at) + text.slice(to)
        break
      case 3:
        text = text.slice(0, to) + text.slice(at)
        break
      case 4:
        text = text.slice(0, at)
        break
      case 5:
        text = text.replace(/^\S*/, one(methods))
        break
      case 6:
        text = text.replace(/ \S*/, ` ${one(paths)}`)
        break
      case 7:
        text = text.replace("\r\n", `\r\n${one(headers)}\r\n`)
        break
      case 8:
        text = text.replace("\r\n\r\n", `\r\n${one(headers)}\r\n\r\n`)
        break
      case 9: {
        const other = one(bodies)
        text = text.replace(/Content-Length: .*\r\n\r\n.*/s, `Content-Length: ${other.length}\r\n\r\n${other}`)
        break
      }
      case 10:
        text = text.replace(
          / HTTP\/1\.1/,
          one([" HTTP/1.0", " HTTP/2.0", " HTTP/0.9", " HTTP/1.1.1", "", " http/1.1", "  HTTP/1.1"])
        )
        break
    }
  }
  return Buffer.from(text, "latin1")
}

/**
 * The bodies of the PATCH requests in these bytes that a strict reading of HTTP finds, with the
 * token if there is one. What comes after something ambiguous is none.
 */
const patchesIn = (
  bytes: Buffer,
  token: string | undefined
): ReadonlyArray<{ readonly num?: unknown; readonly paused?: unknown }> => {
  const found: Array<{ readonly num?: unknown; readonly paused?: unknown }> = []
  let rest = bytes.toString("latin1")
  for (;;) {
    const message = /^(\S+) +\S+(?: +HTTP\/\d\.\d)?\r?\n((?:[!#$%&'*+.^`|~\w-]+:[^\r\n\0]*\r\n)*)\r\n/.exec(rest)
    if (message === null) return found
    const [head, method, lines = ""] = message
    rest = rest.slice(head.length)
    const values = (name: string) =>
      Array.from(lines.matchAll(new RegExp(`^${name}:(.*)\r$`, "gim")), ([, value = ""]) => value.trim())
    const lengths = values("content-length")
    const codings = values("transfer-encoding")
    if (lengths.length > 1 || lengths.length * codings.length > 0) return found
    // What follows belongs to another protocol.
    if (values("upgrade").length > 0 && /\bupgrade\b/i.test(values("connection").join())) return found
    let body = ""
    if (codings.length > 0) {
      if (!/(?:^|, ?)chunked$/i.test(codings.join(","))) return found
      for (;;) {
        const chunk = /^([\da-f]+)(?:;[^\r\n]*)?\r\n/i.exec(rest)
        if (chunk === null) return found
        const length = parseInt(chunk[1] ?? "", 16)
        const end = chunk[0].length + length
        if (length === 0) {
          const trailer = /^(?:[!-9;-~]+:[^\r\n]*\r\n)*\r\n/.exec(rest.slice(end))
          if (trailer === null) return found
          rest = rest.slice(end + trailer[0].length)
          break
        }
        if (rest.slice(end, end + 2) !== "\r\n") return found
        body += rest.slice(chunk[0].length, end)
        rest = rest.slice(end + 2)
      }
    } else if (lengths.length === 1) {
      if (!/^\d+$/.test(lengths[0] ?? "") || Number(lengths[0]) > rest.length) return found
      body = rest.slice(0, Number(lengths[0]))
      rest = rest.slice(Number(lengths[0]))
    }
    const authorized = token === undefined || /^Bearer +s3cret$/i.test(values("authorization")[0] ?? "")
    if (method !== "PATCH" || !authorized) continue
    try {
      const value: unknown = JSON.parse(body)
      if (typeof value === "object" && value !== null) found.push(value)
    } catch {
      // No valid request.
    }
  }
}

/** A herd that notes what is done to it. */
const witnessed = (herd: Herd.Control) => {
  const sizes: Array<number> = []
  let pauses = 0
  const control: Herd.Control = Object.create(herd, {
    resize: {
      value: (size: number, options?: Herd.ResizeOptions) => {
        sizes.push(size)
        return herd.resize(size, options)
      }
    },
    pause: { value: Effect.zipRight(Effect.sync(() => pauses++), herd.pause) }
  })
  return { control, sizes, pauses: () => pauses }
}

for (const [name, token] of [["a HerdServer", undefined], ["a HerdRouter with a token, beside CORS", TOKEN]] as const) {
  it.scopedLive(
    `2,500 mutated requests get no answer of 500 or more from ${name}, and change nothing unless they are valid`,
    () =>
      Effect.gen(function*() {
        const herd = yield* Herd.make({
          name: "secret-herd",
          process: (n: number) => Effect.succeed(n),
          size: 7,
          maxSize: 1_000_000
        })
        const witness = witnessed(herd)
        const herds = [Effect.succeed(witness.control)] as const
        const listening = NodeHttpServer.layer(gracefulServer, { port: 0, host: "127.0.0.1" })
        const routes = Layer.merge(HerdRouter.layer({ herds, token }), HttpLayerRouter.cors())
        const port = token === undefined
          ? Number(
            new URL(
              Context.get(yield* Layer.build(HerdServer.layer({ herds, port: 0 })), HerdServer.HerdServer).url
            ).port
          )
          : yield* Effect.map(
            Layer.build(
              HttpLayerRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
                Layer.provideMerge(listening)
              )
            ),
            (context) => {
              const { address } = Context.get(context, HttpServer.HttpServer)
              return address._tag === "TcpAddress" ? address.port : 0
            }
          )

        const explained = new Set<unknown>()
        let pauses = 0
        let answered = 0
        const next = random(seed)
        const requests = Array.from({ length: 2_500 }, (_, i) => makeRequest(FIRST + i, next))
        yield* Effect.forEach(requests, (bytes) =>
          Effect.gen(function*() {
            for (const { num, paused } of patchesIn(bytes, token)) {
              explained.add(num)
              if (paused === true) pauses++
            }
            const { statuses } = yield* exchange(port, bytes, { millis: 2_000 })
            if (statuses.length > 0) answered++
            const wrong = statuses.filter((status) => status >= 500)
            assert.deepStrictEqual(
              wrong,
              [],
              `seed ${seed}: expected no 5xx, got one after ${JSON.stringify(bytes.toString("latin1"))}`
            )
          }), { concurrency: 16, discard: true })

        const unexplained = witness.sizes.filter((size) => !explained.has(size)).map((size) =>
          `${size}: ${JSON.stringify(requests[size % HIDDEN - FIRST]?.toString("latin1"))}`
        )
        assert.deepStrictEqual(unexplained, [], `seed ${seed}: expected no resize but by valid requests`)
        assert.isAtMost(witness.pauses(), pauses, `seed ${seed}`)
        // It was not for want of requests that got through.
        assert.isAbove(witness.sizes.length, 100)
        assert.isAbove(answered, 2_000)
        const headers = { authorization: `Bearer ${TOKEN}` }
        yield* herd.resume
        const answer = yield* ask(`http://127.0.0.1:${port}/herd`, { method: "PATCH", headers, body: "{\"num\":42}" })
        assert.deepStrictEqual(answer.json, { num: 42, msg: "success" })
      }),
    30_000
  )
}
