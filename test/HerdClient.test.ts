/**
 * The typed client, against real servers: ours, and ones that answer rubbish.
 */
import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Chunk,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Redacted,
  Schedule,
  Scope,
  Stream,
  TestClock,
  TestServices
} from "effect"
import { build } from "esbuild"
import { HerdApi, HerdClient } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { makeSource, serve as serveDurable } from "./utils/durable.ts"
import { pretend } from "./utils/http.ts"
import { First, herds, Second } from "./utils/probes.ts"
import { eventually } from "./utils/stage.ts"

type Options = Omit<HerdServer.Options<readonly [typeof First, typeof Second]>, "herds">

/** A server of both herds, in the test's scope. */
const serve = (options: Options = {}) =>
  HerdServer.layer({ herds: [First, Second], port: 0, ...options }).pipe(
    Layer.provideMerge(herds),
    Layer.build,
    Effect.map((context) => ({
      url: Context.get(context, HerdServer.HerdServer).url,
      first: Context.get(context, First),
      second: Context.get(context, Second)
    }))
  )

type Asked = ReadonlyArray<
  Effect.Effect<
    unknown,
    HerdClient.DeadFailure | HerdClient.Refusal | HerdApi.TooManyEventStreams
  >
>

const clientOf = (options: HerdClient.Options) => Effect.provide(HerdClient.make(options), FetchHttpClient.layer)

const second = "second/2 ü"

/** A server whose event streams, for who asks for one, are of these chunks. */
const streaming = (...chunks: ReadonlyArray<string | Uint8Array>) =>
  pretend(({ headers }, response) => {
    const status = headers.accept === "text/event-stream" ? 200 : 406
    response.writeHead(status, { "content-type": "text/event-stream; charset=utf-8" })
    const [first, ...rest] = chunks
    response.write(first ?? "", function next() {
      const chunk = rest.shift()
      if (chunk === undefined) response.end()
      // In packets of their own.
      else setTimeout(() => response.write(chunk, next), 10)
    })
  })

describe("HerdClient", () => {
  for (const options of [{}, { prefix: "/ops", token: "s3cret" }] as const) {
    it.scopedLive(`asks every route${"prefix" in options ? ", below a prefix and with a token" : ""}`, () =>
      Effect.gen(function*() {
        const { first, url } = yield* serve(options)
        for (const token of ["s3cret", Redacted.make("s3cret")]) {
          const client = yield* clientOf({ baseUrl: `${url}/`, token })
          assert.include(yield* client.size, { num: yield* first.size, msg: "success" })
          assert.include(yield* client.resize(8), { num: 8 })
          assert.include(yield* client.resize(8), { num: 8, msg: "Herd size already 8" })
          assert.strictEqual(yield* first.size, 8)
          assert.deepStrictEqual((yield* client.herds).map(({ name }) => name), ["first", second])
          const state = yield* client.herd(second)
          assert.instanceOf(state, HerdApi.HerdState)
          assert.instanceOf(state.at, Date)
          const updated = yield* client.update(second, { num: 5, mode: "interrupt", paused: true })
          assert.include(updated, { size: 5, paused: true })
          assert.include(updated.resizes[0], { to: 5, mode: "interrupt" })
          assert.include(yield* client.update(second, { paused: false, num: undefined }), { size: 5, paused: false })
          assert.include(yield* client.update(second, { num: 2 }), { size: 2 })
          assert.include(yield* client.metrics, "gofherd_size{herd=\"first\"}")
          assert.include(yield* Effect.flatten(Stream.runHead(client.changes(second))), { name: second, size: 2 })
        }
      }))
  }

  it.scopedLive("sends the token nowhere but to its baseUrl, and nothing before it is asked", () =>
    Effect.gen(function*() {
      const seen: Array<string | undefined> = []
      const { url } = yield* pretend(({ headers, url }, response) => {
        seen.push(`${url} ${headers["authorization"]}`)
        response.end("metrics")
      })
      const client = yield* clientOf({ baseUrl: `${url}/ops`, token: "s3cret" })
      assert.deepStrictEqual(seen, [])
      yield* Effect.ignore(client.metrics)
      assert.deepStrictEqual(seen, ["/ops/metrics Bearer s3cret"])
    }))

  it.scopedLive("asks for the same paths whether baseUrl ends with a slash or not", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { url } = yield* pretend(({ method, url }, response) => {
        seen.push(`${method} ${url}`)
        response.end()
      })
      for (const baseUrl of [`${url}/ops`, `${url}/ops/`]) {
        const client = yield* clientOf({ baseUrl })
        const asking: Asked = [
          client.size,
          client.resize(1),
          client.herds,
          client.herd("a/b"),
          client.update("a/b", { num: 1 }),
          client.metrics,
          Stream.runDrain(client.changes("a/b")),
          client.dead("a/b"),
          client.dead("a/b", { limit: 5, offset: 10 }),
          client.redrive("a/b", "all"),
          client.discard("a/b", ["1"])
        ]
        yield* Effect.forEach(asking, Effect.ignore)
        assert.deepStrictEqual(seen.splice(0), [
          "GET /ops/herd",
          "PATCH /ops/herd",
          "GET /ops/herds",
          "GET /ops/herds/a%2Fb",
          "PATCH /ops/herds/a%2Fb",
          "GET /ops/metrics",
          "GET /ops/herds/a%2Fb/events",
          "GET /ops/herds/a%2Fb/dead",
          "GET /ops/herds/a%2Fb/dead?limit=5&offset=10",
          "POST /ops/herds/a%2Fb/dead/redrive",
          "POST /ops/herds/a%2Fb/dead/discard"
        ])
      }
    }))

  it.scopedLive("tells what was refused by a typed error, with the size as it is", () =>
    Effect.gen(function*() {
      const { first, url } = yield* serve()
      const client = yield* clientOf({ baseUrl: url })
      const tooMany = yield* Effect.flip(client.resize(101))
      assert.instanceOf(tooMany, HerdApi.SizeRefused)
      assert.strictEqual(tooMany.num, 7)
      assert.strictEqual(tooMany.message, "expected the size of herd \"first\" to be an integer from 0 to 100, got 101")
      assert.instanceOf(yield* Effect.flip(client.update("first", { num: 101, paused: true })), HerdApi.SizeRefused)
      const nothing = yield* Effect.flip(client.update("first", {}))
      assert.instanceOf(nothing, HerdApi.InvalidBody)
      assert.strictEqual(nothing.message, "expected num or paused, got {}")
      assert.instanceOf(yield* Effect.flip(client.update("first", { mode: "interrupt" })), HerdApi.InvalidBody)
      const asking: Asked = [
        client.herd("nobody"),
        client.update("nobody", { num: 1 }),
        Stream.runDrain(client.changes("nobody")),
        client.dead("nobody"),
        client.redrive("nobody", "all"),
        client.discard("nobody", "all")
      ]
      for (const asked of asking) {
        const unknown = yield* Effect.flip(asked)
        assert.instanceOf(unknown, HerdApi.NotFound)
        assert.match(unknown.message, /^expected the name of a herd, one of "first", "second\/2 ü", got "nobody"$/)
      }
      assert.include(yield* first.state, { size: 7, paused: false })
    }))

  it.scopedLive("refuses by itself what is no size, and names that no path can have", () =>
    Effect.gen(function*() {
      let asked = 0
      const { url } = yield* pretend((_, response) => {
        asked++
        response.end()
      })
      const client = yield* clientOf({ baseUrl: url })
      for (const num of [-1, 1.5, NaN, Infinity, "3" as unknown as number]) {
        assert.strictEqual((yield* Effect.flip(client.resize(num)))._tag, "ParseError")
        assert.strictEqual((yield* Effect.flip(client.update("first", { num })))._tag, "ParseError")
        assert.strictEqual((yield* Effect.flip(client.update("first", { fleet: num })))._tag, "ParseError")
        assert.strictEqual((yield* Effect.flip(client.dead("first", { limit: num })))._tag, "ParseError")
        assert.strictEqual((yield* Effect.flip(client.dead("first", { offset: num })))._tag, "ParseError")
      }
      for (const limit of [0, 1001]) {
        assert.strictEqual((yield* Effect.flip(client.dead("first", { limit })))._tag, "ParseError")
      }
      for (const ids of ["ALL", "1", null, undefined, 1, {}, [1], ["1", {}], [["1"]]]) {
        const asking = [client.redrive("first", ids as "all"), client.discard("first", ids as "all")]
        for (const asked of asking) assert.strictEqual((yield* Effect.flip(asked))._tag, "ParseError")
      }
      for (const name of ["", ".", "..", "\ud800"]) {
        const asking: Asked = [
          client.herd(name),
          client.update(name, { num: 1 }),
          Stream.runHead(client.changes(name)),
          client.dead(name),
          client.redrive(name, "all"),
          client.discard(name, "all")
        ]
        for (const asked of asking) {
          const error = yield* Effect.flip(asked)
          assert.strictEqual(error._tag, "NotFound")
          assert.strictEqual(error.message, `expected the name of a herd, got ${JSON.stringify(name)}`)
        }
      }
      assert.strictEqual(asked, 0)
    }))

  it.scopedLive("fails with Unauthorized without the token or with another one, whatever it asks", () =>
    Effect.gen(function*() {
      const { url } = yield* serve({ token: "s3cret" })
      for (const token of [undefined, "other"]) {
        const client = yield* clientOf({ baseUrl: url, token })
        const asking: Asked = [
          client.size,
          client.resize(1),
          client.herds,
          client.herd("first"),
          client.update("first", { num: 1 }),
          client.metrics,
          Stream.runHead(client.changes("first")),
          client.dead("first"),
          client.redrive("first", "all"),
          client.discard("first", "all")
        ]
        for (const asked of asking) assert.instanceOf(yield* Effect.flip(asked), HerdApi.Unauthorized)
      }
    }))

  it.scopedLive("fails with Forbidden at a host that is not allowed, and with ReadOnly where nothing may be changed", () =>
    Effect.gen(function*() {
      const forbidden = yield* serve({ allowedHosts: ["ops.test"] })
      const outside = yield* clientOf({ baseUrl: forbidden.url })
      const asking: Asked = [
        outside.size,
        outside.resize(1),
        outside.herds,
        outside.update("first", { num: 1 }),
        outside.metrics,
        Stream.runHead(outside.changes("first")),
        outside.dead("first"),
        outside.redrive("first", "all"),
        outside.discard("first", "all")
      ]
      for (const asked of asking) assert.instanceOf(yield* Effect.flip(asked), HerdApi.Forbidden)
      const watched = yield* serve({ readOnly: true })
      const watcher = yield* clientOf({ baseUrl: watched.url })
      const refused = yield* Effect.flip(watcher.resize(1))
      assert.instanceOf(refused, HerdApi.ReadOnly)
      assert.strictEqual(refused.num, 7)
      assert.instanceOf(yield* Effect.flip(watcher.update("first-2", { num: 1 })), HerdApi.ReadOnly)
      assert.strictEqual((yield* watcher.size).num, 7)
    }))

  it.scopedLive("fails as the platform's client does where there is no server, or another one", () =>
    Effect.gen(function*() {
      const { close, url } = yield* pretend(({ url }, response) => {
        if (url === "/herd") response.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad gateway</h1>")
        else response.writeHead(200, { "content-type": "application/json" }).end("{\"num\":\"many\"}")
      })
      const client = yield* clientOf({ baseUrl: url })
      assert.strictEqual((yield* Effect.flip(client.size))._tag, "ResponseError")
      assert.strictEqual((yield* Effect.flip(client.herd("first")))._tag, "ParseError")
      close()
      assert.strictEqual((yield* Effect.flip(client.size))._tag, "RequestError")
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(client.changes("first"))))._tag, "RequestError")
    }))
})

describe("HerdClient, of a durable herd", () => {
  const durable = (options: Parameters<typeof serveDurable>[1] = {}) =>
    Effect.gen(function*() {
      const source = makeSource({ fleet: 40 })
      const served = yield* serveDurable(source, options)
      return { ...served, source, client: yield* clientOf({ baseUrl: served.url }) }
    })

  it.scopedLive("lists, redrives and discards its dead letters", () =>
    Effect.gen(function*() {
      const { client, herd, kill } = yield* durable()
      yield* kill("bad 1", "bad 2", "bad 3")
      yield* herd.resize(0)
      const [last] = yield* client.dead("mails")
      assert.instanceOf(last, HerdApi.DeadLetter)
      assert.include(last, { id: "bad 3", body: "\"bad 3\"", attempts: 1, crashes: 0 })
      assert.instanceOf(last.diedAt, Date)
      const ids = (page: HerdClient.Page) =>
        Effect.map(client.dead("mails", page), (letters) => letters.map(({ id }) => id))
      assert.deepStrictEqual(yield* ids({ limit: 1 }), ["bad 3"])
      assert.deepStrictEqual(yield* ids({ limit: undefined, offset: 1 }), ["bad 2", "bad 1"])
      assert.strictEqual(yield* client.redrive("mails", ["bad 2", "nobody"]), 1)
      assert.strictEqual(yield* client.discard("mails", ["bad 3"]), 1)
      assert.deepStrictEqual(yield* ids({}), ["bad 1"])
      assert.strictEqual(yield* client.redrive("mails", "all"), 1)
      assert.strictEqual(yield* client.discard("mails", "all"), 0)
      assert.include(yield* herd.depth, { ready: 2, dead: 0 })
    }))

  it.scopedLive("sets its fleet size, and tells what its source has", () =>
    Effect.gen(function*() {
      const { client, source } = yield* durable()
      const { source: before } = yield* client.herd("mails")
      assert.instanceOf(before, HerdApi.SourceState)
      assert.include(before, { ready: 0, fleet: 40, oldestSeconds: null })
      for (const fleet of [7, null, 0]) {
        assert.strictEqual((yield* client.update("mails", { fleet })).source?.fleet, fleet)
        assert.strictEqual(source.fleet(), fleet)
      }
      const none = yield* Effect.flip(client.update("plain", { fleet: 7, num: 3 }))
      assert.instanceOf(none, HerdApi.InvalidBody)
      assert.include(none.message, "expected a herd whose source has a fleet size, got \"plain\"")
      assert.include(yield* Effect.flatten(Stream.runHead(client.changes("mails"))), { name: "mails" })
    }))

  it.scopedLive("tells what was refused by a typed error", () =>
    Effect.gen(function*() {
      const { client, source } = yield* durable()
      const asking: Asked = [
        client.dead("plain"),
        client.redrive("plain", "all"),
        client.discard("plain", "all")
      ]
      for (const asked of asking) {
        const error = yield* Effect.flip(asked)
        assert.instanceOf(error, HerdApi.NotFound)
        assert.match(error.message, /^expected the name of a durable herd, got "plain"/)
      }
      const many = Array.from({ length: 10_000 }, String)
      assert.instanceOf(yield* Effect.flip(client.redrive("mails", many)), HerdApi.BodyTooLarge)
      yield* source.is("fails")
      const failing: Asked = [
        client.dead("mails"),
        client.redrive("mails", "all"),
        client.discard("mails", "all"),
        client.update("mails", { fleet: 1 })
      ]
      for (const asked of failing) {
        const error = yield* Effect.flip(asked)
        assert.instanceOf(error, HerdApi.SourceFailed)
        assert.match(error.message, /^expected the test source to .*, got the disk is <b>full<\/b>$/)
      }
      assert.notProperty(yield* client.herd("mails"), "source")
      const watched = yield* durable({ readOnly: true })
      assert.instanceOf(yield* Effect.flip(watched.client.discard(watched.herd.name, "all")), HerdApi.ReadOnly)
      assert.deepStrictEqual(yield* watched.client.dead(watched.herd.name), [])
    }))
})

describe("HerdClient.changes", () => {
  it.scopedLive("follows a herd, and ends when the server closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { second: herd, url } = yield* Scope.extend(serve(), scope)
      const client = yield* clientOf({ baseUrl: url })
      const seen: Array<HerdApi.HerdState> = []
      const reader = yield* client.changes(second).pipe(
        Stream.runForEach((state) => Effect.sync(() => seen.push(state))),
        Effect.fork
      )
      yield* eventually(() => assert.strictEqual(seen.at(-1)?.size, 2))
      yield* Effect.orDie(herd.resize(9))
      yield* eventually(() => assert.strictEqual(seen.at(-1)?.size, 9))
      assert.instanceOf(seen[0], HerdApi.HerdState)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(reader)))
    }))

  it.scopedLive("fails with TooManyEventStreams while the server has no place, which Stream.retry gets over", () =>
    Effect.gen(function*() {
      const { url } = yield* serve({ maxEventStreams: 1 })
      const client = yield* clientOf({ baseUrl: url })
      const seen: Array<string> = []
      const follow = (who: string) =>
        Stream.runForEach(client.changes("first"), () => Effect.sync(() => seen.push(who)))
      const first = yield* Effect.fork(follow("first"))
      yield* eventually(() => assert.deepStrictEqual(seen, ["first"]))
      const refused = yield* Effect.flip(follow("refused"))
      assert.instanceOf(refused, HerdApi.TooManyEventStreams)
      assert.strictEqual(refused.message, "expected at most 1 event streams at once, got one more")
      let refusals = 0
      const again = client.changes("first").pipe(
        Stream.tapError(() => Effect.sync(() => refusals++)),
        Stream.retry(Schedule.spaced("20 millis")),
        Stream.runForEach(() => Effect.sync(() => seen.push("second")))
      )
      yield* Effect.forkScoped(again)
      yield* eventually(() => assert.isAtLeast(refusals, 2))
      yield* Fiber.interrupt(first)
      yield* eventually(() => assert.deepStrictEqual(seen, ["first", "second"]))
    }))

  it.scopedLive("fails with ResponseError where 503 comes from somebody else", () =>
    Effect.gen(function*() {
      for (const body of ["", "<h1>Service unavailable</h1>", "{\"msg\":\"no\",\"_tag\":\"NotFound\"}", "null"]) {
        const { url } = yield* pretend((_, response) => response.writeHead(503).end(body))
        const client = yield* clientOf({ baseUrl: url })
        const error = yield* Effect.flip(Stream.runDrain(client.changes("first")))
        assert.strictEqual(error._tag, "ResponseError")
        assert.include(error.message, "expected an event every 10 s, got status 503")
      }
    }))

  it.scopedLive("leaves the server when it is not read any more", () =>
    Effect.gen(function*() {
      let open = 0
      const { url } = yield* pretend((_, response) => {
        open++
        response.once("close", () => open--)
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(": hello\n\n")
      })
      const client = yield* clientOf({ baseUrl: url })
      const reader = yield* Effect.fork(Stream.runDrain(client.changes("first")))
      yield* eventually(() => assert.strictEqual(open, 1))
      yield* Fiber.interrupt(reader)
      yield* eventually(() => assert.strictEqual(open, 0))
    }))

  it.scopedLive("goes on after the server was away, with Stream.retry and Stream.repeat", () =>
    Effect.gen(function*() {
      const start = (port: number) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          return { ...(yield* Scope.extend(serve({ port }), scope)), stop: Scope.close(scope, Exit.void) }
        })
      const one = yield* start(0)
      const client = yield* clientOf({ baseUrl: one.url })
      const sizes: Array<number> = []
      const again = Schedule.spaced("20 millis")
      const reader = yield* client.changes("first").pipe(
        Stream.retry(again),
        Stream.repeat(again),
        Stream.runForEach(({ size }) => Effect.sync(() => sizes.push(size))),
        Effect.fork
      )
      yield* eventually(() => assert.strictEqual(sizes.at(-1), 7))
      yield* one.stop
      yield* Effect.sleep("100 millis")
      const two = yield* start(Number(new URL(one.url).port))
      yield* Effect.orDie(two.first.resize(11))
      yield* eventually(() => assert.strictEqual(sizes.at(-1), 11))
      assert.isNull(reader.unsafePoll())
      yield* two.stop
    }))

  const state = (name: string) =>
    JSON.stringify({
      ...Object.fromEntries(
        [
          "size",
          "maxSize",
          "live",
          "running",
          "queued",
          "retrying",
          "accepted",
          "succeeded",
          "retried",
          "failed",
          "interrupted"
        ]
          .map((field) => [field, 0])
      ),
      ...Object.fromEntries(["paused", "closed", "drained"].map((field) => [field, false])),
      name,
      at: "2026-01-02T03:04:05.006Z",
      attemptSeconds: { p50: null, p95: 0.5 },
      resizes: [],
      failures: []
    })

  it.scopedLive("reads states of a server that tells no senders as states with none", () =>
    Effect.gen(function*() {
      const { url } = yield* streaming(`data: ${state("old")}\n\n`)
      const client = yield* clientOf({ baseUrl: url })
      assert.include(yield* Effect.flatten(Stream.runHead(client.changes("first"))), { name: "old", senders: 0 })
    }))

  const namesOf = (url: string) =>
    Effect.gen(function*() {
      const client = yield* clientOf({ baseUrl: url })
      const states = yield* Stream.runCollect(client.changes("first"))
      return Chunk.toReadonlyArray(states).map(({ name }) => name)
    })

  it.scopedLive("puts together what arrives in pieces, also of one character", () =>
    Effect.gen(function*() {
      const bytes = new TextEncoder().encode(`data: ${state("hérd 🦫")}\n\ndata: ${state("next")}\n\n`)
      const middle = bytes.indexOf(0xf0) + 2
      const { url } = yield* streaming(bytes.slice(0, middle), bytes.slice(middle, -1), bytes.slice(-1))
      assert.deepStrictEqual(yield* namesOf(url), ["hérd 🦫", "next"])
    }))

  it.scopedLive("reads states alone: comments, other events, unknown fields and what was not finished are nothing", () =>
    Effect.gen(function*() {
      const { url } = yield* streaming(
        `: a comment\n\nunknown: 1\nevent: history\ndata: [1]\n\nretry: 10\nid: 7\ndata: ${state("one")}\n\n`,
        `\r\ndata: ${state("two")}\r\n\r\ndata: ${state("three").slice(0, 20)}`
      )
      assert.deepStrictEqual(yield* namesOf(url), ["one", "two"])
    }))

  for (const rubbish of ["no JSON", "{}", "[]", state("x").replace("\"size\":0", "\"size\":-1")]) {
    it.scopedLive(`fails with ParseError, after what was right, when ${rubbish.slice(0, 20)} comes as a state`, () =>
      Effect.gen(function*() {
        const { url } = yield* streaming(`data: ${state("right")}\n\n`, `data: ${rubbish}\n\n`)
        const client = yield* clientOf({ baseUrl: url })
        const seen: Array<string> = []
        const read = Stream.runForEach(client.changes("first"), ({ name }) => Effect.sync(() => seen.push(name)))
        assert.strictEqual((yield* Effect.flip(read))._tag, "ParseError")
        assert.deepStrictEqual(seen, ["right"])
      }))
  }

  it.scopedLive("fails with ResponseError when the connection breaks", () =>
    Effect.gen(function*() {
      const { url } = yield* pretend((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(`data: ${state("right")}\n\n`, () => setTimeout(() => response.destroy(), 20))
      })
      const client = yield* clientOf({ baseUrl: url })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(client.changes("first"))))._tag, "ResponseError")
    }))

  it.scopedLive("fails when another answer comes than a stream of events", () =>
    Effect.gen(function*() {
      const { url } = yield* pretend(({ url }, response) => {
        if (url?.startsWith("/herds/html") === true) {
          response.writeHead(200, { "content-type": "text/html" }).end("<h1>Please log in</h1>\n\n")
        } else response.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad gateway</h1>")
      })
      const client = yield* clientOf({ baseUrl: url })
      for (const name of ["first", "html"]) {
        assert.strictEqual((yield* Effect.flip(Stream.runDrain(client.changes(name))))._tag, "ResponseError")
      }
    }))

  it.scoped("fails with ResponseError when nothing has come for 30 s", () =>
    Effect.gen(function*() {
      const { url } = yield* pretend((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(`data: ${state("right")}\n\n`)
      })
      const client = yield* clientOf({ baseUrl: url })
      let seen = 0
      const reader = yield* Effect.fork(Stream.runForEach(client.changes("first"), () => Effect.sync(() => seen++)))
      yield* TestServices.provideLive(eventually(() => assert.strictEqual(seen, 1)))
      yield* TestServices.provideLive(Effect.sleep("20 millis"))
      yield* TestClock.adjust("29 seconds")
      assert.isNull(reader.unsafePoll())
      yield* TestClock.adjust("1 seconds")
      const error = yield* Effect.flip(Fiber.join(reader))
      assert.match(String(error), /expected an event every 10 s, got none for 30 s/)
    }))
})

describe("gofherd/HerdClient", () => {
  const root = new URL("..", import.meta.url).pathname

  it("loads no engine and no server", async () => {
    const { metafile } = await build({
      entryPoints: [`${root}src/HerdClient.ts`],
      absWorkingDir: root,
      bundle: true,
      format: "esm",
      platform: "neutral",
      mainFields: ["module", "main"],
      write: false,
      metafile: true
    })
    const ours = Object.keys(metafile.inputs).filter((path) => !path.includes("node_modules/"))
    assert.deepStrictEqual(ours.toSorted(), [
      "src/HerdApi.ts",
      "src/HerdClient.ts",
      "src/HerdError.ts",
      "src/internal/check.ts",
      "src/internal/crash.ts",
      "src/internal/show.ts",
      "src/internal/token.ts"
    ])
    const imported = Object.values(metafile.inputs).flatMap(({ imports }) => imports.map(({ path }) => path))
    assert.isFalse(imported.some((path) => path.includes("platform-node") || path.startsWith("node:")))
  }, 30_000)

  it("asks a herd of another process", async () => {
    const program = `
      import { FetchHttpClient } from "@effect/platform"
      import { Effect } from "effect"
      import * as HerdClient from "./src/HerdClient.ts"
      const [, baseUrl] = process.argv
      HerdClient.make({ baseUrl }).pipe(
        Effect.flatMap((client) => client.resize(42)),
        Effect.provide(FetchHttpClient.layer),
        Effect.runPromise
      ).then(({ num }) => console.log(num))
    `
    const asked = Effect.gen(function*() {
      const { first, url } = yield* serve()
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program, url], {
          cwd: root
        })
      )
      return [stdout.trim(), yield* first.size]
    })
    assert.deepStrictEqual(await Effect.runPromise(Effect.scoped(asked)), ["42", 42])
  }, 30_000)
})
