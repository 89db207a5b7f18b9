import { assert, it, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { minute, Place, places, unit } from "./utils/bullmq.ts"

/**
 * Stands between a herd and its server. Passes on that many answers, then accepts connections and
 * is silent.
 */
const muted = (port: number, answers: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      const dead = new Set<Socket>()
      const state = {
        answers,
        port: 0,
        /** Drops what is sent on present connections, and keeps them open, as a firewall does. */
        drop: () => {
          for (const socket of sockets) dead.add(socket)
        }
      }
      const server = createServer((socket) => {
        const upstream = connect(port, "127.0.0.1")
        for (const one of [socket, upstream]) {
          sockets.add(one)
          one.on("error", () => {})
        }
        socket.on("data", (data) => upstream.write(data))
        socket.on("close", () => upstream.destroy())
        upstream.on("data", (data) => {
          if (!dead.has(socket) && state.answers-- > 0) socket.write(data)
        })
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      const address = server.address()
      if (typeof address === "object" && address !== null) state.port = address.port
      return { server, sockets, state }
    }),
    ({ server, sockets }) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  ).pipe(Effect.map(({ state }) => state))

for (const [name, { has, place }] of Object.entries(places)) {
  if (!has) {
    it.skip(`A silent server, ${name}, which is not installed`, () => {})
    continue
  }

  layer(place, { excludeTestServices: true, timeout: "60 seconds" })(`A silent server, ${name}`, (it) => {
    const opening = (port: number, millis?: number) =>
      Effect.gen(function*() {
        const { server } = yield* Place
        const connection = { url: server.url.replace(/:\d+(?=\/|$)/, `:${port}`) }
        const source = name === "Redis"
          ? HerdSourceBullMQ.layer({
            connection: { ...connection, driver: millis === undefined ? {} : { commandTimeout: millis } }
          })
          : HerdSourceBullMQ.layerPostgres({
            connection: {
              ...connection,
              driver: millis === undefined ? {} : { connectionTimeoutMillis: millis, query_timeout: millis }
            }
          })
        const context = yield* Layer.build(source)
        return yield* Context.get(context, HerdSource.HerdSource).open("silent", minute)
      })

    for (const answers of [0, 1, 2, 3, 4]) {
      it.scoped(
        `fails to open in a bounded time, if it says nothing after ${answers} answers`,
        () =>
          Effect.gen(function*() {
            const { server } = yield* Place
            const between = yield* muted(server.port, answers)
            const began = performance.now()
            const exit = yield* Effect.exit(Effect.scoped(opening(between.port, 300)))
            assert.isBelow(performance.now() - began, 4_000)
            if (Exit.isSuccess(exit)) return
            assert.match(
              String(exit.cause),
              /expected the BullMQ source to (open its queue|recover units), got .*(time|no answer)/i
            )
          }),
        20_000
      )
    }

    it.scoped("fails to open within some 10 s without options", () =>
      Effect.gen(function*() {
        const { server } = yield* Place
        const between = yield* muted(server.port, 0)
        const began = performance.now()
        const error = yield* Effect.flip(Effect.scoped(opening(between.port)))
        assert.match(error.message, /^expected the BullMQ source to open its queue, got .*(time|no answer)/i)
        assert.isBelow(performance.now() - began, 13_000)
      }), 20_000)

    it.scoped(
      "that falls silent later fails what is asked for, and a herd goes on by new connections",
      () =>
        Effect.gen(function*() {
          const { server } = yield* Place
          const between = yield* muted(server.port, Infinity)
          const scope = yield* Scope.make()
          const queue = yield* Scope.extend(opening(between.port, 300), scope)
          between.drop()
          const error = yield* Effect.flip(queue.offer([unit("a")]))
          assert.match(error.message, /^expected the BullMQ source to offer units, got .*time/i)
          yield* Effect.retry(queue.offer([unit("b")]), { times: 10 })
          between.answers = 0
          const began = performance.now()
          yield* Scope.close(scope, Exit.void)
          assert.isBelow(performance.now() - began, 5_000)
        }),
      20_000
    )
  })
}
