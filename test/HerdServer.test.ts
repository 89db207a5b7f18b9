import { HttpLayerRouter, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, LogLevel, Scope } from "effect"
import { Herd, HerdError } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { createServer } from "node:http"
import { connect, type Socket } from "node:net"
import { ask } from "./utils/http.ts"
import { makeLogs } from "./utils/logs.ts"
import { pretty } from "./utils/pretty.ts"
import { makeStage } from "./utils/stage.ts"

class Numbers extends Context.Tag("test/HerdServer/Numbers")<Numbers, Herd.Herd<number, number, string>>() {}

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

/** A plain Node server on a free port, for an application of its own, and where it listens. */
const anyPort = () => {
  const server = createServer()
  const listen = NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })
  const base = () => {
    const address = server.address()
    return `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`
  }
  return { listen, base }
}

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

  it.live("stops within a second with idle, silent and half-sent connections open", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(serve(), scope)
      const port = Number(new URL(Context.get(context, HerdServer.HerdServer).url).port)
      const open = (text: string) =>
        Effect.async<Socket>((resume) => {
          const socket = connect(port, "127.0.0.1", () => {
            socket.on("error", () => {})
            if (text !== "") socket.write(text)
            resume(Effect.succeed(socket))
          })
        })
      const sockets = yield* Effect.all([open(""), open("GET /he"), open("GET /herd HTTP/1.1\r\nHost: x\r\n\r\n")])
      yield* Effect.sleep("50 millis")
      const [duration] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(duration), 1_000)
      for (const socket of sockets) socket.destroy()
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
