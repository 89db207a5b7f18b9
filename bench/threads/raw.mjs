/** As little as there can be around a unit. */
import { parentPort } from "node:worker_threads"
import { register } from "tsx/esm/api"

register()

const { trip } = await import("./units.ts")

parentPort?.on("message", (n) => parentPort?.postMessage(trip(n), []))
