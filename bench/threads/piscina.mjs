/** JavaScript, since piscina's threads start without what loads TypeScript. */
import { register } from "tsx/esm/api"

register()

export const { fib, sha256, trip } = await import("./units.ts")
