import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Makes V8 collect its garbage now, whatever options the process was started with. */
export const collectGarbage = (): void => {
  setFlagsFromString("--expose-gc")
  const gc: () => void = runInNewContext("gc")
  gc()
}
