import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { turns } from "./stage.ts"

/** Makes V8 collect its garbage now, whatever options the process was started with. */
const collectGarbage = (): void => {
  setFlagsFromString("--expose-gc")
  const gc: () => void = runInNewContext("gc")
  gc()
}

/**
 * How many of them live on, at most so many if V8 lets go of the others. It may take it more than
 * one collection: a register or a slot of the stack that is no longer in use can hold something for
 * a while.
 */
export const living = (refs: ReadonlyArray<WeakRef<object>>, most: number): Effect.Effect<number> =>
  Effect.gen(function*() {
    let left = refs.length
    for (let n = 0; n < 20 && left > most; n++) {
      yield* turns
      collectGarbage()
      left = refs.filter((ref) => ref.deref() !== undefined).length
    }
    return left
  })
