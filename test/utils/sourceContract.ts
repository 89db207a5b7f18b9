/**
 * What every source has to keep to, run against each: the comments of src/HerdSource.ts as tests.
 */
import { assert, describe } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Schedule } from "effect"
import type { HerdError } from "gofherd"
import * as HerdSource from "gofherd/HerdSource"
import { until } from "./stage.ts"
import {
  ack,
  alone,
  bury,
  claimOne,
  claimSoon,
  counts,
  idsOf,
  LONG,
  open,
  openTwice,
  release,
  retry,
  SHORT,
  type Subject,
  testing,
  unit,
  units
} from "./stores.ts"

export const sourceContract = ({ blocks = false, name, skipped = false, store }: Subject): void => {
  const onStore = testing(store)

  describe.skipIf(skipped)(`${name}, as a source`, { concurrent: !blocks }, () => {
    onStore(
      "hands out first in, first out within a priority, the higher priority first",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          yield* queue.offer([unit("a"), unit("b"), unit("low", { priority: -1 })])
          yield* queue.offer([unit("high", { priority: 5 }), unit("c"), unit("higher", { priority: 6 })])
          assert.deepStrictEqual(idsOf(yield* queue.claim(4)), ["higher", "high", "a", "b"])
          assert.deepStrictEqual(idsOf(yield* queue.claim(4)), ["c", "low"])
          assert.deepStrictEqual(yield* queue.claim(4), [])
        })
    )

    onStore(
      "keeps the order of a thousand units that were offered at once, and of those offered one by one",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          const ids = Array.from({ length: 1_100 }, (_, n) => `unit ${n}`)
          yield* queue.offer(units(...ids.slice(0, 1_000)))
          yield* Effect.forEach(ids.slice(1_000), (id) => queue.offer([unit(id)]))
          const claims: Array<string> = []
          while (claims.length < ids.length) claims.push(...idsOf(yield* queue.claim(64)))
          assert.deepStrictEqual(claims, ids)
        })
    )

    onStore("hands a unit out as it was offered", (store) =>
      Effect.gen(function*() {
        const { queue } = yield* open(store)
        const body = JSON.stringify({ text: "ü 🐹 \\ \" ' \n", list: [1, 2.5, -0.1, null, true], nested: { a: {} } })
        const ids = ["with space", "a:b:c", "17", "ü/🐹?%", "x".repeat(255), "' \" \\ --"]
        yield* queue.offer(ids.map((id) => unit(id, { body, priority: 2 })))
        const claims = yield* queue.claim(10)
        assert.deepStrictEqual(
          claims.map(({ token: _, ...claim }) => ({ ...claim, body: JSON.parse(claim.body) })),
          ids.map((id) => ({ id, body: JSON.parse(body), priority: 2, attempt: 1, firstFailureAt: undefined }))
        )
        assert.strictEqual(new Set(claims.map(({ id, token }) => `${id} ${token}`)).size, ids.length)
      }))

    onStore(
      "accepts an id once: in one offer, in two, while its unit is held, delayed, done or dead, and of another owner",
      (store) =>
        Effect.gen(function*() {
          const [self, that] = [yield* open(store), yield* open(store)]
          yield* self.queue.offer(units("a", "a", "b"))
          yield* that.queue.offer(units("c", "b", "a"))
          const [a, b, c, ...more] = yield* self.queue.claim(10)
          assert.deepStrictEqual([a?.id, b?.id, c?.id, more.length], ["a", "b", "c", 0])
          if (a === undefined || b === undefined || c === undefined) return
          yield* self.queue.offer(units("a"))
          yield* self.queue.settle([ack(a), bury(b), retry(c, Date.now() + 60_000)], 0)
          yield* self.queue.offer(units("a", "b", "c"))
          yield* that.queue.offer(units("a", "b", "c"))
          assert.deepStrictEqual(counts(yield* self.queue.depth), { ready: 0, delayed: 1, held: 0, dead: 1 })
          assert.deepStrictEqual(yield* self.queue.claim(10), [])
        })
    )

    onStore("gives each unit to one owner only", (store) =>
      Effect.gen(function*() {
        const owners = yield* Effect.all([open(store), open(store), open(store)])
        const ids = Array.from({ length: 300 }, (_, n) => `unit ${n}`)
        yield* owners[0].queue.offer(units(...ids))
        const claims = yield* Effect.forEach(
          owners,
          ({ queue }) => Effect.map(Effect.replicateEffect(queue.claim(11), 10), (claims) => idsOf(claims.flat())),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(claims.flat().toSorted(), ids.toSorted())
      }))

    onStore(
      "settles units and claims others in one step, and does not hand out again what is done",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          yield* queue.offer(units("a", "b", "c", "d"))
          const [a, b] = yield* queue.claim(2)
          if (a === undefined || b === undefined) throw new Error("expected two claims")
          const { claimed, lost } = yield* queue.settle([ack(a), ack(b)], 5)
          assert.deepStrictEqual([idsOf(claimed), lost], [["c", "d"], []])
          assert.deepStrictEqual(yield* queue.settle(claimed.map(ack), 5), { lost: [], claimed: [] })
          assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 0, held: 0, dead: 0 })
        })
    )

    onStore(
      "loses nothing if a batch is settled again, as after a connection that broke",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          yield* queue.offer(units("a", "b", "c", "d"))
          const [a, b, c, d] = yield* queue.claim(4)
          if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("expected four")
          const settlements = [ack(a), bury(b), retry(c, Date.now() + 60_000), release(d)]
          const expected = { ready: 1, delayed: 1, held: 0, dead: 1 }
          assert.deepStrictEqual((yield* queue.settle(settlements, 0)).lost, [])
          assert.deepStrictEqual(counts(yield* queue.depth), expected)
          yield* queue.settle(settlements, 0)
          assert.deepStrictEqual(counts(yield* queue.depth), expected)
          const again = yield* claimOne(queue)
          assert.deepStrictEqual([again.id, again.attempt], ["d", 1])
        })
    )

    onStore(
      "takes a released unit back to its place, and does not count its attempt",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          yield* queue.offer(units("a", "b", "c"))
          const [a, b] = yield* queue.claim(2)
          if (a === undefined || b === undefined) throw new Error("expected two claims")
          yield* queue.settle([release(b), release(a)], 0)
          const claims = yield* claimSoon(queue, 3)
          assert.deepStrictEqual(claims.map(({ attempt, id }) => [id, attempt]), [["a", 1], ["b", 1], ["c", 1]])
        })
    )

    onStore(
      "keeps a unit that is retried until its time, then hands it out last, with its attempt and its first failure",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          yield* queue.offer(units("a", "b"))
          const now = yield* Clock.currentTimeMillis
          const a = yield* claimOne(queue)
          yield* queue.settle([retry(a, now + 1_500, 12_345)], 0)
          assert.deepStrictEqual(counts(yield* queue.depth), { ready: 1, delayed: 1, held: 0, dead: 0 })
          yield* queue.offer(units("c"))
          const b = yield* claimOne(queue)
          assert.strictEqual(b.id, "b")
          yield* queue.settle([ack(b)], 0)
          // c is ready before a is.
          yield* until(
            Effect.map(queue.depth, ({ ready }) => ready === 2).pipe(
              Effect.zipLeft(Effect.raceFirst(queue.arrival, Effect.sleep(20)))
            )
          )
          assert.isAtLeast(yield* Clock.currentTimeMillis, now + 1_500)
          // One by one, since those that are claimed at a time may be put in order thereafter.
          const claims = [yield* claimOne(queue), yield* claimOne(queue)] as const
          assert.deepStrictEqual(
            claims.map(({ attempt, firstFailureAt, id }) => [id, attempt, firstFailureAt]),
            [["c", 1, undefined], ["a", 2, 12_345]]
          )
          const [, again] = claims
          yield* queue.settle([retry(again, now, 12_345)], 0)
          const third = yield* claimOne(queue)
          assert.deepStrictEqual([third.id, third.attempt, third.firstFailureAt], ["a", 3, 12_345])
        })
    )

    onStore("keeps units for later, across a restart, and no longer than it has to", (store) =>
      Effect.gen(function*() {
        const first = yield* open(store)
        const now = yield* Clock.currentTimeMillis
        yield* first.queue.offer([unit("later", { runAt: now + 2_500 }), unit("now", { runAt: now - 5 })])
        const claim = yield* claimOne(first.queue)
        assert.strictEqual(claim.id, "now")
        yield* first.queue.settle([retry(claim, now + 2_000)], 0)
        yield* first.close
        const { queue } = yield* open(store)
        assert.deepStrictEqual(yield* queue.claim(5), [])
        assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 2, held: 0, dead: 0 })
        const claims = yield* claimSoon(queue, 2)
        assert.deepStrictEqual(claims.map(({ attempt, id }) => [id, attempt]), [["now", 2], ["later", 1]])
        assert.isAtLeast(yield* Clock.currentTimeMillis, now + 2_000)
        assert.isAtMost(yield* Clock.currentTimeMillis, now + 7_000)
      }))

    onStore(
      "tells that a claim is lost, by renewing and by every kind of settling, and does nothing to whose it is now",
      (store) =>
        Effect.gen(function*() {
          const late = yield* open(store, { lease: SHORT, maxCrashes: 10 })
          const { queue } = yield* open(store, { maxCrashes: 10 })
          yield* late.queue.offer(units("a", "b", "c", "d", "e"))
          const claims = yield* claimSoon(late.queue, 5)
          const others = yield* claimSoon(queue, 5)
          assert.deepStrictEqual(
            others.map(({ attempt, id }) => [id, attempt]),
            ["a", "b", "c", "d", "e"].map((id) => [id, 2])
          )
          assert.deepStrictEqual(yield* late.queue.renew(claims), claims)
          const [a, b, c, d, e] = claims
          if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined) return
          const { lost } = yield* late.queue.settle([ack(a), bury(b), retry(c, 0), release(d)], 0)
          assert.deepStrictEqual(lost, [a, b, c, d])
          yield* late.close
          assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 0, held: 5, dead: 0 })
          assert.deepStrictEqual(yield* queue.renew(others), [])
          assert.deepStrictEqual(yield* queue.settle(others.map(ack), 0), { lost: [], claimed: [] })
        })
    )

    onStore(
      "tells that a claim is lost also where nobody has claimed the unit since",
      (store) =>
        Effect.gen(function*() {
          const late = yield* open(store, { lease: SHORT })
          const { queue } = yield* open(store)
          yield* late.queue.offer(units("a"))
          const claim = yield* claimOne(late.queue)
          yield* until(Effect.zipRight(
            Effect.raceFirst(queue.arrival, Effect.sleep("20 millis")),
            Effect.map(queue.depth, ({ ready }) => ready === 1)
          ))
          assert.deepStrictEqual((yield* late.queue.settle([ack(claim)], 0)).lost, [claim])
          assert.strictEqual((yield* claimOne(queue)).attempt, 2)
        })
    )

    onStore(
      "an open owner's claims are not taken for dead by itself, nor by others of its process, whatever its lease",
      (store) =>
        Effect.gen(function*() {
          const [self, sibling] = yield* openTwice(store, { lease: SHORT })
          yield* self.offer(units("a", "b"))
          const claims = yield* claimSoon(self, 2)
          const looking = Effect.zipRight(
            Effect.raceFirst(
              Effect.zip(self.arrival, sibling.arrival, { concurrent: true }),
              Effect.sleep("50 millis")
            ),
            Effect.zipWith(self.claim(5), sibling.claim(5), (own, others) => [...own, ...others])
          )
          const taken = yield* Effect.replicateEffect(looking, 4 * SHORT / 50)
          assert.deepStrictEqual(idsOf(taken.flat()), [])
          assert.deepStrictEqual(counts(yield* sibling.depth), { ready: 0, delayed: 0, held: 2, dead: 0 })
          assert.deepStrictEqual(yield* self.renew(claims), [])
          assert.deepStrictEqual(yield* self.settle(claims.map(ack), 0), { lost: [], claimed: [] })
        })
    )

    onStore(
      "takes settlements of every kind that come after the lease, as long as nobody has taken the unit",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store, { lease: SHORT })
          yield* queue.offer(units("a", "b", "c", "d", "e"))
          const claims = yield* claimSoon(queue, 5)
          yield* Effect.sleep(3 * SHORT)
          const [a, b, c, d, e] = claims
          if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined) return
          const later = Date.now() + 60_000
          const { lost } = yield* queue.settle([ack(a), ack(b), bury(c), retry(d, later), release(e)], 0)
          assert.deepStrictEqual(lost, [])
          assert.deepStrictEqual(counts(yield* queue.depth), { ready: 1, delayed: 1, held: 0, dead: 1 })
          const again = yield* claimOne(queue)
          assert.deepStrictEqual([again.id, again.attempt], ["e", 1])
          yield* Effect.sleep(3 * SHORT)
          assert.deepStrictEqual((yield* queue.settle([ack(again)], 0)).lost, [])
          assert.deepStrictEqual((yield* queue.dead.list()).map(({ crashes }) => crashes), [0])
        })
    )

    onStore(
      "releases a claim whose lease ran out when its scope closes, and counts no crash",
      (store) =>
        Effect.gen(function*() {
          const late = yield* open(store, { lease: SHORT })
          yield* late.queue.offer(units("a"))
          yield* claimOne(late.queue)
          yield* Effect.sleep(3 * SHORT)
          yield* late.close
          const { queue } = yield* open(store)
          assert.strictEqual((yield* claimOne(queue)).attempt, 1)
        })
    )

    onStore("tells a claim from a later one of the same owner", (store) =>
      Effect.gen(function*() {
        const { queue } = yield* open(store, { lease: SHORT })
        const other = yield* open(store)
        yield* queue.offer(units("a"))
        const first = yield* claimOne(queue)
        yield* other.queue.settle([release(yield* claimOne(other.queue))], 0)
        const second = yield* claimOne(queue)
        assert.deepStrictEqual([second.id, second.attempt], ["a", 2])
        assert.deepStrictEqual((yield* queue.settle([bury(first)], 0)).lost, [first])
        assert.deepStrictEqual((yield* queue.settle([ack(second)], 0)).lost, [])
      }))

    onStore("keeps a claim that is renewed for longer than its lease", (store) =>
      Effect.gen(function*() {
        const { queue } = yield* open(store, { lease: 2_000 })
        const that = yield* open(store, { lease: 2_000 })
        yield* queue.offer(units("a"))
        const claim = yield* claimOne(queue)
        const renewing = yield* Effect.fork(Effect.repeat(queue.renew([claim]), Schedule.spaced("200 millis")))
        yield* Effect.repeat(
          Effect.map(that.queue.claim(1), (claims) => assert.deepStrictEqual(claims, [])),
          Schedule.intersect(Schedule.spaced("100 millis"), Schedule.recurs(30))
        )
        yield* Fiber.interrupt(renewing)
        assert.deepStrictEqual(yield* queue.settle([ack(claim)], 0), { lost: [], claimed: [] })
      }))

    onStore(
      "buries a unit whose claims have run out maxCrashes times, and says why",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store, { lease: SHORT, maxCrashes: 3 })
          yield* queue.offer(units("poison"))
          for (const attempt of [1, 2, 3]) {
            const other = yield* open(store, { lease: SHORT, maxCrashes: 3 })
            assert.strictEqual((yield* claimOne(other.queue)).attempt, attempt)
          }
          yield* until(Effect.zipRight(queue.claim(1), Effect.map(queue.depth, ({ dead }) => dead === 1)))
          const [letter] = yield* queue.dead.list()
          assert.deepStrictEqual([letter?.id, letter?.attempts, letter?.crashes], ["poison", 3, 3])
          assert.match(letter?.cause ?? "", /lost its lease/)
          assert.deepStrictEqual(yield* queue.claim(1), [])
        })
    )

    onStore(
      "lists the dead with their cause and attempts, the last buried first, and redrives or discards them",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          yield* queue.offer(units("a", "b", "c", "d"))
          const before = yield* Clock.currentTimeMillis
          for (const id of ["a", "b", "c"]) {
            const claim = yield* claimOne(queue)
            yield* queue.settle([bury(claim, `cause of ${id}`)], 0)
            yield* Effect.sleep("2 millis")
          }
          const letters = yield* queue.dead.list()
          assert.deepStrictEqual(
            letters.map(({ diedAt: _, ...letter }) => letter),
            ["c", "b", "a"].map((id) => (
              { id, body: `"body of ${id}"`, priority: 0, attempts: 1, crashes: 0, cause: `cause of ${id}` }
            ))
          )
          for (const { diedAt } of letters) assert.isTrue(diedAt >= before && diedAt <= Date.now(), String(diedAt))
          assert.deepStrictEqual(idsOf(yield* queue.dead.list({ limit: 1, offset: 1 })), ["b"])
          assert.strictEqual(yield* queue.dead.redrive(["b", "d", "nobody", "b"]), 1)
          assert.strictEqual(yield* queue.dead.discard(["a", "d", "nobody"]), 1)
          assert.deepStrictEqual(idsOf(yield* queue.dead.list()), ["c"])
          const claims = yield* claimSoon(queue, 2)
          assert.deepStrictEqual(claims.map(({ attempt, id }) => [id, attempt]), [["d", 1], ["b", 1]])
          assert.strictEqual(yield* queue.dead.redrive("all"), 1)
          assert.deepStrictEqual(yield* queue.dead.list(), [])
          const claim = yield* claimOne(queue)
          assert.strictEqual(claim.id, "c")
          yield* queue.settle([bury(claim)], 0)
          assert.strictEqual(yield* queue.dead.discard("all"), 1)
          assert.strictEqual(yield* queue.dead.discard("all"), 0)
          // Discarded is forgotten.
          yield* queue.offer(units("a", "c"))
          assert.deepStrictEqual(idsOf(yield* claimSoon(queue, 2)), ["a", "c"])
        })
    )

    onStore(
      "cuts the bodies of dead letters to maxBody, never within a character, and marks them",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          const bodies = [
            JSON.stringify("x".repeat(100)),
            JSON.stringify("\u20ac".repeat(100)),
            JSON.stringify("\u{1f9ab}".repeat(50)),
            JSON.stringify(`x${"\u{1f9ab}".repeat(50)}`),
            JSON.stringify(`\u00fc\u20ac\u{1f9ab}"\\\n, : ${"x, y: z".repeat(10)}`),
            JSON.stringify(Array.from({ length: 50 }, (_, n) => n % 10)),
            JSON.stringify({ a: 1, b: [true, null, { c: "d, e: f" }], d: {}, e: [], f: "\\\", \\", g: 1.5 }),
            JSON.stringify({}),
            JSON.stringify(null),
            "17"
          ]
          yield* queue.offer(bodies.map((body, n) => unit(`unit ${n}`, { body })))
          yield* queue.settle((yield* claimSoon(queue, bodies.length)).map((claim) => bury(claim)), 0)
          const letterOf = (letter: HerdSource.DeadLetter) => [letter.body, letter.cut, "cut" in letter]
          const byId = (letters: ReadonlyArray<HerdSource.DeadLetter>) =>
            bodies.map((_, n) => letters.filter(({ id }) => id === `unit ${n}`).map(letterOf))
          for (const maxBody of [0, 1, 2, 3, 4, 7, 8, 17, 30, 50, 60, 61, 101, 102, 103, 1e6, 2 ** 53 - 1]) {
            assert.deepStrictEqual(
              byId(yield* queue.dead.list({ maxBody })),
              bodies.map((body) =>
                body.length <= maxBody
                  ? [[body, undefined, false]]
                  : [[body.slice(0, maxBody).replace(/[\ud800-\udbff]$/, ""), true, true]]
              ),
              `maxBody ${maxBody}`
            )
          }
          assert.deepStrictEqual(byId(yield* queue.dead.list()), bodies.map((body) => [[body, undefined, false]]))
          assert.deepStrictEqual(idsOf(yield* queue.dead.list({ maxBody: 0, limit: 2, offset: 3 })).length, 2)
        })
    )

    onStore("refuses a maxBody that is no integer from 0", (store) =>
      Effect.gen(function*() {
        const { queue } = yield* open(store)
        for (const maxBody of [-1, 1.5, NaN, Infinity, 2 ** 53]) {
          const error = yield* Effect.flip(Effect.catchAllDefect(queue.dead.list({ maxBody }), Effect.fail))
          assert.match(String(error), /expected maxBody to be an integer from 0, got /)
        }
      }))

    onStore("lists, redrives and discards more dead letters than a step takes", (store) =>
      Effect.gen(function*() {
        const { queue } = yield* open(store)
        const ids = Array.from({ length: 600 }, (_, n) => `unit ${String(n).padStart(3, "0")}`)
        const kill = Effect.gen(function*() {
          const claims = yield* claimSoon(queue, ids.length)
          yield* queue.settle(claims.map((claim) => bury(claim)), 0)
        })
        yield* queue.offer(units(...ids))
        yield* kill
        const letters = yield* queue.dead.list({ limit: 1_000 })
        assert.deepStrictEqual(idsOf(letters).toSorted(), ids)
        const times = letters.map(({ diedAt }) => diedAt)
        assert.deepStrictEqual(times, times.toSorted((self, that) => that - self))
        assert.deepStrictEqual(yield* queue.dead.list({ limit: 300, offset: 50, maxBody: 100 }), letters.slice(50, 350))
        assert.strictEqual(yield* queue.dead.redrive("all"), ids.length)
        assert.deepStrictEqual(yield* queue.dead.list(), [])
        yield* kill
        assert.strictEqual(yield* queue.dead.discard("all"), ids.length)
        assert.deepStrictEqual(counts(yield* queue.depth), { ready: 0, delayed: 0, held: 0, dead: 0 })
      }))

    onStore("releases what it holds when its scope closes, and nothing of others", (store) =>
      Effect.gen(function*() {
        const [self, that] = [yield* open(store), yield* open(store)]
        yield* self.queue.offer(units("a", "b", "c", "d"))
        yield* self.queue.claim(2)
        assert.deepStrictEqual(idsOf(yield* that.queue.claim(1)), ["c"])
        yield* self.close
        assert.deepStrictEqual(counts(yield* that.queue.depth), { ready: 3, delayed: 0, held: 1, dead: 0 })
        const claims = yield* claimSoon(that.queue, 3)
        assert.deepStrictEqual(claims.map(({ attempt, id }) => [id, attempt]), [["a", 1], ["b", 1], ["d", 1]])
      }))

    onStore(
      "is idle with nothing ready, delayed or held by any owner, whatever is done or dead",
      (store) =>
        Effect.gen(function*() {
          const [self, that] = [yield* open(store), yield* open(store)]
          const idle = Effect.forEach([self, that], ({ queue }) =>
            queue.idle ?? Effect.map(queue.depth, ({ delayed, held, ready }) =>
              ready + delayed + held === 0))
          assert.deepStrictEqual(yield* idle, [true, true])
          yield* self.queue.offer(units("a", "b"))
          assert.deepStrictEqual(yield* idle, [false, false])
          const [a, b] = yield* claimSoon(that.queue, 2)
          if (a === undefined || b === undefined) {
            return
          }
          assert.deepStrictEqual(yield* idle, [false, false])
          yield* that.queue.settle([retry(a, Date.now() + 60_000), bury(b)], 0)
          assert.deepStrictEqual(yield* idle, [false, false])
          yield* that.queue.dead.discard("all")
          yield* self.queue.offer(units("c", "d"))
          const [c, d] = yield* claimSoon(that.queue, 2)
          if (c === undefined || d === undefined) {
            return
          }
          yield* that.queue.settle([ack(c), bury(d)], 0)
          assert.deepStrictEqual(yield* idle, [false, false])
        })
    )

    onStore(
      "is idle once the last unit is done or dead, and not any more once one is redriven",
      (store) =>
        Effect.gen(function*() {
          const { queue } = yield* open(store)
          const idle = queue.idle ?? Effect.succeed(undefined)
          yield* queue.offer([unit("a", { priority: 5 }), unit("b")])
          const claims = yield* claimSoon(queue, 2)
          yield* queue.settle(claims.map((claim) => claim.id === "a" ? ack(claim) : bury(claim)), 0)
          assert.isTrue(yield* idle)
          yield* queue.dead.redrive("all")
          assert.isFalse(yield* idle)
          yield* queue.settle([ack(yield* claimOne(queue))], 0)
          assert.isTrue(yield* idle)
        })
    )

    onStore("tells since when the first unit is ready", (store) =>
      Effect.gen(function*() {
        const { queue } = yield* open(store)
        assert.strictEqual((yield* queue.depth).oldestAt, undefined)
        const before = yield* Clock.currentTimeMillis
        yield* queue.offer(units("a"))
        const after = yield* Clock.currentTimeMillis
        yield* Effect.sleep("20 millis")
        yield* queue.offer(units("b"))
        const { oldestAt = 0 } = yield* queue.depth
        assert.isTrue(oldestAt >= before && oldestAt <= after, `${oldestAt} of ${before} to ${after}`)
      }))

    onStore(
      "says when there may be something to claim: offered by itself or by another owner, due, or lost by another",
      (store) =>
        Effect.gen(function*() {
          const self = yield* open(store, { lease: SHORT })
          const { queue } = yield* open(store)
          /** Claims once `arrival` says so; it may say so too early. */
          const next: Effect.Effect<HerdSource.Claim, HerdError.SourceError> = Effect.flatMap(
            queue.claim(1),
            ([claim]) => claim === undefined ? Effect.zipRight(queue.arrival, next) : Effect.succeed(claim)
          )
          const waiting = yield* Effect.fork(next)
          yield* Effect.sleep("50 millis")
          assert.isNull(waiting.unsafePoll())
          yield* self.queue.offer(units("of another"))
          assert.strictEqual((yield* Fiber.join(waiting)).id, "of another")
          const own = yield* Effect.fork(next)
          yield* Effect.sleep("50 millis")
          yield* queue.offer(units("of its own"))
          assert.strictEqual((yield* Fiber.join(own)).id, "of its own")
          yield* queue.offer([unit("due", { runAt: Date.now() + 200 })])
          assert.strictEqual((yield* next).id, "due")
          yield* self.queue.offer(units("lost"))
          yield* claimOne(self.queue)
          assert.strictEqual((yield* next).id, "lost")
        })
    )

    onStore("claims nothing by waiting, also if that is interrupted", (store) =>
      Effect.gen(function*() {
        const [self, that] = [yield* open(store), yield* open(store)]
        for (let n = 0; n < 20; n++) {
          const waiting = yield* Effect.fork(self.queue.arrival)
          yield* Effect.sleep(n)
          yield* that.queue.offer(units(`unit ${n}`))
          yield* Fiber.interrupt(waiting)
        }
        assert.deepStrictEqual(counts(yield* that.queue.depth), { ready: 20, delayed: 0, held: 0, dead: 0 })
      }))

    onStore("keeps the herds apart", (store) =>
      Effect.gen(function*() {
        const { queue } = yield* open(store)
        const other = yield* alone(
          store,
          Effect.flatMap(HerdSource.HerdSource, (source) =>
            source.open(`${store.herd}-other`, { lease: Duration.millis(LONG), maxCrashes: 3 }))
        )
        yield* queue.offer(units("a"))
        yield* other.made.offer(units("a", "b"))
        assert.deepStrictEqual(idsOf(yield* queue.claim(5)), ["a"])
        assert.strictEqual((yield* other.made.depth).ready, 2)
        yield* other.close
        assert.strictEqual((yield* queue.depth).held, 1)
      }))
  })
}
