/**
 * What a client sees and changes of any herd.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import type { HerdApi } from "gofherd"
import { ask, Failing, Numbers, path, test, url } from "./utils/served.ts"
import { turns } from "./utils/stage.ts"

describe("GET /herds", () => {
  test(
    "answers the state of all herds, and GET /herds/:name that of one, with what an operator asks",
    Effect.gen(function*() {
      const herd = yield* Numbers
      const base = yield* url
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      yield* Effect.orDie(herd.resize(2))
      yield* herd.pause
      const before = Date.now()
      const { json } = yield* ask(`${base}/herds`)
      const one = (yield* ask(`${base}/herds/${path}`)).json
      const { at, resizes, ...state } = (json as ReadonlyArray<HerdApi.HerdState>)[0] ?? assert.fail("expected a herd")
      assert.isAtLeast(Date.parse(String(at)), before)
      assert.deepStrictEqual({ ...state }, {
        ...yield* herd.state,
        maxSize: 100,
        attemptSeconds: { p50: null, p95: null },
        failures: []
      })
      assert.include(resizes[0], { from: 7, to: 2, mode: "graceful" })
      assert.include(one, { name: herd.name, running: 3, size: 2, live: 3, paused: true })
    })
  )

  test(
    "tells how many senders wait for room",
    Effect.gen(function*() {
      const herd = yield* Numbers
      yield* Effect.orDie(herd.resize(0))
      yield* Effect.fork(herd.sendAll(Array.from({ length: 5_000 }, (_, n) => n)))
      yield* turns
      assert.include((yield* ask(`${yield* url}/herds/${path}`)).json, { accepted: 1_024, senders: 1 })
    })
  )

  test(
    "tells the last failures, with the unit's id, its attempts and what the error says, and how long attempts took",
    Effect.gen(function*() {
      const herd = yield* Failing
      yield* Effect.exit(herd.run(5, { id: "no. 5" }))
      const { json } = yield* ask(`${yield* url}/herds/failing`)
      const { attemptSeconds, failures } = json as HerdApi.HerdState
      assert.strictEqual(failures.length, 1)
      assert.include(failures[0], { id: "no. 5", attempts: 1, message: "expected less than 5" })
      assert.isNumber(attemptSeconds.p50)
      assert.isAtLeast(attemptSeconds.p95 ?? 0, attemptSeconds.p50 ?? 0)
    })
  )
})

describe("PATCH /herds/:name", () => {
  const update = (body: string, headers: Record<string, string> = {}) =>
    Effect.flatMap(url, (url) => ask(`${url}/herds/${path}`, { method: "PATCH", body, headers }))

  const state = Effect.flatMap(Numbers, (herd) => herd.state)

  test(
    "resizes, pauses, resumes, or does both, and answers the state then, whatever the content type",
    Effect.gen(function*() {
      for (const type of ["application/x-www-form-urlencoded", "application/json", "nonsense"]) {
        const headers = { "content-type": type }
        assert.include((yield* update("{\"num\":3}", headers)).json, { size: 3, paused: false })
        assert.include((yield* update("{\"paused\":true}", headers)).json, { size: 3, paused: true })
        assert.include((yield* update("{\"num\":4}", headers)).json, { size: 4, paused: true })
        assert.include((yield* update("{\"num\":9,\"paused\":false,\"mode\":\"graceful\"}", headers)).json, {
          size: 9,
          paused: false
        })
        assert.include(yield* state, { size: 9, paused: false })
      }
      const same = yield* update("{\"num\":9,\"paused\":false}")
      assert.deepStrictEqual([same.status, (same.json as HerdApi.HerdState).resizes.length], [200, 9])
    })
  )

  test(
    "is of the herd of that name alone",
    Effect.gen(function*() {
      const failing = yield* Failing
      yield* ask(`${yield* url}/herds/failing`, { method: "PATCH", body: "{\"num\":5,\"paused\":true}" })
      assert.include(yield* failing.state, { size: 5, paused: true })
      assert.include(yield* state, { size: 7, paused: false })
    })
  )

  test(
    "lets units finish, or interrupts them and puts them back, as mode says",
    Effect.gen(function*() {
      const herd = yield* Numbers
      yield* herd.sendAll([1, 2, 3])
      yield* turns
      yield* update("{\"num\":2}")
      yield* turns
      assert.include(yield* state, { running: 3, queued: 0 })
      yield* update("{\"num\":1,\"mode\":\"interrupt\"}")
      yield* turns
      assert.include(yield* state, { running: 1, queued: 2, interrupted: 0 })
    })
  )

  test(
    "of a larger size and paused starts nothing",
    Effect.gen(function*() {
      const herd = yield* Numbers
      yield* Effect.orDie(herd.resize(0))
      yield* herd.sendAll([1, 2, 3])
      yield* update("{\"num\":3,\"paused\":true}")
      yield* turns
      assert.include(yield* state, { size: 3, running: 0, queued: 3, paused: true })
      yield* update("{\"num\":2,\"paused\":false}")
      yield* turns
      assert.include(yield* state, { size: 2, running: 2, queued: 1, paused: false })
    })
  )

  const json = "expected a JSON object like {\"num\": 10}, got"
  const mode = "expected mode to be \"graceful\" or \"interrupt\", got"
  const bad: ReadonlyArray<readonly [body: string, status: number, tag: string, msg: string]> = [
    ["", 400, "InvalidBody", `${json} an empty body`],
    ["num=3", 400, "InvalidBody", `${json} something that is not JSON`],
    ["[]", 400, "InvalidBody", `${json} []`],
    ["null", 400, "InvalidBody", `${json} null`],
    ["true", 400, "InvalidBody", `${json} true`],
    ["{}", 400, "InvalidBody", "expected num or paused, got {}"],
    ["{\"size\":3}", 400, "InvalidBody", "expected num or paused, got {\"size\":3}"],
    [
      "{\"__proto__\":{\"num\":3}}",
      400,
      "InvalidBody",
      "expected num or paused, got {\"__proto__\":{\"num\":3}}"
    ],
    ["{\"mode\":\"interrupt\"}", 400, "InvalidBody", "expected num or paused, got {\"mode\":\"interrupt\"}"],
    [
      "{\"mode\":\"graceful\",\"paused\":true}",
      400,
      "InvalidBody",
      "expected mode together with num, got {\"mode\":\"graceful\",\"paused\":true}"
    ],
    ["{\"num\":3,\"mode\":\"kill\"}", 400, "InvalidBody", `${mode} "kill"`],
    ["{\"num\":3,\"mode\":null}", 400, "InvalidBody", `${mode} null`],
    ["{\"num\":3,\"paused\":1}", 400, "InvalidBody", "expected paused to be a boolean, got 1"],
    ["{\"num\":3,\"paused\":null}", 400, "InvalidBody", "expected paused to be a boolean, got null"],
    ["{\"num\":3,\"paused\":\"true\"}", 400, "InvalidBody", "expected paused to be a boolean, got \"true\""],
    ["{\"num\":\"3\",\"paused\":true}", 400, "InvalidBody", "expected num to be an integer, got \"3\""],
    ["{\"num\":null,\"paused\":true}", 400, "InvalidBody", "expected num to be an integer, got null"],
    ["{\"num\":2.5,\"paused\":true}", 400, "InvalidBody", "expected num to be an integer, got 2.5"],
    ["{\"num\":-1,\"paused\":true}", 400, "InvalidSize", "Herd size cannot be negative"],
    [
      "{\"num\":101,\"paused\":true}",
      400,
      "InvalidSize",
      "expected the size of herd \"test/HerdApi/Numbers\" to be an integer from 0 to 100, got 101"
    ],
    [
      "{\"num\":1e9,\"mode\":\"interrupt\",\"paused\":true}",
      400,
      "InvalidSize",
      "expected the size of herd \"test/HerdApi/Numbers\" to be an integer from 0 to 100, got 1000000000"
    ],
    ["{\"num\":3}".padEnd(4_097), 413, "BodyTooLarge", "expected a body of at most 4096 bytes, got more"]
  ]
  for (const [body, status, _tag, msg] of bad) {
    test(
      `refuses ${body.slice(0, 50).trim() || "nothing"}, and nothing is changed`,
      Effect.gen(function*() {
        const answer = yield* update(body)
        assert.strictEqual(answer.status, status)
        assert.deepStrictEqual(answer.json, { num: 7, msg, _tag })
        assert.include(yield* state, { size: 7, paused: false })
      })
    )
  }
})
