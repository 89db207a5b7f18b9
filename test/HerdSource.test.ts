import { Context, Effect, Layer } from "effect"
import * as HerdSource from "gofherd/HerdSource"
import { makeMemory, type Memory } from "../src/internal/sourceMemory.ts"
import { durableContract } from "./utils/durableContract.ts"
import { sourceContract } from "./utils/sourceContract.ts"
import type { Subject } from "./utils/stores.ts"

const memory: Subject = {
  name: "memory",
  programs: false,
  store: Effect.sync(() => {
    // The same memory for all, on which each has a source of its own.
    const memory: Memory = new Map()
    return {
      layer: Layer.sync(HerdSource.HerdSource, () => makeMemory({}, memory)),
      herd: "contract",
      program: undefined
    }
  })
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
