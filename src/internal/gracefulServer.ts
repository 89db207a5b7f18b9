import type { Server } from "node:http"
import { createServer } from "node:http"
import type { Socket } from "node:net"

/** How long responses in flight may take once the server closes. */
const GRACE_MILLIS = 5_000

/**
 * An HTTP server that gives slow and idle clients little to hold on to, and whose `close` ends as soon as the responses in
 * flight have ended. Node's own waits for every connection, also for one that a browser opened in advance and has sent
 * nothing on, which never ends.
 *
 * @internal
 */
export const gracefulServer = (): Server => {
  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 8_192
  })
  server.maxConnections = 256
  /** How many responses are in flight on each socket. */
  const sockets = new Map<Socket, number>()
  let closing = false

  server.on("connection", (socket: Socket) => {
    sockets.set(socket, 0)
    socket.once("close", () => sockets.delete(socket))
  })
  server.prependListener("request", ({ socket }, response) => {
    sockets.set(socket, (sockets.get(socket) ?? 0) + 1)
    if (closing) response.setHeader("connection", "close")
    response.once("close", () => {
      const inFlight = (sockets.get(socket) ?? 1) - 1
      if (sockets.has(socket)) sockets.set(socket, inFlight)
      if (closing && inFlight === 0) socket.destroySoon()
    })
  })

  const close = server.close.bind(server)
  server.close = (callback) => {
    closing = true
    for (const [socket, inFlight] of sockets) if (inFlight === 0) socket.destroy()
    const timer = setTimeout(() => server.closeAllConnections(), GRACE_MILLIS)
    return close((error) => {
      clearTimeout(timer)
      callback?.(error)
    })
  }
  return server
}
