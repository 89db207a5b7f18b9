/**
 * Ten units of work and a herd of size 0: nothing happens until somebody turns it up.
 *
 *     npx tsx examples/quickstart.ts
 *     curl -XPATCH 127.0.0.1:5555/herd -d '{"num": 10}'      # in another terminal
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Effect, Exit, Layer, Stream } from "effect"
import { Herd } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"

class AddTen extends Context.Tag("AddTen")<AddTen, Herd.Herd<number, number>>() {}

const AddTenLive = Herd.layer(AddTen, { process: (n) => Effect.succeed(n + 10), size: 0 })

const ServerLive = HerdServer.layer({ herds: [AddTen], port: 5555 })

const program = Effect.gen(function*() {
  const herd = yield* AddTen
  for (let n = 0; n < 10; n++) yield* herd.send(n, { id: String(n) })
  yield* herd.close
  yield* Stream.runForEach(
    herd.outcomes,
    ({ exit, status, work }) =>
      Console.log(`workID:${work.id}, status: ${status}, result:${Exit.isSuccess(exit) ? exit.value : exit.cause}`)
  )
})

program.pipe(
  Effect.provide(ServerLive.pipe(Layer.provideMerge(AddTenLive))),
  NodeRuntime.runMain
)
