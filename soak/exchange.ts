import { Data, Effect } from "effect"
import { type Agent, request } from "node:http"

export interface Answer {
  readonly status: number
  readonly text: string
}

export interface Question {
  readonly method?: string
  readonly body?: string
}

/**
 * A connection was reset that had been idle: the server may have closed it at the very moment at
 * which it was used again.
 */
export class StaleConnection extends Data.TaggedError("StaleConnection") {}

/** One request and its answer, by Node's own client; interrupting it destroys the connection. */
export const exchange = (
  url: string,
  agent: Agent,
  question: Question = {}
): Effect.Effect<Answer, Error | StaleConnection> =>
  Effect.async((resume) => {
    const { body, method = "GET" } = question
    const outgoing = request(url, { method, agent }, (incoming) => {
      let text = ""
      incoming.setEncoding("utf8")
      incoming.on("data", (chunk: string) => text += chunk)
      incoming.on("end", () => resume(Effect.succeed({ status: incoming.statusCode ?? 0, text })))
      incoming.on("error", (error) => resume(Effect.fail(error)))
    })
    outgoing.on("error", (error) => {
      const isStale = outgoing.reusedSocket && "code" in error && error.code === "ECONNRESET"
      resume(Effect.fail(isStale ? new StaleConnection() : error))
    })
    outgoing.end(body)
    return Effect.sync(() => outgoing.destroy())
  })
