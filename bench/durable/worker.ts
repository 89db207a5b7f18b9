/**
 * A process that works: worker.ts CONTENDER LOCATION QUEUE SIZE. It says when it is ready, begins when it is told to, says how many units it has
 * done, and, told to stop, how much processor time that took.
 */
import { Effect } from "effect"
import { contenders } from "./contenders.ts"

const [name = "", location = "", queue = "", size = ""] = process.argv.slice(2)

/** Milliseconds between two messages. */
const OFTEN = 10

let units = 0
let told = 0

const tell = () => {
  if (units === told) return
  told = units
  process.send?.({ units })
}

const toldTo = (what: string) =>
  Effect.async<void>((resume) => {
    process.on("message", (message) => {
      if (message === what) resume(Effect.void)
    })
  })

const program = Effect.gen(function*() {
  const contender = contenders.find((contender) => contender.name === name)
  if (contender === undefined) return yield* Effect.dieMessage(`expected a contender, got ${name}`)
  process.send?.("ready")
  yield* toldTo("go")
  const before = process.cpuUsage()
  const timer = setInterval(tell, OFTEN)
  yield* contender.work({ location, queue }, Number(size), () => units++)
  yield* toldTo("stop")
  clearInterval(timer)
  const { system, user } = process.cpuUsage(before)
  process.send?.({ cpu: system + user })
})

Effect.runPromise(Effect.scoped(program)).then(() => process.disconnect(), (error) => {
  console.error(error)
  process.exit(1)
})
