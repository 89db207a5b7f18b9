import { Effect, type Scope } from "effect"
import { connect, type Socket } from "node:net"

export interface Exchange {
  /** The status of each answer, in order. */
  readonly statuses: ReadonlyArray<number>
  readonly text: string
  /** Did the server reset the connection? */
  readonly reset: boolean
}

/**
 * Sends exactly these bytes and then nothing more, and gives what comes back until the server
 * closes, or until so many milliseconds have passed, if a number is given.
 *
 * With `hold` the sending side stays open, as with a client that has more to say; then the server
 * has to close by itself. With `sendFirst` nothing is read before all is sent, as simple clients do
 * it.
 */
export const exchange = (
  port: number,
  bytes: string | Uint8Array,
  options: { readonly hold?: boolean; readonly sendFirst?: boolean; readonly millis?: number } = {}
): Effect.Effect<Exchange> =>
  Effect.async<Exchange>((resume) => {
    const chunks: Array<Buffer> = []
    let reset = false
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
      const read = () => socket.on("data", (chunk) => chunks.push(chunk))
      if (options.sendFirst !== true) read()
      if (options.hold === true) socket.write(bytes, options.sendFirst === true ? read : undefined)
      else socket.end(bytes)
    })
    const done = () => {
      clearTimeout(timer)
      socket.destroy()
      const text = Buffer.concat(chunks).toString("latin1")
      const statuses = Array.from(text.matchAll(/HTTP\/1\.1 (\d{3}) /g), ([, status]) => Number(status))
      resume(Effect.succeed({ statuses, text, reset }))
    }
    const timer = setTimeout(() => {
      if (options.millis !== undefined) return done()
      socket.destroy()
      const sent = String(bytes).slice(0, 200)
      resume(Effect.die(new Error(`expected the server to close the connection within 10 s, got none after ${sent}`)))
    }, options.millis ?? 10_000)
    socket.on("error", (error) => {
      reset = "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE")
    })
    socket.on("end", done)
    socket.on("close", done)
    return Effect.sync(() => {
      clearTimeout(timer)
      socket.destroy()
    })
  })

/** A connection that stays open until the end of the test, or until the server closes it. */
export const hold = (port: number, bytes = ""): Effect.Effect<Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Socket>((resume) => {
      const socket = connect({ port, host: "127.0.0.1" }, () => {
        if (bytes !== "") socket.write(bytes)
        resume(Effect.succeed(socket))
      })
      socket.on("error", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** A request, to the byte. */
export const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

/** What comes on a connection, as it comes. */
export const reading = (socket: Socket) => {
  let text = ""
  let ended = false
  socket.on("data", (chunk) => text += String(chunk))
  socket.on("end", () => {
    ended = true
  })
  return { text: () => text, ended: () => ended }
}

/** Numbers from 0 to below 1 that depend on the seed alone. */
export const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
