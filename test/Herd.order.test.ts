import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Herd } from "gofherd"
import { makeStage, turn, turns } from "./utils/stage.ts"

const SIZES = [1, 2, 3, 4, 7, 8, 16, 32, 64]

/** More operations than Effect lets a fiber make without suspending it, several times over. */
const MANY = 4_500

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

/** The first place where two lists differ is enough to read. */
const same = (got: ReadonlyArray<number>, expected: ReadonlyArray<number>, what: string) => {
  const at = expected.findIndex((n, i) => got[i] !== n)
  const near = (list: ReadonlyArray<number>) => list.slice(Math.max(0, at - 2), at + 3).join(" ")
  if (at !== -1) assert.fail(`${what}: expected … ${near(expected)} … at ${at}, got … ${near(got)} …`)
  assert.strictEqual(got.length, expected.length, what)
}

/** What a unit does once it has said that it has started. */
const units: Readonly<Record<string, (n: number) => Effect.Effect<unknown>>> = {
  "that end at once": () => Effect.void,
  "that suspend for a moment": () => Effect.yieldNow(),
  "of which some wait for the next turn": (n) => n % 500 === 0 ? turn : Effect.void,
  "of which some take many operations": (n) => n % 200 === 0 ? Effect.repeatN(Effect.void, 1_000) : Effect.void
}

describe("starts are first in, first out within a priority (G15)", () => {
  for (const [name, then] of Object.entries(units)) {
    it.scoped(`of units ${name}, at any size`, () =>
      Effect.forEach(SIZES, (size) =>
        Effect.gen(function*() {
          const started: Array<number> = []
          const herd = yield* Herd.make({
            size,
            capacity: MANY,
            outcomes: "discard",
            process: (n: number) => Effect.zipRight(Effect.sync(() => started.push(n)), then(n))
          })
          yield* herd.sendAll(upTo(MANY))
          yield* herd.awaitIdle
          same(started, upTo(MANY), `size ${size}`)
        })))
  }

  it.scoped("of what senders bring that wait for room, at any size", () =>
    Effect.forEach(SIZES, (size) =>
      Effect.gen(function*() {
        const started: Array<number> = []
        const herd = yield* Herd.make({
          size,
          capacity: 64,
          outcomes: "discard",
          process: (n: number) => Effect.sync(() => started.push(n))
        })
        yield* Effect.forEach(upTo(MANY), (n) => herd.send(n), { discard: true })
        yield* herd.awaitIdle
        same(started, upTo(MANY), `size ${size}`)
      })))

  it.scoped("with priorities: the higher first, at any size", () =>
    Effect.forEach(SIZES, (size) =>
      Effect.gen(function*() {
        const started: Array<number> = []
        const herd = yield* Herd.make({
          size,
          capacity: MANY,
          outcomes: "discard",
          process: (n: number) => Effect.sync(() => started.push(n))
        })
        yield* herd.pause
        yield* Effect.forEach(upTo(MANY), (n) => herd.send(n, { priority: n % 3 }), { discard: true })
        yield* herd.resume
        yield* herd.awaitIdle
        const expected = [2, 1, 0].flatMap((priority) => upTo(MANY).filter((n) => n % 3 === priority))
        same(started, expected, `size ${size}`)
      })))

  it.scoped("with retries, which enter at the tail, at any size", () =>
    Effect.forEach(SIZES, (size) =>
      Effect.gen(function*() {
        const started: Array<number> = []
        const first: Array<boolean> = []
        const herd = yield* Herd.make({
          size,
          capacity: MANY,
          outcomes: "discard",
          retry: Schedule.recurs(1),
          process: (n: number, { attempt }) =>
            Effect.suspend(() => {
              first.push(attempt === 1)
              started.push(n)
              return n % 3 === 0 && attempt === 1 ? Effect.fail("no") : Effect.void
            })
        })
        yield* herd.pause
        yield* herd.sendAll(upTo(MANY))
        yield* herd.resume
        yield* herd.awaitIdle
        same(started.slice(0, MANY), upTo(MANY), `size ${size}`)
        assert.deepStrictEqual([first.indexOf(false), first.length], [MANY, MANY + MANY / 3])
        const again = started.slice(MANY)
        assert.deepStrictEqual(again.toSorted((self, that) => self - that), upTo(MANY).filter((n) => n % 3 === 0))
        // Effect may suspend a gopher while it asks the Schedule, so that a unit that failed later
        // enters before.
        if (size === 1) same(again, upTo(MANY).filter((n) => n % 3 === 0), "retries")
      })))

  for (const mode of ["graceful", "interrupt"] as const) {
    it.scoped(`while units resize their herd, ${mode}`, () =>
      Effect.gen(function*() {
        const started: Array<number> = []
        const seen = new Set<number>()
        const herd: Herd.Herd<number, void> = yield* Herd.make({
          size: 2,
          capacity: MANY,
          outcomes: "discard",
          process: (n: number): Effect.Effect<void> => {
            // One that was put back starts again.
            if (seen.has(n)) return Effect.void
            seen.add(n)
            const starting = Effect.sync(() => void started.push(n))
            const resizing = n % 97 === 0 ? Effect.orDie(herd.resize(1 + n % 64, { mode })) : Effect.void
            return starting.pipe(Effect.zipRight(n % 10 === 0 ? turn : Effect.void), Effect.zipRight(resizing))
          }
        })
        yield* herd.sendAll(upTo(MANY))
        yield* herd.awaitIdle
        same(started, upTo(MANY), mode)
      }))
  }

  it.scoped("of gophers that own a resource, at any size", () =>
    Effect.forEach(SIZES, (size) =>
      Effect.gen(function*() {
        const started: Array<number> = []
        const herd = yield* Herd.make({
          size,
          capacity: MANY,
          outcomes: "discard",
          gopher: Effect.succeed((n: number) => Effect.sync(() => void started.push(n)))
        })
        yield* herd.sendAll(upTo(MANY))
        yield* herd.awaitIdle
        same(started, upTo(MANY), `size ${size}`)
      })))

  it.scoped("of units that a shrink puts back: before those that came after them", () =>
    Effect.gen(function*() {
      const stage = makeStage()
      const herd = yield* Herd.make({ process: stage.process, size: 8, outcomes: "discard" })
      yield* herd.sendAll(upTo(20))
      yield* turns
      yield* herd.resize(3, { mode: "interrupt" })
      yield* turns
      yield* stage.finish
      yield* herd.awaitIdle
      assert.deepStrictEqual(stage.started, [...upTo(8), 3, 4, 5, 6, 7, ...upTo(20).slice(8)])
    }))
})
