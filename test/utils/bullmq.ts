/**
 * BullMQ's queues on servers of the tests' own, for a herd and for other programs.
 */
import { assert } from "@effect/vitest"
import { createPostgresBackend, FlowProducer, type JobsOptions, Queue, type QueueOptions, runMigrations } from "bullmq"
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
import { Redis as RedisClient } from "ioredis"
import { Client } from "pg"
import { hasPostgres, hasRedis, Postgres, postgres, Redis, redis, type Server } from "./servers.ts"

interface Times {
  readonly retention?: Duration.DurationInput
  readonly pollInterval?: Duration.DurationInput
}

/** A server, and what a test does to it beside what the source does. */
type Jobs = Pick<
  Queue,
  | "add"
  | "getJob"
  | "getJobState"
  | "getFailedCount"
  | "setGlobalConcurrency"
  | "setGlobalRateLimit"
  | "upsertJobScheduler"
  | "removeJobScheduler"
  | "getJobs"
>

type Foreign = (name: string, settings?: QueueOptions["settings"]) => Effect.Effect<Jobs, never, Scope.Scope>

export class Place extends Context.Tag("test/Place")<Place, {
  readonly server: Server
  readonly source: (times?: Times) => Layer.Layer<HerdSource.HerdSource>
  /** Another program's queue. */
  readonly foreign: Foreign
  /** Adds a job to one queue, and one to another that waits for it. */
  readonly flow: (child: string, parent: string, options?: JobsOptions) => Effect.Effect<void>
  /** Gives the lock of a job to somebody else. */
  readonly steal: (queue: string, job: string) => Effect.Effect<void>
  /** Has a job fail at its next claim, as BullMQ does where children fail or workers die. */
  readonly defer: (queue: string, job: string, reason: string, crashes?: number) => Effect.Effect<void>
  /**
   * Has the server refuse to make the next jobs of the schedulers of a queue, until the scope
   * closes.
   */
  readonly jam: (queue: string) => Effect.Effect<void, never, Scope.Scope>
  /** The state that BullMQ says that a job is in. */
  readonly stateOf: (queue: string, job: string) => Effect.Effect<string>
}>() {}

export const redisClient = ({ url }: Server) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = new RedisClient(url)
      client.on("error", () => {})
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

export const pgClient = ({ url }: Server) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client(url)
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

interface Closable extends Jobs {
  on(event: "error", listener: (error: Error) => void): unknown
  close(): Promise<void>
}

const jobsOf = (make: () => Closable): Effect.Effect<Jobs, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const jobs = make()
      jobs.on("error", () => {})
      return jobs
    }),
    (jobs) => Effect.promise(() => jobs.close())
  )

interface Flows extends Pick<FlowProducer, "add"> {
  on(event: "error", listener: (error: Error) => void): unknown
  close(): Promise<void>
}

const flowBy = (flows: Flows, child: string, parent: string, options: JobsOptions = {}) =>
  Effect.promise(async () => {
    flows.on("error", () => {})
    const children = [{ name: "child", queueName: child, opts: { ...options, jobId: "child" } }]
    await flows.add({ name: "parent", queueName: parent, opts: { jobId: "parent" }, children })
    await flows.close()
  })

const stateOf = (foreign: Foreign) => (name: string, job: string) =>
  Effect.scoped(Effect.flatMap(foreign(name), (queue) => Effect.promise(() => queue.getJobState(job))))

const onRedis = Layer.scoped(
  Place,
  Effect.gen(function*() {
    const server = yield* Redis
    const client = yield* redisClient(server)
    const connection = { url: server.url }
    const foreign: Foreign = (name, settings) =>
      jobsOf(() => new Queue(name, { connection, ...settings && { settings } }))
    return {
      server,
      source: (times) => HerdSourceBullMQ.layer({ connection, ...times }),
      foreign,
      flow: (child, parent, options) => flowBy(new FlowProducer({ connection }), child, parent, options),
      steal: (queue, job) =>
        Effect.promise(() => client.set(`bull:${queue}:${job}:lock`, "somebody else", "PX", 60_000)),
      defer: (queue, job, reason, crashes = 0) =>
        Effect.promise(() => client.hset(`bull:${queue}:${job}`, { stc: crashes, defa: reason })),
      jam: (queue) =>
        Effect.acquireRelease(
          Effect.promise(async () => {
            await client.rename(`bull:${queue}:repeat`, `aside:${queue}`)
            await client.set(`bull:${queue}:repeat`, "no sorted set")
          }),
          () => Effect.promise(() => client.rename(`aside:${queue}`, `bull:${queue}:repeat`))
        ),
      stateOf: stateOf(foreign)
    }
  })
).pipe(Layer.provide(redis))

const onPostgres = Layer.scoped(
  Place,
  Effect.gen(function*() {
    const server = yield* Postgres
    const client = yield* pgClient(server)
    yield* Effect.promise(() => runMigrations(client))
    const foreign: Foreign = (name, settings) =>
      jobsOf(() => new Queue(name, { connection: server.url, ...settings && { settings } }, createPostgresBackend))
    return {
      server,
      source: (times) => HerdSourceBullMQ.layerPostgres({ connection: { url: server.url }, ...times }),
      foreign,
      flow: (child, parent, options) =>
        flowBy(new FlowProducer({ connection: server.url }, createPostgresBackend), child, parent, options),
      steal: (queue, job) =>
        Effect.promise(() =>
          client.query("UPDATE bullmq.job SET lock_token = 'somebody else' WHERE queue = $1 AND id = $2", [queue, job])
        ),
      defer: (queue, job, reason, crashes = 0) =>
        Effect.promise(() =>
          client.query("UPDATE bullmq.job SET stalled_count = $4, deferred_failure = $3 WHERE queue = $1 AND id = $2", [
            queue,
            job,
            reason,
            crashes
          ])
        ),
      jam: (queue) =>
        Effect.acquireRelease(
          Effect.promise(() =>
            client.query(
              `ALTER TABLE bullmq.scheduler ADD CONSTRAINT jammed CHECK (queue <> '${queue}') NOT VALID`
            )
          ),
          () => Effect.promise(() => client.query("ALTER TABLE bullmq.scheduler DROP CONSTRAINT jammed"))
        ),
      stateOf: stateOf(foreign)
    }
  })
).pipe(Layer.provide(postgres))

export const unit = (id: string, more: Partial<HerdSource.NewUnit> = {}): HerdSource.NewUnit => ({
  id,
  body: JSON.stringify({ id }),
  priority: 0,
  runAt: undefined,
  ...more
})

export const minute = { lease: Duration.minutes(1), maxCrashes: 3 }

export const open = (herd: string, options: HerdSource.OpenOptions = minute, times: Times = {}) =>
  Effect.gen(function*() {
    const { source } = yield* Place
    const { open } = Context.get(yield* Layer.build(source(times)), HerdSource.HerdSource)
    return yield* open(herd, options)
  })

/** All of them, whenever they come. */
export const claimed = (queue: HerdSource.Queue, count: number) =>
  Effect.gen(function*() {
    const claims: Array<HerdSource.Claim> = []
    while (claims.length < count) {
      claims.push(...(yield* queue.claim(count - claims.length)))
      if (claims.length < count) yield* queue.arrival
    }
    return claims
  })

export const first = <A>([value]: ReadonlyArray<A>): A => {
  assert.isDefined(value)
  return value as A
}

export const places = { Redis: { has: hasRedis, place: onRedis }, PostgreSQL: { has: hasPostgres, place: onPostgres } }
