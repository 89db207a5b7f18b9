/** Answers `/5` with 15, and ends with the process that started it. */
import { once } from "node:events"
import { createServer } from "node:http"
import { resultOf } from "../work.ts"

const server = createServer((request, response) => {
  response.end(String(resultOf(Number(request.url?.slice(1)))))
})
// A connection that idles while another contender runs is still there afterwards.
server.keepAliveTimeout = 0
server.listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
if (typeof address === "object") process.send?.(address?.port)
process.once("disconnect", () => process.exit())
