import { NodeHttpServer } from "@effect/platform-node"
import { it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, type Scope } from "effect"
import { Herd } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { createServer } from "node:http"
import { conforms } from "./contract.ts"
import { ask as askAny, type Question } from "./http.ts"
import { makeStage } from "./stage.ts"

export class Numbers extends Context.Tag("test/HerdApi/Numbers")<Numbers, Herd.Herd<number, number, string>>() {}

export class Failing extends Context.Tag("failing")<Failing, Herd.Herd<number, number, string>>() {}
export class Busy extends Context.Tag("busy")<Busy, Herd.Herd<number, number>>() {}

/** The first of the herds in a path. */
export const path = encodeURIComponent("test/HerdApi/Numbers")

/** A herd of size 7 that accepts sizes up to 100, and two others, on a port of their own. */
export const serve = () => {
  const { process } = makeStage()
  const herds = Layer.mergeAll(
    Herd.layer(Numbers, { process, size: 7, maxSize: 100 }),
    Herd.layer(Failing, { process: (n) => Effect.fail(`expected less than ${n}`) }),
    Herd.layer(Busy, { process: Effect.succeed })
  )
  return Layer.provideMerge(HerdServer.layer({ herds: [Numbers, Failing, Busy], port: 0 }), herds)
}

type Served = Numbers | Failing | Busy | HerdServer.HerdServer

export const test = (name: string, program: Effect.Effect<void, unknown, Served | Scope.Scope>) =>
  it.scopedLive(name, () => Logger.withMinimumLogLevel(Effect.provide(program, serve()), LogLevel.Error), 10_000)

export const url = Effect.map(HerdServer.HerdServer, ({ url }) => url)

/** Asks, and holds the answer against the contract. */
export const ask = (url: string, question: Question = {}) =>
  Effect.tap(
    askAny(url, question),
    (answer) => conforms(url.replace(/^http:\/\/[^/]+/, ""), question.method ?? "GET", answer)
  )

/** A plain Node server on a free port, for an application of its own, and where it listens. */
export const anyPort = () => {
  const server = createServer()
  const listen = NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })
  const base = () => {
    const address = server.address()
    return `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`
  }
  return { listen, base }
}
