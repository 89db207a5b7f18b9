/**
 * Herds with slashes in their names, behind proxies that decode the path, as nginx does with
 * `proxy_pass` and a path.
 */
import { FetchHttpClient, HttpLayerRouter, HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Context, Effect, Layer, Schema, type Scope, Stream } from "effect"
import { Herd, HerdClient, HerdRouter } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdSource from "gofherd/HerdSource"
import { request } from "node:http"
import { launch, openPage } from "./utils/browser.ts"
import { pretend } from "./utils/http.ts"
import { shows } from "./utils/page.ts"
import { find } from "./utils/programs.ts"
import { exchange } from "./utils/raw.ts"
import { anyPort } from "./utils/served.ts"

/** A herd for each name, each of a size of its own. Those with mail in their names are durable. */
const herdsOf = (names: ReadonlyArray<string>) => {
  const [first, ...others] = names.map((name, i) => {
    const size = i + 1
    if (!name.includes("mail")) {
      const tag = Context.GenericTag<Herd.Control, Herd.Herd<number, number>>(name)
      return { tag, live: Herd.layer(tag, { process: Effect.succeed, size }) }
    }
    const tag = Context.GenericTag<Herd.Control, DurableHerd.DurableHerd<number>>(name)
    const live = DurableHerd.layer(tag, { schema: Schema.Number, process: () => Effect.void, size })
    return { tag, live: Layer.provide(live, HerdSource.layerMemory()) }
  })
  if (first === undefined) return assert.fail("expected a name")
  const tags: readonly [Effect.Effect<Herd.Control, never, Herd.Control>, ...Array<typeof others[number]["tag"]>] = [
    first.tag,
    ...others.map(({ tag }) => tag)
  ]
  return { tags, live: Layer.mergeAll(first.live, ...others.map(({ live }) => live)) }
}

interface Options {
  readonly prefix?: `/${string}`
  readonly token?: string
}

/** The port of a server with these herds. */
type Mount = (
  names: ReadonlyArray<string>,
  options?: Options
) => Effect.Effect<number, never, Scope.Scope>

const portOf = (url: string) => Number(new URL(url).port)

const alone: Mount = (names, options) =>
  Effect.gen(function*() {
    const { live, tags } = herdsOf(names)
    const server = HerdServer.layer({ herds: tags, port: 0, ...options }).pipe(Layer.provide(live))
    return portOf(Context.get(yield* Effect.orDie(Layer.build(server)), HerdServer.HerdServer).url)
  })

const own = HttpLayerRouter.add("GET", "/herds/own/page", HttpServerResponse.text("own"))

const mounted: Mount = (names, options) =>
  Effect.gen(function*() {
    const { live, tags } = herdsOf(names)
    const { base, listen } = anyPort()
    const routes = Layer.merge(own, HerdRouter.layer({ herds: tags, ...options }))
    yield* Layer.build(
      HttpLayerRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provide(listen),
        Layer.provide(live),
        Layer.orDie
      )
    )
    return portOf(base())
  })

const classic: Mount = (names, options) =>
  Effect.gen(function*() {
    const { live, tags } = herdsOf(names)
    const { base, listen } = anyPort()
    const app = Effect.map(
      HttpLayerRouter.toHttpEffect(HerdRouter.layer({ herds: tags, ...options })),
      (herds) =>
        HttpServer.serve(HttpRouter.mountApp(HttpRouter.empty, options?.prefix ?? "/", herds, { includePrefix: true }))
    ).pipe(Layer.unwrapScoped)
    yield* Layer.build(app.pipe(Layer.provide(listen), Layer.provide(live), Layer.orDie))
    return portOf(base())
  })

interface Told {
  readonly status: number | undefined
  readonly text: string
}

const utf8 = (text: string) => Buffer.from(text, "latin1").toString()

/** Asks for exactly this path. */
const askFor = (port: number, line: string, body = ""): Effect.Effect<Told> =>
  Effect.map(
    exchange(
      port,
      `${line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
    ),
    ({ statuses, text }) => ({ status: statuses[0], text: utf8(text.slice(text.indexOf("\r\n\r\n") + 4)) })
  )

/** The name of the herd that a path means. */
const named = (port: number, path: string) =>
  Effect.map(askFor(port, `GET ${path}`), ({ status, text }) => status === 200 ? String(JSON.parse(text).name) : status)

const names = ["@app/Crawler", "@app/Crawler/eu", "@app/mail", "calendar/events", "semi;colon/x;y", "50%/Ä ö", "plain"]

describe.each([["HerdServer", alone], ["HerdRouter", mounted], ["classic HttpRouter", classic]] as const)(
  "a herd with a slash in its name is found on a %s",
  (_, mount) => {
    it.scopedLive("encoded, decoded, and partly so, on every path below /herds/:name", () =>
      Effect.gen(function*() {
        const prefix = mount === classic ? "/ops" as const : undefined
        const base = `${prefix ?? ""}/herds`
        const port = yield* mount(names, { token: "s3cret", ...(prefix && { prefix }) })
        for (const name of names) {
          const decoded = name.replaceAll("%", "%25").replaceAll("Ä ö", "%C3%84%20%C3%B6")
          const slashes = encodeURIComponent(name).replaceAll("%2F", "/")
          for (const path of new Set([encodeURIComponent(name), decoded, slashes])) {
            assert.strictEqual(yield* named(port, `${base}/${path}`), name, path)
            assert.strictEqual(yield* named(port, `${base}/${path}/?x=1#y`), name, path)
            // A classic router reads no such line.
            if (mount !== classic) {
              assert.strictEqual(yield* named(port, `http://localhost/${base}//${path}`), name, path)
            }
            const { text } = yield* askFor(port, `PATCH ${base}/${path}`, "{\"paused\":true}")
            assert.include(JSON.parse(text), { name, paused: true })
            assert.strictEqual((yield* askFor(port, `HEAD ${base}/${path}/events`)).status, 200, path)
            assert.strictEqual((yield* askFor(port, `GET ${base}/${path}/events?history=maybe`)).status, 400, path)
            assert.strictEqual((yield* askFor(port, `POST ${base}/${path}/events`)).status, 405, path)
            const isDurable = name.includes("mail")
            const dead = yield* askFor(port, `GET ${base}/${path}/dead?limit=1`)
            assert.strictEqual(dead.status, isDurable ? 200 : 404, path)
            assert.include(dead.text, isDurable ? "[]" : "which is not durable")
            for (const how of ["redrive", "discard"]) {
              const settled = yield* askFor(port, `POST ${base}/${path}/dead/${how}`, "{\"ids\":\"all\"}")
              assert.strictEqual(settled.status, isDurable ? 200 : 404, path)
              assert.strictEqual((yield* askFor(port, `GET ${base}/${path}/dead/${how}`)).status, 405, path)
            }
            assert.strictEqual((yield* askFor(port, `GET ${base}/${path}/nope`)).status, 404, path)
          }
        }
      }), 20_000)

    it.scopedLive("by one path each: the shortest name whose rest is a path counts, whatever the method", () =>
      Effect.gen(function*() {
        const port = yield* mount(["a", "a/dead", "a/b", "a/b/events", "a/dead/redrive", "x/mail", "x/mail/dead"])
        const expected: Readonly<Record<string, string | number>> = {
          "/herds/a": "a",
          "/herds/a/dead": 404,
          "/herds/a%2Fdead": "a/dead",
          "/herds/a/b": "a/b",
          "/herds/a%2fb": "a/b",
          "/herds/a/b%2Fevents": "a/b/events",
          "/herds/a%2Fb%2Fevents": "a/b/events",
          "/herds/a/dead/redrive": 405,
          "/herds/a%2Fdead/redrive": "a/dead/redrive",
          "/herds/a%2Fdead%2Fredrive": "a/dead/redrive",
          "/herds/a%252Fb": 404,
          "/herds/%61/%62": "a/b",
          "/herds/a/../a": 404,
          "/herds/b": 404,
          "/herds/a/c": 404,
          "/herds/a/%zz": 404,
          "/nope/a/b": 404
        }
        for (const [path, name] of Object.entries(expected)) assert.strictEqual(yield* named(port, path), name, path)
        const patch = (path: string) => Effect.map(askFor(port, `PATCH ${path}`, "{\"num\":9}"), ({ status }) => status)
        assert.strictEqual(yield* patch("/herds/a/dead"), 405)
        assert.strictEqual(yield* patch("/herds/x/mail/dead"), 405)
        assert.strictEqual(yield* patch("/herds/x/mail%2Fdead"), 200)
        assert.strictEqual((yield* askFor(port, "GET /herds/x/mail/dead")).text, "[]")
        assert.strictEqual((yield* askFor(port, "GET /herds/x/mail/dead/dead")).text, "[]")
      }))

    it.scopedLive("and needs the token, as any other", () =>
      Effect.gen(function*() {
        const port = yield* mount(["@app/mail"], { token: "other" })
        for (const path of ["/herds/@app/mail", "/herds/@app/mail/dead", "/herds/@app/mail/events"]) {
          assert.strictEqual((yield* askFor(port, `GET ${path}`)).status, 401, path)
        }
        assert.strictEqual((yield* askFor(port, "PATCH /herds/@app/mail", "{\"num\":9}")).status, 401)
      }))
  }
)

it.scopedLive("an application's own routes below /herds stay its own", () =>
  Effect.gen(function*() {
    const port = yield* mounted(["own/herd"])
    assert.deepStrictEqual(yield* askFor(port, "GET /herds/own/page"), { status: 200, text: "own" })
    assert.strictEqual(yield* named(port, "/herds/own/herd"), "own/herd")
  }))

it.scopedLive("an application's own route at exactly the path of a herd is never reached: the herd answers", () =>
  Effect.gen(function*() {
    const port = yield* mounted(["own/page"])
    assert.strictEqual(yield* named(port, "/herds/own/page"), "own/page")
    assert.strictEqual(yield* named(port, "/herds/own%2Fpage"), "own/page")
  }))

/** A proxy that decodes the path, as nginx does, and encodes again only what has to be. */
const decodingProxy = (port: number) =>
  pretend((incoming, response) => {
    const { headers, method, url = "" } = incoming
    const [path = "", query] = url.split("?")
    const decoded = encodeURI(decodeURIComponent(path)).replace(/[?#]/g, encodeURIComponent)
    const outgoing = request({ port, method, headers, path: query === undefined ? decoded : `${decoded}?${query}` })
    outgoing.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    outgoing.on("error", () => response.destroy())
    response.once("close", () => outgoing.destroy())
    incoming.pipe(outgoing)
  })

describe("behind a proxy that decodes the path", () => {
  it.scopedLive("HerdClient finds every herd", () =>
    Effect.gen(function*() {
      const proxy = yield* decodingProxy(yield* alone(names))
      const client = yield* HerdClient.make({ baseUrl: proxy.url }).pipe(Effect.provide(FetchHttpClient.layer))
      for (const name of names) {
        assert.strictEqual((yield* client.herd(name)).name, name)
        assert.include(yield* client.update(name, { num: 9 }), { name, size: 9 })
        const told = yield* Stream.runCollect(Stream.take(client.changes(name), 1))
        assert.deepStrictEqual(Chunk.toReadonlyArray(told).map((state) => state.name), [name])
        if (!name.includes("mail")) continue
        assert.deepStrictEqual(yield* client.dead(name, { limit: 1 }), [])
        assert.strictEqual(yield* client.redrive(name, "all"), 0)
        assert.strictEqual(yield* client.discard(name, ["x"]), 0)
      }
    }).pipe(Effect.orDie))

  it.scopedLive.skipIf(find("chromium") === undefined)(
    "the dashboard hears of a herd and resizes it",
    () =>
      Effect.gen(function*() {
        const proxy = yield* decodingProxy(yield* alone(["@app/Crawler"]))
        const { complaints, page } = yield* openPage(yield* launch())
        yield* Effect.promise(() => page.goto(`${proxy.url}/`))
        yield* shows(page, "Size", "1")
        yield* Effect.promise(() => page.getByRole("slider").press("ArrowRight"))
        yield* shows(page, "Size", "2")
        assert.deepStrictEqual(complaints, [])
      }),
    30_000
  )
})
