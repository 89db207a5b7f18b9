import { Effect } from "effect"
import * as HerdThread from "gofherd/HerdThread"
import { fib } from "./units.ts"

export default HerdThread.serve((n: number) => Effect.sync(() => fib(n)))
