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

sourceContract(memory)
durableContract(memory)
