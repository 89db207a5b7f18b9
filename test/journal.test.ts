/**
 * checksum.ts with a journal, killed again and again.
 */
import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bundle } from "./utils/bundle.ts"
import { folder, start } from "./utils/children.ts"
import { random } from "./utils/raw.ts"
import { until } from "./utils/stage.ts"

/** `KILLS=500 SEED=3 npx vitest run test/journal.test.ts` for more. */
const KILLS = Number(process.env["KILLS"] ?? "50")
const SEED = Number(process.env["SEED"] ?? "1")
const SIZE = 8
const FILES = 60 * KILLS

describe("checksum --journal", () => {
  const fill = (dir: string, next: () => number) => {
    for (let n = 0; n < FILES; n++) {
      const sub = join(dir, `d${n % 7}`)
      mkdirSync(sub, { recursive: true })
      writeFileSync(
        join(sub, `file ${n}`),
        Buffer.alloc(Math.floor(next() * (n % 50 === 0 ? 3_000_000 : 5_000)), String(n))
      )
    }
  }

  it.scopedLive(
    `killed by SIGKILL at ${KILLS} random moments and started again until it is done, writes what sha256sum writes, and hashes no file again that it has finished`,
    () =>
      Effect.gen(function*() {
        const next = random(SEED)
        const dir = yield* folder
        const work = yield* folder
        const [out, journal] = [join(work, "sums"), join(work, "journal.db")]
        fill(dir, next)
        const program = yield* bundle("examples/checksum.ts")
        const args = [program, "--dir", dir, "--out", out, "--port", "0", "--size", String(SIZE), "--journal", journal]
        const sql = Context.get(yield* Layer.build(LibsqlClient.layer({ url: `file:${journal}` })), SqlClient.SqlClient)
        /** 0 while there is no table, and while it is locked. */
        const sum = (what: string) =>
          sql.unsafe<{ readonly sum: number | null }>(`SELECT ${what} AS sum FROM files`).pipe(
            Effect.map(([row]) => row?.sum ?? 0),
            Effect.orElseSucceed(() => 0)
          )

        let killed = 0
        while (killed < KILLS) {
          const run = yield* start(process.execPath, args)
          const began = Date.now()
          // At work, at some moment; and some of them before that.
          const early = killed % 10 === 9
          const before = yield* sum("sum(starts)")
          if (!early) yield* until(Effect.map(sum("sum(starts)"), (starts) => starts > before))
          yield* Effect.sleep(Math.floor(next() * (early ? 500 : 200)))
          if (run.child.exitCode !== null) {
            assert.fail(`expected it to be at work after ${Date.now() - began} ms, got ${run.stdout()}${run.stderr()}`)
          }
          run.child.kill("SIGKILL")
          assert.strictEqual(yield* run.ended, "SIGKILL")
          killed++
        }
        const left = FILES - (yield* sum("sum(ends)"))
        const run = yield* start(process.execPath, args)
        assert.strictEqual(yield* run.ended, 0, run.stderr())
        assert.isAbove(left, 0)

        const expected = execFileSync(
          "bash",
          ["-c", `find "$0" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`, dir],
          { encoding: "utf8", maxBuffer: 1e9 }
        )
        assert.strictEqual(readFileSync(out, "utf8"), expected)
        assert.strictEqual(yield* sum("max(ends)"), 1)
        assert.strictEqual(yield* sum("min(ends)"), 1)
        const redone = yield* sum("sum(starts - ends)")
        process.stderr.write(
          `${FILES} files, ${killed} kills, ${left} files left for the last run, ${redone} begun again\n`
        )
        assert.isAbove(redone, 0)
        assert.isAtMost(redone, killed * SIZE)
      }),
    180_000
  )
})
