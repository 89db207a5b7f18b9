/**
 * Who works on units that are kept: each fills a place with them, and works them off, in as many
 * processes as are asked for. A unit does nothing.
 */
import * as PersistedQueue from "@effect/experimental/PersistedQueue"
import type { SqlClient } from "@effect/sql"
import * as SqlPersistedQueue from "@effect/sql/SqlPersistedQueue"
import { createPostgresBackend, Queue, Worker } from "bullmq"
import { Effect, Layer, Schema, type Scope } from "effect"
import type { HerdError } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"
import { betterSqlite3, libsql } from "../../test/fixtures/sources.ts"

/** What a contender's units are in. */
export type Store = "memory" | "file" | "redis" | "postgres"

export interface Contender {
  readonly name: string
  readonly store: Store
  /** As BullMQ's own Worker on the same server. */
  readonly peer?: string
  /** Gets fewer units, since more would take it too long. */
  readonly slow?: boolean
  /**
   * Keeps the event loop to itself until it has done them all, so that they can't be counted in
   * between.
   */
  readonly blocking?: boolean
  /** Can several processes work on it? */
  readonly shared: boolean
  readonly fill: (place: Place, units: number) => Effect.Effect<void>
  /** Works, with so many at a time, until the scope closes; calls for each unit. */
  readonly work: (place: Place, size: number, onUnit: () => void) => Effect.Effect<void, never, Scope.Scope>
}

export interface Place {
  /** A path, or where the server is. */
  readonly location: string
  /** Another one for each run. */
  readonly queue: string
}

/** Whoever works on it. */
const isSlow = (store: Store) => store === "postgres"

const bodiesOf = (units: number) => Array.from({ length: units }, (_, n) => n)

// ------------------------------------------------------------------------------------------------------ herds

type Source = Layer.Layer<HerdSource.HerdSource, HerdError.SourceError>

const herd = (
  name: string,
  store: Store,
  source: (place: Place) => Source,
  more: { readonly peer?: string; readonly shared?: boolean } = {}
): Contender => {
  const made = (place: Place, size: number, onUnit: () => void) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(source(place))
      return yield* Effect.provide(
        DurableHerd.make({
          name: place.queue,
          schema: Schema.Number,
          size,
          process: () => Effect.sync(onUnit)
        }),
        context
      )
    }).pipe(Effect.orDie)
  return {
    name,
    store,
    slow: isSlow(store),
    shared: true,
    ...more,
    fill: (place, units) =>
      Effect.scoped(
        Effect.flatMap(made(place, 0, () => {}), (herd) => Effect.orDie(herd.offerAll(bodiesOf(units))))
      ),
    work: (place, size, onUnit) => Effect.asVoid(made(place, size, onUnit))
  }
}

const sqlite = (client: (path: string) => Layer.Layer<SqlClient.SqlClient>) => ({ location }: Place): Source =>
  Layer.provide(HerdSourceSqlite.layer(), client(location))

// ------------------------------------------------------------------------------------------------------ others

/** It polls once a second when it finds nothing, and takes as many as wait for one. */
const openPersisted = ({ location, queue }: Place) =>
  Effect.gen(function*() {
    const store = Layer.provide(SqlPersistedQueue.layerStore(), betterSqlite3(location))
    const context = yield* Layer.build(
      Layer.effect(PersistedQueue.PersistedQueueFactory, PersistedQueue.makeFactory).pipe(Layer.provide(store))
    )
    return yield* Effect.provide(PersistedQueue.make({ name: queue, schema: Schema.Number }), context)
  }).pipe(Effect.orDie)

const persistedQueue: Contender = {
  name: "PersistedQueue, SQLite (better-sqlite3)",
  store: "file",
  slow: true,
  blocking: true,
  shared: true,
  fill: (place, units) =>
    Effect.flatMap(
      openPersisted(place),
      (queue) => Effect.forEach(bodiesOf(units), (n) => queue.offer(n), { concurrency: 32, discard: true })
    ).pipe(
      Effect.orDie,
      Effect.scoped
    ),
  work: (place, size, onUnit) =>
    Effect.flatMap(openPersisted(place), (queue) =>
      Effect.forEach(
        bodiesOf(size),
        () => Effect.forkScoped(Effect.forever(queue.take(() => Effect.sync(onUnit)))),
        { discard: true }
      ))
}

const bullMQ = (
  name: string,
  store: Store,
  open: {
    readonly queue: (place: Place) => Pick<Queue, "addBulk" | "close">
    readonly worker: (place: Place, size: number, process: () => Promise<void>) => {
      readonly on: (event: "error", listener: () => void) => unknown
      readonly close: () => Promise<void>
    }
  }
): Contender => ({
  name,
  store,
  slow: isSlow(store),
  shared: true,
  fill: (place, units) =>
    Effect.promise(async () => {
      const queue = open.queue(place)
      for (let from = 0; from < units; from += 1_000) {
        await queue.addBulk(bodiesOf(Math.min(1_000, units - from)).map((n) => ({ name: "unit", data: from + n })))
      }
      await queue.close()
    }),
  work: (place, size, onUnit) =>
    Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => {
        const worker = open.worker(place, size, async () => onUnit())
        // What goes wrong shows in that units are not done.
        worker.on("error", () => {})
        return worker
      }),
      (worker) => Effect.promise(() => worker.close())
    ))
})

/** As the source keeps them. */
const removeOnComplete = { age: 3_600 }

const onRedis = bullMQ("BullMQ's Worker, Redis", "redis", {
  queue: ({ location: url, queue }) => new Queue(queue, { connection: { url } }),
  worker: ({ location: url, queue }, concurrency, process) =>
    new Worker(queue, process, { connection: { url, maxRetriesPerRequest: null }, concurrency, removeOnComplete })
})

const onPostgres = bullMQ("BullMQ's Worker, PostgreSQL", "postgres", {
  queue: ({ location, queue }) =>
    new Queue(queue, { connection: { connectionString: location, migrate: true } }, createPostgresBackend),
  worker: ({ location, queue }, concurrency, process) =>
    new Worker(
      queue,
      process,
      { connection: { connectionString: location, migrate: true }, concurrency, removeOnComplete },
      createPostgresBackend
    )
})

export const contenders: ReadonlyArray<Contender> = [
  herd("herd, memory", "memory", () => HerdSource.layerMemory(), { shared: false }),
  herd("herd, SQLite (libsql)", "file", sqlite(libsql)),
  herd("herd, SQLite (better-sqlite3)", "file", sqlite(betterSqlite3)),
  persistedQueue,
  herd("herd, BullMQ on Redis", "redis", ({ location }) => HerdSourceBullMQ.layer({ connection: { url: location } }), {
    peer: "BullMQ's Worker, Redis"
  }),
  onRedis,
  herd(
    "herd, BullMQ on PostgreSQL",
    "postgres",
    ({ location }) => HerdSourceBullMQ.layerPostgres({ connection: { url: location } }),
    { peer: "BullMQ's Worker, PostgreSQL" }
  ),
  onPostgres
]
