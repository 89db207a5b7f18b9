import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { HerdError } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdSource from "gofherd/HerdSource"

const BYTES = 4_194_304

/** The memory source, of which each offer and each claim is written down. */
const watched = (options: { readonly claimsAtMost?: number; readonly maxBodyBytes?: number } = {}) =>
  Effect.gen(function*() {
    const { claimsAtMost = Infinity, ...bounds } = options
    const offers: Array<number> = []
    const claims: Array<number> = []
    const memory = Context.get(yield* Layer.build(HerdSource.layerMemory()), HerdSource.HerdSource)
    const claiming = <A>(max: number, claim: Effect.Effect<A, HerdError.SourceError>) =>
      Effect.suspend(() => {
        if (max > 0) claims.push(max)
        return max <= claimsAtMost ? claim : new HerdError.SourceError({
          source: "test",
          operation: "claim units",
          cause: new Error("too large an answer")
        })
      })
    const source: Context.Tag.Service<HerdSource.HerdSource> = {
      open: (herd, options) =>
        Effect.map(memory.open(herd, options), (queue) => ({
          ...queue,
          ...bounds,
          offer: (units) => {
            offers.push(units.length)
            return queue.offer(units)
          },
          claim: (max) => claiming(max, queue.claim(max)),
          settle: (settlements, max) => claiming(max, queue.settle(settlements, max))
        }))
    }
    return { source, offers, claims }
  })

const herdOn = (source: Context.Tag.Service<HerdSource.HerdSource>, size: number) =>
  Effect.gen(function*() {
    const done: Array<string> = []
    const herd = yield* Effect.provideService(
      DurableHerd.make({
        name: "letters",
        schema: Schema.String,
        size,
        process: (body) => Effect.sync(() => done.push(body.slice(0, 1)))
      }),
      HerdSource.HerdSource,
      source
    )
    return { herd, done }
  })

describe("the batches of a durable herd", () => {
  it.scopedLive("have 1,000 units at most, or 4 MB of bodies, and a larger body is a batch of its own", () =>
    Effect.gen(function*() {
      const { offers, source } = yield* watched()
      const { herd } = yield* herdOn(source, 0)
      yield* herd.offerAll(Array.from({ length: 2_500 }, () => "small"))
      assert.deepStrictEqual(offers.splice(0), [1_000, 1_000, 500])
      // Three bytes a character.
      const body = "…".repeat(350_000)
      yield* herd.offerAll([...Array.from({ length: 7 }, () => body), body.repeat(5), body])
      assert.deepStrictEqual(offers.splice(0), [3, 3, 1, 1, 1])
      yield* herd.offerAll([])
      assert.deepStrictEqual(offers, [])
    }))

  it.scopedLive("claim fewer units the larger these are", () =>
    Effect.gen(function*() {
      const { claims, source } = yield* watched()
      const { done, herd } = yield* herdOn(source, 0)
      yield* herd.offerAll(Array.from({ length: 300 }, () => "x".repeat(100_000)))
      yield* herd.resize(300)
      yield* herd.awaitIdle
      assert.strictEqual(done.length, 300)
      const [first = 0, ...others] = claims
      assert.isAtMost(first, 64)
      assert.isAbove(others.length, 3)
      assert.isAtMost(Math.max(...others), BYTES / 100_000)
    }))

  it.scopedLive("claim half as many after an answer that could not be had", () =>
    Effect.gen(function*() {
      const { claims, source } = yield* watched({ claimsAtMost: 5 })
      const { done, herd } = yield* herdOn(source, 0)
      yield* herd.offerAll(Array.from({ length: 40 }, () => "x"))
      yield* herd.resize(40)
      yield* herd.awaitIdle
      assert.strictEqual(done.length, 40)
      assert.include(claims, 40)
    }), 30_000)

  it.scopedLive("a body that is too large for the source is refused, and nothing is offered with it", () =>
    Effect.gen(function*() {
      const { offers, source } = yield* watched({ maxBodyBytes: 10 })
      const { done, herd } = yield* herdOn(source, 1)
      // Quotes count, and bytes, not characters.
      const error = yield* Effect.flip(herd.offerAll(["a", "12345678", "1234567…"]))
      assert.instanceOf(error, HerdError.InvalidUnit)
      assert.strictEqual(
        error.message,
        `expected the body of a unit of herd "letters" to be one of at most 10 bytes of JSON, got 12 bytes of it`
      )
      assert.deepStrictEqual(offers, [])
      yield* herd.offerAll(["a", "12345678"])
      yield* herd.awaitIdle
      assert.deepStrictEqual(done, ["a", "1"])
    }))
})
