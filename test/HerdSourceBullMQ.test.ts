import { assert, describe, it, layer } from "@effect/vitest"
import {
  Cause,
  Context,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Schedule,
  Schema,
  Scope
} from "effect"
import { HerdError } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceBullMQ from "gofherd/HerdSourceBullMQ"
import { once } from "node:events"
import { mkdirSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { Client } from "pg"
import { claimed, first, minute, open, pgClient, Place, places, redisClient, unit } from "./utils/bullmq.ts"
import { pretty } from "./utils/pretty.ts"
import { hasPostgres, hasRedis, Postgres, postgres, Redis, redis, type Server } from "./utils/servers.ts"
import { until } from "./utils/stage.ts"
import { idsOf } from "./utils/stores.ts"

/** Sets the clock of this machine, as far as this process sees it. */
const setBy = (millis: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const real = Date.now
      Date.now = () => real() + millis
      return real
    }),
    (real) =>
      Effect.sync(() => {
        Date.now = real
      })
  )

/** Of this process. */
const sockets = () => process.getActiveResourcesInfo().filter((what) => what.startsWith("TCP")).length

for (const [name, { has, place }] of Object.entries(places)) {
  if (!has) {
    it.skip(`HerdSourceBullMQ on ${name}, which is not installed`, () => {})
    continue
  }

  layer(place, { excludeTestServices: true, timeout: "60 seconds" })(`HerdSourceBullMQ on ${name}`, (it) => {
    it.scoped("takes any id, also such as BullMQ has other uses for", () =>
      Effect.gen(function*() {
        const numbers = ["17", "-3", "0", "1e3", " 5"]
        const marks = ["a:b", ":", "%", "50%", "%41", "repeat:x:1"]
        const keys = ["meta", "wait", "id", "pc", "failed"]
        const all = [...numbers, ...marks, ...keys, "ü 漢 😀", "A", "null", "u".repeat(255)]
        const queue = yield* open("ids")
        yield* queue.offer(all.map((id) => unit(id)))
        yield* queue.offer(all.map((id) => unit(id)))
        assert.strictEqual((yield* queue.depth).ready, all.length)
        const claims = yield* claimed(queue, all.length)
        assert.deepStrictEqual(idsOf(claims), all)
        assert.deepStrictEqual(claims.map(({ body }) => JSON.parse(body).id), all)
        const settlements = claims.map((claim) => ({ _tag: "Bury" as const, claim, cause: "no" }))
        assert.deepStrictEqual(yield* queue.settle(settlements, 1), { lost: [], claimed: [] })
        assert.strictEqual(yield* queue.dead.redrive(all.slice(0, 10)), 10)
        assert.strictEqual(yield* queue.dead.discard([...all, "others"]), all.length - 10)
        assert.deepStrictEqual(idsOf(yield* claimed(queue, 10)).toSorted(), all.slice(0, 10).toSorted())
      }))

    it.scoped("takes a herd of any name", () =>
      Effect.gen(function*() {
        for (const herd of ["a:b", "a%3Ab", "ü 漢/😀"]) {
          const queue = yield* open(herd)
          yield* queue.offer([unit(herd)])
          assert.deepStrictEqual(idsOf(yield* queue.claim(10)), [herd])
        }
      }))

    it.scoped("keeps bodies as the data of jobs, and says of any JSON what it was", () =>
      Effect.gen(function*() {
        const { foreign } = yield* Place
        const bodies = [
          "null",
          "{}",
          "0",
          "-1.5e300",
          "\"\"",
          "\"\\\"ü\\n\"",
          "[]",
          "[null,{}]",
          "{\"a\":{\"b\":[1]}}",
          "true"
        ]
        const queue = yield* open("bodies")
        yield* queue.offer(bodies.map((body, n) => unit(`b${n}`, { body })))
        const jobs = yield* foreign("bodies")
        const job = yield* Effect.promise(() => jobs.getJob("b8"))
        assert.deepStrictEqual(job?.data, { a: { b: [1] } })
        const claims = yield* claimed(queue, bodies.length)
        assert.deepStrictEqual(claims.map(({ body }) => JSON.parse(body)), bodies.map((body) => JSON.parse(body)))
      }))

    it.scoped("claims by priority, of all that BullMQ has room for", () =>
      Effect.gen(function*() {
        const queue = yield* open("priorities")
        const priorities = [0, 1, -1, 1_048_575, -1_048_575, 7, 0, 7]
        yield* queue.offer(priorities.map((priority, n) => unit(`p${n}`, { priority })))
        const claims = yield* claimed(queue, priorities.length)
        assert.deepStrictEqual(idsOf(claims), ["p3", "p5", "p7", "p1", "p0", "p6", "p2", "p4"])
        assert.deepStrictEqual(claims.map(({ priority }) => priority), [1_048_575, 7, 7, 1, 0, 0, -1, -1_048_575])
      }))

    const refuses = (name: string, expected: string, offers: ReadonlyArray<readonly [unknown, number, string]>) =>
      it.scoped(`refuses ${name} with InvalidUnit, and keeps nothing of the call`, () =>
        Effect.gen(function*() {
          const { source } = yield* Place
          const herd = yield* DurableHerd.make({
            name: `no ${name}`,
            schema: Schema.Unknown,
            size: 0,
            process: () => Effect.void
          }).pipe(Effect.provide(source()))
          for (const [body, priority, given] of offers) {
            const message = `of a unit of herd "no ${name}" to be ${expected}, got ${given}`
            const offers = [
              Effect.asVoid(herd.offer(body, { priority })),
              Effect.asVoid(herd.offerAll(["good", body], { priority }))
            ]
            for (const offer of offers) {
              const error = yield* Effect.flip(offer)
              assert.instanceOf(error, HerdError.InvalidUnit)
              assert.include(error.message, message)
            }
          }
          assert.strictEqual((yield* herd.depth).ready, 0)
        }))

    refuses(
      "priorities out of range",
      "an integer from -1048575 to 1048575 with BullMQ",
      [0.5, -0.5, 5e-324, 2 ** 20, -(2 ** 20), 2 ** 21, 2 ** 53, Number.MAX_VALUE].map((priority) => [
        "x",
        priority,
        String(priority)
      ])
    )

    if (name === "PostgreSQL") {
      refuses("characters that jsonb lacks", "JSON without \\u0000 and lone surrogates with PostgreSQL", [
        ["\0", 0, "\\u0000 in it"],
        ["a\0", 0, "\\u0000 in it"],
        [{ a: [{ "key \\\0": 1 }] }, 0, "\\u0000 in it"],
        ["\ud800", 0, "\\ud800 in it"],
        ["\udfff \ud83d\ude00", 0, "\\udfff in it"],
        ["\ude00\ud83d", 0, "\\ude00 in it"],
        ["\\\\\udbff", 0, "\\udbff in it"]
      ])
    }

    it.scoped("puts units that are released back in their places, in whichever order they are", () =>
      Effect.gen(function*() {
        const [one, other] = [yield* open("places"), yield* open("places")]
        const all = Array.from({ length: 9 }, (_, n) => `${"zyxwvutsr"[n]}`)
        yield* one.offer(all.map((id) => unit(id)))
        yield* one.offer([unit("high", { priority: 1 }), unit("low", { priority: -1 })])
        const claims = [...(yield* one.claim(4)), ...(yield* other.claim(3))]
        assert.deepStrictEqual(idsOf(claims), ["high", ...all.slice(0, 6)])
        const release = (n: number) => ({ _tag: "Release" as const, claim: first(claims.slice(n)) })
        yield* one.settle([release(2)], 0)
        yield* other.settle([release(5), release(4)], 0)
        yield* one.settle([release(1), release(0), release(3)], 0)
        yield* other.settle([release(6)], 0)
        const again = yield* one.claim(20)
        assert.deepStrictEqual(idsOf(again), ["high", ...all, "low"])
        assert.isTrue(again.every(({ attempt }) => attempt === 1))
      }))

    it.scoped(
      "puts units that crashed back in their places, and buries those that did so too often",
      () =>
        Effect.gen(function*() {
          const { stateOf } = yield* Place
          const short = { lease: Duration.millis(400), maxCrashes: 2 }
          const queue = yield* open("crashes", short)
          yield* queue.offer(["c", "b", "a", "d"].map((id) => unit(id)))
          yield* queue.offer([unit("high", { priority: 3 })])
          // Nobody renews them.
          const other = yield* open("crashes", short)
          assert.deepStrictEqual(idsOf(yield* other.claim(3)), ["high", "c", "b"])
          yield* until(Effect.map(queue.depth, ({ ready }) => ready === 5))
          const another = yield* open("crashes", short)
          const again = yield* another.claim(4)
          assert.deepStrictEqual(again.map(({ attempt, id }) => [id, attempt]), [["high", 2], ["c", 2], ["b", 2], [
            "a",
            1
          ]])
          yield* until(Effect.map(queue.depth, ({ dead, held }) => dead === 3 && held === 0))
          const letters = yield* queue.dead.list()
          assert.deepStrictEqual(idsOf(letters).toSorted(), ["b", "c", "high"])
          for (const { attempts, cause, crashes } of letters) {
            assert.deepStrictEqual([attempts, crashes], [2, 2])
            assert.match(cause, /expected a process to settle it, got none/)
          }
          assert.strictEqual(yield* stateOf("crashes", "high"), "failed")
          assert.strictEqual(yield* queue.dead.redrive("all"), 3)
          assert.deepStrictEqual(
            (yield* queue.claim(5)).map(({ attempt, id }) => [id, attempt]).toSorted(),
            [["a", 2], ["b", 1], ["c", 1], ["d", 1], ["high", 1]]
          )
        }),
      20_000
    )

    it.scoped("buries at the claim what another program's workers have seen crash too often", () =>
      Effect.gen(function*() {
        const { defer, foreign } = yield* Place
        const queue = yield* open("doomed", { lease: Duration.minutes(1), maxCrashes: 1 })
        yield* queue.offer([unit("a"), unit("b")])
        const jobs = yield* foreign("doomed")
        // As its own stalled check leaves it.
        yield* defer("doomed", "a", "job stalled more than allowable limit", 1)
        const claims = yield* claimed(queue, 1)
        assert.deepStrictEqual(idsOf(claims), ["b"])
        assert.strictEqual((yield* queue.depth).dead, 1)
        assert.match(first(yield* queue.dead.list()).cause, /expected a process to settle it, got none/)
        assert.strictEqual(yield* Effect.promise(() => jobs.getFailedCount()), 1)
      }))

    it.scoped("lists 4,000 characters of a cause, however long a one another program wrote", () =>
      Effect.gen(function*() {
        const queue = yield* open("long-causes")
        const causes = ["€".repeat(4_000), "€".repeat(4_001), "🦫".repeat(3_000), "x".repeat(1_000_000)]
        for (const [n, cause] of causes.entries()) {
          yield* queue.offer([unit(`unit ${n}`)])
          yield* queue.settle((yield* claimed(queue, 1)).map((claim) => ({ _tag: "Bury", claim, cause })), 0)
        }
        const letters = yield* queue.dead.list()
        assert.deepStrictEqual(
          causes.map((_, n) => letters.find(({ id }) => id === `unit ${n}`)?.cause),
          ["€".repeat(4_000), `${"€".repeat(3_999)}…`, `${"🦫".repeat(1_999)}…`, `${"x".repeat(3_999)}…`]
        )
      }))

    it.scoped("claims jobs of other programs, which see what becomes of them", () =>
      Effect.gen(function*() {
        const { foreign } = yield* Place
        const queue = yield* open("foreign")
        const jobs = yield* foreign("foreign")
        yield* queue.offer([unit("ours")])
        // BullMQ counts jobs that have no id of their own.
        yield* queue.offer(Array.from({ length: 9 }, (_, n) => unit(`${n}`, { priority: -1 })))
        const number = yield* Effect.promise(async () => {
          const { id } = await jobs.add("mail", { to: "a" })
          await jobs.add("mail", { to: "b" }, { jobId: "50%off", attempts: 5, priority: 2, removeOnComplete: true })
          await jobs.add("mail", {}, { jobId: "ours" })
          return id ?? ""
        })
        assert.strictEqual((yield* queue.depth).ready, 12)
        const claims = yield* claimed(queue, 3)
        assert.deepStrictEqual(claims.map(({ body, id }) => [id, JSON.parse(body)]), [
          [number, { to: "a" }],
          ["50%off", { to: "b" }],
          ["ours", { id: "ours" }]
        ])
        const [one, other, ours] = claims
        if (one === undefined || other === undefined || ours === undefined) return assert.fail()
        const at = Date.now() + 60_000
        const settled = yield* queue.settle([
          { _tag: "Ack", claim: one },
          { _tag: "Bury", claim: other, cause: "no such user" },
          { _tag: "Retry", claim: ours, at, firstFailureAt: 5, cause: "again" }
        ], 0)
        assert.deepStrictEqual(settled, { lost: [], claimed: [] })
        const [done, failed, delayed] = yield* Effect.promise(() =>
          Promise.all([jobs.getJob(number), jobs.getJob("50%off"), jobs.getJob("ours")])
        )
        assert.strictEqual(
          yield* Effect.promise(() => done?.getState() ?? Promise.reject(new Error("gone"))),
          "completed"
        )
        assert.strictEqual(failed?.failedReason, "no such user")
        assert.strictEqual(delayed?.failedReason, "again")
        assert.strictEqual(yield* queue.dead.redrive(["50%off"]), 1)
        assert.deepStrictEqual(idsOf(yield* queue.claim(2)), ["50%off", "0"])
      }))

    it.scoped("sees to what waits for a job that is done, and to the rate limit of a queue", () =>
      Effect.gen(function*() {
        const { flow, foreign, stateOf } = yield* Place
        const queue = yield* open("flow")
        yield* queue.offer([unit("a"), unit("b"), unit("c")])
        yield* flow("flow", "parents")
        assert.strictEqual(yield* stateOf("parents", "parent"), "waiting-children")
        const claims = yield* claimed(queue, 2)
        assert.deepStrictEqual(idsOf(claims), ["child", "a"])
        const settlements = claims.map((claim) => ({ _tag: "Ack" as const, claim }))
        const jobs = yield* foreign("flow")
        yield* Effect.promise(() => jobs.setGlobalRateLimit(1, 500))
        const settled = yield* queue.settle(settlements, 2)
        assert.deepStrictEqual([settled.lost, idsOf(settled.claimed)], [[], ["b"]])
        assert.strictEqual(yield* stateOf("parents", "parent"), "waiting")
        assert.strictEqual(yield* stateOf("flow", "child"), "completed")
        assert.deepStrictEqual(yield* queue.claim(2), [])
        assert.deepStrictEqual(idsOf(yield* claimed(queue, 1)), ["c"])
      }))

    for (
      const [kind, repeat] of [["an interval", { every: 200 }], ["a pattern", { pattern: "* * * * * *" }]] as const
    ) {
      it.scoped(`keeps a job scheduler going, by ${kind}`, () =>
        Effect.gen(function*() {
          const { foreign, source } = yield* Place
          const name = `scheduler, ${kind}`
          const jobs = yield* foreign(name)
          const seen = new Array<string>()
          yield* DurableHerd.make({
            name,
            schema: Schema.Unknown,
            size: 4,
            retry: Schedule.recurs(1),
            process: (body, { attempt, id }) =>
              Effect.suspend(() => {
                seen.push(JSON.stringify(body))
                return attempt === 1 && seen.length === 1 ? Effect.fail(id) : Effect.void
              })
          }).pipe(Effect.provide(yield* Layer.build(source())))
          yield* Effect.promise(() => jobs.upsertJobScheduler("tick", repeat, { name: "tick", data: { tick: true } }))
          yield* until(() => seen.length >= 4)
          assert.deepStrictEqual(new Set(seen), new Set(["{\"tick\":true}"]))
          yield* Effect.promise(() => jobs.removeJobScheduler("tick"))
          yield* Effect.sleep("300 millis")
          const before = seen.length
          yield* Effect.sleep("1300 millis")
          assert.strictEqual(seen.length, before)
        }), 20_000)
    }

    it.scoped("keeps jobs that are done as long as they ask themselves", () =>
      Effect.gen(function*() {
        const { foreign, stateOf } = yield* Place
        const queue = yield* open("own options")
        const jobs = yield* foreign("own options")
        yield* Effect.promise(async () => {
          for (const id of ["a", "b"]) await jobs.add("mail", {}, { jobId: id, removeOnComplete: true })
          for (const id of ["c", "d"]) await jobs.add("mail", {}, { jobId: id })
        })
        const claims = yield* claimed(queue, 4)
        assert.deepStrictEqual(idsOf(claims), ["a", "b", "c", "d"])
        yield* queue.settle(claims.slice(0, 3).map((claim) => ({ _tag: "Ack", claim })), 2)
        yield* queue.settle(claims.slice(3).map((claim) => ({ _tag: "Ack", claim })), 1)
        const states = yield* Effect.forEach(["a", "b", "c", "d"], (id) => stateOf("own options", id))
        assert.deepStrictEqual(states, ["unknown", "unknown", "completed", "completed"])
      }))

    it.scoped("settles and claims thousands in a step", () =>
      Effect.gen(function*() {
        const queue = yield* open("many")
        const all = Array.from({ length: 2_400 }, (_, n) => `u${n}`)
        yield* queue.offer(all.map((id) => unit(id)))
        const claims = yield* claimed(queue, 1_200)
        assert.deepStrictEqual(idsOf(claims), all.slice(0, 1_200))
        const settled = yield* queue.settle(claims.map((claim) => ({ _tag: "Ack", claim })), 1_200)
        assert.deepStrictEqual([settled.lost, idsOf(settled.claimed)], [[], all.slice(1_200)])
        yield* queue.settle(settled.claimed.map((claim) => ({ _tag: "Release", claim })), 0)
        assert.deepStrictEqual(idsOf(yield* queue.claim(2_000)), all.slice(1_200))
      }), 30_000)

    for (const tag of ["Ack", "Retry", "Bury", "Release"] as const) {
      it.scoped(`says that a claim is lost whose lock is another's, and does nothing: ${tag}`, () =>
        Effect.gen(function*() {
          const { stateOf, steal } = yield* Place
          const herd = `lost-${tag}`
          const queue = yield* open(herd)
          yield* queue.offer([unit("a"), unit("b"), unit("c")])
          const claims = yield* claimed(queue, 2)
          const [claim, kept] = claims
          if (claim === undefined || kept === undefined) return assert.fail()
          yield* steal(herd, "a")
          assert.deepStrictEqual(yield* queue.renew(tag === "Ack" ? claims : [kept]), tag === "Ack" ? [claim] : [])
          const settlement = { _tag: tag, claim, at: Date.now(), firstFailureAt: 1, cause: "no" }
          const settled = yield* queue.settle([settlement, { _tag: "Ack", claim: kept }], 1)
          assert.deepStrictEqual(settled.lost, [claim])
          assert.deepStrictEqual(idsOf(settled.claimed), ["c"])
          assert.strictEqual(yield* stateOf(herd, "a"), "active")
          assert.strictEqual(yield* stateOf(herd, "b"), "completed")
          // Again it is no one's, either.
          assert.deepStrictEqual((yield* queue.settle([settlement], 0)).lost, [claim])
        }))
    }

    it.scoped("arrival: does not come for nothing, and comes within milliseconds with what another process offers", () =>
      Effect.gen(function*() {
        const [one, other] = [yield* open("arrival"), yield* open("arrival")]
        const times: Array<number> = []
        for (let n = 0; n < 10; n++) {
          const waiting = yield* Effect.fork(Effect.as(one.arrival, performance.now()))
          // Interrupted ones take nothing along.
          yield* Effect.timeoutOption(one.arrival, "20 millis")
          assert.isNull(waiting.unsafePoll())
          yield* other.offer([unit(`u${n}`)])
          const offered = performance.now()
          yield* waiting
          times.push(performance.now() - offered)
          assert.deepStrictEqual(idsOf(yield* one.claim(5)), [`u${n}`])
        }
        // By polling it would be 250 on average.
        assert.isBelow(times.toSorted((self, that) => self - that)[5] ?? Infinity, 100)
      }))

    it.scoped("arrival: leaves no listener behind, however often it is waited for", () =>
      Effect.gen(function*() {
        const warnings = yield* Effect.acquireRelease(
          Effect.sync(() => {
            const messages = new Array<string>()
            const hear = ({ message }: Error) => void messages.push(message)
            process.on("warning", hear)
            return { messages, hear }
          }),
          ({ hear }) => Effect.sync(() => process.off("warning", hear))
        )
        const queue = yield* open("listeners")
        for (let n = 0; n < 15; n++) {
          const waiting = yield* Effect.fork(queue.arrival)
          yield* Effect.sleep("10 millis")
          yield* queue.offer([unit(`u${n}`)])
          yield* waiting
          yield* claimed(queue, 1)
          // What listens to the server has heard of it, and ends.
          yield* Effect.sleep("30 millis")
        }
        assert.deepStrictEqual(warnings.messages, [])
      }))

    it.scoped("arrival: comes when a delayed unit is due, and when a unit has crashed", () =>
      Effect.gen(function*() {
        const queue = yield* open("due", { lease: Duration.millis(300), maxCrashes: 3 }, { pollInterval: "1 minute" })
        yield* queue.offer([unit("a", { runAt: Date.now() + 200 }), unit("b", { runAt: Date.now() + 3_600_000 })])
        yield* queue.arrival
        const other = yield* open("due", { lease: Duration.millis(300), maxCrashes: 3 })
        assert.deepStrictEqual(idsOf(yield* other.claim(5)), ["a"])
        yield* queue.arrival
        assert.deepStrictEqual((yield* queue.claim(5)).map(({ attempt, id }) => [id, attempt]), [["a", 2]])
      }), 20_000)

    it.scoped(
      "fleet: nothing starts at 0, whoever sets it, and then 4 do within a second",
      () =>
        Effect.gen(function*() {
          const { foreign, source } = yield* Place
          const jobs = yield* foreign("fleet")
          let running = 0
          let most = 0
          let done = 0
          const make = Effect.flatMap(Layer.build(source()), (context) =>
            DurableHerd.make({
              name: "fleet",
              schema: Schema.Struct({ id: Schema.String }),
              size: 8,
              process: () =>
                Effect.acquireUseRelease(
                  Effect.sync(() => {
                    most = Math.max(most, ++running)
                  }),
                  () => Effect.sleep("20 millis"),
                  () =>
                    Effect.sync(() => {
                      running--
                      done++
                    })
                )
            }).pipe(Effect.provide(context)))
          const [one] = [yield* make, yield* make]
          const fleet = Option.getOrThrow(one.fleet)
          assert.deepStrictEqual(yield* fleet.size, Option.none())
          yield* fleet.resize(Option.some(0))
          assert.deepStrictEqual(yield* fleet.size, Option.some(0))
          yield* one.offerAll(Array.from({ length: 60 }, (_, n) => ({ id: `${n}` })))
          yield* Effect.sleep("300 millis")
          assert.strictEqual(done + running, 0)
          const began = performance.now()
          yield* fleet.resize(Option.some(4))
          yield* until(() => done > 0)
          assert.isBelow(performance.now() - began, 1_500)
          yield* until(() => done >= 20)
          assert.strictEqual(most, 4)
          yield* Effect.promise(() => jobs.setGlobalConcurrency(0))
          yield* until(() => running === 0)
          const before = done
          yield* Effect.promise(() => jobs.setGlobalConcurrency(2))
          yield* until(() => done > before)
          most = 0
          yield* fleet.resize(Option.none())
          yield* one.awaitIdle
          assert.isAbove(most, 4)
          assert.deepStrictEqual(yield* fleet.size, Option.none())
          const bad = yield* Effect.exit(fleet.resize(Option.some(1.5)))
          assert.match(pretty(bad), /expected size to be an integer from 0 to 2147483647, got 1.5/)
        }),
      20_000
    )

    it.scoped("fleet: tells all processes at once", () =>
      Effect.gen(function*() {
        const times = { pollInterval: "1 minute" } as const
        const [one, other] = [yield* open("bound", minute, times), yield* open("bound", minute, times)]
        const resize = (size: number) => Option.getOrThrow(other.fleet).resize(Option.some(size))
        yield* resize(0)
        yield* one.offer([unit("a")])
        const waiting = yield* Effect.fork(one.arrival)
        yield* Effect.sleep("200 millis")
        assert.isNull(waiting.unsafePoll())
        yield* resize(1)
        yield* waiting
        assert.deepStrictEqual(idsOf(yield* one.claim(1)), ["a"])
      }))

    for (const shift of [-3_600_000, 3_600_000]) {
      it.scoped(
        `goes by the server's time, also if this machine's clock is set by ${shift / 3_600_000} h`,
        () =>
          Effect.gen(function*() {
            const { foreign } = yield* Place
            const real = Date.now
            const herd = `clock ${shift}`
            const short = { lease: Duration.millis(1_500), maxCrashes: 3 }
            const queue = yield* open(herd, short, { retention: "300 millis" })
            const jobs = yield* foreign(herd)
            const began = real()
            const isNow = (time: number | undefined) =>
              assert.isTrue(time !== undefined && Math.abs(time - began) < 30_000)
            yield* queue.offer([unit("before", { runAt: Date.now() + 700 })])
            yield* setBy(shift)
            yield* queue.offer([
              unit("after", { runAt: Date.now() + 1_400 }),
              unit("a"),
              unit("b"),
              unit("c"),
              unit("d")
            ])
            const { oldestAt } = yield* queue.depth
            assert.isBelow(Math.abs((oldestAt ?? 0) - Date.now()), 30_000)
            // By BullMQ's own commands, and by gofherd's.
            const a = first(yield* queue.claim(1))
            const step = yield* queue.settle([{ _tag: "Bury", claim: a, cause: "no" }], 1)
            const b = first(step.claimed)
            const more = yield* queue.settle(
              [{ _tag: "Retry", claim: b, at: Date.now() + 700, firstFailureAt: Date.now(), cause: "no" }],
              2
            )
            assert.deepStrictEqual(idsOf(more.claimed), ["c", "d"])
            const [, c, d] = [a, ...more.claimed]
            if (c === undefined || d === undefined) return assert.fail()
            assert.deepStrictEqual((yield* queue.settle([{ _tag: "Ack", claim: c }], 1)).claimed, [])
            for (const id of ["a", "b", "c", "d", "after"]) {
              const job = yield* Effect.promise(() => jobs.getJob(id))
              isNow(job?.timestamp)
              if (id !== "after") isNow(job?.processedOn)
              if (id === "a" || id === "c") isNow(job?.finishedOn)
            }
            // Renewed, it is ours for longer than its lease.
            yield* Effect.sleep("1 second")
            assert.deepStrictEqual(yield* queue.renew([d]), [])
            yield* Effect.sleep("600 millis")
            assert.deepStrictEqual(idsOf(yield* claimed(queue, 3)).toSorted(), ["after", "b", "before"])
            assert.isAtLeast(real() - began, 1_400)
            assert.deepStrictEqual(yield* queue.settle([{ _tag: "Ack", claim: d }], 0), { lost: [], claimed: [] })
            // Those that are done are forgotten.
            yield* until(Effect.promise(async () => await jobs.getJob("d") === undefined))
          }),
        20_000
      )
    }

    it.scoped("puts units last whose time has come", () =>
      Effect.gen(function*() {
        const queue = yield* open("last")
        const at = Date.now() + 800
        yield* queue.offer([unit("a"), unit("b", { runAt: at + 100 }), unit("c"), unit("d")])
        const claim = first(yield* claimed(queue, 1))
        yield* queue.settle([{ _tag: "Retry", claim, at, firstFailureAt: 1, cause: "no" }], 0)
        yield* until(Effect.map(queue.depth, ({ delayed }) => delayed === 0))
        for (const id of ["c", "d", "a", "b"]) assert.deepStrictEqual(idsOf(yield* queue.claim(1)), [id])
      }))

    it.scoped(
      "forgets units that are done once they have been kept for long enough, also of a herd that is idle",
      () =>
        Effect.gen(function*() {
          const queue = yield* open("retention", minute, { retention: "100 millis" })
          yield* queue.offer([unit("a")])
          yield* queue.settle([{ _tag: "Ack", claim: first(yield* claimed(queue, 1)) }], 0)
          yield* until(Effect.gen(function*() {
            yield* queue.offer([unit("a")])
            return (yield* queue.depth).ready === 1
          }))
          const forever = yield* open("retention for ever", minute, { retention: Duration.infinity })
          const none = yield* open("no retention", minute, { retention: 0 })
          for (const [queue, ready] of [[forever, 0], [none, 1]] as const) {
            yield* queue.offer([unit("a")])
            yield* queue.settle([{ _tag: "Ack", claim: first(yield* claimed(queue, 1)) }], 0)
            yield* queue.offer([unit("a")])
            assert.strictEqual((yield* queue.depth).ready, ready)
          }
        }),
      20_000
    )

    it.effect("releases what it holds when its scope closes, and leaves nothing open", () =>
      Effect.gen(function*() {
        const watcher = yield* Scope.make()
        const other = yield* Scope.extend(open("closing"), watcher)
        yield* other.offer(["a", "b", "c"].map((id) => unit(id)))
        const before = sockets()
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* open("closing")
          assert.deepStrictEqual(idsOf(yield* queue.claim(3)), ["a", "b", "c"])
          const waiting = yield* Effect.fork(queue.arrival)
          yield* until(() => sockets() >= before + 2)
          yield* Fiber.interrupt(waiting)
        }))
        yield* until(() => sockets() <= before)
        assert.deepStrictEqual(idsOf(yield* other.claim(5)), ["a", "b", "c"])
        yield* Scope.close(watcher, Exit.void)
      }))

    it.scoped("does a step that failed again, and loses nothing by it", () =>
      Effect.gen(function*() {
        const { server, stateOf } = yield* Place
        const impatient = name === "Redis"
          ? HerdSourceBullMQ.layer({ connection: { url: server.url, driver: { commandTimeout: 300 } } })
          : HerdSourceBullMQ.layerPostgres({ connection: { url: server.url, driver: { query_timeout: 300, max: 4 } } })
        const { open } = Context.get(yield* Layer.build(impatient), HerdSource.HerdSource)
        const queue = yield* open("again", minute)
        yield* queue.offer(["a", "b", "c", "d", "e", "f"].map((id) => unit(id)))
        const claims = yield* claimed(queue, 4)
        const [a, b, c, d] = claims
        if (a === undefined || b === undefined || c === undefined || d === undefined) return assert.fail()
        const settlements: ReadonlyArray<HerdSource.Settlement> = [
          { _tag: "Ack", claim: a },
          { _tag: "Bury", claim: b, cause: "no" },
          { _tag: "Retry", claim: c, at: Date.now() + 60_000, firstFailureAt: 1, cause: "no" },
          { _tag: "Release", claim: d }
        ]
        // It hears what it is told, and does so, but not before nobody waits any more.
        yield* halted(
          server,
          Effect.gen(function*() {
            const error = yield* Effect.flip(queue.settle(settlements, 0))
            assert.strictEqual(error._tag, "SourceError")
            assert.match(error.message, /^expected the BullMQ source to settle units, got .*time/i)
          })
        )
        const again = yield* Effect.retry(queue.settle(settlements, 0), {
          schedule: Schedule.spaced("20 millis"),
          times: 200
        })
        assert.deepStrictEqual(again, { lost: [], claimed: [] })
        assert.strictEqual(yield* stateOf("again", "a"), "completed")
        assert.strictEqual(yield* stateOf("again", "b"), "failed")
        assert.strictEqual(yield* stateOf("again", "c"), "delayed")
        const depth = yield* queue.depth
        assert.deepStrictEqual([depth.ready, depth.delayed, depth.held, depth.dead], [3, 1, 0, 1])
        assert.deepStrictEqual(idsOf(yield* claimed(queue, 3)), ["d", "e", "f"])
      }), 20_000)

    it.scoped(
      "goes on when a server that was killed is back, with all units, and tells why it could not",
      () =>
        Effect.gen(function*() {
          const { server, source } = yield* Place
          const done = new Map<string, number>()
          const context = yield* Layer.build(source())
          const herd = yield* DurableHerd.make({
            name: "killed",
            schema: Schema.Struct({ id: Schema.String }),
            size: 4,
            lease: "2 seconds",
            process: ({ id }) =>
              Effect.zipRight(Effect.sleep("2 millis"), Effect.sync(() => done.set(id, (done.get(id) ?? 0) + 1)))
          }).pipe(Effect.provide(context))
          const all = Array.from({ length: 600 }, (_, n) => ({ id: `unit ${n}` }))
          yield* herd.offerAll(all, { id: ({ id }) => id })
          yield* until(() => done.size > 100)
          yield* server.kill()
          const error = yield* Effect.flip(Effect.repeat(herd.offer({ id: "more" }), Schedule.spaced("10 millis")))
          assert.match(error.message, /expected the BullMQ source to offer units, got /)
          yield* until(Effect.map(
            Effect.flip(Effect.repeat(herd.depth, Schedule.spaced("10 millis"))),
            ({ message }) => /ECONNREFUSED/.test(message)
          ))
          yield* server.start
          yield* Effect.retry(herd.offer({ id: "last" }, { id: "last" }), Schedule.spaced("50 millis"))
          yield* herd.awaitIdle
          assert.strictEqual(all.filter(({ id }) => !done.has(id)).length, 0)
          assert.isTrue(done.has("last"))
          assert.strictEqual((yield* herd.depth).dead, 0)
        }),
      60_000
    )

    it.effect("closes within seconds when the server is gone", () =>
      Effect.gen(function*() {
        const { server } = yield* Place
        const scope = yield* Scope.make()
        const queue = yield* Scope.extend(open("gone"), scope)
        yield* queue.offer([unit("a"), unit("b")])
        yield* queue.claim(1)
        yield* Effect.forkDaemon(Effect.ignore(queue.arrival))
        yield* server.kill()
        const began = performance.now()
        yield* Scope.close(scope, Exit.void)
        assert.isBelow(performance.now() - began, 5_000)
        yield* server.start
      }), 20_000)

    it.effect("fails to open when the server is not there", () =>
      Effect.gen(function*() {
        const { server } = yield* Place
        yield* server.kill()
        const before = sockets()
        const error = yield* Effect.flip(Effect.scoped(open("nobody")))
        assert.strictEqual(error._tag, "SourceError")
        assert.match(error.message, /^expected the BullMQ source to open its queue, got .*ECONNREFUSED/)
        yield* until(() => sockets() <= before)
        yield* server.start
      }), 20_000)
  })
}

/** A pooler before PostgreSQL that does not pass the start-up parameter `options`: its port. */
const bouncer = (url: string, how: "drops" | "refuses") =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { port } = new URL(url)
      const server = createServer((socket) => {
        socket.on("error", () => {})
        socket.once("data", (hello) => {
          if (how === "refuses") {
            const fields = "SERROR\0C08P01\0Munsupported startup parameter: options\0\0"
            const head = Buffer.from([0x45, 0, 0, 0, 4 + fields.length])
            return socket.end(Buffer.concat([head, Buffer.from(fields)]))
          }
          const kept = hello.subarray(8).toString().split("\0")
          const at = kept.indexOf("options")
          kept.splice(at, 2)
          const body = Buffer.from(kept.join("\0"))
          const head = Buffer.from(hello.subarray(0, 8))
          head.writeInt32BE(8 + body.length)
          const upstream = connect(Number(port), "127.0.0.1")
          upstream.on("error", () => socket.destroy())
          upstream.write(Buffer.concat([head, body]))
          socket.pipe(upstream).pipe(socket)
        })
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      return server
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }))

/**
 * While it hears, and does not answer; its processes, of which PostgreSQL has one for each
 * connection.
 */
const halted = <A, E, R>(server: Server, effect: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    server.signal("SIGSTOP"),
    () => effect,
    () => server.signal("SIGCONT")
  )

if (hasRedis) {
  layer(redis, { excludeTestServices: true, timeout: "60 seconds" })("HerdSourceBullMQ.layer", (it) => {
    const opened = (url: string, driver: Readonly<Record<string, unknown>> = {}) =>
      Effect.flatMap(
        Layer.build(HerdSourceBullMQ.layer({ connection: { url, driver } })),
        (context) => Context.get(context, HerdSource.HerdSource).open("causes", minute)
      )

    const caused = Effect.gen(function*() {
      const server = yield* Redis
      const client = yield* redisClient(server)
      const call = (command: string, ...args: ReadonlyArray<string>) =>
        Effect.promise(() => client.call(command, ...args))
      return { server, call }
    })

    const messageOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.map(Effect.flip(effect), ({ message }) => message)

    it.scoped(
      "names what Redis says: out of memory, a replica, no permission, no password",
      () =>
        Effect.gen(function*() {
          const { call, server: { url } } = yield* caused
          const queue = yield* opened(url)
          const offers = messageOf(queue.offer([unit("a"), unit("b")]))
          yield* call("CONFIG", "SET", "maxmemory", "100000")
          assert.match(yield* offers, /^expected the BullMQ source to offer units, got OOM /)
          yield* call("CONFIG", "SET", "maxmemory", "0")
          yield* call("REPLICAOF", "127.0.0.1", "1")
          assert.match(yield* offers, /^expected the BullMQ source to offer units, got READONLY /)
          assert.match(yield* messageOf(queue.claim(1)), /^expected the BullMQ source to claim units, got READONLY /)
          yield* call("REPLICAOF", "NO", "ONE")
          yield* call("ACL", "SETUSER", "weak", "on", ">secret", "~*", "+@read", "+info", "+ping")
          const as = (who: string) => messageOf(opened(url.replace("//", `//${who}@`)))
          assert.match(yield* as("weak:secret"), /^expected the BullMQ source to open its queue, got NOPERM /)
          assert.match(yield* as("weak:wrong"), /^expected the BullMQ source to open its queue, got WRONGPASS /)
          yield* call("CONFIG", "SET", "requirepass", "secret")
          assert.match(yield* messageOf(opened(url)), /^expected the BullMQ source to open its queue, got NOAUTH /)
          yield* call("CONFIG", "SET", "requirepass", "")
          yield* queue.offer([unit("a")])
        }),
      20_000
    )

    it.scoped(
      "names what Redis says for a while, and a herd goes on afterwards: MISCONF, READONLY",
      () =>
        Effect.gen(function*() {
          const { call, server: { url } } = yield* caused
          const done = new Array<string>()
          const source = HerdSourceBullMQ.layer({ connection: { url } })
          const herd = yield* DurableHerd.make({
            name: "for a while",
            schema: Schema.String,
            size: 2,
            process: (body) => Effect.sync(() => done.push(body))
          }).pipe(Effect.provide(yield* Layer.build(source)))
          // Its disk can't be written.
          const dir = String(yield* call("CONFIG", "GET", "dir")).replace(/^dir,/, "")
          yield* Effect.acquireRelease(
            Effect.sync(() => mkdirSync(`${dir}/dump.rdb`)),
            () => Effect.sync(() => rmSync(`${dir}/dump.rdb`, { recursive: true, force: true }))
          )
          yield* call("CONFIG", "SET", "save", "3600 1")
          yield* call("BGSAVE")
          yield* until(
            Effect.map(call("INFO", "persistence"), (info) => /rdb_last_bgsave_status:err/.test(String(info)))
          )
          assert.match(yield* messageOf(herd.offer("a")), /got MISCONF /)
          yield* call("CONFIG", "SET", "save", "")
          yield* Effect.retry(herd.offer("b"), Schedule.spaced("20 millis"))
          yield* until(() => done.includes("b"))
          yield* call("REPLICAOF", "127.0.0.1", "1")
          assert.match(yield* messageOf(herd.offer("c")), /got READONLY /)
          yield* call("REPLICAOF", "NO", "ONE")
          yield* Effect.retry(herd.offer("d"), Schedule.spaced("20 millis"))
          yield* until(() => done.includes("d"))
          assert.deepStrictEqual(done, ["b", "d"])
        }),
      20_000
    )

    /** Speaks as much of Redis' protocol as is asked for at the opening. */
    const speaking = (answer: (command: string) => string) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.promise(async () => {
            const server = createServer((socket) => {
              socket.on("error", () => {})
              socket.on("data", (data) => {
                // Each command is an array of bulk strings.
                const commands = data.toString().split(/(?=\*\d+\r\n)/)
                for (const command of commands) socket.write(answer(command.toLowerCase()))
              })
            })
            server.listen(0, "127.0.0.1")
            await once(server, "listening")
            return server
          }),
          (server) => Effect.sync(() => server.close())
        ),
        (server) => {
          const address = server.address()
          return `redis://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
        }
      )

    it.scoped("names at the opening that Redis loads its data, or is too old", () =>
      Effect.gen(function*() {
        const informing = (info: string) =>
          speaking((command) => command.includes("info\r\n") ? `$${info.length}\r\n${info}\r\n` : "+OK\r\n")
        const refusing = yield* speaking(() => "-LOADING Redis is loading the dataset in memory\r\n")
        assert.match(
          yield* messageOf(Effect.scoped(opened(refusing))),
          /^expected the BullMQ source to open its queue, got .*LOADING Redis is loading/
        )
        const loading = yield* informing("redis_version:7.0.0\r\nloading:1\r\nloading_eta_seconds:60\r\n")
        assert.match(
          yield* messageOf(Effect.scoped(opened(loading, { commandTimeout: 300 }))),
          /^expected the BullMQ source to open its queue, got no answer within 0.3 s, or Redis was still loading its data$/
        )
        const old = yield* informing("redis_version:4.0.9\r\nloading:0\r\n")
        assert.match(
          yield* messageOf(Effect.scoped(opened(old))),
          /^expected the BullMQ source to open its queue, got Redis version needs to be .* 5\.0\.0 Current: 4\.0\.9/
        )
      }), 20_000)

    it.scoped(
      "says that a connection was closed, and names no option that a herd does not have",
      () =>
        Effect.gen(function*() {
          const { call, server: { url } } = yield* caused
          const queue = yield* opened(url)
          yield* call("CLIENT", "PAUSE", "2000", "WRITE")
          const offering = yield* Effect.fork(messageOf(queue.offer([unit("a")])))
          yield* Effect.sleep("100 millis")
          yield* call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
          assert.strictEqual(
            yield* offering,
            "expected the BullMQ source to offer units, got a connection to Redis that was closed before it answered"
          )
          yield* call("CLIENT", "UNPAUSE")
        }),
      20_000
    )

    it.scoped("offers again once scripts are flushed, or were refused for lack of memory", () =>
      Effect.gen(function*() {
        const { call, server: { url } } = yield* caused
        const queue = yield* opened(url)
        const before = yield* queue.depth
        const runAt = Date.now() + 3_600_000
        yield* call("SCRIPT", "FLUSH")
        yield* call("CONFIG", "SET", "maxmemory", "100000")
        assert.match(yield* messageOf(queue.offer([unit("one"), unit("two", { runAt })])), /got OOM /)
        yield* call("CONFIG", "SET", "maxmemory", "0")
        for (const n of [1, 2, 3]) {
          yield* queue.offer([unit(`one ${n}`), unit(`two ${n}`, { runAt }), unit(`three ${n}`)])
          yield* call("SCRIPT", "FLUSH")
        }
        const { delayed, ready } = yield* queue.depth
        assert.deepStrictEqual([ready - before.ready, delayed - before.delayed], [6, 3])
      }))

    it.scoped("adds no events to a queue on which nothing happens", () =>
      Effect.gen(function*() {
        const { call, server: { url } } = yield* caused
        yield* opened(url)
        const before = yield* call("XLEN", "bull:causes:events")
        yield* Effect.sleep("2200 millis")
        assert.strictEqual(yield* call("XLEN", "bull:causes:events"), before)
      }))
  })
}

if (hasPostgres) {
  layer(postgres, { excludeTestServices: true, timeout: "60 seconds" })("HerdSourceBullMQ.layerPostgres", (it) => {
    it.scoped("fails to open without BullMQ's tables, unless it may make them", () =>
      Effect.gen(function*() {
        const { url } = yield* Postgres
        const opening = (options: HerdSourceBullMQ.PostgresOptions) =>
          Effect.flatMap(
            Layer.build(HerdSourceBullMQ.layerPostgres({ connection: { url: Redacted.make(url) }, ...options })),
            (context) => Context.get(context, HerdSource.HerdSource).open("herd", minute)
          )
        const error = yield* Effect.flip(opening({ migrate: false }))
        assert.match(
          error.message,
          /^expected the BullMQ source to open its queue, got .*schema "bullmq" is not initialized/
        )
        yield* (yield* opening({ schema: "other" })).offer([unit("a")])
        const queue = yield* opening({ migrate: false, schema: "other" })
        assert.deepStrictEqual(idsOf(yield* queue.claim(1)), ["a"])
        assert.strictEqual((yield* Effect.flip(opening({ migrate: false })))._tag, "SourceError")
      }))

    it.scoped("names what PostgreSQL says, and what to do about it", () =>
      Effect.gen(function*() {
        const server = yield* Postgres
        const client = yield* pgClient(server)
        const opening = (user: string, options: HerdSourceBullMQ.PostgresOptions = {}) =>
          Effect.map(
            Effect.flip(Effect.flatMap(
              Layer.build(HerdSourceBullMQ.layerPostgres({
                connection: { url: server.url.replace("postgres@", `${user}@`), ...options.connection }
              })),
              (context) => Context.get(context, HerdSource.HerdSource).open("herd", minute)
            )),
            ({ message }) => message
          )
        yield* Effect.promise(() => client.query("CREATE ROLE weak LOGIN CONNECTION LIMIT 0"))
        assert.match(
          yield* opening("weak"),
          /got too many connections for role "weak": each open herd has up to `max` connections \(10\) and one more$/
        )
        assert.match(yield* opening("nobody"), /got role "nobody" does not exist$/)
        const readOnly = { driver: { options: "-c default_transaction_read_only=on" } }
        assert.match(
          yield* opening("postgres", { connection: readOnly }),
          /read-only transaction: the server, .* read only$/
        )
        const nowhere = yield* opening("postgres", { connection: { url: "postgres://localhost:1/none" } })
        assert.match(nowhere, /got connect ECONNREFUSED/)
      }))

    it.scoped("says what to do where a pooler drops the search path, or the parameter that sets it", () =>
      Effect.gen(function*() {
        const { url } = yield* Postgres
        const opening = (url: string) =>
          Effect.map(
            Effect.flip(Effect.flatMap(
              Layer.build(HerdSourceBullMQ.layerPostgres({ connection: { url } })),
              (context) => Context.get(context, HerdSource.HerdSource).open("pooled", minute)
            )),
            ({ message }) => message
          )
        // As PgBouncer does: it answers without the parameter, or not at all.
        const bouncing = (how: "drops" | "refuses") =>
          Effect.map(bouncer(url, how), (port) => url.replace(/:\d+/, `:${port}`))
        assert.match(
          yield* opening(yield* bouncing("refuses")),
          /unsupported startup parameter: options: PgBouncer needs ignore_startup_parameters = options, and the role a search_path/
        )
        assert.match(
          yield* opening(yield* bouncing("drops")),
          /got "\$user", public as search_path, where expected bullmq: .*ALTER ROLE … SET search_path TO bullmq/
        )
        const client = yield* pgClient(yield* Postgres)
        yield* Effect.promise(() => client.query("ALTER ROLE postgres SET search_path TO bullmq"))
        const context = yield* Layer.build(
          HerdSourceBullMQ.layerPostgres({ connection: { url: yield* bouncing("drops") } })
        )
        const queue = yield* Context.get(context, HerdSource.HerdSource).open("pooled", minute)
        yield* queue.offer([unit("a")])
        assert.deepStrictEqual(idsOf(yield* queue.claim(1)), ["a"])
        yield* Effect.promise(() => client.query("ALTER ROLE postgres RESET search_path"))
      }))

    it.scoped("does a step again of which a part went through", () =>
      Effect.gen(function*() {
        const server = yield* Postgres
        const client = yield* pgClient(server)
        const query = (text: string) => Effect.promise(() => client.query(text))
        const context = yield* Layer.build(HerdSourceBullMQ.layerPostgres({ connection: { url: server.url } }))
        const queue = yield* Context.get(context, HerdSource.HerdSource).open("half", minute)
        yield* queue.offer(["a", "b", "c", "d"].map((id) => unit(id)))
        const [a, b, c] = yield* claimed(queue, 3)
        if (a === undefined || b === undefined || c === undefined) return assert.fail()
        const settlements: ReadonlyArray<HerdSource.Settlement> = [
          { _tag: "Ack", claim: a },
          { _tag: "Bury", claim: b, cause: "no" },
          { _tag: "Release", claim: c }
        ]
        yield* query("ALTER TABLE bullmq.job ADD CONSTRAINT no_b CHECK (id <> 'b' OR state <> 'failed')")
        const error = yield* Effect.flip(queue.settle(settlements, 2))
        assert.match(error.message, /^expected the BullMQ source to settle units, got .*no_b/)
        yield* query("ALTER TABLE bullmq.job DROP CONSTRAINT no_b")
        const settled = yield* queue.settle(settlements, 2)
        assert.deepStrictEqual([settled.lost, idsOf(settled.claimed)], [[], ["c", "d"]])
        const { dead, held, ready } = yield* queue.depth
        assert.deepStrictEqual([ready, held, dead], [0, 2, 1])
        assert.deepStrictEqual(yield* queue.settle([{ _tag: "Ack", claim: a }], 0), { lost: [a], claimed: [] })
      }))

    it.scoped("listens again where that failed, on the same connection", () =>
      Effect.gen(function*() {
        const { url } = yield* Postgres
        const { query } = Client.prototype
        let listened = 0
        const refusing = function(this: Client, ...args: Parameters<typeof query>) {
          if (String(args[0]) === "LISTEN bullmq_jobs" && listened++ === 0) return Promise.reject(new Error("not now"))
          return query.apply(this, args)
        }
        yield* Effect.acquireRelease(
          Effect.sync(() => Object.assign(Client.prototype, { query: refusing })),
          () => Effect.sync(() => Object.assign(Client.prototype, { query }))
        )
        const source = HerdSourceBullMQ.layerPostgres({ connection: { url }, pollInterval: "200 millis" })
        const context = yield* Layer.build(source)
        const queue = yield* Context.get(context, HerdSource.HerdSource).open("deaf", minute)
        yield* Effect.timeoutOption(queue.arrival, "1 seconds")
        assert.strictEqual(listened, 2)
      }))

    it.scoped("refuses a body that PostgreSQL has no place for", () =>
      Effect.gen(function*() {
        const { url } = yield* Postgres
        const context = yield* Layer.build(HerdSourceBullMQ.layerPostgres({ connection: { url } }))
        const queue = yield* Context.get(context, HerdSource.HerdSource).open("bodies", minute)
        const error = yield* Effect.flip(queue.offer([unit("a"), unit("b", { body: JSON.stringify("\0") })]))
        assert.match(error.message, /^expected the BullMQ source to offer units, got .*Unicode/i)
        assert.strictEqual((yield* queue.depth).ready, 0)
      }))
  })
}

describe("HerdSourceBullMQ", () => {
  class Wrong extends Data.TaggedClass("Wrong")<
    {
      readonly expected: RegExp
      readonly build: () => Layer.Layer<never, never, never> | Layer.Layer<HerdSource.HerdSource>
    }
  > {}

  const wrong = [
    new Wrong({
      expected: /expected retention to be a duration, got -1/,
      build: () => HerdSourceBullMQ.layer({ retention: -1 })
    }),
    new Wrong({
      expected: /expected pollInterval to be a duration of more than 0, got 0/,
      build: () => HerdSourceBullMQ.layerPostgres({ pollInterval: 0 })
    }),
    new Wrong({
      expected: /expected prefix to be a string that is not empty, got ""/,
      build: () => HerdSourceBullMQ.layer({ prefix: "" })
    }),
    new Wrong({
      expected:
        /expected connection.driver.keyPrefix to be absent, since option prefix is there for that .*, got "app:"/,
      build: () => HerdSourceBullMQ.layer({ connection: { driver: { keyPrefix: "app:" } } })
    }),
    new Wrong({
      expected:
        /expected keyPrefix in connection.url to be absent, since option prefix is there for that .*, got "app:"/,
      build: () =>
        HerdSourceBullMQ.layer({ connection: { url: Redacted.make("redis://localhost?db=1&keyPrefix=app:") } })
    }),
    new Wrong({
      expected: /expected connection.port to be an integer from 0 to 65535, got 70000/,
      build: () => HerdSourceBullMQ.layer({ connection: { port: 70_000 } })
    }),
    new Wrong({
      expected: /expected schema to be a name of letters, digits and underscores, at most 63, got "a b"/,
      build: () => HerdSourceBullMQ.layerPostgres({ schema: "a b" })
    })
  ]

  for (const { build, expected } of wrong) {
    it.scopedLive(`dies of an option: ${expected.source}`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Layer.build(build()))
        assert.match(pretty(exit), expected)
        assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      }))
  }
})
