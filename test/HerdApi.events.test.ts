/**
 * The event stream of a herd.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Schema, Scope } from "effect"
import { Herd, HerdApi } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { listen } from "./utils/http.ts"
import { hold } from "./utils/raw.ts"
import { ask, Busy, Numbers, path, serve, test, url } from "./utils/served.ts"
import { turns, until } from "./utils/stage.ts"

describe("GET /herds/:name/events", () => {
  const open = (query = "") => Effect.flatMap(url, (url) => listen(`${url}/herds/${path}/events${query}`))

  test(
    "tells the state at once, and again after a change, with headers that keep proxies from holding it back",
    Effect.gen(function*() {
      const herd = yield* Numbers
      const stream = yield* open()
      yield* stream.atLeast(1)
      assert.include(stream.headers, {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no"
      })
      assert.include(stream.events[0]?.data, { name: herd.name, size: 7, paused: false })
      assert.isUndefined(stream.events[0]?.name)
      yield* Effect.orDie(herd.resize(9))
      yield* stream.atLeast(2)
      assert.include(stream.events[1]?.data, { size: 9 })
      yield* herd.pause
      yield* stream.atLeast(3)
      assert.include(stream.events[2]?.data, { size: 9, paused: true })
    })
  )

  test(
    "tells of a busy herd at most four times a second, each time the latest",
    Effect.gen(function*() {
      const busy = yield* Busy
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.ignore(busy.run(1)), turns)))
      const stream = yield* Effect.flatMap(url, (url) => listen(`${url}/herds/busy/events`))
      yield* stream.atLeast(1)
      const began = performance.now()
      const before = stream.events.length
      yield* Effect.sleep("1 second")
      const { accepted } = yield* busy.state
      assert.isAbove(accepted, 100)
      assert.isAtMost(stream.events.length - before, Math.ceil((performance.now() - began) / 250))
      yield* stream.atLeast(stream.events.length + 1)
      const latest = yield* Schema.decodeUnknown(HerdApi.HerdState)(stream.events.at(-1)?.data)
      assert.isAtLeast(latest.accepted, accepted)
    })
  )

  test(
    "begins with the past, as an event of that name, for those who ask for it",
    Effect.gen(function*() {
      const herd = yield* Numbers
      yield* herd.sendAll([1, 2])
      yield* turns
      const stream = yield* open("?history=true")
      yield* stream.atLeast(2)
      const [past, now] = stream.events
      assert.strictEqual(past?.name, "history")
      const samples = yield* Schema.decodeUnknown(Schema.Array(HerdApi.HerdSample))(past?.data)
      assert.isAtLeast(samples.length, 1)
      assert.isUndefined(now?.name)
      assert.include(now?.data, { running: 2 })
      const without = yield* open("?history=false")
      yield* without.atLeast(1)
      assert.isUndefined(without.events[0]?.name)
    })
  )

  for (const query of ["history=", "history", "history=1", "history=TRUE", "history=true&history=false"]) {
    test(
      `refuses ?${query} with 400`,
      Effect.gen(function*() {
        const { json, status } = yield* ask(`${yield* url}/herds/${path}/events?${query}`)
        assert.strictEqual(status, 400)
        assert.include(json, { _tag: "HttpApiDecodeError" })
      })
    )
  }

  test(
    "is answered to HEAD at once, without a body",
    Effect.gen(function*() {
      const { text } = yield* ask(`${yield* url}/herds/${path}/events`, { method: "HEAD" })
      assert.strictEqual(text, "")
    })
  )

  it.scopedLive("ends, after the last state, when the herd's scope closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const herd = yield* Scope.extend(Herd.make({ process: (n: number) => Effect.succeed(n), name: "brief" }), scope)
      const server = yield* Layer.build(HerdServer.layer({ herds: [Effect.succeed(herd)], port: 0 }))
      const stream = yield* listen(`${Context.get(server, HerdServer.HerdServer).url}/herds/brief/events`)
      yield* stream.atLeast(1)
      yield* Scope.close(scope, Exit.void)
      yield* stream.ended
      assert.include(stream.events.at(-1)?.data, { closed: true, drained: true, size: 0 })
      assert.isTrue(stream.complete)
    }))

  it.scopedLive("ends when the server closes, at once and not as a broken connection", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(serve(), scope)
      const base = Context.get(context, HerdServer.HerdServer).url
      const stream = yield* listen(`${base}/herds/${path}/events`)
      yield* stream.atLeast(1)
      const [duration] = yield* Effect.timed(Scope.close(scope, Exit.void))
      yield* stream.ended
      assert.isTrue(stream.complete)
      assert.isBelow(Duration.toMillis(duration), 1_000)
    }))

  /**
   * A herd on a server with places for so many streams: where, and what closes them, and the herd.
   */
  const withPlaces = (maxEventStreams: number) =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n), name: "crowded" })
      const layer = HerdServer.layer({ herds: [Effect.succeed(herd)], port: 0, maxEventStreams })
      const { url } = Context.get(yield* Layer.build(layer), HerdServer.HerdServer)
      return { herd, url, events: `${url}/herds/crowded/events` }
    })

  it.scopedLive(
    "is refused with 503 and Retry-After while as many are open as may be, and all else is answered",
    () =>
      Effect.gen(function*() {
        const { events, herd, url } = yield* withPlaces(2)
        const streams = yield* Effect.all([listen(events), listen(`${events}?history=true`)])
        yield* Effect.forEach(streams, (stream) => stream.atLeast(1))
        for (let n = 0; n < 3; n++) {
          const { headers, json, status } = yield* ask(events)
          assert.strictEqual(status, 503)
          assert.strictEqual(headers["retry-after"], "5")
          assert.deepStrictEqual(json, {
            msg: "expected at most 2 event streams at once, got one more",
            _tag: "TooManyEventStreams"
          })
        }
        assert.strictEqual((yield* ask(events, { method: "HEAD" })).status, 200)
        assert.strictEqual((yield* ask(`${url}/herds/nobody/events`)).status, 404)
        for (const path of ["/herd", "/herds", "/herds/crowded", "/metrics", "/", "/openapi.json"]) {
          assert.strictEqual((yield* ask(`${url}${path}`)).status, 200, path)
        }
        const { json } = yield* ask(`${url}/herd`, { method: "PATCH", body: "{\"num\":3}" })
        assert.deepStrictEqual(json, { num: 3, msg: "success" })
        assert.strictEqual(yield* herd.size, 3)
        yield* streams[0].atLeast(2)
      }),
    30_000
  )

  it.scopedLive(
    "has a place again once a client has left or vanished, however many times, and a HEAD takes none",
    () =>
      Effect.gen(function*() {
        const { events } = yield* withPlaces(1)
        const refused = Effect.map(ask(events, { until: () => true }), ({ status }) => status === 503)
        for (let n = 0; n < 5; n++) {
          yield* ask(events, { method: "HEAD" })
          const stream = yield* listen(events)
          yield* stream.atLeast(1)
          assert.isTrue(yield* refused)
          yield* stream.leave
          yield* until(Effect.negate(refused))
          // Who asked has left, too.
          yield* until(Effect.negate(refused))
          const socket = yield* hold(
            Number(new URL(events).port),
            "GET /herds/crowded/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
          )
          yield* until(refused)
          socket.resetAndDestroy()
          yield* until(Effect.negate(refused))
          yield* until(Effect.negate(refused))
        }
      }),
    30_000
  )

  it.scopedLive(
    "has 100 places unless told otherwise, so that 255 that want one leave room for who asks anything else",
    () =>
      Effect.gen(function*() {
        const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n), name: "crowded" })
        const server = yield* Layer.build(HerdServer.layer({ herds: [Effect.succeed(herd)], port: 0 }))
        const { url } = Context.get(server, HerdServer.HerdServer)
        const statuses: Array<string> = []
        yield* Effect.forEach(Array.from({ length: 255 }), () =>
          Effect.map(
            hold(Number(new URL(url).port), "GET /herds/crowded/events HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            (socket) => socket.once("data", (chunk) => statuses.push(String(chunk).slice(9, 12)))
          ), { concurrency: 50, discard: true })
        yield* until(() => statuses.length === 255)
        assert.strictEqual(statuses.filter((status) => status === "200").length, 100)
        assert.strictEqual(statuses.filter((status) => status === "503").length, 155)
        const answers = yield* Effect.forEach(Array.from({ length: 50 }), () => ask(`${url}/herd`), { concurrency: 50 })
        for (const { status } of answers) assert.strictEqual(status, 200)
      }),
    30_000
  )

  it.scopedLive("costs nothing any more when its client has left", () =>
    Effect.gen(function*() {
      let told = 0
      const herd = yield* Herd.make({ process: (n: number) => Effect.succeed(n), name: "watched" })
      const watched: Herd.Control = Object.create(herd, {
        history: { value: Effect.zipRight(Effect.sync(() => told++), herd.history) }
      })
      const server = yield* Layer.build(HerdServer.layer({ herds: [Effect.succeed(watched)], port: 0 }))
      const url = `${Context.get(server, HerdServer.HerdServer).url}/herds/watched/events`
      // A head without a body leaves nothing behind either.
      yield* ask(url, { method: "HEAD" })
      const streams = yield* Effect.all([listen(url), listen(url)])
      yield* Effect.forEach(streams, (stream) => stream.atLeast(1))
      yield* streams[0].leave
      yield* herd.resize(2)
      yield* streams[1].atLeast(2)
      yield* streams[1].leave
      // Until the server has heard of it.
      const quiet = Effect.gen(function*() {
        const before = told
        yield* herd.resize((yield* herd.size) + 1)
        yield* Effect.sleep("600 millis")
        return told === before
      })
      assert.isTrue(yield* Effect.repeat(quiet, { until: (quiet) => quiet, times: 5 }))
    }))
})
