/**
 * What the routes tell of a durable herd, and change: its source's figures, its fleet size, its
 * dead letters.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, LogLevel, Schema, Scope, Stream, TestClock } from "effect"
import type { HerdApi } from "gofherd"
import * as HerdSource from "gofherd/HerdSource"
import { Monitor } from "../src/internal/monitor.ts"
import { type Mails, makeSource, serve, test, type TestSource } from "./utils/durable.ts"
import { ask as askAny, eventsIn, listen } from "./utils/http.ts"
import { makeLogs } from "./utils/logs.ts"
import { ask } from "./utils/served.ts"
import { turns, until } from "./utils/stage.ts"
import { claimOne, unit } from "./utils/stores.ts"

type State = typeof HerdApi.HerdState.Encoded
type Letters = ReadonlyArray<typeof HerdApi.DeadLetter.Encoded>

const stateOf = (url: string) => Effect.map(ask(`${url}/herds/mails`), ({ json }) => json as State)
const sourceOf = (url: string) => Effect.map(stateOf(url), ({ source }) => source)
const idsOf = (letters: unknown): ReadonlyArray<string> => (letters as Letters).map(({ id }) => id)

const patch = (url: string, body: string, name = "mails") => ask(`${url}/herds/${name}`, { method: "PATCH", body })
const settle = (url: string, how: "redrive" | "discard", body: string, headers: Record<string, string> = {}) =>
  ask(`${url}/herds/mails/dead/${how}`, { method: "POST", body, headers })

describe("the state of a durable herd", () => {
  test(
    "has what its source has, of all processes, and how long the unit has waited that has for longest",
    Effect.gen(function*() {
      const { elsewhere, herd, kill, url } = yield* serve(makeSource())
      const other = yield* elsewhere
      yield* kill("bad 1", "bad 2")
      yield* herd.offer("runs here")
      yield* until(Effect.map(herd.state, ({ running }) => running === 1))
      const before = Date.now()
      yield* other.offer([unit("runs there"), unit("waits"), unit("waits too")])
      yield* claimOne(other)
      yield* herd.offer("waits for its time", { delay: "1 hour" })
      yield* until(Effect.map(sourceOf(url), (source) => source?.ready === 2))
      const { at, source } = yield* stateOf(url)
      const { oldestSeconds = -1, ...counts } = source ?? assert.fail("expected a source")
      assert.deepStrictEqual({ ...counts }, { ready: 2, delayed: 1, held: 2, dead: 2 })
      const most = (Date.parse(at) - before) / 1_000
      assert.isTrue(
        oldestSeconds !== null && oldestSeconds >= 0 && oldestSeconds <= most,
        `${oldestSeconds} of ${most}`
      )
      // It goes on while the source is not asked.
      const later = Effect.map(sourceOf(url), (source) => (source?.oldestSeconds ?? 0) > (oldestSeconds ?? 0))
      yield* until(later)
    })
  )

  test(
    "is the same in GET /herds, where a herd that is not durable has no source",
    Effect.gen(function*() {
      const { url } = yield* serve(makeSource())
      const [mails, plain] = (yield* ask(`${url}/herds`)).json as ReadonlyArray<State>
      assert.deepStrictEqual(mails?.source, { ready: 0, delayed: 0, held: 0, dead: 0, oldestSeconds: null })
      assert.strictEqual(plain?.name, "plain")
      assert.notProperty(plain, "source")
      assert.notProperty((yield* ask(`${url}/herds/plain`)).json, "source")
    })
  )

  for (const fleet of [undefined, null, 0, 40]) {
    test(
      `has ${fleet === undefined ? "no fleet" : `fleet: ${fleet}`} where the source's is so`,
      Effect.gen(function*() {
        const { url } = yield* serve(makeSource(fleet === undefined ? {} : { fleet }))
        const source = yield* sourceOf(url)
        if (fleet === undefined) assert.notProperty(source, "fleet")
        else assert.strictEqual(source?.fleet, fleet)
      })
    )
  }

  test(
    "is asked of the source once a second, however many want to know",
    Effect.gen(function*() {
      const source = makeSource()
      const { url } = yield* serve(source)
      const began = performance.now()
      const streams = yield* Effect.all(Array.from({ length: 5 }, () => listen(`${url}/herds/mails/events`)))
      const asked = ["/herds", "/herds/mails"].map((path) => Effect.replicateEffect(ask(`${url}${path}`), 20))
      yield* Effect.all(asked, { concurrency: "unbounded" })
      yield* Effect.forEach(streams, (stream) => stream.atLeast(1))
      assert.isAtLeast(source.depths(), 1)
      assert.isAtMost(source.depths(), 1 + Math.floor((performance.now() - began) / 1_000))
      const before = source.depths()
      yield* until(Effect.zipRight(ask(`${url}/herds`), Effect.sync(() => source.depths() === before + 1)))
      assert.isAtLeast(performance.now() - began, 1_000)
    })
  )

  for (const mood of ["fails", "dies", "lies"] as const) {
    test(
      `is without a source while that ${mood}, which a line at Debug tells, and has it again then`,
      Effect.gen(function*() {
        const logs = makeLogs(LogLevel.Debug)
        const source = makeSource()
        const { url } = yield* logs.collect(serve(source))
        yield* source.is(mood)
        const answer = yield* ask(`${url}/herds/mails`)
        assert.strictEqual(answer.status, 200)
        assert.notProperty(answer.json, "source")
        assert.include(answer.json, { name: "mails", size: 1, paused: false })
        assert.strictEqual((yield* ask(`${url}/herds`)).status, 200)
        assert.strictEqual((yield* patch(url, "{\"num\":2}")).status, 200)
        const why = { fails: "SourceError", dies: "a secret", lies: "expected counts, got" }[mood]
        const lines = logs.lines.filter((line) => line.includes("how many units it has"))
        assert.match(lines.join("\n"), new RegExp(`DEBUG \\[mails\\] the source does not tell .*${why}`))
        yield* source.is("answers")
        yield* until(Effect.map(sourceOf(url), (source) => source?.ready === 0))
      })
    )
  }

  test(
    "is answered, without a source, also while that hangs, and so are the others'",
    Effect.gen(function*() {
      const source = makeSource()
      const { herd, url } = yield* serve(source)
      yield* source.is("hangs")
      const began = performance.now()
      for (const path of ["/herds", "/herds/mails", "/herds/mails"]) {
        const { json, status } = yield* ask(`${url}${path}`)
        assert.strictEqual(status, 200)
        assert.notInclude(JSON.stringify(json), "\"source\"")
      }
      yield* patch(url, "{\"paused\":true}")
      assert.isTrue((yield* herd.state).paused)
      // One question, for which all together have waited a second.
      assert.strictEqual(source.depths(), 1)
      assert.isBelow(performance.now() - began, 5_000)
    })
  )
})

describe("the events of a durable herd", () => {
  const states = (listening: { readonly events: ReadonlyArray<{ readonly data: unknown }> }) =>
    listening.events.map(({ data }) => data as State)

  test(
    "tell what another process does, though the herd itself has not changed",
    Effect.gen(function*() {
      const { elsewhere, herd, url } = yield* serve(makeSource({ fleet: null }), { size: 0 })
      const other = yield* elsewhere
      const stream = yield* listen(`${url}/herds/mails/events`)
      yield* stream.atLeast(1)
      assert.include(states(stream)[0]?.source, { ready: 0, held: 0, fleet: null })
      const { accepted } = yield* herd.state
      yield* other.offer([unit("1"), unit("2")])
      yield* stream.atLeast(2)
      assert.include(states(stream)[1]?.source, { ready: 2, held: 0 })
      yield* claimOne(other)
      yield* stream.atLeast(3)
      assert.include(states(stream)[2]?.source, { ready: 1, held: 1 })
      assert.strictEqual((yield* herd.state).accepted, accepted)
      // No news, no event.
      assert.strictEqual(stream.events.length, 3)
    })
  )

  test(
    "say so when the source has ceased to tell, and when it tells again",
    Effect.gen(function*() {
      const source = makeSource()
      const { url } = yield* serve(source)
      const stream = yield* listen(`${url}/herds/mails/events`)
      yield* stream.atLeast(1)
      yield* source.is("fails")
      yield* stream.atLeast(2)
      yield* source.is("answers")
      yield* stream.atLeast(3)
      assert.deepStrictEqual(states(stream).map(({ source }) => source?.ready), [0, undefined, 0])
    })
  )

  /** A monitor of a durable herd on the test's clock, that counts how often its source is asked. */
  const monitored = (source: TestSource) =>
    Effect.gen(function*() {
      const { elsewhere, herd } = yield* serve(source, { size: 0 })
      return { herd, other: yield* elsewhere, monitor: yield* Monitor.make(herd) }
    })

  /** Lets so many milliseconds go by. */
  const pass = (millis: number, step = 500): Effect.Effect<void> =>
    Effect.gen(function*() {
      for (let left = millis; left > 0; left -= step) {
        yield* TestClock.adjust(Math.min(left, step))
        yield* turns
      }
    })

  const hear = (monitor: Monitor, heard: (state: State) => void) =>
    monitor.events(false).pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => heard(eventsIn(new TextDecoder().decode(event))[0]?.data as State))
      )
    )

  it.scoped(
    "look at the source once a second, however many hear them, and not otherwise",
    () =>
      Effect.gen(function*() {
        const source = makeSource()
        const { monitor } = yield* monitored(source)
        yield* pass(10_000)
        assert.strictEqual(source.depths(), 0)
        for (let times = 0; times < 2; times++) {
          const before = source.depths()
          const scopes = yield* Effect.replicateEffect(Scope.make(), 3)
          yield* Effect.forEach(scopes, (scope) => Effect.forkIn(hear(monitor, () => {}), scope))
          yield* turns
          yield* pass(10_000)
          assert.strictEqual(source.depths() - before, 11)
          const [one, ...others] = scopes
          yield* Effect.forEach(others, (scope) => Scope.close(scope, Exit.void))
          yield* pass(5_000)
          assert.strictEqual(source.depths() - before, 16)
          yield* Scope.close(one ?? assert.fail(), Exit.void)
          yield* pass(10_000)
          assert.strictEqual(source.depths() - before, 16)
        }
      }),
    20_000
  )

  it.scoped("come at most four times a second, also when the herd and the source change", () =>
    Effect.gen(function*() {
      const { herd, monitor, other } = yield* monitored(makeSource())
      const heard: Array<readonly [at: number, state: State]> = []
      const clock = yield* Effect.clock
      yield* Effect.forkScoped(hear(monitor, (state) => heard.push([clock.unsafeCurrentTimeMillis(), state])))
      yield* turns
      for (let n = 1; n <= 100; n++) {
        yield* Effect.orDie(other.offer([unit(String(n))]))
        // At rest for a while, so that the source has news of its own.
        if (n % 40 < 20) yield* Effect.orDie(herd.resize(n % 2 === 0 ? 0 : 1).pipe(Effect.zipRight(herd.pause)))
        yield* pass(73, 73)
      }
      yield* pass(2_000)
      const gaps = heard.slice(2).map(([at], i) => at - (heard[i + 1]?.[0] ?? 0))
      assert.isAtLeast(heard.length, 20)
      for (const gap of gaps) assert.isAtLeast(gap, 250)
      const { ready } = yield* Effect.orDie(herd.depth)
      assert.strictEqual(heard.at(-1)?.[1].source?.ready, ready)
    }), 20_000)

  it.scoped(
    "wait for a source that is slow, for a second at most, and then tell what it told last",
    () =>
      Effect.gen(function*() {
        const source = makeSource()
        const { herd, monitor, other } = yield* monitored(source)
        const heard: Array<number | undefined> = []
        yield* Effect.forkScoped(hear(monitor, (state) => heard.push(state.source?.ready)))
        yield* turns
        assert.deepStrictEqual(heard, [0])
        yield* source.is("hangs")
        yield* Effect.orDie(other.offer([unit("1")]))
        yield* pass(1_500)
        yield* herd.pause
        yield* turns
        assert.deepStrictEqual(heard, [0])
        yield* pass(1_000)
        assert.deepStrictEqual(heard, [0, 0])
        // It is given up, and not told for ever.
        yield* pass(12_000)
        assert.isUndefined(heard.at(-1))
        yield* source.is("answers")
        yield* pass(15_000)
        assert.strictEqual(heard.at(-1), 1)
      }),
    20_000
  )
})

describe("PATCH /herds/:name with fleet", () => {
  test(
    "sets the fleet size, alone or with the rest, and answers the state then",
    Effect.gen(function*() {
      const source = makeSource({ fleet: 40 })
      const { url } = yield* serve(source)
      assert.strictEqual((yield* sourceOf(url))?.fleet, 40)
      for (const fleet of [7, 0, null, Number.MAX_SAFE_INTEGER]) {
        const { json, status } = yield* patch(url, JSON.stringify({ fleet }))
        assert.strictEqual(status, 200)
        assert.strictEqual((json as State).source?.fleet, fleet)
        assert.strictEqual(source.fleet(), fleet)
        assert.include(json, { size: 1, paused: false })
      }
      const { json } = yield* patch(url, "{\"num\":3,\"mode\":\"interrupt\",\"paused\":true,\"fleet\":5}")
      assert.include(json, { size: 3, paused: true })
      assert.strictEqual((json as State).source?.fleet, 5)
    })
  )

  test(
    "does the rest, too, if the client leaves while the source is told",
    Effect.gen(function*() {
      const [asked, answer] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const resizing = Effect.zipRight(Deferred.succeed(asked, undefined), Deferred.await(answer))
      const source = makeSource({ fleet: 40, resizing })
      const { herd, url } = yield* serve(source)
      const body = "{\"num\":3,\"paused\":true,\"fleet\":5}"
      const request = yield* Effect.fork(
        Effect.tryPromise((signal) => fetch(`${url}/herds/mails`, { method: "PATCH", body, signal }))
      )
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(request)
      // By the time that this is answered the server knows.
      yield* stateOf(url)
      yield* turns
      yield* Deferred.succeed(answer, undefined)
      yield* until(Effect.map(herd.state, ({ paused, size }) => size === 3 && paused))
      assert.strictEqual(source.fleet(), 5)
    })
  )

  const integer = "expected fleet to be an integer from 0, or null for no bound, got"
  const bad: ReadonlyArray<readonly [body: string, tag: string, msg: string]> = [
    ["{}", "InvalidBody", "expected num, paused or fleet, got {}"],
    ["{\"num\":3,\"fleet\":-1}", "InvalidBody", `${integer} -1`],
    ["{\"num\":3,\"fleet\":1.5}", "InvalidBody", `${integer} 1.5`],
    ["{\"num\":3,\"fleet\":1e21}", "InvalidBody", `${integer} 1e+21`],
    ["{\"num\":3,\"fleet\":\"5\"}", "InvalidBody", `${integer} "5"`],
    ["{\"num\":3,\"fleet\":true}", "InvalidBody", `${integer} true`],
    ["{\"num\":3,\"fleet\":[5]}", "InvalidBody", `${integer} [5]`],
    ["{\"fleet\":5,\"paused\":1}", "InvalidBody", "expected paused to be a boolean, got 1"],
    ["{\"fleet\":5,\"mode\":\"graceful\"}", "InvalidBody", "expected mode together with num, got "],
    ["{\"fleet\":5,\"num\":\"3\"}", "InvalidBody", "expected num to be an integer, got \"3\""],
    ["{\"fleet\":5,\"num\":-1}", "InvalidSize", "Herd size cannot be negative"],
    [
      "{\"fleet\":5,\"num\":101}",
      "InvalidSize",
      "expected the size of herd \"mails\" to be an integer from 0 to 100, got 101"
    ]
  ]
  for (const [body, _tag, msg] of bad) {
    test(
      `refuses ${body}, and nothing is changed`,
      Effect.gen(function*() {
        const source = makeSource({ fleet: 40 })
        const { herd, url } = yield* serve(source)
        const { json, status } = yield* patch(url, body)
        assert.strictEqual(status, 400)
        assert.include(json, { num: 1, _tag })
        assert.include((json as { readonly msg: string }).msg, msg)
        assert.strictEqual(source.fleet(), 40)
        assert.include(yield* herd.state, { size: 1, paused: false })
      })
    )
  }

  test(
    "refuses a herd whose source has no fleet size, and one that has no source",
    Effect.gen(function*() {
      const { herd, plain, url } = yield* serve(makeSource())
      const expected = "expected a herd whose source has a fleet size, got"
      for (const fleet of ["5", "null"]) {
        const none = yield* patch(url, `{"num":9,"paused":true,"fleet":${fleet}}`)
        const msg = `${expected} "mails", whose source has none`
        assert.deepStrictEqual([none.status, none.json], [400, { num: 1, msg, _tag: "InvalidBody" }])
        const other = yield* patch(url, `{"num":9,"paused":true,"fleet":${fleet}}`, "plain")
        const why = `${expected} "plain", which is not durable`
        assert.deepStrictEqual([other.status, other.json], [400, { num: 2, msg: why, _tag: "InvalidBody" }])
      }
      assert.include(yield* herd.state, { size: 1, paused: false })
      assert.include(yield* plain.state, { size: 2, paused: false })
    })
  )

  test(
    "answers 503 when the source fails, and nothing is changed",
    Effect.gen(function*() {
      const source = makeSource({ fleet: 40 })
      const { herd, url } = yield* serve(source)
      yield* source.is("fails")
      const { headers, json, status } = yield* patch(url, "{\"num\":3,\"paused\":true,\"fleet\":5}")
      assert.strictEqual(status, 503)
      assert.deepStrictEqual(json, {
        msg: "expected the test source to set the fleet size, got the disk is <b>full</b>",
        _tag: "SourceError"
      })
      assert.strictEqual(headers["retry-after"], "5")
      assert.include(yield* herd.state, { size: 1, paused: false })
      assert.strictEqual((yield* patch(url, "{\"num\":3}")).status, 200)
    })
  )

  test(
    "is refused where nothing may be changed",
    Effect.gen(function*() {
      const source = makeSource({ fleet: 40 })
      const { url } = yield* serve(source, { readOnly: true })
      const { json, status } = yield* patch(url, "{\"fleet\":5}")
      assert.deepStrictEqual([status, (json as { readonly _tag: string })._tag], [403, "ReadOnly"])
      assert.strictEqual(source.fleet(), 40)
    })
  )
})

describe("GET /herds/:name/dead", () => {
  test(
    "lists the units that failed for good, the last buried first, a hundred unless told otherwise",
    Effect.gen(function*() {
      const { herd, kill, url } = yield* serve(makeSource())
      const began = Date.now()
      yield* kill("bad 1", "bad 2", "bad 3")
      const { json, status } = yield* ask(`${url}/herds/mails/dead`)
      assert.strictEqual(status, 200)
      const [last, ...others] = json as Letters
      const { cause = "", diedAt = "", ...rest } = last ?? {}
      assert.deepStrictEqual(rest, { id: "bad 3", body: "\"bad 3\"", priority: 0, attempts: 1, crashes: 0 })
      assert.match(cause, /^Error: bad 3 is refused\n {4}at /)
      assert.strictEqual(new Date(diedAt).toISOString(), diedAt)
      assert.isAtLeast(Date.parse(diedAt), began)
      assert.deepStrictEqual(idsOf(others), ["bad 2", "bad 1"])
      const page = Effect.fnUntraced(function*(query: string) {
        return idsOf((yield* ask(`${url}/herds/mails/dead?${query}`)).json)
      })
      assert.deepStrictEqual(yield* page("limit=2"), ["bad 3", "bad 2"])
      assert.deepStrictEqual(yield* page("limit=1000&offset=2"), ["bad 1"])
      assert.deepStrictEqual(yield* page("offset=3"), [])
      assert.deepStrictEqual(yield* page("offset=9007199254740991&limit=1"), [])
      yield* herd.offerAll(Array.from({ length: 100 }, (_, n) => `bad ${n + 4}`))
      yield* until(Effect.map(herd.depth, ({ dead }) => dead === 103))
      assert.strictEqual((yield* page("")).length, 100)
    })
  )

  test(
    "cuts bodies to 10,000 characters, and no character in halves",
    Effect.gen(function*() {
      const { kill, url } = yield* serve(makeSource())
      yield* kill(`bad 1 ${"x".repeat(9_992)}`, `bad 2 ${"x".repeat(9_993)}`, `bad 3${"🦫".repeat(9_000)}`)
      const { text } = yield* ask(`${url}/herds/mails/dead`)
      const bodies = (JSON.parse(text) as Letters).map(({ body }) => body)
      assert.deepStrictEqual(bodies, [
        `"bad 3${"🦫".repeat(4_996)}…`,
        `"bad 2 ${"x".repeat(9_992)}…`,
        `"bad 1 ${"x".repeat(9_992)}"`
      ])
      assert.deepStrictEqual(bodies.map(({ length }) => length), [9_999, 10_000, 10_000])
      assert.isBelow(text.length, 60_000)
    })
  )

  for (const knows of [true, false]) {
    test(
      `asks its source for no more than 10,000 characters of a body, and cuts it itself ${
        knows ? "too" : "where the source does not"
      }`,
      Effect.gen(function*() {
        const source = makeSource()
        const asked: Array<HerdSource.ListOptions | undefined> = []
        const layer = Layer.map(source.layer, (context) => {
          const { open } = Context.get(context, HerdSource.HerdSource)
          const listing = (queue: HerdSource.Queue): HerdSource.Queue => ({
            ...queue,
            dead: {
              ...queue.dead,
              list: (options) => {
                asked.push(options)
                return queue.dead.list(knows ? options : { ...options, maxBody: undefined })
              }
            }
          })
          return Context.make(HerdSource.HerdSource, {
            open: (herd, options) => Effect.map(open(herd, options), listing)
          })
        })
        const { kill, url } = yield* serve({ ...source, layer })
        yield* kill(`bad ${"x".repeat(20_000)}`, `bad ${"y".repeat(9_994)}`, "bad")
        const letters = (yield* ask(`${url}/herds/mails/dead?limit=3`)).json as Letters
        assert.deepStrictEqual(
          letters.map(({ body }) => body),
          [`"bad"`, `"bad ${"y".repeat(9_994)}"`, `"bad ${"x".repeat(9_994)}…`]
        )
        assert.isTrue(letters.every((letter) => !("cut" in letter)))
        assert.deepStrictEqual(asked.map((options) => options?.maxBody), [10_000])
      })
    )
  }

  const limit = "expected limit to be an integer from 1 to 1000, got"
  const offset = "expected offset to be an integer from 0, got"
  for (
    const [query, message] of [
      ["limit=0", `${limit} "0"`],
      ["limit=1001", `${limit} "1001"`],
      ["limit=1.5", `${limit} "1.5"`],
      ["limit=-1", `${limit} "-1"`],
      ["limit=", `${limit} ""`],
      ["limit=all", `${limit} "all"`],
      ["limit=1e2", `${limit} "1e2"`],
      ["limit=1&limit=2", `${limit} ["1","2"]`],
      ["offset=-1", `${offset} "-1"`],
      ["offset=0.5", `${offset} "0.5"`],
      ["offset=9007199254740992", `${offset} "9007199254740992"`],
      ["limit=1&offset=x", `${offset} "x"`]
    ] as const
  ) {
    test(
      `refuses ?${query} with 400: ${message}`,
      Effect.gen(function*() {
        const { url } = yield* serve(makeSource())
        const { json, status } = yield* ask(`${url}/herds/mails/dead?${query}`)
        assert.strictEqual(status, 400)
        assert.include(json, { _tag: "HttpApiDecodeError" })
        const { issues } = yield* Schema.decodeUnknown(
          Schema.Struct({ issues: Schema.Array(Schema.Struct({ message: Schema.String })) })
        )(json)
        assert.strictEqual(issues[0]?.message, message)
      })
    )
  }
})

describe("POST /herds/:name/dead/redrive and discard", () => {
  test(
    "redrives these or all, which run again as if they had just been offered, whatever the content type",
    Effect.gen(function*() {
      const source = makeSource()
      const { herd, kill, url } = yield* serve(source)
      yield* kill("bad 1", "bad 2", "bad 3")
      yield* herd.resize(0)
      assert.strictEqual((yield* sourceOf(url))?.dead, 3)
      for (
        const [type, body, count, left] of [
          ["application/x-www-form-urlencoded", "{\"ids\":[\"bad 2\",\"nobody\",\"bad 2\"]}", 1, ["bad 3", "bad 1"]],
          ["nonsense", "{\"ids\":[]}", 0, ["bad 3", "bad 1"]],
          ["application/json", "{\"ids\":\"all\",\"other\":1}", 2, []],
          ["text/plain", "{\"ids\":\"all\"}", 0, []]
        ] as const
      ) {
        const { json, status } = yield* settle(url, "redrive", body, { "content-type": type })
        assert.deepStrictEqual([status, json], [200, { count }])
        assert.deepStrictEqual(idsOf((yield* ask(`${url}/herds/mails/dead`)).json), left)
        // What was told before is out of date.
        assert.include(yield* sourceOf(url), { dead: left.length, ready: 3 - left.length })
      }
      assert.strictEqual((yield* herd.state).failed, 3)
      yield* herd.resize(1)
      yield* until(Effect.map(herd.state, ({ failed }) => failed === 6))
      assert.deepStrictEqual((yield* herd.dead.list()).map(({ attempts }) => attempts), [1, 1, 1])
    })
  )

  test(
    "discards these or all for good",
    Effect.gen(function*() {
      const { herd, kill, url } = yield* serve(makeSource())
      yield* kill("bad 1", "bad 2", "bad 3")
      assert.deepStrictEqual((yield* settle(url, "discard", "{\"ids\":[\"bad 2\"]}")).json, { count: 1 })
      assert.deepStrictEqual(idsOf((yield* ask(`${url}/herds/mails/dead`)).json), ["bad 3", "bad 1"])
      assert.deepStrictEqual((yield* settle(url, "discard", "{\"ids\":\"all\"}")).json, { count: 2 })
      assert.deepStrictEqual((yield* ask(`${url}/herds/mails/dead`)).json, [])
      assert.include(yield* herd.depth, { ready: 0, delayed: 0, held: 0, dead: 0 })
    })
  )

  const example = "expected a JSON object like {\"ids\": \"all\"}, got"
  const ids = "expected ids to be \"all\" or an array of strings, got"
  const bad: ReadonlyArray<readonly [body: string, status: number, tag: string, msg: string]> = [
    ["", 400, "InvalidBody", `${example} an empty body`],
    ["all", 400, "InvalidBody", `${example} something that is not JSON`],
    ["\"all\"", 400, "InvalidBody", `${example} "all"`],
    ["[\"bad 1\"]", 400, "InvalidBody", `${example} ["bad 1"]`],
    ["null", 400, "InvalidBody", `${example} null`],
    ["{}", 400, "InvalidBody", `${ids} undefined`],
    ["{\"__proto__\":{\"ids\":\"all\"}}", 400, "InvalidBody", `${ids} undefined`],
    ["{\"ids\":\"ALL\"}", 400, "InvalidBody", `${ids} "ALL"`],
    ["{\"ids\":\"bad 1\"}", 400, "InvalidBody", `${ids} "bad 1"`],
    ["{\"ids\":null}", 400, "InvalidBody", `${ids} null`],
    ["{\"ids\":{\"0\":\"bad 1\"}}", 400, "InvalidBody", `${ids} {"0":"bad 1"}`],
    ["{\"ids\":[\"bad 1\",1]}", 400, "InvalidBody", `${ids} ["bad 1",1]`],
    ["{\"ids\":[[\"bad 1\"]]}", 400, "InvalidBody", `${ids} [["bad 1"]]`],
    ["{\"ids\":\"all\"}".padEnd(65_537), 413, "BodyTooLarge", "expected a body of at most 65536 bytes, got more"]
  ]
  for (const how of ["redrive", "discard"] as const) {
    for (const [body, status, _tag, msg] of bad) {
      test(
        `refuses to ${how} ${body.slice(0, 50).trim() || "nothing"} with ${status}, and nothing is changed`,
        Effect.gen(function*() {
          const { herd, kill, url } = yield* serve(makeSource())
          yield* kill("bad 1")
          const answer = yield* settle(url, how, body)
          assert.deepStrictEqual([answer.status, answer.json], [status, { num: 1, msg, _tag }])
          assert.include(yield* herd.depth, { ready: 0, held: 0, dead: 1 })
        })
      )
    }
  }

  test(
    "takes a body of 64 kB",
    Effect.gen(function*() {
      const { kill, url } = yield* serve(makeSource())
      yield* kill("bad 1")
      const body = "{\"ids\":[\"bad 1\"]}".padEnd(65_536)
      assert.deepStrictEqual((yield* settle(url, "discard", body)).json, { count: 1 })
    })
  )

  test(
    "is refused where nothing may be changed, though the list can be read",
    Effect.gen(function*() {
      const { herd, kill, url } = yield* serve(makeSource(), { readOnly: true })
      yield* kill("bad 1")
      for (const how of ["redrive", "discard"] as const) {
        const { json, status } = yield* settle(url, how, "{\"ids\":\"all\"}")
        assert.strictEqual(status, 403)
        assert.deepStrictEqual(json, {
          num: 1,
          msg: "expected a request that changes nothing, got POST: these routes are read-only",
          _tag: "ReadOnly"
        })
      }
      assert.strictEqual((yield* herd.depth).dead, 1)
      assert.deepStrictEqual(idsOf((yield* ask(`${url}/herds/mails/dead`)).json), ["bad 1"])
    })
  )
})

describe("the routes of dead letters", () => {
  const routes = [["GET", ""], ["POST", "/redrive"], ["POST", "/discard"]] as const

  test(
    "are there for durable herds: of an unknown one, and of one that is not durable, 404 says which",
    Effect.gen(function*() {
      const { url } = yield* serve(makeSource())
      for (const [method, path] of routes) {
        const question = method === "GET" ? {} : { method, body: "{\"ids\":\"all\"}" }
        const unknown = yield* ask(`${url}/herds/nobody/dead${path}`, question)
        const names = "expected the name of a herd, one of \"mails\", \"plain\", got \"nobody\""
        assert.deepStrictEqual([unknown.status, unknown.json], [404, { msg: names, _tag: "NotFound" }])
        const plain = yield* ask(`${url}/herds/plain/dead${path}`, question)
        const msg = "expected the name of a durable herd, got \"plain\", which is not durable"
        assert.deepStrictEqual([plain.status, plain.json], [404, { msg, _tag: "NotFound" }])
      }
    })
  )

  test(
    "answer 503 when the source fails, with what the error says and nothing else",
    Effect.gen(function*() {
      const source = makeSource()
      const { url } = yield* serve(source)
      yield* source.is("fails")
      for (const [method, path] of routes) {
        const question = method === "GET" ? {} : { method, body: "{\"ids\":\"all\"}" }
        const { headers, json, status } = yield* ask(`${url}/herds/mails/dead${path}`, question)
        const operation = `${path.slice(1) || "list"} dead letters`
        assert.deepStrictEqual([status, json], [503, {
          msg: `expected the test source to ${operation}, got the disk is <b>full</b>`,
          _tag: "SourceError"
        }])
        assert.strictEqual(headers["retry-after"], "5")
        assert.match(String(headers["content-type"]), /^application\/json/)
      }
    })
  )

  test(
    "answer HEAD as GET, and another method with 405 and Allow",
    Effect.gen(function*() {
      const { herd, kill, url } = yield* serve(makeSource())
      yield* kill("bad 1")
      const head = yield* ask(`${url}/herds/mails/dead`, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.text], [200, ""])
      for (
        const [path, allow] of [["dead", "GET, HEAD"], ["dead/redrive", "POST"], ["dead/discard", "POST"]] as const
      ) {
        for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
          if (allow.includes(method)) continue
          const { headers, json, status } = yield* ask(`${url}/herds/mails/${path}`, { method })
          assert.strictEqual(status, 405, `${method} ${path}`)
          assert.strictEqual(headers["allow"], allow)
          if (method === "HEAD") continue
          assert.deepStrictEqual(json, { msg: `expected one of ${allow}, got ${method}`, _tag: "MethodNotAllowed" })
        }
      }
      assert.strictEqual((yield* herd.depth).dead, 1)
    })
  )

  test(
    "are answered while no event stream may be open, below a prefix, and to a client with the token",
    Effect.gen(function*() {
      const { kill, url } = yield* serve(makeSource(), { maxEventStreams: 0, prefix: "/ops", token: "s3cret" })
      yield* kill("bad 1")
      const headers = { authorization: "Bearer s3cret" }
      assert.match(url, /\/ops$/)
      assert.deepStrictEqual(idsOf((yield* askAny(`${url}/herds/mails/dead`, { headers })).json), ["bad 1"])
      const path = `${url}/herds/mails/dead/discard`
      const { json } = yield* askAny(path, { method: "POST", headers, body: "{\"ids\":\"all\"}" })
      assert.deepStrictEqual(json, { count: 1 })
    })
  )
})

describe("what may be served", () => {
  test(
    "is told to be durable by what it has, all of it",
    Effect.gen(function*() {
      const { herd } = yield* serve(makeSource())
      const parts = [
        { depth: 5 },
        { dead: undefined },
        { dead: { ...herd.dead, discard: 1 } },
        { fleet: undefined },
        { fleet: { _tag: "None" } }
      ]
      for (const part of parts) {
        const control = { ...herd, ...part } as Mails["Type"]
        assert.notProperty(yield* (yield* Monitor.make(control)).state, "source")
      }
      assert.property(yield* (yield* Monitor.make({ ...herd })).state, "source")
      const throwing = Object.defineProperty({ ...herd }, "depth", {
        get: () => {
          throw new Error("no")
        }
      })
      assert.notProperty(yield* (yield* Monitor.make(throwing)).state, "source")
    })
  )
})
