/**
 * Every way of mounting the routes, and every option, from the outside.
 */
import { HttpLayerRouter, HttpMiddleware, HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, Redacted, type Scope } from "effect"
import { Herd, HerdRouter } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { createHash } from "node:crypto"
import { checked } from "./utils/contract.ts"
import { type Answer, answerOf, type Ask, ask, events, eventsIn } from "./utils/http.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretty } from "./utils/pretty.ts"
import { First, herds, paths, probeAll, Second, second } from "./utils/probes.ts"
import { exchange } from "./utils/raw.ts"
import { anyPort } from "./utils/served.ts"
import { until } from "./utils/stage.ts"

const both = [First, Second] as const

const quiet = { disableLogger: true, disableListenLog: true } as const

/** Asks an application on a port of its own. */
const serveApp = (
  app: Layer.Layer<never, never, HerdRouter.Requirements<typeof both>>
): Effect.Effect<Ask, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { base, listen } = anyPort()
    yield* Layer.build(HttpLayerRouter.serve(app, quiet).pipe(Layer.provide(Layer.orDie(listen)), Layer.provide(herds)))
    return (path, question) => ask(`${base()}${path}`, question)
  })

/** A HerdServer of both herds. */
const serve = (
  options: Omit<HerdServer.Options<typeof both>, "herds" | "port">
): Effect.Effect<Ask, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = HerdServer.layer({ ...options, herds: both, port: 0 }).pipe(Layer.provide(herds), Layer.orDie)
    const { url } = Context.get(yield* Layer.build(server), HerdServer.HerdServer)
    return (path, question) => ask(`${url}${path}`, question)
  })

/** Below a prefix; its root is the prefix itself. */
const under = (prefix: string, ask: Ask): Ask => (path, question) =>
  ask(path === "/" ? prefix : `${prefix}${path}`, question)

const own = HttpLayerRouter.addAll([
  HttpLayerRouter.route("GET", "/hello", HttpServerResponse.text("hello")),
  HttpLayerRouter.route("POST", "/herd-of-mine", HttpServerResponse.text("mine")),
  HttpLayerRouter.route("GET", "/herds-of-mine/:name", HttpServerResponse.text("mine"))
])

/** The answers of the user's own routes, and of nobody's. */
const ownAnswers = (ask: Ask) =>
  Effect.gen(function*() {
    assert.strictEqual((yield* ask("/hello")).text, "hello")
    assert.strictEqual((yield* ask("/herd-of-mine", { method: "POST" })).text, "mine")
    assert.strictEqual((yield* ask("/herds-of-mine/first")).text, "mine")
    const missing = yield* ask("/nobodys")
    assert.deepStrictEqual([missing.status, missing.text], [404, ""])
    const other = yield* ask("/hello", { method: "POST" })
    assert.deepStrictEqual([other.status, other.text], [404, ""])
  })

/** A single place for event streams is free again after each that was read and left. */
const freesPlaces = (ask: Ask) =>
  Effect.repeatN(
    until(Effect.map(
      ask("/herds/first/events", { until: (text) => events(1)(text) || text.includes("TooMany") }),
      ({ status }) => status === 200
    )),
    5
  )

describe("all routes answer", () => {
  it.scopedLive("at the root of an HttpLayerRouter application, beside its own routes", () =>
    Effect.gen(function*() {
      const ask = yield* serveApp(Layer.merge(own, HerdRouter.layer({ herds: both })))
      yield* probeAll(checked(ask))
      yield* ownAnswers(ask)
    }))

  it.scopedLive("below a prefix, beside its own routes and middleware, local and global", () =>
    Effect.gen(function*() {
      const stamp = (name: string) => HttpMiddleware.make(Effect.map(HttpServerResponse.setHeader(name, "1")))
      const local = own.pipe(Layer.provide(HttpLayerRouter.middleware(stamp("x-local")).layer))
      const global = HttpLayerRouter.middleware(stamp("x-global"), { global: true })
      const ask = yield* serveApp(
        Layer.mergeAll(local, global, HerdRouter.layer({ herds: both, prefix: "/ops/Herds" }))
      )
      yield* probeAll(checked(under("/ops/Herds", ask)), "/ops/Herds")
      yield* ownAnswers(ask)
      const stamps = ({ headers }: Answer) => [headers["x-local"], headers["x-global"]]
      assert.deepStrictEqual(stamps(yield* ask("/hello")), ["1", "1"])
      assert.deepStrictEqual(stamps(yield* ask("/ops/Herds/herd")), [undefined, "1"])
      for (const path of ["/herd", "/herds", "/metrics", "/", "/ops"]) {
        for (const method of ["GET", "PATCH"]) assert.strictEqual((yield* ask(path, { method })).status, 404)
      }
    }))

  it.scopedLive("of two mounts on one router, each with its own herds, token and prefix", () =>
    Effect.gen(function*() {
      const ask = yield* serveApp(Layer.mergeAll(
        own,
        HerdRouter.layer({ herds: both, prefix: "/a" }),
        HerdRouter.layer({ herds: [Second], prefix: "/b", token: "s3cret", readOnly: true })
      ))
      yield* probeAll(checked(under("/a", ask)), "/a")
      yield* ownAnswers(ask)
      assert.strictEqual((yield* ask("/b/herd")).status, 401)
      const headers = { authorization: "Bearer s3cret" }
      assert.deepStrictEqual((yield* ask("/b/herd", { headers })).json, { num: 3, msg: "success" })
      assert.strictEqual((yield* ask("/b/herds/first", { headers })).status, 404)
      assert.strictEqual((yield* ask("/b/herd", { headers, method: "PATCH", body: "{\"num\":1}" })).status, 403)
    }))

  it.scopedLive("in a classic HttpRouter application, as an app that is mounted", () =>
    Effect.gen(function*() {
      const { base, listen } = anyPort()
      const app = Effect.map(
        HttpLayerRouter.toHttpEffect(HerdRouter.layer({ herds: both, prefix: "/ops", maxEventStreams: 1 })),
        (herds) =>
          HttpRouter.empty.pipe(
            HttpRouter.get("/hello", HttpServerResponse.text("hello")),
            HttpRouter.mountApp("/ops", herds, { includePrefix: true }),
            HttpServer.serve()
          )
      ).pipe(Layer.unwrapScoped)
      yield* Layer.build(app.pipe(Layer.provide(listen), Layer.provide(herds)))
      yield* probeAll(checked(under("/ops", (path, question) => ask(`${base()}${path}`, question))), "/ops")
      assert.strictEqual((yield* ask(`${base()}/hello`)).text, "hello")
      assert.strictEqual((yield* ask(`${base()}/herd`)).status, 404)
      yield* freesPlaces((path, question) => ask(`${base()}/ops${path}`, question))
    }))

  it.scopedLive("in a classic HttpRouter application that cuts off the path of the mount", () =>
    Effect.gen(function*() {
      const { base, listen } = anyPort()
      const app = Effect.map(
        HttpLayerRouter.toHttpEffect(HerdRouter.layer({ herds: both })),
        (herds) => HttpServer.serve(HttpRouter.mountApp(HttpRouter.empty, "/ops", herds))
      ).pipe(Layer.unwrapScoped)
      yield* Layer.build(app.pipe(Layer.provide(listen), Layer.provide(herds)))
      yield* probeAll(checked(under("/ops", (path, question) => ask(`${base()}${path}`, question))))
    }))

  it.scopedLive("without a socket, through a web handler", () =>
    Effect.gen(function*() {
      const app = HerdRouter.layer({ herds: both, maxEventStreams: 1 }).pipe(
        Layer.provide(herds),
        Layer.provide(HttpServer.layerContext)
      )
      const { handler } = yield* Effect.acquireRelease(
        Effect.sync(() => HttpLayerRouter.toWebHandler(app, { disableLogger: true })),
        ({ dispose }) => Effect.promise(dispose)
      )
      const ask: Ask = (path, { body, headers, method = "GET", until } = {}) =>
        Effect.promise(async (signal) => {
          const url = `http://localhost${path}`
          const text = typeof body === "string" || body === undefined ? body : body.join("")
          const request = new Request(url, { method, signal, ...(headers && { headers }), ...(text && { body: text }) })
          const response = await handler(request)
          let got = ""
          const decoder = new TextDecoder()
          // Leaving the loop cancels the body.
          for await (const chunk of response.body ?? []) {
            got += decoder.decode(chunk, { stream: true })
            if (until?.(got) === true) break
          }
          return answerOf(response.status, Object.fromEntries(response.headers), got)
        })
      yield* probeAll(checked(ask))
      yield* freesPlaces(ask)
    }))

  it.scopedLive("of a HerdServer on its own, with and without a prefix, and says so of every other path", () =>
    Effect.gen(function*() {
      for (const prefix of ["", "/ops"] as const) {
        yield* Effect.gen(function*() {
          const ask = yield* serve({ prefix })
          yield* probeAll(checked(ask), prefix)
          const missing = yield* ask("/nope")
          assert.deepStrictEqual(missing.json, { msg: "there is nothing at this path", _tag: "NotFound" })
        }).pipe(Effect.scoped)
      }
    }))
})

describe("requests that these routes answer", () => {
  it.scopedLive("are not logged, where those of the application are", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(Effect.gen(function*() {
      const { base, listen } = anyPort()
      const app = HttpLayerRouter.serve(Layer.merge(own, HerdRouter.layer({ herds: both, token: "s3cret" })), {
        disableListenLog: true
      })
      yield* Layer.build(app.pipe(Layer.provide(listen), Layer.provide(herds)))
      const headers = { authorization: "Bearer s3cret" }
      for (const [path] of paths) {
        for (const method of ["GET", "HEAD", "PATCH", "POST"]) {
          yield* ask(`${base()}${path}`, { method, headers, until: events(1) })
        }
      }
      yield* ask(`${base()}/herd`)
      yield* ask(`${base()}/herd`, { headers: { ...headers, host: "evil.test" } })
      assert.deepStrictEqual(logs.lines, [])
      yield* ask(`${base()}/hello`)
      assert.deepStrictEqual(logs.lines, ["INFO [-] Sent HTTP response"])
    })).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  })
})

const update = (ask: Ask, headers: Record<string, string> = {}) =>
  Effect.all([
    ask("/herd", { method: "PATCH", body: "{\"num\":1}", headers }),
    ask(second, { method: "PATCH", body: "{\"num\":1,\"paused\":true}", headers }),
    ask("/herds/first", { method: "PATCH", body: "no JSON", headers })
  ])

const unchanged = (ask: Ask, headers: Record<string, string> = {}) =>
  Effect.gen(function*() {
    assert.deepStrictEqual((yield* ask("/herd", { headers })).json, { num: 7, msg: "success" })
    assert.include((yield* ask(second, { headers })).json, { size: 2, paused: false })
  })

describe("readOnly", () => {
  it.scopedLive("answers each PATCH with 403 and the size, changes nothing, and shows the rest", () =>
    Effect.gen(function*() {
      const ask = checked(yield* serve({ readOnly: true }))
      const msg = "expected a request that changes nothing, got PATCH: these routes are read-only"
      for (const [i, { json, status }] of (yield* update(ask)).entries()) {
        assert.strictEqual(status, 403)
        assert.deepStrictEqual(json, { num: i === 1 ? 2 : 7, msg, _tag: "ReadOnly" })
      }
      yield* unchanged(ask)
      for (const path of ["/", "/herds", "/metrics", "/openapi.json"]) {
        assert.strictEqual((yield* ask(path)).status, 200)
      }
      assert.strictEqual((yield* ask("/herds/nobody", { method: "PATCH" })).status, 404)
    }))
})

describe("token", () => {
  const closed = ["/herd", "/herds", "/herds/first", "/herds/nobody", `${second}/events`, "/metrics"]
  const open = ["/", "/openapi.json"]

  for (const token of ["s3cret", Redacted.make("s3cret")]) {
    it.scopedLive(
      `as ${typeof token === "string" ? "a string" : "Redacted"}: without it nothing is told or changed`,
      () =>
        Effect.gen(function*() {
          const ask = checked(yield* serve({ token }))
          const wrong = [
            [undefined, "none"],
            ["s3cret", "none"],
            ["Bearer", "none"],
            ["Basic s3cret", "none"],
            ["XXXXXX s3cret", "none"],
            ["Bearers3cret", "none"],
            ["Basic Bearer s3cret", "none"],
            ["Bearer, s3cret", "none"],
            ["Bearer s3cre", "another one"],
            ["Bearer s3cret2", "another one"],
            ["Bearer S3CRET", "another one"],
            ["Bearer s3cret s3cret", "another one"],
            ["Bearer <redacted>", "another one"]
          ] as const
          for (const [authorization, got] of wrong) {
            const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
            const answers = yield* Effect.all([
              ...closed.map((path) => ask(path, { headers })),
              ask("/herds/first/events?history=maybe", { headers }),
              ask("/metrics", { headers, method: "HEAD" })
            ])
            for (const answer of [...answers, ...(yield* update(ask, headers))]) {
              assert.strictEqual(answer.status, 401)
              assert.strictEqual(answer.headers["www-authenticate"], "Bearer realm=\"gofherd\"")
              if (answer.text === "") continue
              assert.deepStrictEqual(answer.json, {
                msg: `expected the header Authorization: Bearer with the token, got ${got}`,
                _tag: "Unauthorized"
              })
            }
            for (const path of open) {
              const answer = yield* ask(path, { headers })
              assert.deepStrictEqual([answer.status, answer.headers["www-authenticate"]], [200, undefined])
            }
            assert.strictEqual((yield* ask("/herd", { headers, method: "POST" })).status, 405)
          }
          yield* unchanged(ask, { authorization: "Bearer s3cret" })
        }),
      20_000
    )
  }

  it.scopedLive("opens everything, however Bearer is spelled, together with an Accept, a query, or any host", () =>
    Effect.gen(function*() {
      const ask = yield* serve({ token: "s3cret" })
      const authorized = (authorization: string): Ask => (path, question) =>
        ask(path, { ...question, headers: { authorization, host: "example.com", ...question?.headers } })
      yield* probeAll(checked(authorized("Bearer s3cret")))
      for (const authorization of ["bearer s3cret", "BEARER s3cret", "Bearer   s3cret", " Bearer s3cret "]) {
        assert.strictEqual((yield* authorized(authorization)("/herds?x=1")).status, 200)
      }
    }))
})

describe("allowedHosts", () => {
  const statusFor = (ask: Ask, host: string) =>
    Effect.map(
      Effect.all([
        ask("/herd", { headers: { host } }),
        ...(["/", "/nope"].map((path) => ask(path, { headers: { host } })))
      ]),
      (answers) => answers.map(({ status }) => status).join()
    )

  it.scopedLive("are localhost and addresses unless told otherwise, on any path and in any spelling", () =>
    Effect.gen(function*() {
      const ask = yield* serve({})
      for (
        const host of ["localhost", "LOCALHOST:80", "localhost.", "a.localhost:1", "127.0.0.1:2", "10.1.2.3", "[::1]:3"]
      ) {
        assert.strictEqual(yield* statusFor(ask, host), "200,200,404", host)
      }
      for (
        const host of [
          "evil.test",
          "localhost.evil.test",
          "evil.test:2112",
          "127.0.0.1.evil.test",
          "notlocalhost",
          "[10.0.0.1x",
          "x10.0.0.1]"
        ]
      ) {
        assert.strictEqual(yield* statusFor(ask, host), "403,403,403", host)
      }
      assert.strictEqual((yield* ask("/herd?from=http://evil.test")).status, 200)
      const answer = yield* checked(ask)("/herd", { headers: { host: "evil.test" } })
      assert.deepStrictEqual(answer.json, {
        msg: "expected Host to be in allowedHosts, got \"evil.test\"",
        _tag: "Forbidden"
      })
    }))

  it.scopedLive("are just those that are listed, with any port, also with a token", () =>
    Effect.gen(function*() {
      const ask = yield* serve({ allowedHosts: ["Ops.example.com", "[::1]"], token: "s3cret" })
      const headers = { authorization: "Bearer s3cret" }
      for (const host of ["ops.example.com", "OPS.EXAMPLE.COM:8080", "[::1]:2112"]) {
        assert.strictEqual((yield* ask("/herd", { headers: { ...headers, host } })).status, 200)
      }
      for (const host of ["localhost", "127.0.0.1", "example.com", "x.ops.example.com"]) {
        const answers = yield* Effect.all([
          ask("/herd", { headers: { ...headers, host } }),
          ask(second, { headers: { ...headers, host }, method: "PATCH", body: "{\"num\":1}" })
        ])
        assert.deepStrictEqual(answers.map(({ status }) => status), [403, 403])
      }
    }))

  it.scopedLive("are all with *", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* statusFor(yield* serve({ allowedHosts: ["*"] }), "anything.test"), "200,200,404")
    }))
})

describe("a request that a browser sends for another site", () => {
  const foreign: ReadonlyArray<readonly [headers: Record<string, string>, told: string]> = [
    [{ origin: "http://evil.test" }, "http://evil.test"],
    [{ "sec-fetch-site": "cross-site" }, "cross-site"],
    [{ "sec-fetch-site": "same-site", origin: "http://localhost:1" }, "http://localhost:1"]
  ]

  it.scopedLive("is refused, and told which one that is", () =>
    Effect.gen(function*() {
      const ask = checked(yield* serve({}))
      for (const [headers, told] of foreign) {
        const { json, status } = yield* ask("/herd", { headers })
        const msg = `expected a request of this site, got one of "${told}"`
        assert.deepStrictEqual([status, json], [403, { msg, _tag: "Forbidden" }])
      }
      assert.strictEqual((yield* ask("/herd", { headers: { "sec-fetch-site": "same-origin" } })).status, 200)
    }))

  it.scopedLive("is answered if it has the token and changes nothing", () =>
    Effect.gen(function*() {
      const ask = yield* serve({ token: "s3cret" })
      for (const [headers] of foreign) {
        const authorized = { ...headers, authorization: "Bearer s3cret" }
        const answers = yield* Effect.all([
          ask("/herd", { headers: authorized }),
          ask("/herd", { headers: authorized, method: "HEAD" }),
          ask(second, { headers: authorized, method: "PATCH", body: "{\"num\":1}" })
        ])
        assert.deepStrictEqual(answers.map(({ status }) => status), [200, 200, 403])
      }
    }))
})

describe("the page", () => {
  it.scopedLive("may load its own script and style, which it has in itself, and ask where it came from", () =>
    Effect.gen(function*() {
      const { headers, text } = yield* (yield* serve({}))("/")
      const hashOf = (tag: string) => {
        const own = new RegExp(`<${tag}>(.+?)</${tag}>`, "s").exec(text)?.[1] ?? assert.fail(text)
        return `'sha256-${createHash("sha256").update(own).digest("base64")}'`
      }
      assert.strictEqual(
        headers["content-security-policy"],
        `default-src 'none'; script-src ${hashOf("script")}; style-src ${hashOf("style")}; connect-src 'self'; `
          + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
      )
      assert.match(text, /<link rel="icon" href="data:image\/svg\+xml,%3Csvg\S+%3C%2Fsvg%3E">/)
    }))

  for (const readOnly of [false, true]) {
    for (const token of [undefined, "s3cret"]) {
      const asks = token !== undefined
      it.scopedLive(`is told readOnly: ${readOnly}, and ${asks ? "" : "not "}to ask for a token`, () =>
        Effect.gen(function*() {
          const { text } = yield* (yield* serve({ readOnly, ...(asks && { token }) }))("/")
          assert.include(text, `data-read-only="${readOnly}" data-asks-token="${asks}"`)
        }))
    }
  }
})

describe("herds that are none", () => {
  it.scopedLive("are a defect, whatever it is that they lack", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ name: "almost", process: (n: number) => Effect.succeed(n) })
      const refusal = (herds: unknown) =>
        Effect.map(
          Effect.exit(
            Layer.build(HerdServer.layer<readonly [Effect.Effect<Herd.Control>]>({ herds, port: 0 } as never))
          ),
          pretty
        )
      for (const member of ["size", "state", "history", "pause", "resume", "drain", "changes", "resize"]) {
        const message = yield* refusal([Effect.succeed({ ...herd, [member]: {} })])
        assert.include(message, "expected herds to be tags of herds, got one of {")
      }
      for (const herds of [[], [herd], herd, undefined]) {
        assert.include(yield* refusal(herds), "expected herds to be tags of herds, one at least, got ")
      }
      assert.include(yield* refusal([Effect.succeed(5)]), "expected herds to be tags of herds, got one of 5")
    }))
})

describe("dashboard: false", () => {
  it.scopedLive("leaves the page away, and nothing else", () =>
    Effect.gen(function*() {
      const ask = checked(yield* serve({ dashboard: false }))
      const answer = yield* ask("/")
      assert.strictEqual(answer.status, 404)
      assert.deepStrictEqual(answer.json, { msg: "expected routes with a dashboard, got none", _tag: "NotFound" })
      for (const path of ["/herd", "/herds", "/metrics", "/openapi.json"]) {
        assert.strictEqual((yield* ask(path)).status, 200)
      }
    }))
})

describe("options out of their bounds are a defect", () => {
  const path = "a path like \"/ops\", without a slash at its end"
  const hosts = "host names without a port, or \"*\""
  const characters = "one or more visible ASCII characters"
  const bad: ReadonlyArray<readonly [options: object, message: string]> = [
    [{ prefix: "ops" }, `expected prefix to be ${path}, got "ops"`],
    [{ prefix: "ops/a" }, `expected prefix to be ${path}, got "ops/a"`],
    [{ prefix: "/" }, `expected prefix to be ${path}, got "/"`],
    [{ prefix: "/ops/" }, `expected prefix to be ${path}, got "/ops/"`],
    [{ prefix: "/:ops" }, `expected prefix to be ${path}, got "/:ops"`],
    [{ prefix: "/ops/*" }, `expected prefix to be ${path}, got "/ops/*"`],
    [{ prefix: "/a b" }, `expected prefix to be ${path}, got "/a b"`],
    [{ prefix: null }, `expected prefix to be ${path}, got null`],
    [{ readOnly: "yes" }, "expected readOnly to be a boolean, got \"yes\""],
    [{ dashboard: 0 }, "expected dashboard to be a boolean, got 0"],
    [{ token: "" }, `expected token to be ${characters}, got none`],
    [{ token: Redacted.make("") }, `expected token to be ${characters}, got none`],
    [{ token: "hunter2 " }, `expected token to be ${characters}, got something else`],
    [{ token: "hunter2\n" }, `expected token to be ${characters}, got something else`],
    [{ token: Redacted.make("hünter2") }, `expected token to be ${characters}, got something else`],
    [{ token: ["hunter2"] }, `expected token to be ${characters}, got something else`],
    [{ allowedHosts: "localhost" }, `expected allowedHosts to be ${hosts}, got "localhost"`],
    [{ allowedHosts: ["localhost:2112"] }, `expected allowedHosts to be ${hosts}, got ["localhost:2112"]`],
    [{ allowedHosts: ["http://x"] }, `expected allowedHosts to be ${hosts}, got ["http://x"]`],
    [{ allowedHosts: ["a", ""] }, `expected allowedHosts to be ${hosts}, got ["a",""]`],
    [{ allowedHosts: ["*.x"] }, `expected allowedHosts to be ${hosts}, got ["*.x"]`],
    [{ allowedHosts: ["::1"] }, `expected allowedHosts to be ${hosts}, got ["::1"]`],
    [{ maxEventStreams: -1 }, "expected maxEventStreams to be an integer from 0, got -1"],
    [{ maxEventStreams: NaN }, "expected maxEventStreams to be an integer from 0, got NaN"],
    [{ maxEventStreams: "9" }, "expected maxEventStreams to be an integer from 0, got \"9\""]
  ]
  for (const [options, message] of bad) {
    it.scopedLive(message, () =>
      Effect.gen(function*() {
        const given = { herds: [First], ...options } as HerdRouter.Options<readonly [typeof First]>
        const layers = [
          HttpLayerRouter.serve(HerdRouter.layer(given), quiet).pipe(Layer.provide(anyPort().listen)),
          HerdServer.layer({ ...given, port: 0 })
        ]
        for (const layer of layers) {
          const exit = yield* Effect.exit(
            Layer.build(Layer.provide(layer as Layer.Layer<never, unknown, First | Second>, herds))
          )
          assert.include(pretty(exit), `InvalidOption: ${message}`)
          assert.notMatch(pretty(exit), /h[uü]nter2/)
        }
      }))
  }
})

describe("the names of herds", () => {
  const hostile = [
    "plain",
    "with space",
    "a/b",
    "/",
    "//a//",
    "a\\b",
    "%",
    "%2F",
    "%252f",
    "%41",
    "100%",
    "a%00b",
    "\0",
    "\r\n",
    "é",
    "日本",
    "🦫",
    "ß",
    "Events",
    "events",
    "herds",
    "..a",
    "a..",
    "...",
    "%2e%2e",
    ".hidden",
    "a?b=c",
    "a#b",
    "a;b",
    "a:b",
    ":name",
    "*",
    "a*",
    "(x)",
    "a+b",
    "a&b",
    "\"quoted\"",
    "'single'",
    "<script>alert(1)</script>",
    "{name}",
    "__proto__",
    "constructor",
    "[object Object]",
    "~!$,=@|^`",
    " ",
    "x".repeat(100),
    "é".repeat(100)
  ]

  it.scopedLive(
    "may be anything that can be encoded: every path finds them, and answers other methods with 405",
    () =>
      Effect.gen(function*() {
        const tags = hostile.map((name) => Herd.make({ name, process: (n: number) => Effect.succeed(n), maxSize: 100 }))
        const [first, ...others] = yield* Effect.all(tags)
        if (first === undefined) return
        const app = HerdRouter.layer({ herds: [Effect.succeed(first), ...others.map((herd) => Effect.succeed(herd))] })
        const { base, listen } = anyPort()
        yield* Layer.build(HttpLayerRouter.serve(app, quiet).pipe(Layer.provide(listen)))
        const at = checked((path, question) => ask(`${base()}${path}`, question))
        for (const [i, name] of hostile.entries()) {
          const path = `/herds/${encodeURIComponent(name)}`
          assert.include((yield* at(path)).json, { name, size: 1 }, name)
          assert.include((yield* at(path, { method: "PATCH", body: `{"num":${i}}` })).json, { name, size: i })
          const other = yield* at(path, { method: "POST" })
          assert.deepStrictEqual([other.status, other.headers["allow"]], [405, "GET, HEAD, PATCH"], name)
          const stream = yield* at(`${path}/events`, { until: events(1) })
          assert.include(eventsIn(stream.text)[0]?.data, { name, size: i })
          const streamOther = yield* at(`${path}/events`, { method: "PATCH", body: "{\"num\":1}" })
          assert.deepStrictEqual([streamOther.status, streamOther.headers["allow"]], [405, "GET, HEAD"], name)
        }
      }),
    20_000
  )

  const named = (name: string) => Effect.succeed({ name } as Herd.Control)

  for (const name of [".", "..", "\ud800", "a\udc00b"]) {
    it.scopedLive(`are a defect if they can't be in a path: ${JSON.stringify(name)}`, () =>
      Effect.gen(function*() {
        const message = `InvalidOption: expected herds to be herds with names that can be in a path, got ${
          JSON.stringify(name)
        }`
        for (
          const layer of [
            HttpLayerRouter.serve(HerdRouter.layer({ herds: [named("fine"), named(name)] }), quiet).pipe(
              Layer.provide(anyPort().listen)
            ),
            HerdServer.layer({ herds: [named(name)], port: 0 })
          ]
        ) {
          const exit = yield* Effect.exit(Layer.build(layer as Layer.Layer<never, unknown>))
          assert.include(pretty(exit), message)
        }
      }))
  }

  it.scopedLive("may have 100 characters in an application's router, and what fits into a request in a HerdServer's", () =>
    Effect.gen(function*() {
      const name = "x".repeat(5_000)
      const herd = yield* Herd.make({ name, process: (n: number) => Effect.succeed(n) })
      const server = yield* Layer.build(HerdServer.layer({ herds: [Effect.succeed(herd)], port: 0 }))
      const { url } = Context.get(server, HerdServer.HerdServer)
      assert.include((yield* ask(`${url}/herds/${name}`)).json, { name })
      const { base, listen } = anyPort()
      const app = HerdRouter.layer({ herds: [Effect.succeed(herd)] })
      yield* Layer.build(HttpLayerRouter.serve(app, quiet).pipe(Layer.provide(listen)))
      for (
        const [path, question] of [[name, {}], ["%", {}], ["%ff", {}], [name, { method: "PATCH", body: "{}" }]] as const
      ) {
        const answer = yield* checked((path, question) => ask(`${base()}${path}`, question))(`/herds/${path}`, question)
        assert.strictEqual(answer.status, 404)
        assert.deepStrictEqual(answer.json, { msg: "there is nothing at this path", _tag: "NotFound" })
      }
    }))

  it.scopedLive("stand in paths that are read as the router reads them, also by what answers other methods", () =>
    Effect.gen(function*() {
      const app = HerdRouter.layer({ herds: both }).pipe(Layer.provide(herds))
      const { base, listen } = anyPort()
      yield* Layer.build(HttpLayerRouter.serve(app, quiet).pipe(Layer.provide(listen)))
      const port = Number(new URL(base()).port)
      const post = (path: string) =>
        Effect.map(
          exchange(port, `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`),
          ({ statuses, text }) => [statuses[0], /^allow: (.*)\r$/im.exec(text)?.[1]]
        )
      const ways = [
        "/herds/first",
        "/HERDS/first/",
        "//herds///first",
        "/h%65rds/%66irst",
        "/herds/first;a?b#c",
        "/herds/%"
      ]
      for (const way of [...ways, "http://localhost:1/herds/first", "HTTPS://localhost/herds/first?x=/1/2"]) {
        assert.deepStrictEqual(yield* post(way), [405, "GET, HEAD, PATCH"], way)
      }
      for (const way of ["/herds/first/x", "/herds/a/b/http://localhost/herds/first", "/herds/http://x/first"]) {
        assert.deepStrictEqual(yield* post(way), [404, undefined], way)
      }
    }))

  it.scopedLive("that nobody has are answered with 404 and the names there are, as text", () =>
    Effect.gen(function*() {
      const ask = checked(yield* serve({}))
      for (const name of ["nobody", "FIRST", "<script>alert(1)</script>", "x".repeat(3_000), "first%00"]) {
        for (const [path, method] of [["", "GET"], ["", "PATCH"], ["/events", "GET"]] as const) {
          const answer = yield* ask(`/herds/${encodeURIComponent(name)}${path}`, { method })
          assert.strictEqual(answer.status, 404)
          assert.match(String(answer.headers["content-type"]), /^application\/json/)
          assert.match(answer.text, /expected the name of a herd, one of \\"first\\", \\"second\/2 ü\\", got /)
          assert.isBelow(answer.text.length, 300)
        }
      }
    }))
})
