import { Effect } from "effect"
import * as HerdThread from "gofherd/HerdThread"
import { trip } from "./units.ts"

export default HerdThread.serve((n: number) => Effect.sync(() => trip(n)))
