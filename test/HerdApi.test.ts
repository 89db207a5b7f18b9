/**
 * What any client sees of the first herd, the metrics, and paths without a route, on real sockets;
 * each answer is one that the contract's document describes.
 */
import { FetchHttpClient, HttpApiClient } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { HerdApi } from "gofherd"
import { connect } from "node:net"
import { ask as askAny } from "./utils/http.ts"
import { ask, Numbers, test, url } from "./utils/served.ts"
import { turns } from "./utils/stage.ts"

const patch = (body: string | ReadonlyArray<string>, headers?: Record<string, string>) =>
  Effect.flatMap(url, (url) => ask(`${url}/herd`, { method: "PATCH", body, ...(headers && { headers }) }))

const sizeIs = (size: number) =>
  Effect.map(Effect.flatMap(Numbers, (herd) => herd.size), (actual) => assert.strictEqual(actual, size))

describe("GET /herd", () => {
  test(
    "answers the size, as the Go original does",
    Effect.gen(function*() {
      const answer = yield* ask(`${yield* url}/herd`)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.text, "{\"num\":7,\"msg\":\"success\"}")
      assert.match(String(answer.headers["content-type"]), /^application\/json/)
    })
  )

  test(
    "is also answered with a query, a slash at the end, and to HEAD without a body",
    Effect.gen(function*() {
      const base = yield* url
      assert.strictEqual((yield* ask(`${base}/herd?x=1`)).status, 200)
      assert.strictEqual((yield* ask(`${base}/herd/`)).status, 200)
      const head = yield* ask(`${base}/herd`, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.text], [200, ""])
    })
  )
})

describe("PATCH /herd", () => {
  test(
    "sets the size and answers it",
    Effect.gen(function*() {
      const answer = yield* patch("{\"num\": 10}")
      assert.deepStrictEqual([answer.status, answer.text], [200, "{\"num\":10,\"msg\":\"success\"}"])
      yield* sizeIs(10)
      assert.deepStrictEqual((yield* ask(`${yield* url}/herd`)).json, { num: 10, msg: "success" })
    })
  )

  for (
    const type of [
      "application/x-www-form-urlencoded",
      "application/json",
      "text/plain",
      "multipart/form-data; boundary=x",
      "application/octet-stream",
      "nonsense",
      undefined
    ]
  ) {
    test(
      `works with content type ${type ?? "absent"}`,
      Effect.gen(function*() {
        const answer = yield* patch("{\"num\": 11}", type === undefined ? {} : { "content-type": type })
        assert.deepStrictEqual([answer.status, answer.json], [200, { num: 11, msg: "success" }])
        yield* sizeIs(11)
      })
    )
  }

  test(
    "works with a chunked body, with white space, further fields, and every bound",
    Effect.gen(function*() {
      assert.strictEqual((yield* patch(["{\"nu", "m\"", ": 3}"])).status, 200)
      yield* sizeIs(3)
      assert.strictEqual((yield* patch(" \n{ \"num\" : 4, \"x\": [1] }\n ")).status, 200)
      yield* sizeIs(4)
      assert.deepStrictEqual((yield* patch("{\"num\": 0}")).json, { num: 0, msg: "success" })
      yield* sizeIs(0)
      assert.deepStrictEqual((yield* patch("{\"num\": 100}")).json, { num: 100, msg: "success" })
      yield* sizeIs(100)
    })
  )

  test(
    "to the size that it is says so",
    Effect.gen(function*() {
      const answer = yield* patch("{\"num\": 7}")
      assert.deepStrictEqual([answer.status, answer.json], [200, { num: 7, msg: "Herd size already 7" }])
    })
  )

  const refused: ReadonlyArray<readonly [name: string, body: string, tag: string, msg: string]> = [
    ["a negative size", "{\"num\": -1}", "InvalidSize", "Herd size cannot be negative"],
    [
      "more than maxSize",
      "{\"num\": 101}",
      "InvalidSize",
      "expected the size of herd \"test/HerdApi/Numbers\" to be an integer from 0 to 100, got 101"
    ],
    [
      "1e9",
      "{\"num\": 1e9}",
      "InvalidSize",
      "expected the size of herd \"test/HerdApi/Numbers\" to be an integer from 0 to 100, got 1000000000"
    ],
    ["a fraction", "{\"num\": 2.5}", "InvalidBody", "expected num to be an integer, got 2.5"],
    ["a string", "{\"num\": \"5\"}", "InvalidBody", "expected num to be an integer, got \"5\""],
    ["null", "{\"num\": null}", "InvalidBody", "expected num to be an integer, got null"],
    ["a boolean", "{\"num\": true}", "InvalidBody", "expected num to be an integer, got true"],
    ["an object without num", "{}", "InvalidBody", "expected num to be an integer, got undefined"],
    ["another field", "{\"size\": 3}", "InvalidBody", "expected num to be an integer, got undefined"],
    [
      "an inherited field",
      "{\"__proto__\": {\"num\": 3}}",
      "InvalidBody",
      "expected num to be an integer, got undefined"
    ],
    ["an array", "[10]", "InvalidBody", "expected a JSON object like {\"num\": 10}, got [10]"],
    ["a number", "10", "InvalidBody", "expected a JSON object like {\"num\": 10}, got 10"],
    ["a JSON string", "\"10\"", "InvalidBody", "expected a JSON object like {\"num\": 10}, got \"10\""],
    ["JSON null", "null", "InvalidBody", "expected a JSON object like {\"num\": 10}, got null"],
    ["no JSON", "num=10", "InvalidBody", "expected a JSON object like {\"num\": 10}, got something that is not JSON"],
    [
      "half of some JSON",
      "{\"num\": ",
      "InvalidBody",
      "expected a JSON object like {\"num\": 10}, got something that is not JSON"
    ],
    ["nothing", "", "InvalidBody", "expected a JSON object like {\"num\": 10}, got an empty body"]
  ]
  for (const [name, body, tag, msg] of refused) {
    test(
      `refuses ${name} with 400, and the size stays`,
      Effect.gen(function*() {
        for (const type of ["application/x-www-form-urlencoded", "application/json"]) {
          const answer = yield* patch(body, { "content-type": type })
          assert.strictEqual(answer.status, 400)
          assert.deepStrictEqual(answer.json, { num: 7, msg, _tag: tag })
        }
        yield* sizeIs(7)
      })
    )
  }

  test(
    "takes a body of 4096 bytes and refuses a longer one with 413, whether announced or chunked; the size stays",
    Effect.gen(function*() {
      const padded = (length: number) => "{\"num\": 9}".padEnd(length)
      for (
        const body of [padded(4097), padded(100_000), [padded(4000), " ".repeat(4000)], [
          padded(100_000),
          " ".repeat(500_000)
        ]]
      ) {
        const answer = yield* patch(body)
        assert.strictEqual(answer.status, 413)
        assert.deepStrictEqual(answer.json, {
          num: 7,
          msg: "expected a body of at most 4096 bytes, got more",
          _tag: "BodyTooLarge"
        })
      }
      yield* sizeIs(7)
      assert.strictEqual((yield* patch(padded(4096))).status, 200)
      yield* sizeIs(9)
    })
  )

  test(
    "answers at once while every gopher is busy, and after the herd is drained (G5)",
    Effect.gen(function*() {
      const herd = yield* Numbers
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      assert.strictEqual((yield* patch("{\"num\": 1}")).status, 200)
      assert.strictEqual((yield* herd.state).running, 3)
      yield* Effect.orDie(herd.resize(0, { mode: "interrupt" }))
      yield* herd.close
      assert.strictEqual((yield* patch("{\"num\": 5}")).status, 200)
    })
  )

  test(
    "whose body comes slowly answers by the size as it is by then",
    Effect.gen(function*() {
      const herd = yield* Numbers
      const { port } = new URL(yield* url)
      const text = yield* Effect.async<string>((resume) => {
        const socket = connect(Number(port), "127.0.0.1", () => {
          socket.write("PATCH /herd HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{\"num\":")
        })
        socket.once("data", (chunk) => resume(Effect.as(Effect.sync(() => socket.destroy()), String(chunk))))
        // The routes have the head by now.
        setTimeout(() => {
          Effect.runSync(Effect.orDie(herd.resize(8)))
          socket.write("7}")
        }, 200)
      })
      assert.include(text, "{\"num\":7,\"msg\":\"success\"}")
      yield* sizeIs(7)
    })
  )

  test(
    "with a client that vanishes in the middle of the body leaves the size, and the server answering",
    Effect.gen(function*() {
      const { port } = new URL(yield* url)
      yield* Effect.async<void>((resume) => {
        const socket = connect(Number(port), "127.0.0.1", () => {
          socket.write("PATCH /herd HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{\"num\"", () => {
            socket.destroy()
            resume(Effect.void)
          })
        })
      })
      yield* turns
      yield* sizeIs(7)
      assert.strictEqual((yield* patch("{\"num\": 8}")).status, 200)
    })
  )
})

describe("GET /metrics", () => {
  test(
    "answers the metrics of the herd in Prometheus' text format",
    Effect.gen(function*() {
      const herd = yield* Numbers
      yield* herd.sendAll([1, 2])
      yield* turns
      const answer = yield* ask(`${yield* url}/metrics`)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
      const label = `{herd="${herd.name}"}`
      assert.include(answer.text, `gofherd_running${label} 2\n`)
      assert.include(answer.text, `gofherd_size${label} 7\n`)
      assert.include(answer.text, `gofherd_failure_total${label} 0\n`)
      assert.include(answer.text, "# TYPE gofherd_success_total counter\n")
      assert.notMatch(answer.text, /effect_fiber/)
    })
  )
})

describe("other requests", () => {
  for (
    const [path, methods, allow] of [
      ["/herd", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"], "GET, HEAD, PATCH"],
      ["/metrics", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"], "GET, HEAD"]
    ] as const
  ) {
    test(
      `to ${path} with another method are answered with 405 and Allow: ${methods.join(", ")}`,
      Effect.gen(function*() {
        for (const method of methods) {
          const answer = yield* ask(`${yield* url}${path}`, { method })
          assert.strictEqual(answer.status, 405)
          assert.strictEqual(answer.headers["allow"], allow)
          assert.deepStrictEqual(answer.json, {
            msg: `expected one of ${allow}, got ${method}`,
            _tag: "MethodNotAllowed"
          })
        }
        yield* sizeIs(7)
      })
    )
  }

  test(
    "are told the same however the path is spelled that the router takes",
    Effect.gen(function*() {
      for (const path of ["/herd/", "/herd?x=/", "/metrics/?x", "//herd", "/%68erd", "/HERD", "/herd;a"]) {
        assert.strictEqual((yield* askAny(`${yield* url}${path}`)).status, 200)
        assert.strictEqual((yield* askAny(`${yield* url}${path}`, { method: "POST" })).status, 405)
      }
    })
  )

  test(
    "to other paths are answered with 404 and JSON",
    Effect.gen(function*() {
      for (const path of ["/nope", "/herd/nope", "/herdx", "/%00", "/%"]) {
        const answer = yield* ask(`${yield* url}${path}`)
        assert.strictEqual(answer.status, 404)
        assert.deepStrictEqual(answer.json, { msg: "there is nothing at this path", _tag: "NotFound" })
      }
    })
  )
})

describe("HerdApi", () => {
  test(
    "makes a typed client, whose errors are the contract's",
    Effect.gen(function*() {
      const client = yield* HttpApiClient.make(HerdApi.HerdApi, { baseUrl: yield* url })
      assert.deepStrictEqual({ ...(yield* client.herd.get()) }, { num: 7, msg: "success" })
      assert.strictEqual((yield* client.herd.resize({ payload: new HerdApi.HerdPatch({ num: 12 }) })).num, 12)
      yield* sizeIs(12)
      const error = yield* Effect.flip(client.herd.resize({ payload: new HerdApi.HerdPatch({ num: 1_000 }) }))
      assert.instanceOf(error, HerdApi.SizeRefused)
      assert.strictEqual(error.num, 12)
      assert.match(error.message, /^expected the size of herd .* got 1000$/)
      assert.match(yield* client.metrics(), /gofherd_size/)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )
})
