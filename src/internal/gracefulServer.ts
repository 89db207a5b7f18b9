import type { RequestListener, Server, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { Socket } from "node:net"

/** What clients may take; times are in milliseconds. */
export interface Limits {
  /** How long the headers of a request may take to arrive, from the connection on. */
  readonly headersTimeout: number
  /** How long a request may take to arrive. */
  readonly requestTimeout: number
  /** How often these two are looked at. */
  readonly connectionsCheckingInterval: number
  /** Bytes. */
  readonly maxHeaderSize: number
  readonly maxConnections: number
  /**
   * The last answer says that the connection closes; more get 503. Requests that come before the
   * earlier ones are answered are kept, with their answers, and a thousand of them fit into one
   * packet.
   */
  readonly maxRequestsPerSocket: number
  /** How long responses in flight may take once the server closes. */
  readonly grace: number
  /** How long requests that have begun to arrive may take for the rest then. */
  readonly rest: number
}

/**
 * @internal
 */
export const defaults: Limits = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 8_192,
  maxConnections: 256,
  maxRequestsPerSocket: 100,
  grace: 5_000,
  rest: 250
}

/**
 * An HTTP server that gives slow and idle clients little to hold on to, and whose `close` ends as
 * soon as the responses in flight have ended. Node's own waits for every connection, also for one
 * that a browser opened in advance and has sent nothing on, which never ends.
 *
 * @internal
 */
export const gracefulServer = (options: Partial<Limits> = {}): Server => {
  const { grace, maxConnections, maxRequestsPerSocket, rest, ...limits } = { ...defaults, ...options }
  const server = createServer(limits)
  server.maxConnections = maxConnections
  server.maxRequestsPerSocket = maxRequestsPerSocket
  /**
   * The responses in flight on each socket, the one first that has had its last answer longest ago.
   */
  const sockets = new Map<Socket, Set<ServerResponse>>()
  let closing = false

  server.on("listening", () => {
    closing = false
  })
  server.on("connection", (socket: Socket) => {
    // Who only holds connections keeps nobody out: the one that has been idle longest makes room.
    if (sockets.size >= server.maxConnections - 1) firstIdle(sockets)?.destroy()
    sockets.set(socket, new Set())
    socket.once("close", () => sockets.delete(socket))
  })
  const onRequest: RequestListener = ({ socket }, response) => {
    const inFlight = sockets.get(socket)
    inFlight?.add(response)
    response.once("close", () => {
      inFlight?.delete(response)
      if (inFlight?.size === 0 && sockets.delete(socket)) sockets.set(socket, inFlight)
      if (closing && inFlight?.size === 0) socket.destroySoon()
    })
    if (closing) response.setHeader("connection", "close")
    // The application has gone, or is not there yet: nobody else would answer, and the close would
    // wait for it.
    const [listener, ...others] = server.listeners("request")
    if (listener === onRequest && others.length === 0) response.writeHead(503, { connection: "close" }).end()
  }
  server.prependListener("request", onRequest)

  const close = server.close.bind(server)
  server.close = (callback) => {
    closing = true
    // Not Node's own closeAllConnections, which knows none that were upgraded.
    const destroy = (which: (inFlight: ReadonlySet<ServerResponse>) => boolean) => {
      for (const [socket, inFlight] of sockets) if (which(inFlight)) socket.destroy()
    }
    destroy(({ size }) => size === 0)
    const timers = [
      setTimeout(() => destroy((inFlight) => Array.from(inFlight).every(isArriving)), rest),
      setTimeout(() => destroy(() => true), grace)
    ]
    return close((error) => {
      for (const timer of timers) clearTimeout(timer)
      callback?.(error)
    })
  }
  return server
}

const firstIdle = (sockets: ReadonlyMap<Socket, ReadonlySet<ServerResponse>>): Socket | undefined => {
  for (const [socket, { size }] of sockets) if (size === 0) return socket
  return undefined
}

/** Is the answer still to begin, because the request has not come whole? */
const isArriving = ({ headersSent, req }: ServerResponse) => !headersSent && !req.complete
