import { Context, Effect, Layer } from "effect"
import * as HerdSource from "gofherd/HerdSource"
import { durableContract } from "./utils/durableContract.ts"
import { sourceContract } from "./utils/sourceContract.ts"
import type { Subject } from "./utils/stores.ts"

const memory: Subject = {
  name: "memory",
  programs: false,
  store: Effect.map(Layer.build(HerdSource.layerMemory()), (context) => ({
    // The same memory for all.
    layer: Layer.succeed(HerdSource.HerdSource, Context.get(context, HerdSource.HerdSource)),
    herd: "contract",
    program: undefined
  }))
}

/** As one that is far away: it takes its time, and may be asked the next thing meanwhile. */
const faraway: Subject = {
  ...memory,
  name: "memory that is far away",
  store: Effect.map(memory.store, ({ layer, ...store }) => ({
    ...store,
    layer: Layer.map(layer, (context) => {
      const source = Context.get(context, HerdSource.HerdSource)
      const after = <A, E>(answer: Effect.Effect<A, E>) => Effect.delay(answer, "2 millis")
      return Context.make(HerdSource.HerdSource, {
        open: (herd, options) =>
          Effect.map(source.open(herd, options), (queue) => ({
            ...queue,
            concurrency: 2,
            claim: (max) => after(queue.claim(max)),
            settle: (settlements, claim) => after(queue.settle(settlements, claim))
          }))
      })
    })
  }))
}

sourceContract(memory)
durableContract(memory)
durableContract(faraway)
