import { Effect, type Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll } from "vitest"
import { type SourceName, sources } from "./fixtures/sources.ts"
import { durableContract } from "./utils/durableContract.ts"
import { hasPostgres, hasRedis, Postgres, postgres, Redis, redis, type Server } from "./utils/servers.ts"
import { sourceContract } from "./utils/sourceContract.ts"

let herds = 0

const contractOn = <Id>(options: {
  readonly name: string
  readonly source: SourceName
  readonly server: Layer.Layer<Id>
  readonly tag: Effect.Effect<Server, never, Id>
  readonly skipped: boolean
}) => {
  const { name, server, skipped, source, tag } = options
  const runtime = ManagedRuntime.make(server)
  let url = ""
  if (!skipped) {
    beforeAll(async () => {
      url = (await runtime.runPromise(tag)).url
    }, 60_000)
    afterAll(() => runtime.dispose())
  }
  const subject = {
    name,
    programs: true,
    skipped,
    // One server for all, and a herd for each.
    store: Effect.sync(() => ({
      layer: sources[source](url),
      herd: `contract-${herds++}`,
      program: [source, url] as const
    }))
  }
  sourceContract(subject)
  durableContract(subject)
}

contractOn({ name: "BullMQ on Redis", source: "redis", server: redis, tag: Redis, skipped: !hasRedis })
contractOn({ name: "BullMQ on PostgreSQL", source: "postgres", server: postgres, tag: Postgres, skipped: !hasPostgres })
