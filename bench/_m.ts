import { FastCheck as fc } from "effect"
import { writeFileSync } from "node:fs"
import { commands, config } from "../test/model/commands.ts"
import { run } from "../test/model/run.ts"
let n = 0
fc.assert(
  fc.asyncProperty(config, commands, async (c, cs) => {
    n++
    writeFileSync("/tmp/last.json", JSON.stringify([c, cs]))
    await run(c, cs)
  }),
  {
    numRuns: Number(process.argv[2] ?? 300),
    seed: Number(process.argv[3] ?? 1),
    endOnFailure: process.argv[4] === "quick"
  }
).then(() => console.log("ok", n), (e) => console.log(n, String(e.message).slice(0, 3000)))
