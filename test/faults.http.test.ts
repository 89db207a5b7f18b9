/**
 * What goes wrong around a HerdServer: in its layers, in the event loop, and with its clients.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Logger, LogLevel } from "effect"
import { Herd } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { vi } from "vitest"
import { ask, listen, pretend } from "./utils/http.ts"
import { pretty } from "./utils/pretty.ts"
import { hold } from "./utils/raw.ts"
import { spin } from "./utils/spin.ts"
import { turns, until } from "./utils/stage.ts"

// A hundred sockets take their time on a machine that is busy.
vi.setConfig({ testTimeout: 30_000 })

class Owners extends Context.Tag("test/faults/Owners")<Owners, Herd.Herd<number, number>>() {}

/** A herd of gophers that own something, and what has become of it. */
const owning = () => {
  const log: Array<string> = []
  let herd: Herd.Herd<number, number> | undefined
  const layer = Layer.effectDiscard(Effect.gen(function*() {
    herd = yield* Owners
    yield* herd.sendAll([1, 2, 3])
    yield* turns
  })).pipe(
    Layer.provideMerge(Herd.layer(Owners, {
      size: 2,
      gopher: Effect.as(
        Effect.acquireRelease(Effect.sync(() => log.push("acquired")), () => Effect.sync(() => log.push("released"))),
        (n: number) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push(`interrupted ${n}`)))
      )
    }))
  )
  return { layer, log, state: Effect.suspend(() => herd?.state ?? Effect.dieMessage("expected a herd, got none")) }
}

const isStopped = ({ log, state }: Pick<ReturnType<typeof owning>, "log" | "state">) =>
  Effect.gen(function*() {
    assert.deepStrictEqual(log.toSorted(), [
      "acquired",
      "acquired",
      "interrupted 1",
      "interrupted 2",
      "released",
      "released"
    ])
    const { closed, drained, interrupted, live, running } = yield* state
    assert.deepStrictEqual({ closed, drained, interrupted, live, running }, {
      closed: true,
      drained: true,
      interrupted: 3,
      live: 0,
      running: 0
    })
    // Its name is free again.
    const { name } = yield* Herd.make({ name: "test/faults/Owners", process: Effect.succeed<number> })
    assert.strictEqual(name, "test/faults/Owners")
  })

describe("layers that are acquired in part", () => {
  it.scopedLive("with a herd among them stop it, release what its gophers own, and fail with what failed", () =>
    Logger.withMinimumLogLevel(
      Effect.gen(function*() {
        const owners = owning()
        const database = Layer.effectDiscard(Effect.zipRight(turns, Effect.fail("no database")))
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(Layer.provideMerge(database, owners.layer))))
        assert.deepStrictEqual(exit, Exit.fail("no database"))
        yield* isStopped(owners)
      }),
      LogLevel.Error
    ))

  it.scopedLive("with a HerdServer whose port is in use do so, too, and name the port", () =>
    Logger.withMinimumLogLevel(
      Effect.gen(function*() {
        const owners = owning()
        const port = (yield* pretend((_, response) => response.end("somebody else's"))).port
        const layer = HerdServer.layer({ herds: [Owners], port }).pipe(Layer.provideMerge(owners.layer))
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
        assert.include(pretty(exit), "ListenError")
        assert.include(pretty(exit), String(port))
        yield* isStopped(owners)
        assert.strictEqual((yield* ask(`http://127.0.0.1:${port}/`)).text, "somebody else's")
      }),
      LogLevel.Error
    ))
})

/** A herd on a server, in the test's scope. */
const serve = <Out, E>(herd: Herd.Herd<number, Out, E>) =>
  Effect.map(
    Layer.build(HerdServer.layer({ herds: [Effect.succeed(herd)], port: 0 })),
    (context) => Context.get(context, HerdServer.HerdServer).url
  )

describe("a unit that blocks the event loop", () => {
  it.scopedLive("for 500 ms holds up everybody for so long, and nobody longer: requests, other units, timers", () =>
    Effect.gen(function*() {
      // In turns of the event loop since the block has ended: on a busy machine they take longer,
      // and are as many.
      let since = 0
      const happened: Record<string, number> = {}
      const note = (what: string) => happened[what] = since
      let open = true
      const beat = () => {
        since++
        if (open) setImmediate(beat)
      }
      beat()
      yield* Effect.addFinalizer(() => Effect.sync(() => open = false))
      const herd = yield* Herd.make({
        name: "blocked",
        size: 3,
        outcomes: "discard",
        process: (n: number) =>
          Effect.sync(() => {
            spin(n === 0 ? 500 : 0)
            if (n === 0) since = 0
            note(`unit ${n}`)
          })
      })
      const url = yield* serve(herd)
      const stream = yield* listen(`${url}/herds/blocked/events`)
      yield* stream.atLeast(1)
      const asked = yield* Effect.fork(Effect.tap(ask(`${url}/herd`), () => note("answer")))
      const timer = yield* Effect.fork(Effect.tap(Effect.sleep("10 millis"), () => note("timer")))
      yield* Effect.yieldNow()
      yield* herd.sendAll([0, 1, 2, 3])
      yield* herd.awaitIdle
      assert.strictEqual((yield* Fiber.join(asked)).status, 200)
      yield* Fiber.join(timer)
      assert.deepStrictEqual(Object.keys(happened).filter((what) => what.startsWith("unit")), [
        "unit 0",
        "unit 1",
        "unit 2",
        "unit 3"
      ])
      for (const what of ["unit 3", "timer"]) assert.isAtMost(happened[what] ?? Infinity, 5, what)
      assert.isAtMost(happened["answer"] ?? Infinity, 500)
      yield* stream.atLeast(2)
      const { json } = yield* ask(`${url}/herd`, { method: "PATCH", body: "{\"num\":4}" })
      assert.deepStrictEqual(json, { num: 4, msg: "success" })
      const metrics = (yield* ask(`${url}/metrics`)).text
      const sum = Number(/^gofherd_attempt_duration_seconds_sum\{herd="blocked"\} (.+)$/m.exec(metrics)?.[1])
      assert.isAtLeast(sum, 0.5)
    }))
})

describe("a client that vanishes", () => {
  it.scopedLive("in the middle of a body or of an event stream leaves no fiber behind, and the herd as it is", () =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ name: "left", process: (n: number) => Effect.succeed(n), size: 7 })
      const url = yield* serve(herd)
      const port = Number(new URL(url).port)
      const fibers = Effect.map(Fiber.roots, (roots) => Array.from(roots).length)
      yield* ask(`${url}/herd`)
      const before = yield* fibers
      const half = "PATCH /herd HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"num\": 3,"
      const events = "GET /herds/left/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
      for (let round = 0; round < 3; round++) {
        const sockets = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, i) => i % 2 === 0 ? half : events),
          (bytes) => hold(port, bytes),
          { concurrency: 20 }
        )
        // Each request is a fiber of the server's.
        yield* until(Effect.map(fibers, (count) => count >= before + 40))
        for (const [i, socket] of sockets.entries()) {
          if (i % 4 < 2) socket.resetAndDestroy()
          else socket.destroy()
        }
        yield* until(Effect.map(fibers, (count) => count <= before))
      }
      assert.strictEqual(yield* herd.size, 7)
      assert.strictEqual((yield* ask(`${url}/herd`)).status, 200)
    }))
})
