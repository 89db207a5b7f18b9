import { Effect } from "effect"
import * as HerdThread from "gofherd/HerdThread"
import { sha256 } from "./units.ts"

export default HerdThread.serve((bytes: Uint8Array<ArrayBuffer>) => Effect.sync(() => sha256(bytes)))
