/**
 * The same service as a fleet (deploy/ does it): as many processes as are started, on one Redis.
 * What one has taken in any other may fulfil, and nothing is lost when one is killed. One that is
 * of size 0 only takes orders in, and shows them.
 *
 *     ORDERS_PER_SECOND=50 ORDERS_SIZE=0 npx tsx examples/service.fleet.ts     # the shop, at http://127.0.0.1:2112/
 *     GOFHERD_PORT=2113 npx tsx examples/service.fleet.ts                      # a worker; in another terminal one more, at :2114
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Context, Effect, Layer, Schema } from "effect"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
import { arrivals, fulfil, retry } from "./orders.ts"

class Orders extends Context.Tag("orders")<Orders, DurableHerd.DurableHerd<number>>() {}

const SourceLive = Layer.unwrapEffect(
  Effect.map(
    Config.withDefault(Config.string("ORDERS_REDIS"), "redis://127.0.0.1:6379"),
    (url) => HerdSourceBullMQ.layer({ connection: { url } })
  )
)

const OrdersLive = DurableHerd.layer(
  Orders,
  Effect.map(Config.withDefault(Config.integer("ORDERS_SIZE"), 8), (size) => ({
    schema: Schema.Number,
    process: fulfil,
    size,
    retry,
    gracePeriod: "10 seconds" as const
  }))
).pipe(Layer.provide(SourceLive))

const ServerLive = HerdServer.layerConfig({ herds: [Orders] })

const program = Effect.gen(function*() {
  const herd = yield* Orders
  const { url } = yield* HerdServer.HerdServer
  const perSecond = yield* Config.withDefault(Config.number("ORDERS_PER_SECOND"), 0)
  yield* Effect.log(`serving ${url}`)
  if (perSecond === 0) return yield* Effect.never
  // A shop that can't keep an order says so to whoever gave it.
  return yield* arrivals(perSecond, (order) => Effect.catchAll(herd.offer(order), Effect.logWarning))
})

program.pipe(
  Effect.provide(ServerLive.pipe(Layer.provideMerge(OrdersLive))),
  NodeRuntime.runMain
)
