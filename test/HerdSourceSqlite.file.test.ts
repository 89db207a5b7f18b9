import { LibsqlClient } from "@effect/sql-libsql"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { HerdError } from "gofherd"
import * as HerdSource from "gofherd/HerdSource"
import * as HerdSourceSqlite from "gofherd/HerdSourceSqlite"
import { copyFileSync, renameSync, rmSync } from "node:fs"
import { drivers, shared } from "./utils/sqlite.ts"
import { ack, claimOne, idsOf, units } from "./utils/stores.ts"

for (const [driver, { client, skipped }] of Object.entries(drivers)) {
  describe.skipIf(skipped)(`the SQLite source by ${driver}, whose file is gone`, () => {
    it.scopedLive("fails whatever it is to write once the file is deleted, and goes on once that is back", () =>
      Effect.gen(function*() {
        const { path, queue } = yield* shared(client)
        yield* queue.offer(units("a", "b"))
        const claim = yield* claimOne(queue)
        renameSync(path, `${path}.moved`)
        const error = yield* Effect.flip(queue.offer(units("c")))
        assert.instanceOf(error, HerdError.SourceError)
        assert.strictEqual(
          error.message,
          `expected the SQLite source to offer units, got none at ${path}: ` +
            "the file was deleted or replaced while it was open; put it back, or start the herd again"
        )
        for (
          const asked of [
            queue.claim(1),
            queue.settle([ack(claim)], 1),
            queue.renew([claim]),
            queue.dead.redrive("all")
          ]
        ) {
          const error = yield* Effect.flip(Effect.asVoid<unknown, HerdError.SourceError, never>(asked))
          assert.match(error.message, /got none at .*units\.db: the file was deleted or replaced/)
        }
        renameSync(`${path}.moved`, path)
        yield* queue.settle([ack(claim)], 0)
        yield* queue.offer(units("c"))
        assert.deepStrictEqual(idsOf(yield* queue.claim(5)), ["b", "c"])
      }))

    it.scopedLive("fails an offer if another file is in its place, as after a backup was restored", () =>
      Effect.gen(function*() {
        const { path, queue, sql } = yield* shared(client)
        yield* queue.offer(units("a"))
        yield* sql`PRAGMA wal_checkpoint(TRUNCATE)`
        copyFileSync(path, `${path}.backup`)
        for (const file of [path, `${path}-wal`, `${path}-shm`]) rmSync(file, { force: true })
        renameSync(`${path}.backup`, path)
        const error = yield* Effect.flip(queue.offer(units("b")))
        assert.match(error.message, /^expected the SQLite source to offer units, got another one at .*units\.db/)
      }))
  })
}

describe("the SQLite source of a database in memory", () => {
  it.scopedLive("has no file to lose", () =>
    Effect.gen(function*() {
      const client = LibsqlClient.layer({ url: "file::memory:" })
      const source = Context.get(
        yield* Layer.build(Layer.provide(HerdSourceSqlite.layer(), client)),
        HerdSource.HerdSource
      )
      const queue = yield* source.open("contract", { lease: Duration.seconds(30), maxCrashes: 3 })
      yield* queue.offer(units("a"))
      assert.deepStrictEqual(idsOf(yield* queue.claim(5)), ["a"])
    }))
})
