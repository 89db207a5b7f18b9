/** JavaScript, since poolifier's threads start without what loads TypeScript. */
import { ThreadWorker } from "poolifier"
import { register } from "tsx/esm/api"

register()

const { fib, sha256, trip } = await import("./units.ts")

export default new ThreadWorker({ fib, sha256, trip })
