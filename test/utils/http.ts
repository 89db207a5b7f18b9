import { Effect, type Scope } from "effect"
import { createServer, request, type RequestListener } from "node:http"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
  readonly text: string
  readonly json: unknown
}

export interface Question {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | ReadonlyArray<string>
  /** Leaves as soon as what has come is enough. */
  readonly until?: (text: string) => boolean
}

/** The answer that these are the parts of. */
export const answerOf = (status: number, headers: Answer["headers"], text: string): Answer => {
  const isJson = headers["content-type"]?.toString().startsWith("application/json") === true
  return { status, headers, text, json: isJson && text !== "" ? JSON.parse(text) : undefined }
}

/** A request on a socket of its own, that sends exactly these bytes and headers. */
export const ask = (url: string, question: Question = {}): Effect.Effect<Answer> =>
  Effect.async((resume) => {
    const { body, headers, method = "GET", until } = question
    const outgoing = request(url, { method, headers, agent: false }, (incoming) => {
      const chunks: Array<Buffer> = []
      const done = () =>
        resume(
          Effect.sync(() => answerOf(incoming.statusCode ?? 0, incoming.headers, Buffer.concat(chunks).toString()))
        )
      incoming.on("data", (chunk: Buffer) => {
        chunks.push(chunk)
        if (until?.(Buffer.concat(chunks).toString()) !== true) return
        done()
        outgoing.destroy()
      })
      incoming.on("end", done)
      incoming.on("error", () => {})
    })
    outgoing.on("error", (error) => resume(Effect.die(error)))
    if (typeof body === "string") {
      outgoing.end(body)
    } else {
      for (const chunk of body ?? []) outgoing.write(chunk)
      outgoing.end()
    }
    return Effect.sync(() => outgoing.destroy())
  })

/** Asks for paths, wherever they are. */
export type Ask = (path: string, question?: Question) => Effect.Effect<Answer>

export interface Event {
  readonly name: string | undefined
  readonly data: unknown
}

/** The events that are complete in a text of server-sent events, whose data is JSON. */
export const eventsIn = (text: string): ReadonlyArray<Event> =>
  text.split("\n\n").slice(0, -1).map((event) => {
    const fields = new Map(event.split("\n").map((line) => [line.split(": ")[0], line.replace(/^\w+: /, "")]))
    return { name: fields.get("event"), data: JSON.parse(fields.get("data") ?? "null") }
  })

/** Have so many events come? */
export const events = (count: number) => (text: string): boolean => text.split("\n\n").length > count

/** A stream of events that is open, until it ends or is left, or its scope closes. */
export interface Listening {
  readonly headers: Answer["headers"]
  readonly events: ReadonlyArray<Event>
  /** Has it ended as a complete answer? */
  readonly complete: boolean
  /** Waits for so many events. */
  atLeast(count: number): Effect.Effect<void>
  readonly ended: Effect.Effect<void>
  readonly leave: Effect.Effect<void>
}

export const listen = (url: string): Effect.Effect<Listening, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Listening>((resume) => {
      const outgoing = request(url, { agent: false }, (incoming) => {
        let text = ""
        let over = false
        const waiting = new Set<() => void>()
        const until = (holds: () => boolean) =>
          Effect.async<void>((resume) => {
            const check = () => {
              if (holds()) resume(Effect.void)
            }
            waiting.add(check)
            check()
          })
        const changed = () => waiting.forEach((check) => check())
        incoming.setEncoding("utf8")
        incoming.on("data", (chunk: string) => {
          text += chunk
          changed()
        })
        incoming.on("error", () => {})
        incoming.on("close", () => {
          over = true
          changed()
        })
        resume(Effect.succeed({
          headers: incoming.headers,
          get events() {
            return eventsIn(text)
          },
          get complete() {
            return incoming.complete
          },
          atLeast: (count) => until(() => events(count)(text)),
          ended: until(() => over),
          leave: Effect.sync(() => outgoing.destroy())
        }))
      })
      outgoing.on("error", (error) => resume(Effect.die(error)))
      outgoing.end()
    }),
    ({ leave }) => leave
  )

/** A server on a free port that does as it is told; closing it breaks off what is under way. */
export const pretend = (listener: RequestListener) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly port: number; readonly close: () => void }>((resume) => {
      const server = createServer(listener).listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = address !== null && typeof address === "object" ? address.port : 0
        const close = () => {
          server.closeAllConnections()
          server.close()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, port, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )
