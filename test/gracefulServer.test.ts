/**
 * The HTTP server by itself: what is in flight when it closes, and who may stay connected.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as HerdServer from "gofherd/HerdServer"
import type { Server } from "node:http"
import type { Socket } from "node:net"
import { gracefulServer, type Limits } from "../src/internal/gracefulServer.ts"
import { exchange, get, hold, reading } from "./utils/raw.ts"
import { turns, until } from "./utils/stage.ts"

/** A server of one's own, that listens. */
const own = (limits?: Partial<Limits>) =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: Server; readonly port: number }>((resume) => {
      const server = limits === undefined ? HerdServer.gracefulServer() : gracefulServer(limits)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, port: portOf(server) })))
    }),
    ({ server }) => Effect.sync(() => server.close())
  )

const portOf = (server: Server) => {
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : 0
}

const closeOf = (server: Server) =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    const error = yield* Effect.async<Error | undefined>((resume) => {
      server.close((error) => resume(Effect.succeed(error)))
    })
    return { error, millis: (yield* Clock.currentTimeMillis) - began }
  })

describe("gracefulServer", () => {
  it.scopedLive("closes at once with idle, silent and half-sent connections open", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own({ rest: 4_000 })
      server.on("request", (_, response) => response.end("hello"))
      const keptAlive = reading(yield* hold(port, get("/")))
      yield* hold(port)
      yield* hold(port, "GET / HT")
      yield* until(() => keptAlive.text().endsWith("hello"))
      const { error, millis } = yield* closeOf(server)
      assert.isUndefined(error)
      assert.isBelow(millis, 1_000)
    }))

  it.scopedLive("delivers what is in flight when it closes, all of a pipeline, and takes no new connection", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own()
      const finish: Array<() => void> = []
      server.on("request", ({ url }, response) => finish.push(() => response.end(`answer to ${url}`)))
      const pipelined = reading(yield* hold(port, get("/1") + get("/2")))
      const other = reading(yield* hold(port, get("/3")))
      yield* until(() => finish.length === 3)
      const closing = yield* Effect.fork(closeOf(server))
      yield* turns
      const refused = yield* hold(port, get("/4"))
      yield* until(() => refused.destroyed)
      finish[0]?.()
      yield* until(() => pipelined.text().endsWith("answer to /1"))
      for (const end of finish.slice(1)) end()
      const { error, millis } = yield* closing
      assert.isUndefined(error)
      assert.isBelow(millis, 1_000)
      yield* until(() => pipelined.ended() && other.ended())
      assert.include(pipelined.text(), "answer to /1")
      assert.include(pipelined.text(), "answer to /2")
      assert.include(other.text(), "answer to /3")
    }))

  it.scopedLive("tells the client of a connection that stays open until then that it is the last answer", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own()
      const finish: Array<() => void> = []
      server.on("request", ({ url }, response) => finish.push(() => response.end(`answer to ${url}`)))
      const socket = yield* hold(port, get("/1"))
      const answers = reading(socket)
      yield* until(() => finish.length === 1)
      const closing = yield* Effect.fork(closeOf(server))
      yield* turns
      socket.write(get("/2"))
      yield* until(() => finish.length === 2)
      for (const end of finish) end()
      yield* closing
      yield* until(() => answers.ended())
      assert.match(answers.text(), /connection: close\r\n(?:.*\r\n)*\r\nanswer to \/2$/i)
    }))

  it.scopedLive("waits no longer than its grace for what is in flight, also before an upgrade", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own({ grace: 400 })
      const came: Array<string> = []
      server.on("request", ({ url }) => came.push(url ?? ""))
      server.on("upgrade", ({ url }, socket) => {
        came.push(url ?? "")
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n")
      })
      const upgrade = "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
      yield* hold(port, get("/never"))
      yield* hold(port, get("/never") + upgrade)
      yield* hold(port, upgrade)
      yield* until(() => came.length === 4)
      const { error, millis } = yield* closeOf(server)
      assert.isUndefined(error)
      assert.isAtLeast(millis, 390)
      assert.isBelow(millis, 1_400)
    }))

  it.scopedLive("gives the rest of a request that has begun to arrive a quarter of a second", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own()
      server.on("request", (request, response) => request.resume().on("end", () => response.end("got it")))
      const head = "PATCH / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
      const late = yield* hold(port, `${head}a`)
      const soon = yield* hold(port, `${head}a`)
      const [lateAnswer, answer] = [reading(late), reading(soon)]
      yield* Effect.sleep("100 millis")
      const closing = yield* Effect.fork(closeOf(server))
      yield* turns
      soon.write("b")
      const { error, millis } = yield* closing
      assert.isUndefined(error)
      assert.isAtLeast(millis, 240)
      assert.isBelow(millis, 1_250)
      assert.match(answer.text(), /got it$/)
      assert.strictEqual(lateAnswer.text(), "")
    }))

  it.scopedLive("delivers what is in flight also where the request behind it never comes whole", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own({ rest: 50 })
      const came: Array<() => void> = []
      server.on("request", ({ url }, response) => came.push(() => response.end(`answer to ${url}`)))
      const half = "PATCH /2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\na"
      const answers = reading(yield* hold(port, get("/1") + half))
      yield* until(() => came.length === 2)
      const closing = yield* Effect.fork(closeOf(server))
      yield* Effect.sleep("150 millis")
      for (const end of came) end()
      yield* closing
      yield* until(() => answers.ended())
      assert.include(answers.text(), "answer to /1")
    }))

  it.scopedLive("can be closed twice, before it listens and after, as Node's, and can listen again", () =>
    Effect.gen(function*() {
      const { server } = yield* own()
      const both = yield* Effect.all([closeOf(server), closeOf(server)], { concurrency: 2 })
      assert.isUndefined(both[0].error)
      assert.match(String((yield* closeOf(server)).error), /ERR_SERVER_NOT_RUNNING/)
      assert.match(String((yield* closeOf(HerdServer.gracefulServer())).error), /ERR_SERVER_NOT_RUNNING/)
      assert.strictEqual(server.close(), server)

      server.on("request", (_, response) => response.end("again"))
      yield* Effect.async<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      })
      const answer = reading(yield* hold(portOf(server), get("/")))
      yield* until(() => answer.text().endsWith("again"))
      assert.match(answer.text(), /connection: keep-alive/i)
      assert.isBelow((yield* closeOf(server)).millis, 1_000)
    }))

  it.scopedLive("says when its port is taken, as Node's does", () =>
    Effect.gen(function*() {
      const { port } = yield* own()
      const error = yield* Effect.async<Error>((resume) => {
        const second = HerdServer.gracefulServer()
        second.on("error", (error) => resume(Effect.succeed(error)))
        second.listen(port, "127.0.0.1")
      })
      assert.match(error.message, /EADDRINUSE/)
    }))

  it.scopedLive("answers 503 while its application is not there, and only then", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own()
      const asked = () => exchange(port, get("/"))
      const { statuses, text } = yield* asked()
      assert.deepStrictEqual(statuses, [503])
      assert.match(text, /connection: close/i)
      const application = (_: unknown, response: { readonly end: (text: string) => void }) => response.end("hello")
      server.on("request", application)
      assert.deepStrictEqual((yield* asked()).statuses, [200])
      // As libraries do that take over a server and pass on what is not theirs.
      const listeners = server.listeners("request")
      server.removeAllListeners("request")
      server.on("request", (...given) => {
        for (const listener of listeners) listener.apply(server, given)
      })
      assert.deepStrictEqual((yield* asked()).statuses, [200])
    }))

  it.scopedLive("makes room for who comes, at its most connections, by closing the one that has been idle longest", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own({ maxConnections: 4 })
      const finish: Array<() => void> = []
      server.on("request", (_, response) => finish.push(() => response.end("hello")))
      const busy = yield* hold(port, get("/"))
      const answer = reading(busy)
      yield* until(() => finish.length === 1)
      const idle: Array<Socket> = []
      for (let i = 0; i < 10; i++) {
        idle.push(yield* hold(port))
        yield* until(() => idle.filter(({ destroyed }) => !destroyed).length <= 3)
      }
      assert.deepStrictEqual(idle.map(({ destroyed }) => destroyed), [
        ...Array.from({ length: 8 }, () => true),
        false,
        false
      ])
      for (const end of finish) end()
      yield* until(() => answer.text().endsWith("hello"))
    }))

  it.scopedLive("counts as idle from the last answer on, not from the connection", () =>
    Effect.gen(function*() {
      const { port, server } = yield* own({ maxConnections: 4 })
      server.on("request", (_, response) => response.end("hello"))
      const first = yield* hold(port)
      const silent = [yield* hold(port), yield* hold(port)]
      const answer = reading(first)
      first.write(get("/"))
      yield* until(() => answer.text().endsWith("hello"))
      yield* hold(port)
      yield* until(() => silent[0]?.destroyed === true)
      assert.deepStrictEqual([first.destroyed, silent[1]?.destroyed], [false, false])
    }))
})
