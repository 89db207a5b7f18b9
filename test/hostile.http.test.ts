/**
 * Hostile options of what serves, asks and shows a herd, hostile names and updates, and servers
 * that answer rubbish.
 */
import { FetchHttpClient, HttpLayerRouter, HttpServer } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Layer, Logger, Stream } from "effect"
import { Herd, type HerdApi, HerdClient, HerdError, HerdRouter } from "gofherd"
import * as HerdProgress from "gofherd/HerdProgress"
import * as HerdServer from "gofherd/HerdServer"
import type { RequestListener } from "node:http"
import { assertExpected, forEachKind, hostile, type Kind, kinds, type Place, strings } from "./utils/hostile.ts"
import { ask, pretend } from "./utils/http.ts"
import { pretty } from "./utils/pretty.ts"

const made = Herd.make<unknown, unknown>({ process: Effect.succeed })

const objects: ReadonlyArray<Kind> = kinds.filter((kind) =>
  ![
    ...strings,
    "undefined",
    "null",
    "NaN",
    "-0",
    "-1",
    "0.5",
    "2 ** 53",
    "Infinity",
    "-Infinity",
    "10n",
    "a symbol",
    "true"
  ]
    .includes(kind)
)

const boolean = (name: string): Place => ({
  accepts: ["undefined", "true"],
  refusal: `expected ${name} to be a boolean, got `
})

/** Every option: a new one does not compile without a row. */
const router = {
  // Whether a Proxy is an array cannot be asked of one that was revoked.
  herds: { accepts: [], refusal: "expected " },
  prefix: { accepts: ["undefined", "an empty string"], refusal: "expected prefix to be a path" },
  readOnly: boolean("readOnly"),
  token: { accepts: ["undefined", "\"3\"", "\"NaN\""], refusal: "expected " },
  allowedHosts: { accepts: ["undefined", "[]"], refusal: "expected " },
  dashboard: boolean("dashboard"),
  maxEventStreams: { accepts: ["undefined", "-0"], refusal: "expected maxEventStreams to be an integer from 0, got " }
} satisfies Record<keyof HerdRouter.Options<readonly [typeof made]>, Place>

const server = {
  ...router,
  // A name that does not exist is for the system to refuse.
  host: {
    accepts: ["undefined", ...strings.slice(1)],
    refusal: "expected host to be the name or the address of a host, got "
  },
  port: { accepts: ["undefined", "-0"], refusal: "expected port to be an integer from 0 to 65535, got " },
  drain: boolean("drain")
} satisfies Record<keyof HerdServer.Options<readonly [typeof made]>, Place>

type AnyLayer = Layer.Layer<never, unknown, unknown>

interface Way {
  readonly layer: (options: never) => AnyLayer
  readonly places: Record<string, Place>
}

const ways: Record<string, Way> = {
  "HerdRouter.layer": { layer: HerdRouter.layer, places: router },
  "HerdServer.layer": { layer: HerdServer.layer, places: server },
  "HerdServer.layerConfig": { layer: HerdServer.layerConfig, places: server }
}

/** A router for those layers that have none of their own. */
const build = (layer: AnyLayer) =>
  Effect.exit(
    Effect.scoped(
      Layer.build(
        Layer.provide(layer, Layer.merge(HttpLayerRouter.layer, HttpServer.layerContext)) as Layer.Layer<never, unknown>
      )
    )
  )

for (const [way, { layer, places }] of Object.entries(ways)) {
  describe(`${way}, given hostile`, () => {
    for (const [option, place] of Object.entries(places)) {
      it.live(`${option}, serves or says what it expected`, () =>
        forEachKind((value, kind) =>
          Effect.gen(function*() {
            const options = { herds: [made], port: 0, [option]: value } as never
            // These would listen, on a port of everybody's or at a name that has to be looked up.
            if (option === "port" && kind === "undefined" || option === "host" && strings.slice(1).includes(kind)) {
              return
            }
            assertExpected(place, kind, yield* build(layer(options)))
          })
        ), 20_000)
    }

    it.live("options or herds, says what it expected", () =>
      forEachKind((value, kind) =>
        Effect.gen(function*() {
          const all = [value, { herds: value, port: 0 }, { herds: [made, value], port: 0 }, {
            herds: [Effect.succeed(value)],
            port: 0
          }]
          for (const options of all) {
            const exit = yield* build(Layer.suspend(() => layer(options as never)))
            assertExpected({ accepts: [], refusal: "expected " }, kind, exit)
          }
        })
      ), 20_000)
  })
}

describe("HerdServer.layer", () => {
  it.scopedLive("refuses two herds of one name, of which only one could be reached", () =>
    Effect.gen(function*() {
      const herd = Effect.succeed(yield* made)
      const exit = yield* Effect.exit(Layer.build(HerdServer.layer({ herds: [herd, herd], port: 0 })))
      assert.match(pretty(exit), /expected herds to be herds with different names, got ".*" twice/)
    }))

  it("ListenError says something of any cause", () => {
    for (const cause of [Object.create(null), undefined, new Proxy({}, {}), Symbol("x")]) {
      assert.match(
        new HerdError.ListenError({ host: "h", port: 1, cause }).message,
        /^expected to listen on h:1, got ./
      )
    }
  })
})

describe("units that end in hostile ways", () => {
  it.scopedLive(
    "can be watched over HTTP and traced: what is served is what it is said to be",
    () =>
      Effect.gen(function*() {
        const ids: ReadonlyArray<string> = strings.map((kind) => String(hostile[kind]()))
        const attributes = new Set<string>()
        const herd = yield* Herd.make<unknown, unknown, unknown>({
          name: "hostile",
          process: (end) => (end as () => Effect.Effect<unknown, unknown>)(),
          tracing: true
        })
        const note = Effect.map(Effect.currentSpan, (span) => {
          for (const [key, value] of span.attributes) attributes.add(`${key}: ${typeof value}`)
        })
        const context = yield* Layer.build(HerdServer.layer({ herds: [Effect.succeed(herd)], port: 0 }))
        const { url } = Context.get(context, HerdServer.HerdServer)
        const client = yield* clientOf({ baseUrl: url })
        let failed = 0
        yield* forEachKind((value, kind) =>
          Effect.gen(function*() {
            const ends = [
              () => Effect.zipRight(note, Effect.failCause(Cause.fail(value))),
              () => Effect.zipRight(note, Effect.failCause(Cause.die(value))),
              () => value
            ]
            for (const end of ends) yield* Effect.exit(herd.run(end, { id: ids[failed++ % ids.length] }))
            const state = yield* client.herd("hostile")
            assert.strictEqual(state.failed, failed, kind)
            assert.lengthOf(state.failures, Math.min(failed, 20))
            for (const { message } of state.failures) assert.isAtMost(message.length, 300)
          })
        )
        yield* client.changes("hostile").pipe(Stream.takeUntil((state) => state.failed === failed), Stream.runDrain)
        assert.include((yield* ask(`${url}/metrics`)).text, `gofherd_failure_total{herd="hostile"} ${failed}\n`)
        assert.sameMembers([...attributes], [
          "gofherd.herd: string",
          "gofherd.work.id: string",
          "gofherd.work.attempt: number"
        ])
      }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))),
    20_000
  )
})

const clientOf = (options: HerdClient.Options) => Effect.provide(HerdClient.make(options), FetchHttpClient.layer)

describe("HerdClient.make, given hostile", () => {
  const places = {
    baseUrl: { accepts: strings, refusal: "expected baseUrl to be a string, got " },
    token: { accepts: ["undefined", "\"3\"", "\"NaN\""], refusal: "expected " }
  } satisfies Record<keyof HerdClient.Options, Place>
  for (const [option, place] of Object.entries(places)) {
    it.effect(`${option}, says what it expected`, () =>
      forEachKind((value, kind) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(clientOf({ baseUrl: "http://127.0.0.1:9", [option]: value } as never))
          assertExpected(place, kind, exit)
        })
      ))
  }
  it.effect("options, says what it expected", () =>
    forEachKind((value, kind) =>
      Effect.gen(function*() {
        assertExpected({ accepts: [], refusal: "expected " }, kind, yield* Effect.exit(clientOf(value as never)))
      })
    ))
})

describe("HerdClient, given hostile", () => {
  it.scopedLive(
    "names, sizes and updates, asks nobody or a herd of that very name, and fails as it says",
    () =>
      Effect.gen(function*() {
        const paths: Array<string> = []
        const { url } = yield* pretend((request, response) => {
          paths.push(request.url ?? "")
          response.writeHead(404, { "content-type": "application/json" }).end("{\"_tag\":\"NotFound\",\"msg\":\"no\"}")
        })
        const client = yield* clientOf({ baseUrl: url })
        yield* forEachKind((value, kind) =>
          Effect.gen(function*() {
            // A head of 100,000 characters is no request.
            if (kind === "a long string") return
            const hostile = value as never
            const asked: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
              client.herd(hostile),
              client.update(hostile, { num: 1 }),
              Stream.runDrain(client.changes(hostile)),
              client.update("first", hostile),
              client.update("first", { num: hostile, mode: hostile, paused: hostile }),
              client.resize(hostile),
              client.update("first", { fleet: hostile }),
              client.dead(hostile),
              client.dead("first", hostile),
              client.dead("first", { limit: hostile, offset: hostile }),
              client.redrive(hostile, "all"),
              client.redrive("first", hostile),
              client.discard("first", [hostile])
            ]
            for (const effect of asked) {
              const exit = yield* Effect.exit(effect)
              assert.match(pretty(exit), /NotFound|expected|Expected|ResponseError|ParseError/, kind)
            }
          })
        )
        const known = /^\/herds?(?:\/[^/.][^/]*(?:\/events|\/dead(?:\/redrive|\/discard|\?\w+=\d+)?)?)?$/
        for (const path of paths) assert.match(path, known)
      }),
    20_000
  )

  it.scopedLive("answers, fails with a typed error", () =>
    Effect.gen(function*() {
      const answers: Record<string, RequestListener> = {
        html: (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<h1>Log in</h1>"),
        "a number": (_, response) => response.writeHead(200, { "content-type": "application/json" }).end("5"),
        "half of it": (_, response) => {
          response.writeHead(200, { "content-type": "application/json", "content-length": "100" })
          response.write("{\"num\":", () => response.destroy())
        },
        "a redirect to itself": (request, response) => response.writeHead(302, { location: request.url ?? "/" }).end(),
        nothing: (_, response) => response.destroy(),
        "a status of 999": (_, response) => response.writeHead(999).end()
      }
      for (const [name, listener] of Object.entries(answers)) {
        const { url } = yield* pretend(listener)
        const client = yield* clientOf({ baseUrl: url })
        const asked: ReadonlyArray<
          Effect.Effect<unknown, HerdClient.Failure | HerdApi.NotFound | HerdApi.TooManyEventStreams>
        > = [
          client.size,
          client.herds,
          client.herd("first"),
          Stream.runDrain(client.changes("first"))
        ]
        for (const effect of asked) {
          const error = yield* Effect.flip(effect)
          assert.match(error._tag, /Error$/, name)
        }
      }
    }), 20_000)

  it.scopedLive("events without an end, keeps no more than a million characters of them", () =>
    Effect.gen(function*() {
      const { url } = yield* pretend((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        const more = () => {
          if (!response.destroyed) response.write("data: ".padEnd(65_536, "x"), more)
        }
        more()
      })
      const client = yield* clientOf({ baseUrl: url })
      const error = yield* Effect.flip(Stream.runDrain(client.changes("first")))
      assert.include(String(error), "got one of more than 1000000 characters")
    }), 20_000)
})

describe("HerdProgress.layer, given hostile", () => {
  const texts: ReadonlyArray<Kind> = ["undefined", ...strings]
  const places = {
    total: {
      accepts: ["undefined", "-0"],
      refusal: "expected total to be an integer from 0, or an Effect of one, got "
    },
    label: { accepts: texts, refusal: "expected label to be a string, got " },
    unit: { accepts: texts, refusal: "expected unit to be a string, got " },
    interval: {
      accepts: ["undefined", "0.5", "2 ** 53", "Infinity", "10n"],
      refusal: "expected interval to be a duration of more than 0, got "
    },
    summary: boolean("summary"),
    stream: { accepts: ["undefined"], refusal: "expected stream to be a stream to write to, got " }
  } satisfies Record<keyof HerdProgress.Options, Place>

  const show = (herd: unknown, options: unknown) =>
    Effect.exit(
      Effect.scoped(Layer.build(Layer.suspend(() => HerdProgress.layer(herd as typeof made, options as never))))
    )

  for (const [option, place] of Object.entries(places)) {
    it.effect(`${option}, shows the herd or says what it expected`, () =>
      forEachKind((value, kind) =>
        Effect.gen(function*() {
          const stream = { isTTY: true, write: () => true }
          assertExpected(place, kind, yield* show(made, { stream, [option]: value }))
        })
      ))
  }

  it.effect("options or herds, says what it expected", () =>
    forEachKind((value, kind) =>
      Effect.gen(function*() {
        const place: Place = { accepts: [], refusal: "expected " }
        if (kind !== "undefined") {
          const blank = objects.filter((kind) => !/properties throw|Proxy|function/.test(kind))
          assertExpected({ ...place, accepts: blank }, kind, yield* show(made, value))
        }
        assertExpected(place, kind, yield* show(value, {}))
        assertExpected(place, kind, yield* show(Effect.succeed(value), {}))
      })
    ))

  const boom = (): never => {
    throw new Error("write EPIPE")
  }
  const streams: Record<string, object> = {
    "throws when it is written to": { isTTY: true, write: boom },
    "has columns that throw": Object.defineProperty({ isTTY: true, write: () => true }, "columns", { get: boom }),
    "has NaN columns": { isTTY: true, write: () => true, columns: NaN },
    "has a negative number of columns": { isTTY: true, write: () => true, columns: -1 },
    "has a string of columns": { isTTY: true, write: () => true, columns: "80" },
    "has colours that throw": { isTTY: true, write: () => true, hasColors: boom },
    "has a terminal that throws": Object.defineProperty({ write: () => true }, "isTTY", { get: boom }),
    "is frozen": Object.freeze({ isTTY: true, write: () => true })
  }
  for (const [name, stream] of Object.entries(streams)) {
    it.scoped(`a stream that ${name}, ends as what it is shown for ends, again and again`, () =>
      Effect.gen(function*() {
        const herd = yield* made
        for (let n = 0; n < 2; n++) {
          const shown = Effect.provide(
            herd.run(n),
            HerdProgress.layer(Effect.succeed(herd), { stream: stream as never })
          )
          assert.strictEqual(yield* shown, n)
        }
      }))
  }
})
