import { Effect } from "effect"
import { request } from "node:http"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
  readonly text: string
  readonly json: unknown
}

/** A request on a socket of its own, that sends exactly these bytes and headers. */
export const ask = (
  url: string,
  options: {
    readonly method?: string
    readonly headers?: Record<string, string>
    readonly body?: string | ReadonlyArray<string>
  } = {}
): Effect.Effect<Answer> =>
  Effect.async((resume) => {
    const outgoing = request(
      url,
      { method: options.method ?? "GET", headers: options.headers, agent: false },
      (incoming) => {
        const chunks: Array<Buffer> = []
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
        incoming.on("end", () => {
          const text = Buffer.concat(chunks).toString()
          const isJson = incoming.headers["content-type"]?.startsWith("application/json") === true
          resume(Effect.succeed({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text,
            json: isJson && text !== "" ? JSON.parse(text) : undefined
          }))
        })
      }
    )
    outgoing.on("error", (error) => resume(Effect.die(error)))
    if (typeof options.body === "string") {
      outgoing.end(options.body)
    } else {
      for (const chunk of options.body ?? []) outgoing.write(chunk)
      outgoing.end()
    }
    return Effect.sync(() => outgoing.destroy())
  })
