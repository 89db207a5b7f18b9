import { fork } from "node:child_process"
import { once } from "node:events"
import { Agent, get } from "node:http"
import type { Stage } from "../race.ts"
import { fromPromise, ofNumbers } from "../work.ts"

/** Starts a server in a process of its own, which ends with this one whatever happens. */
const startServer = async () => {
  const server = fork(new URL("httpServer.ts", import.meta.url))
  const port: unknown = await Promise.race([
    once(server, "message").then(([port]) => port),
    once(server, "exit").then(([code]) => `an exit with ${code}`)
  ])
  if (typeof port !== "number") throw new Error(`expected the port of the HTTP server, got ${port}`)
  return { port, stop: () => server.kill() }
}

/** HTTP requests over loopback, by Node's client and over connections that are kept. */
export const requests = async (): Promise<Stage> => {
  const { port, stop } = await startServer()
  const agent = new Agent({ keepAlive: true })
  const promise = (n: number) =>
    new Promise<number>((resolve, reject) => {
      get({ agent, host: "127.0.0.1", port, path: `/${n}` }, (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("data", (part: string) => text += part)
        response.on("end", () => resolve(Number(text)))
        response.on("error", reject)
      }).on("error", reject)
    })
  return {
    work: ofNumbers({ size: 64, promise, effect: fromPromise(promise) }),
    close: async () => {
      agent.destroy()
      stop()
    }
  }
}
