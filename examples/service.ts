/**
 * A service as it is deployed (deploy/ does it): a herd at work until SIGTERM, on orders that come
 * in at random.
 *
 *     npx tsx examples/service.ts
 *     curl 127.0.0.1:2112/metrics      # in another terminal
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Context, Effect, Layer } from "effect"
import { Herd } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { arrivals, fulfil, type Refused, retry, type Unavailable } from "./orders.ts"

class Orders extends Context.Tag("orders")<Orders, Herd.Herd<number, void, Unavailable | Refused>>() {}

const OrdersLive = Herd.layer(
  Orders,
  Effect.map(Config.withDefault(Config.integer("ORDERS_SIZE"), 8), (size) => ({
    process: fulfil,
    size,
    retry,
    outcomes: "discard" as const,
    gracePeriod: "10 seconds" as const
  }))
)

const ServerLive = HerdServer.layerConfig({ herds: [Orders], drain: true })

const program = Effect.gen(function*() {
  const herd = yield* Orders
  const { url } = yield* HerdServer.HerdServer
  yield* Effect.log(`serving ${url}`)
  return yield* arrivals(20, herd.send)
})

program.pipe(
  Effect.provide(ServerLive.pipe(Layer.provideMerge(OrdersLive))),
  NodeRuntime.runMain
)
