import { assert, it, layer } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Logger, Schema, Scope } from "effect"
import * as DurableHerd from "gofherd/DurableHerd"
import type * as HerdSource from "gofherd/HerdSource"
import { claimed, first, minute, open, Place, places, redisClient } from "./utils/bullmq.ts"
import { makeLogs } from "./utils/logs.ts"
import { eventually, until } from "./utils/stage.ts"

/** A scheduler `tick` whose first job is ready, on the queue of that herd. */
const scheduled = (herd: string) =>
  Effect.gen(function*() {
    const jobs = yield* (yield* Place).foreign(herd)
    yield* Effect.promise(() =>
      jobs.upsertJobScheduler("tick", { every: 3_600_000 }, { name: "tick", data: { tick: 1 } })
    )
    return jobs
  })

/** Claims the job of the scheduler, while the server refuses to make the next one. */
const claimedJammed = (herd: string, queue: HerdSource.Queue, jammed: Scope.Scope) =>
  Effect.gen(function*() {
    yield* Scope.extend((yield* Place).jam(herd), jammed)
    return first(yield* claimed(queue, 1))
  })

const counts = (queue: HerdSource.Queue) =>
  Effect.map(queue.depth, ({ dead, delayed, held, ready }) => ({ ready, delayed, held, dead }))

/** As a service would run it, with its logs collected. */
const quiet = Logger.remove(Logger.defaultLogger)

const short = { lease: Duration.millis(400), maxCrashes: 1 }

for (const [name, { has, place }] of Object.entries(places)) {
  if (!has) {
    it.skip(`Job schedulers on ${name}, which is not installed`, () => {})
    continue
  }

  layer(place, { excludeTestServices: true, timeout: "60 seconds" })(`Job schedulers on ${name}`, (it) => {
    it.scoped("make their next job before this one is settled, if the server refused it at the claim", () =>
      Effect.gen(function*() {
        yield* scheduled("refused")
        const queue = yield* open("refused")
        const jammed = yield* Scope.make()
        const claim = yield* claimedJammed("refused", queue, jammed)
        const settlements = [{ _tag: "Ack" as const, claim }]
        assert.strictEqual((yield* Effect.flip(queue.settle(settlements, 0)))._tag, "SourceError")
        assert.deepStrictEqual(yield* counts(queue), { ready: 0, delayed: 0, held: 1, dead: 0 })
        yield* Scope.close(jammed, Exit.void)
        assert.deepStrictEqual(yield* queue.settle(settlements, 0), { lost: [], claimed: [] })
        assert.deepStrictEqual(yield* counts(queue), { ready: 0, delayed: 1, held: 0, dead: 0 })
      }))

    it.scoped("make no next job if they were removed meanwhile, and this one is settled", () =>
      Effect.gen(function*() {
        const logs = makeLogs()
        const jobs = yield* scheduled("removed")
        const queue = yield* open("removed")
        const jammed = yield* Scope.make()
        const claim = yield* claimedJammed("removed", queue, jammed)
        yield* Scope.close(jammed, Exit.void)
        yield* Effect.promise(() => jobs.removeJobScheduler("tick"))
        assert.deepStrictEqual(yield* logs.collect(queue.settle([{ _tag: "Ack", claim }], 0)), {
          lost: [],
          claimed: []
        })
        assert.deepStrictEqual(yield* counts(queue), { ready: 0, delayed: 0, held: 0, dead: 0 })
        assert.deepStrictEqual(logs.lines, [])
      }))

    it.scoped(
      "go on if the process that claimed their job ended before it made the next one, and the job dies",
      () =>
        Effect.gen(function*() {
          yield* scheduled("crashed")
          const jammed = yield* Scope.make()
          // It never renews, and to the other one it is another process.
          yield* claimedJammed("crashed", yield* open("crashed", short), jammed)
          yield* Scope.close(jammed, Exit.void)
          const other = yield* open("crashed", short)
          yield* until(Effect.map(other.depth, ({ dead }) => dead === 1))
          assert.deepStrictEqual(yield* counts(other), { ready: 0, delayed: 1, held: 0, dead: 1 })
        }),
      20_000
    )

    it.scoped(
      "go on if another program has failed their job beforehand, also if the server refuses the next one at first",
      () =>
        Effect.gen(function*() {
          const { defer } = yield* Place
          const jobs = yield* scheduled("deferred")
          const id = yield* Effect.promise(async () => (await jobs.getJobs(["waiting", "delayed"]))[0]?.id ?? "")
          yield* defer("deferred", id, "the child failed")
          const queue = yield* open("deferred", { ...short, maxCrashes: 5 })
          const jammed = yield* Scope.make()
          yield* Scope.extend((yield* Place).jam("deferred"), jammed)
          assert.deepStrictEqual(yield* queue.claim(1), [])
          assert.deepStrictEqual(yield* counts(queue), { ready: 0, delayed: 0, held: 1, dead: 0 })
          yield* Scope.close(jammed, Exit.void)
          yield* until(Effect.zipRight(queue.claim(1), Effect.map(queue.depth, ({ dead }) => dead === 1)))
          assert.deepStrictEqual(yield* counts(queue), { ready: 0, delayed: 1, held: 0, dead: 1 })
          assert.strictEqual(first(yield* queue.dead.list()).cause, "the child failed")
        }),
      20_000
    )

    it.scoped("go on though their data can't be decoded: each job becomes a dead letter", () =>
      Effect.gen(function*() {
        const { foreign, server, source } = yield* Place
        const logs = makeLogs()
        const jobs = yield* foreign("undecodable")
        const seen = new Array<number>()
        const herd = yield* logs.collect(Effect.provide(
          DurableHerd.make({
            name: "undecodable",
            schema: Schema.Struct({ tick: Schema.Number }),
            size: 2,
            process: ({ tick }) => Effect.sync(() => seen.push(tick))
          }),
          Layer.merge(source(), quiet)
        ))
        const schedule = (data: unknown) =>
          Effect.promise(() => jobs.upsertJobScheduler("tick", { every: 200 }, { name: "tick", data }))
        yield* schedule({ tick: "two" })
        yield* until(Effect.map(herd.depth, ({ dead }) => dead >= 3))
        if (name === "Redis") {
          const client = yield* redisClient(server)
          yield* Effect.promise(() => client.hset("bull:undecodable:repeat:tick", { data: "no JSON" }))
          yield* until(Effect.map(herd.dead.list(), (all) => all.filter(({ body }) => body === "no JSON").length >= 2))
        }
        yield* schedule({ tick: 2 })
        yield* until(() => seen.length >= 2)
        assert.deepStrictEqual(logs.lines.filter((line) => /scheduler/.test(line)), [])
        yield* Effect.promise(() => jobs.removeJobScheduler("tick"))
      }), 20_000)

    it.scoped("end with a warning where no next job can be made: a strategy of another program's, or of BullMQ 5", () =>
      Effect.gen(function*() {
        const { foreign, source } = yield* Place
        const logs = makeLogs()
        const jobs = yield* foreign("ended", { repeatStrategy: () => Date.now() })
        const seen = new Array<string>()
        yield* logs.collect(Effect.provide(
          DurableHerd.make({
            name: "ended",
            schema: Schema.Unknown,
            size: 2,
            process: (_, { id }) => Effect.sync(() => seen.push(id))
          }),
          Layer.merge(source(), quiet)
        ))
        yield* Effect.promise(() => jobs.upsertJobScheduler("moon", { pattern: "each full moon" }, { name: "moon" }))
        yield* until(() => seen.length === 1)
        yield* eventually(() =>
          assert.match(
            logs.lines.join("\n"),
            /WARN \[ended\] expected job scheduler "moon" to make its next job, got .*: it makes no more/
          )
        )
        const legacy = { jobId: "legacy", repeatJobKey: "mail:::Europe/Berlin:0 9 * * *" }
        yield* Effect.promise(() => jobs.add("mail", {}, legacy))
        yield* until(() => seen.includes("legacy"))
        yield* eventually(() =>
          assert.match(logs.lines.join("\n"), /got .*repeatable job of BullMQ 5.*it makes no more/)
        )
        assert.strictEqual(seen.length, 2)
      }))

    it.scoped("a job that failed beforehand, since its child did, is a dead letter with that reason", () =>
      Effect.gen(function*() {
        const { flow } = yield* Place
        const [children, parents] = [yield* open("children"), yield* open("failed parents")]
        yield* flow("children", "failed parents", { failParentOnFailure: true })
        const claim = first(yield* claimed(children, 1))
        yield* children.settle([{ _tag: "Bury", claim, cause: "no" }], 0)
        yield* until(Effect.zipRight(parents.claim(1), Effect.map(parents.depth, ({ dead }) => dead === 1)))
        const { cause, crashes, id } = first(yield* parents.dead.list())
        assert.deepStrictEqual([id, crashes], ["parent", 0])
        assert.match(cause, /^child .*child failed$/)
        assert.strictEqual(yield* parents.dead.redrive("all"), 1)
        assert.deepStrictEqual((yield* claimed(parents, 1)).map(({ id }) => id), ["parent"])
      }))

    it.scoped("a job that a BullMQ Worker has seen stall too often keeps that reason, up to maxCrashes", () =>
      Effect.gen(function*() {
        const { defer, foreign } = yield* Place
        const jobs = yield* foreign("stalled")
        yield* Effect.promise(() => jobs.add("mail", {}, { jobId: "a" }))
        yield* defer("stalled", "a", "job stalled more than allowable limit", 2)
        const queue = yield* open("stalled", minute)
        assert.deepStrictEqual(yield* queue.claim(1), [])
        assert.strictEqual(first(yield* queue.dead.list()).cause, "job stalled more than allowable limit")
      }))
  })
}
