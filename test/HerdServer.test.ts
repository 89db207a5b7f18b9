import { HttpLayerRouter, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  ConfigError,
  ConfigProvider,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Layer,
  LogLevel,
  Option,
  Scope
} from "effect"
import { Herd, HerdError } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { ask } from "./utils/http.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretty } from "./utils/pretty.ts"
import { get, hold, reading } from "./utils/raw.ts"
import { anyPort } from "./utils/served.ts"
import { makeStage, turns, until } from "./utils/stage.ts"

class Numbers extends Context.Tag("test/HerdServer/Numbers")<Numbers, Herd.Herd<number, number, string>>() {}
class Others extends Context.Tag("test/HerdServer/Others")<Others, Herd.Herd<number, number, string>>() {}

/** A herd of size 7 that accepts sizes up to 100, on a port of its own. */
const serve = (options: Partial<Herd.Options<number, number, string>> = {}) => {
  const stage = makeStage()
  const herd = Herd.layer(
    Numbers,
    { process: stage.process, size: 7, maxSize: 100, ...options } as Herd.Options<number, number, string>
  )
  return Layer.provideMerge(HerdServer.layer({ herds: [Numbers], port: 0 }), herd)
}

const url = Effect.map(HerdServer.HerdServer, ({ url }) => url)

describe("HerdServer.layer", () => {
  it.scopedLive("fails with ListenError, which names the port, when that is in use", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(serve())
      const port = Number(new URL(Context.get(context, HerdServer.HerdServer).url).port)
      const herd = Layer.succeed(Numbers, Context.get(context, Numbers))
      const error = yield* Effect.flip(
        Layer.build(Layer.provide(HerdServer.layer({ herds: [Numbers], port }), herd))
      )
      assert.instanceOf(error, HerdError.ListenError)
      assert.strictEqual(error.port, port)
      assert.match(error.message, new RegExp(`expected to listen on 127.0.0.1:${port}, got .*EADDRINUSE`))
    }))

  for (const port of [-1, 65_536, 1.5, NaN, "80"]) {
    it.scopedLive(`dies of port ${port}`, () =>
      Effect.gen(function*() {
        const layer = HerdServer.layer({ herds: [Numbers], port: port as number })
        const exit = yield* Effect.exit(Layer.build(Layer.provide(layer, Layer.succeed(Numbers, {} as never))))
        assert.match(pretty(exit), /expected port to be an integer from 0 to 65535, got/)
      }))
  }

  it.live("listens on 127.0.0.1:2112 unless told otherwise, and logs requests nowhere", () => {
    const logs = makeLogs(LogLevel.Info)
    return logs.collect(
      Effect.gen(function*() {
        assert.strictEqual(yield* url, "http://127.0.0.1:2112")
        assert.strictEqual((yield* ask("http://127.0.0.1:2112/herd")).status, 200)
        assert.strictEqual((yield* ask("http://127.0.0.1:2112/nope")).status, 404)
        assert.deepStrictEqual(logs.lines, [])
      }).pipe(
        Effect.provide(
          HerdServer.layer({ herds: [Numbers] }).pipe(
            Layer.provide(Herd.layer(Numbers, { process: (n) => Effect.succeed(n) }))
          )
        )
      )
    )
  })

  it.scopedLive("stops within a second with idle, silent and half-sent connections open", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(serve(), scope)
      const port = Number(new URL(Context.get(context, HerdServer.HerdServer).url).port)
      for (const text of ["", "GET /he", "GET /herd HTTP/1.1\r\nHost: x\r\n\r\n"]) yield* hold(port, text)
      yield* Effect.sleep("50 millis")
      const [duration] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(duration), 1_000)
    }))

  it.scopedLive("has a router of its own: an application beside it has none of its routes, and it none of the application's", () =>
    Effect.gen(function*() {
      const { base, listen } = anyPort()
      const own = HttpLayerRouter.serve(HttpLayerRouter.add("GET", "/hello", HttpServerResponse.text("hello")), {
        disableLogger: true,
        disableListenLog: true
      })
      const app = Layer.merge(Layer.provide(own, listen), HerdServer.layer({ herds: [Numbers], port: 0 })).pipe(
        Layer.provide(Herd.layer(Numbers, { process: (n) => Effect.succeed(n), size: 2 }))
      )
      const { url } = Context.get(yield* Layer.build(app), HerdServer.HerdServer)
      assert.deepStrictEqual((yield* ask(`${url}/herd`)).json, { num: 2, msg: "success" })
      assert.strictEqual((yield* ask(`${url}/hello`)).status, 404)
      assert.strictEqual((yield* ask(`${base()}/hello`)).text, "hello")
      const missing = yield* ask(`${base()}/herd`)
      assert.deepStrictEqual([missing.status, missing.text], [404, ""])
      assert.strictEqual((yield* ask(`${base()}/herd`, { method: "PATCH", body: "{\"num\":5}" })).status, 404)
    }))
})

describe("HerdServer.layer that stops", () => {
  /** A herd, and a server that is stopped without it. */
  const built = (options: { readonly drain?: boolean | undefined }) =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, gracePeriod: "1 minute" })
      yield* herd.sendAll([1, 2])
      yield* turns
      const scope = yield* Scope.make()
      const layer = HerdServer.layer({ herds: [Numbers], port: 0, ...options })
      const context = yield* Layer.buildWithScope(Layer.provide(layer, Layer.succeed(Numbers, herd)), scope)
      const { url } = Context.get(context, HerdServer.HerdServer)
      return { stage, herd, url, close: Scope.close(scope, Exit.void) }
    })

  it.scopedLive("leaves the herds as they are unless told to drain them", () =>
    Effect.gen(function*() {
      for (const options of [{}, { drain: false }, { drain: undefined }]) {
        const { close, herd, stage } = yield* built(options)
        yield* close
        assert.isFalse((yield* herd.state).closed)
        yield* herd.send(3)
        yield* stage.finish
      }
    }))

  it.scopedLive("with drain closes them first and answers until they are drained, also when two servers share one", () =>
    Effect.gen(function*() {
      const { close, herd, stage, url } = yield* built({ drain: true })
      const second = HerdServer.layer({ herds: [Numbers], port: 0, drain: true })
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.provide(second, Layer.succeed(Numbers, herd)), scope)
      const other = Context.get(context, HerdServer.HerdServer).url
      const closed = yield* Deferred.make<void>()
      yield* Effect.fork(Effect.zipRight(
        Effect.all([close, Scope.close(scope, Exit.void)], { concurrency: 2 }),
        Deferred.succeed(closed, undefined)
      ))
      yield* until(Effect.map(herd.state, ({ closed }) => closed))
      for (const base of [url, other]) assert.strictEqual((yield* ask(`${base}/metrics`)).status, 200)
      assert.isFalse(yield* Deferred.isDone(closed))
      yield* stage.finish
      yield* Deferred.await(closed)
      assert.isTrue((yield* herd.state).drained)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.timeout(ask(`${url}/metrics`), "1 second"))))
    }))

  it.scopedLive("does so with an event stream open, and whoever stopped it can start another one on its port", () =>
    Effect.gen(function*() {
      const { close, herd, stage, url } = yield* built({})
      const port = Number(new URL(url).port)
      const events = reading(yield* hold(port, get(`/herds/${herd.name}/events`)))
      yield* until(() => events.text().includes("data: "))
      yield* close
      yield* until(() => events.text().endsWith("\r\n0\r\n\r\n"))
      const again = HerdServer.layer({ herds: [Numbers], port })
      yield* Layer.build(Layer.provide(again, Layer.succeed(Numbers, herd)))
      assert.strictEqual((yield* ask(`${url}/herd`)).status, 200)
      yield* stage.finish
    }))

  it.scopedLive("with drain leaves the herds as they are if it could not listen", () =>
    Effect.gen(function*() {
      const { herd, stage, url } = yield* built({})
      const layer = HerdServer.layer({ herds: [Numbers], port: Number(new URL(url).port), drain: true })
      const exit = yield* Effect.exit(Layer.build(Layer.provide(layer, Layer.succeed(Numbers, herd))))
      assert.isTrue(Exit.isFailure(exit))
      assert.isFalse((yield* herd.state).closed)
      yield* stage.finish
    }))

  it.scopedLive("dies of a drain that is no boolean", () =>
    Effect.gen(function*() {
      const layer = HerdServer.layer({ herds: [Numbers], port: 0, drain: "yes" as never })
      const exit = yield* Effect.exit(Layer.build(Layer.provide(layer, Layer.succeed(Numbers, {} as never))))
      assert.match(pretty(exit), /expected drain to be a boolean, got "yes"/)
    }))

  it.scopedLive("with drain drains all its herds at once", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const first = yield* Herd.make({ process: stage.process, gracePeriod: "1 minute" })
      const second = yield* Herd.make({ process: stage.process, gracePeriod: "1 minute", name: "second" })
      yield* first.send(1)
      yield* second.send(2)
      yield* turns
      const scope = yield* Scope.make()
      const layer = HerdServer.layer({ herds: [Numbers, Others], port: 0, drain: true })
      const herds = Layer.merge(Layer.succeed(Numbers, first), Layer.succeed(Others, second))
      yield* Layer.buildWithScope(Layer.provide(layer, herds), scope)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      for (const herd of [first, second]) yield* until(Effect.map(herd.state, ({ closed }) => closed))
      yield* stage.finish
      yield* closing
      for (const herd of [first, second]) assert.isTrue((yield* herd.state).drained)
    }))
})

describe("the host", () => {
  const layer = (options: Omit<HerdServer.Options<readonly [typeof Numbers]>, "herds">) =>
    HerdServer.layer({ herds: [Numbers], port: 0, ...options }).pipe(
      Layer.provide(Herd.layer(Numbers, { process: (n) => Effect.succeed(n), size: 2 }))
    )

  for (
    const host of [
      "0.0.0.0",
      "::",
      "192.168.1.5",
      "example.com",
      "128.0.0.1",
      "::ffff:127.0.0.1",
      "127.evil.test",
      "localhost.evil.test"
    ]
  ) {
    it.scopedLive(`${host} is refused without a token or readOnly, before anything listens, with what to set`, () =>
      Effect.gen(function*() {
        for (const options of [{ host }, { host, readOnly: false, allowedHosts: ["*"] }]) {
          const error = yield* Effect.flip(Layer.build(layer(options)))
          assert.instanceOf(error, HerdError.UnprotectedHost)
          assert.strictEqual(error.host, host)
          assert.strictEqual(
            error.message,
            `expected a token or readOnly for host "${host}", which others can reach, got neither: set token `
              + "(GOFHERD_TOKEN), set readOnly (GOFHERD_READ_ONLY=true), or listen on 127.0.0.1"
          )
        }
      }))
  }

  for (
    const [host, pattern] of [
      ["127.0.0.1", /^http:\/\/127\.0\.0\.1:\d+$/],
      ["127.0.0.2", /^http:\/\/127\.0\.0\.2:\d+$/],
      ["localhost", /^http:\/\/(127\.0\.0\.1|\[::1\]):\d+$/],
      ["::1", /^http:\/\/\[::1\]:\d+$/]
    ] as const
  ) {
    it.scopedLive(`${host} needs neither; the service has the URL`, () =>
      Effect.gen(function*() {
        const { url } = Context.get(yield* Layer.build(layer({ host })), HerdServer.HerdServer)
        assert.match(url, pattern)
        assert.deepStrictEqual((yield* ask(`${url}/herd`)).json, { num: 2, msg: "success" })
      }))
  }

  for (
    const [host, options] of [
      ["0.0.0.0", { token: "s3cret" }],
      ["0.0.0.0", { readOnly: true }],
      ["::", { token: "s3cret", prefix: "/ops" }]
    ] as const
  ) {
    it.scopedLive(`${host} is fine with ${Object.keys(options)[0]}`, () =>
      Effect.gen(function*() {
        const { url } = Context.get(yield* Layer.build(layer({ host, ...options })), HerdServer.HerdServer)
        const headers = { authorization: "Bearer s3cret" }
        assert.deepStrictEqual((yield* ask(`${url}/herd`, { headers })).json, { num: 2, msg: "success" })
      }))
  }

  for (const host of ["", 5, null]) {
    it.scopedLive(`${JSON.stringify(host)} is a defect`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Layer.build(layer({ host: host as string })))
        assert.include(
          pretty(exit),
          `InvalidOption: expected host to be the name or the address of a host, got ${JSON.stringify(host)}`
        )
      }))
  }

  it.scopedLive("of another machine is a ListenError", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(layer({ host: "192.0.2.1", readOnly: true })))
      assert.instanceOf(error, HerdError.ListenError)
      assert.match(error.message, /^expected to listen on 192\.0\.2\.1:0, got .*EADDRNOTAVAIL/)
    }))
})

describe("HerdServer.layerConfig", () => {
  const build = (
    environment: Record<string, string>,
    options: Omit<HerdServer.Options<readonly [typeof Numbers]>, "herds"> = {}
  ) =>
    HerdServer.layerConfig({ herds: [Numbers], port: 0, ...options }).pipe(
      Layer.provide(Herd.layer(Numbers, { process: (n) => Effect.succeed(n), size: 2 })),
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))),
      Layer.build,
      Effect.map(Context.get(HerdServer.HerdServer))
    )
  const status = (url: string, headers: Record<string, string> = {}, body?: string) =>
    Effect.map(
      ask(`${url}/herd`, { headers, ...(body === undefined ? {} : { method: "PATCH", body }) }),
      ({ status }) => status
    )

  it.scopedLive("takes the options as they are from an empty environment", () =>
    Effect.gen(function*() {
      const { url } = yield* build({}, { host: "127.0.0.2", token: "s3cret", prefix: "/ops", allowedHosts: ["a.test"] })
      assert.match(url, /^http:\/\/127\.0\.0\.2:\d+\/ops$/)
      assert.strictEqual(yield* status(url, { host: "a.test" }), 401)
      assert.strictEqual(yield* status(url, { host: "a.test", authorization: "Bearer s3cret" }), 200)
      assert.strictEqual(yield* status(url), 403)
    }))

  it.scopedLive("listens on GOFHERD_HOST and GOFHERD_PORT", () =>
    Effect.gen(function*() {
      const free = yield* Effect.scoped(build({ GOFHERD_PORT: "0" }, { port: 1 }))
      const { port } = new URL(free.url)
      const { url } = yield* build({ GOFHERD_HOST: "127.0.0.3", GOFHERD_PORT: port }, { host: "127.0.0.1" })
      assert.strictEqual(url, `http://127.0.0.3:${port}`)
      assert.strictEqual(yield* status(url), 200)
    }))

  it.scopedLive("asks for GOFHERD_TOKEN, in place of the option, also with commas and equals signs in it", () =>
    Effect.gen(function*() {
      for (const token of ["from-outside", "a,b=c, d".replace(" ", ""), "p%C3%BCt"]) {
        const { url } = yield* build({ GOFHERD_TOKEN: token, GOFHERD_HOST: "0.0.0.0" }, { token: "from-inside" })
        assert.strictEqual(yield* status(url, { authorization: "Bearer from-inside" }), 401)
        assert.strictEqual(yield* status(url, { authorization: `Bearer ${token}` }), 200)
      }
    }))

  it.scopedLive("changes nothing with GOFHERD_READ_ONLY=true, and may with false, whatever the option", () =>
    Effect.gen(function*() {
      const readOnly = yield* build({ GOFHERD_READ_ONLY: "true", GOFHERD_HOST: "0.0.0.0" }, { readOnly: false })
      assert.strictEqual(yield* status(readOnly.url, {}, "{\"num\":3}"), 403)
      const open = yield* build({ GOFHERD_READ_ONLY: "false" }, { readOnly: true })
      assert.strictEqual(yield* status(open.url, {}, "{\"num\":3}"), 200)
    }))

  it.scopedLive("is reached by GOFHERD_ALLOWED_HOSTS alone, which may have spaces after its commas", () =>
    Effect.gen(function*() {
      const { url } = yield* build({ GOFHERD_ALLOWED_HOSTS: "a.test, B.test ,[::1]" }, { allowedHosts: ["c.test"] })
      for (const host of ["a.test", "b.test:80", "[::1]:1"]) assert.strictEqual(yield* status(url, { host }), 200)
      for (const host of ["c.test", "localhost"]) assert.strictEqual(yield* status(url, { host }), 403)
      const any = yield* build({ GOFHERD_ALLOWED_HOSTS: "*" })
      assert.strictEqual(yield* status(any.url, { host: "c.test" }), 200)
    }))

  const host = "the name or the address of a host"
  const port = "an integer from 0 to 65535"
  const characters = "one or more visible ASCII characters"
  const hosts = "host names without a port, separated by commas, or *"
  const bad = [
    ["GOFHERD_HOST", "", `${host}, got ""`],
    ["GOFHERD_PORT", "", `${port}, got ""`],
    ["GOFHERD_PORT", "http", `${port}, got "http"`],
    ["GOFHERD_PORT", "80.5", `${port}, got "80.5"`],
    ["GOFHERD_PORT", "8e1", `${port}, got "8e1"`],
    ["GOFHERD_PORT", "0x50", `${port}, got "0x50"`],
    ["GOFHERD_PORT", "-1", `${port}, got "-1"`],
    ["GOFHERD_PORT", "65536", `${port}, got "65536"`],
    ["GOFHERD_TOKEN", "", `${characters}, got none`],
    ["GOFHERD_TOKEN", "hunter2\n", `${characters}, got something else`],
    ["GOFHERD_TOKEN", "hünter2", `${characters}, got something else`],
    ["GOFHERD_READ_ONLY", "", "true or false, got \"\""],
    ["GOFHERD_READ_ONLY", "maybe", "true or false, got \"maybe\""],
    ["GOFHERD_ALLOWED_HOSTS", "", `${hosts}, got ""`],
    ["GOFHERD_ALLOWED_HOSTS", "a.test,,b.test", `${hosts}, got "a.test,,b.test"`],
    ["GOFHERD_ALLOWED_HOSTS", "a.test:80", `${hosts}, got "a.test:80"`],
    ["GOFHERD_ALLOWED_HOSTS", "http://a.test", `${hosts}, got "http://a.test"`]
  ] as const
  for (const [name, value, message] of bad) {
    it.scopedLive(`fails with a ConfigError that names ${name} when it is ${JSON.stringify(value)}`, () =>
      Effect.gen(function*() {
        const options = { host: "127.0.0.1", token: "s3cret", readOnly: false, allowedHosts: ["*"] }
        const exit = yield* Effect.exit(build({ [name]: value }, options))
        const error = Exit.isFailure(exit) ? Option.getOrNull(Cause.failureOption(exit.cause)) : undefined
        assert.isTrue(ConfigError.isConfigError(error))
        assert.include(pretty(exit), `(Invalid data at ${name}: "expected ${message}")`)
        assert.notMatch(pretty(exit), /h[uü]nter2|s3cret/)
      }))
  }

  it.scopedLive("fails with UnprotectedHost if the environment opens the host and closes nothing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(build({ GOFHERD_HOST: "0.0.0.0" }))
      assert.instanceOf(error, HerdError.UnprotectedHost)
      const other = yield* Effect.flip(build({ GOFHERD_READ_ONLY: "false" }, { host: "0.0.0.0", readOnly: true }))
      assert.instanceOf(other, HerdError.UnprotectedHost)
    }))
})
