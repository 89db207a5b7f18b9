/**
 * The targets, in a process of their own: `targetServers.ts <seed>`. A request for `/5` is to be
 * answered with `{"n":5}`, and is, sometimes. Sends its parent the ports; when asked, how often it
 * did what; and ends with it.
 */
import { once } from "node:events"
import { createServer, type Server, type ServerResponse } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { Chance } from "./chance.ts"
import type { TargetName } from "./visit.ts"

const chance = new Chance(Number(process.argv[2]), "targets")
const counts = new Map<string, number>()
const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1)

type Answer = (n: string, response: ServerResponse) => void

const right: Answer = (n, response) => response.end(`{"n":${n}}`)
const late = (from: number, to: number): Answer => (n, response) => {
  setTimeout(() => right(n, response), chance.between(from, to))
}
const never: Answer = () => {}
const status = (code: number, headers = {}): Answer => (_n, response) => response.writeHead(code, headers).end("sorry")
const malformed: Answer = (_n, response) => response.end("{\"n\":")
const length = (bytes: number): Answer => (n, response) =>
  response.writeHead(200, { "content-length": bytes }).end(`{"n":${n}}`)
const reset = ({ socket }: ServerResponse) => socket?.resetAndDestroy()
const resetAtOnce: Answer = (_n, response) => reset(response)
const resetInHeaders: Answer = (_n, response) => {
  response.socket?.write("HTTP/1.1 200 OK\r\ncontent-le", () => reset(response))
}
const resetInBody: Answer = (_n, response) => {
  response.writeHead(200, { "content-length": 1_000 }).write("{\"n\":", () => reset(response))
}

/** How often a target does what, in percent. */
const habits: Record<TargetName, ReadonlyArray<readonly [percent: number, what: string, answer: Answer]>> = {
  fast: [[100, "right", right]],
  slow: [[70, "late, up to 0.2 s", late(1, 200)], [25, "late, up to 0.8 s", late(200, 800)], [5, "no answer", never]],
  failing: [
    [40, "right", right],
    [20, "500", status(500)],
    [15, "429", status(429, { "retry-after": "1" })],
    [15, "malformed", malformed],
    [5, "content-length too long", length(1_000)],
    [5, "content-length too short", length(2)]
  ],
  resetting: [
    [40, "right", right],
    [20, "reset at once", resetAtOnce],
    [20, "reset in the headers", resetInHeaders],
    [20, "reset in the body", resetInBody]
  ],
  vanishing: [[90, "right", right], [10, "late, up to 0.2 s", late(1, 200)]]
}

const listening = async (server: Server, port: number): Promise<number> => {
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  return typeof address === "object" ? address?.port ?? 0 : 0
}

const targetOf = (name: TargetName): Server =>
  createServer((request, response) => {
    response.on("error", () => {})
    const luck = chance.between(1, 100)
    let sum = 0
    const [, what, answer] = habits[name].find(([percent]) => luck <= (sum += percent)) ?? [0, "right", right]
    count(`${name}: ${what}`)
    answer(request.url?.slice(1) ?? "", response)
  })

/** Again and again the port is closed, with all its connections, and comes back. */
const vanish = async (server: Server, port: number): Promise<never> => {
  for (;;) {
    await sleep(chance.between(1_000, 6_000))
    count("vanishing: port closed")
    const closed = once(server, "close")
    server.close()
    server.closeAllConnections()
    await closed
    await sleep(chance.between(500, 3_000))
    // Somebody else may have taken the port meanwhile, for a while.
    while (await listening(server, port).then(() => false, () => true)) await sleep(100)
  }
}

const targets = Object.entries({
  fast: targetOf("fast"),
  slow: targetOf("slow"),
  failing: targetOf("failing"),
  resetting: targetOf("resetting"),
  vanishing: targetOf("vanishing")
})
const ports: Record<string, number> = {}
for (const [name, server] of targets) {
  const port = ports[name] = await listening(server, 0)
  if (name === "vanishing") void vanish(server, port)
}

process.on("message", () => process.send?.({ counts: Object.fromEntries(counts) }))
process.once("disconnect", () => process.exit())
// Ctrl-C is for the parent, who still needs the targets while it stops.
process.on("SIGINT", () => {})
process.send?.({ ports })
