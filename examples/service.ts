/**
 * A service as it is deployed (deploy/ does it): a herd at work until SIGTERM, on orders made up for the occasion. They
 * come in at random; of a hundred attempts ten fail and are repeated, two fail for good.
 *
 *     npx tsx examples/service.ts
 *     curl 127.0.0.1:2112/metrics      # in another terminal
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Context, Data, Duration, Effect, Layer, Random, Schedule } from "effect"
import { Herd } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"

class Unavailable extends Data.TaggedError("Unavailable") {}
class Refused extends Data.TaggedError("Refused") {}

class Orders extends Context.Tag("orders")<Orders, Herd.Herd<number, void, Unavailable | Refused>>() {}

/** An order takes 50 to 350 ms of somebody else's time. */
const fulfil = (_order: number) =>
  Effect.gen(function*() {
    yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(50, 350)))
    const luck = yield* Random.nextIntBetween(0, 100)
    if (luck < 2) return yield* new Refused()
    if (luck < 12) return yield* new Unavailable()
  })

const retry = Schedule.exponential("200 millis").pipe(
  Schedule.jittered,
  Schedule.intersect(Schedule.recurs(3)),
  Schedule.whileInput((error: Unavailable | Refused) => error._tag === "Unavailable")
)

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

/** About 20 orders a second. */
const program = Effect.gen(function*() {
  const herd = yield* Orders
  const { url } = yield* HerdServer.HerdServer
  yield* Effect.log(`serving ${url}`)
  for (let order = 1;; order++) {
    const luck = yield* Random.next
    yield* Effect.sleep(Duration.millis(-50 * Math.log(1 - luck)))
    yield* herd.send(order)
  }
})

program.pipe(
  Effect.provide(ServerLive.pipe(Layer.provideMerge(OrdersLive))),
  NodeRuntime.runMain
)
