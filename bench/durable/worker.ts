/**
 * A process that works: worker.ts CONTENDER LOCATION QUEUE SIZE. It says when it is ready, begins
 * when it is told to, and says how many units it has done, and how much processor time that took.
 */
import { Effect } from "effect"
import { contenders } from "./contenders.ts"

const [name = "", location = "", queue = "", size = ""] = process.argv.slice(2)

/** Milliseconds between two messages. */
const OFTEN = 10

let units = 0
let before = process.cpuUsage()

const tell = () => {
  const { system, user } = process.cpuUsage(before)
  process.send?.({ units, cpu: system + user })
}

process.once("disconnect", () => process.exit())

const toldToBegin = Effect.async<void>((resume) => {
  process.once("message", () => resume(Effect.void))
})

const program = Effect.gen(function*() {
  const contender = contenders.find((contender) => contender.name === name)
  if (contender === undefined) return yield* Effect.dieMessage(`expected a contender, got ${name}`)
  process.send?.("ready")
  yield* toldToBegin
  before = process.cpuUsage()
  setInterval(tell, OFTEN)
  yield* contender.work({ location, queue }, Number(size), () => units++)
  return yield* Effect.never
})

Effect.runPromise(Effect.scoped(program)).catch((error) => {
  console.error(error)
  process.exit(1)
})
