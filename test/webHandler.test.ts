/**
 * Event streams through a web handler, whose requests tell of their end by a signal, and whose
 * bodies may be left unread.
 */
import { HttpApp, HttpLayerRouter, HttpServer } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, TestClock } from "effect"
import { Herd, HerdRouter } from "gofherd"

class Numbers extends Context.Tag("numbers")<Numbers, Herd.Herd<number, number>>() {}

const NumbersLive = Herd.layer(Numbers, { process: (n) => Effect.succeed(n) })

/** The routes, with one place for event streams, as a web handler on the test's clock. */
const makeHandler = Effect.gen(function*() {
  const routes = HerdRouter.layer({ herds: [Numbers], maxEventStreams: 1 }).pipe(
    Layer.provide(NumbersLive),
    Layer.provide(HttpServer.layerContext)
  )
  const app = yield* HttpLayerRouter.toHttpEffect(routes)
  const handler = HttpApp.toWebHandlerRuntime(yield* Effect.runtime<never>())(app)
  return (signal?: AbortSignal, method = "GET") =>
    Effect.promise(() =>
      handler(new Request("http://localhost/herds/numbers/events", { method, ...(signal && { signal }) }))
    )
})

type Handler = Effect.Effect.Success<typeof makeHandler>

/** Lets what is under way without the clock come to its end. */
const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))

const isFree = (handler: Handler) =>
  Effect.gen(function*() {
    yield* settle
    const response = yield* handler()
    yield* Effect.promise(async () => response.body?.cancel())
    yield* settle
    return response.status === 200
  })

const read = (response: Response) =>
  Effect.promise(async () => {
    const reader = response.body?.getReader()
    const chunk = await reader?.read()
    reader?.releaseLock()
    return chunk?.done === false ? new TextDecoder().decode(chunk.value) : undefined
  })

describe("the place of an event stream is free again", () => {
  const ways: Readonly<Record<string, (handler: Handler) => Effect.Effect<void>>> = {
    "is aborted once an event was read": (handler) =>
      Effect.gen(function*() {
        const controller = new AbortController()
        const response = yield* handler(controller.signal)
        assert.match((yield* read(response)) ?? "", /^data: /)
        assert.isFalse(yield* isFree(handler))
        controller.abort()
      }),
    "is aborted while its reader waits": (handler) =>
      Effect.gen(function*() {
        const controller = new AbortController()
        const response = yield* handler(controller.signal)
        yield* read(response)
        const waiting = response.body?.getReader().read()
        yield* settle
        controller.abort()
        assert.isTrue((yield* Effect.promise(async () => waiting))?.done)
      }),
    "is aborted before anything was read": (handler) =>
      Effect.gen(function*() {
        const controller = new AbortController()
        assert.strictEqual((yield* handler(controller.signal)).status, 200)
        controller.abort()
      }),
    "was aborted before it came": (handler) => Effect.asVoid(handler(AbortSignal.abort())),
    "has its body cancelled": (handler) =>
      Effect.flatMap(handler(), ({ body }) => Effect.promise(async () => body?.cancel())),
    "has its body cancelled once an event was read": (handler) =>
      Effect.gen(function*() {
        const response = yield* handler()
        yield* read(response)
        yield* Effect.promise(async () => response.body?.cancel())
      }),
    "asks for the head only": (handler) => Effect.asVoid(handler(undefined, "HEAD")),
    "is not read for a minute": (handler) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* handler()).status, 200)
        for (let seconds = 0; seconds < 60; seconds++) {
          assert.isFalse(yield* Effect.map(handler(), ({ status }) => status === 200))
          yield* TestClock.adjust("1 second")
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
      })
  }
  for (const [name, leave] of Object.entries(ways)) {
    it.scoped(`if its request ${name}`, () =>
      Effect.gen(function*() {
        const handler = yield* makeHandler
        for (let i = 0; i < 3; i++) {
          yield* leave(handler)
          assert.isTrue(yield* isFree(handler))
        }
      }), 20_000)
  }
})

it.scoped(
  "the place of an event stream is kept for a reader who comes for each event after 20 s",
  () =>
    Effect.gen(function*() {
      const handler = yield* makeHandler
      const response = yield* handler()
      for (let i = 0; i < 15; i++) {
        assert.match((yield* read(response)) ?? "", /^data: /)
        for (let i = 0; i < 4; i++) yield* TestClock.adjust("5 seconds")
        assert.isFalse(yield* isFree(handler))
      }
    }),
  20_000
)
