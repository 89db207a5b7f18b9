/**
 * What herds may be at when their scope closes: each of these makes some in its scope and leaves
 * them so. Whatever waits on a herd does so in fibers that nobody interrupts: the end of the herd
 * has to end them.
 */
import { FetchHttpClient } from "@effect/platform"
import { Cause, Context, Effect, Exit, Fiber, FiberId, Layer, Logger, LogLevel, Schedule, Scope, Stream } from "effect"
import { Herd, HerdClient } from "gofherd"
import * as HerdProgress from "gofherd/HerdProgress"
import * as HerdServer from "gofherd/HerdServer"
import { once } from "node:events"
import { connect } from "node:net"
import { turns } from "./stage.ts"

/** Is told of every herd that is made. */
type Watch = <H extends Herd.Control>(herd: H) => H

export type Life = (watch: Watch) => Effect.Effect<void, never, Scope.Scope>

const HOUR = "1 hour"

const times = <A, E, R>(count: number, effect: (n: number) => Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }, (_, n) => n), effect, { discard: true })

/** Waits in a fiber that nobody interrupts. */
const waits = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkDaemon(Effect.exit(effect))

const make = <In, Out, E>(watch: Watch, options: Herd.Options<In, Out, E>) =>
  Effect.map(Herd.make({ name: "life", ...options }), watch)

const sleeping = (n: number) => Effect.as(Effect.sleep(HOUR), n)
const failing = (n: number) => Effect.fail(`${n}`)

class Numbers extends Context.Tag("lives/Numbers")<Numbers, Herd.Herd<number, number, string>>() {}

/** A socket that is open until the server ends it. */
const open = (url: string, text: string, until: string) =>
  Effect.promise(async () => {
    const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1" })
    socket.on("error", () => {})
    await once(socket, "connect")
    if (text !== "") socket.write(text)
    for (let got = ""; !got.includes(until);) got += String((await once(socket, "data"))[0])
    socket.resume()
  })

const request = (line: string, more = "") => `${line} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`

const serve = (watch: Watch, drain: boolean) =>
  Effect.gen(function*() {
    const herd = Herd.layer(Numbers, { process: sleeping, size: 2, gracePeriod: drain ? "50 millis" : 0 })
    const server = Layer.provideMerge(HerdServer.layer({ herds: [Numbers], port: 0, drain }), herd)
    const context = yield* Effect.orDie(Layer.build(server))
    const numbers = watch(Context.get(context, Numbers))
    yield* Effect.orDie(numbers.sendAll([1, 2, 3]))
    return { url: Context.get(context, HerdServer.HerdServer).url, herd: numbers }
  })

const terminal: HerdProgress.Terminal = { isTTY: true, columns: 80, write: () => true }

const progress = (watch: Watch, options: HerdProgress.Options) =>
  Effect.gen(function*() {
    const herd = yield* make(watch, { process: sleeping })
    yield* Layer.build(HerdProgress.layer(Effect.succeed(herd), options))
    yield* Effect.orDie(herd.sendAll([1, 2, 3]))
    yield* turns
  })

/** The child's own streams are pipes. */
const asTerminals = Effect.acquireRelease(
  Effect.sync(() => {
    for (const stream of [process.stdout, process.stderr]) Object.assign(stream, { isTTY: true })
  }),
  () =>
    Effect.sync(() => {
      for (const stream of [process.stdout, process.stderr]) Reflect.deleteProperty(stream, "isTTY")
    })
)

const gopher = (acquire: Effect.Effect<void, never, Scope.Scope> = Effect.void) =>
  Effect.as(Effect.zipRight(Effect.addFinalizer(() => Effect.yieldNow()), acquire), sleeping)

export const lives: Readonly<Record<string, Life>> = {
  "never used": (watch) => make(watch, { process: sleeping, size: 100 }),

  "idle, after many have been at work": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: (n: number) => Effect.as(turns, n), size: 200, outcomes: "discard" })
      yield* Effect.orDie(herd.sendAll(Array.from({ length: 1_000 }, (_, n) => n)))
      yield* herd.awaitIdle
    }),

  "busy with timers, with more in the queue": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, size: 20 })
      yield* Effect.orDie(herd.sendAll(Array.from({ length: 100 }, (_, n) => n)))
      yield* turns
    }),

  "busy with what forks, holds scopes and takes its time to finalize": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, {
        process: (_: number) =>
          Effect.scoped(Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.sleep("5 millis"))
            yield* Effect.fork(Effect.never)
            yield* Effect.forkScoped(Effect.never)
            return yield* Effect.never
          })),
        size: 20
      })
      yield* Effect.orDie(herd.sendAll(Array.from({ length: 100 }, (_, n) => n)))
      yield* turns
    }),

  "retrying, with long backoffs": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, {
        process: failing,
        retry: Schedule.jittered(Schedule.spaced(HOUR)),
        size: 5
      })
      yield* Effect.orDie(herd.sendAll(Array.from({ length: 100 }, (_, n) => n)))
      yield* turns
    }),

  "full, with suspended senders": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, capacity: 2 })
      yield* times(20, (n) => waits(herd.send(n, { priority: n % 3 })))
      yield* waits(herd.sendAll(Array.from({ length: 1_000 }, (_, n) => n)))
      yield* waits(herd.run(1))
      yield* turns
    }),

  "without a queue, with suspended senders": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, capacity: 0 })
      yield* times(20, (n) => waits(herd.send(n)))
      yield* waits(herd.run(1))
      yield* turns
    }),

  "with callers of run that wait: running, queued, retrying": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, {
        process: (n: number) => n % 2 === 0 ? sleeping(n) : Effect.fail("odd"),
        retry: Schedule.spaced(HOUR),
        size: 5
      })
      yield* times(20, (n) => waits(herd.run(2 * n + 1)))
      yield* turns
      yield* times(20, (n) => waits(herd.run(2 * n)))
      yield* turns
    }),

  "with callers of run and readers of streams that have gone": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, size: 5 })
      const left = yield* Effect.all([
        Effect.fork(herd.run(1)),
        Effect.fork(Stream.runDrain(herd.stream(Stream.range(1, 5_000)))),
        Effect.fork(Stream.runDrain(herd.outcomes)),
        Effect.fork(Stream.runDrain(herd.changes)),
        Effect.fork(herd.sendAll(Array.from({ length: 5_000 }, (_, n) => n)))
      ])
      yield* turns
      yield* Fiber.interruptAll(left)
    }),

  "with streams through it: waiting for input, for room, for their reader": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: (n: number) => n === 0 ? Effect.succeed(n) : sleeping(n) })
      yield* waits(
        Stream.runDrain(herd.stream(Stream.concat(
          Stream.make(0, 1),
          Stream.fromEffect(Effect.sleep("1 millis"))
            .pipe(Stream.as(2))
        )))
      )
      yield* waits(Stream.runDrain(herd.stream(Stream.range(1, 5_000))))
      yield* waits(Stream.runForEach(herd.stream(Stream.make(0, 1, 2)), () => turns))
      yield* turns
    }),

  "with readers suspended on outcomes and changes, and everything awaited": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping })
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
      yield* turns
      yield* Effect.orDie(herd.resize(0))
      for (
        const waiting of [
          Stream.runDrain(herd.outcomes),
          Stream.runDrain(herd.outcomes),
          Stream.runDrain(herd.changes),
          herd.awaitIdle,
          herd.awaitDrained,
          herd.settled
        ]
      ) yield* waits(waiting)
      yield* turns
    }),

  "paused": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping })
      yield* Effect.orDie(herd.send(1))
      yield* turns
      yield* herd.pause
      yield* Effect.orDie(herd.sendAll([2, 3]))
    }),

  "of size 0, with work": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, size: 0 })
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
      yield* waits(herd.run(4))
      yield* turns
    }),

  "in the middle of a shrink": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, size: 20 })
      yield* Effect.orDie(herd.sendAll(Array.from({ length: 40 }, (_, n) => n)))
      yield* turns
      yield* Effect.orDie(herd.resize(10))
      yield* Effect.orDie(herd.resize(5, { mode: "interrupt" }))
    }),

  "with gophers that own a resource: idle": (watch) =>
    Effect.zipRight(make(watch, { gopher: gopher(), size: 20 }), turns),

  "with gophers that own a resource: busy": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, {
        gopher: gopher(Effect.asVoid(Effect.forkScoped(Effect.never))),
        size: 20
      })
      yield* Effect.orDie(herd.sendAll(Array.from({ length: 40 }, (_, n) => n)))
      yield* turns
    }),

  "with gophers that own a resource: still acquiring it": (watch) =>
    Effect.zipRight(make(watch, { gopher: gopher(Effect.never), size: 20 }), turns),

  "with gophers that own a resource: waiting to acquire it again": (watch) =>
    Effect.zipRight(make(watch, { gopher: gopher(Effect.die("no connection")), size: 20 }), turns),

  "with a gracePeriod, in which the units finish": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: (n: number) => Effect.as(turns, n), gracePeriod: HOUR })
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
    }),

  "with a gracePeriod, which ends before the units": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, gracePeriod: "5 millis" })
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
    }),

  "about to warn of unread outcomes": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: (n: number) => Effect.succeed(n), outcomes: { capacity: 1 } })
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
      yield* turns
    }),

  "closed, drained and read": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: (n: number) => Effect.succeed(n), gracePeriod: HOUR })
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
      yield* herd.drain
      yield* Stream.runDrain(herd.outcomes)
    }),

  "draining already": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, gracePeriod: "20 millis" })
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
      yield* waits(herd.drain)
      yield* turns
    }),

  "traced, with a line in the log for each attempt": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, { process: sleeping, tracing: true })
      yield* waits(Effect.withSpan(herd.run(1), "sender"))
      yield* turns
    }).pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, Logger.none)),
      Logger.withMinimumLogLevel(LogLevel.Trace)
    ),

  "in the middle of its callbacks": (watch) =>
    Effect.gen(function*() {
      const herd = yield* make(watch, {
        process: (n: number) => n === 1 ? Effect.succeed(n) : Effect.fail(n),
        retry: Schedule.recurWhile((n) => n === 2),
        onSuccess: () => Effect.never,
        onRetry: () => Effect.never,
        onFailure: () => Effect.never,
        size: 3
      })
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
      yield* turns
    }),

  "several of the same name": (watch) =>
    times(5, () => Effect.flatMap(make(watch, { process: sleeping }), (herd) => Effect.orDie(herd.send(1)))),

  "that was interrupted while it was made, wherever that was": (watch) =>
    times(100, (n) =>
      Effect.gen(function*() {
        // At each step of the way, since a fiber that yields can be interrupted there.
        const made = Effect.flatMap(
          make(watch, { gopher: gopher(), size: 2 }),
          (herd) => Effect.zipRight(Effect.ignore(herd.send(n)), Effect.never)
        )
        const fiber = yield* Effect.fork(Effect.withMaxOpsBeforeYield(Effect.scoped(made), 16 + n % 7))
        yield* Effect.repeatN(Effect.yieldNow(), n)
        yield* Fiber.interrupt(fiber)
      })),

  "of a layer": (watch) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Herd.layer(Numbers, Effect.succeed({ process: sleeping, size: 2 })))
      const herd = watch(Context.get(context, Numbers))
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
      yield* turns
    }),

  "of a layer whose launch is interrupted": (watch) =>
    Effect.gen(function*() {
      const use = Layer.effectDiscard(Effect.flatMap(Numbers, (herd) => Effect.orDie(watch(herd).sendAll([1, 2, 3]))))
      const launched = Layer.launch(Layer.provide(use, Herd.layer(Numbers, { process: sleeping })))
      const fiber = yield* Effect.fork(launched)
      yield* turns
      yield* Fiber.interrupt(fiber)
    }),

  "whose scope closes with a defect": (watch) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const herd = yield* Scope.extend(make(watch, { process: sleeping }), scope)
      yield* Effect.orDie(herd.sendAll([1, 2, 3]))
      yield* turns
      yield* Scope.close(scope, Exit.failCause(Cause.parallel(Cause.die("defect"), Cause.interrupt(FiberId.none))))
    }),

  "used after the end": (watch) =>
    Effect.gen(function*() {
      const herd = yield* Effect.scoped(make(watch, { process: sleeping, gracePeriod: HOUR }))
      yield* Effect.orDie(herd.resize(10))
      yield* Effect.exit(herd.send(1))
      yield* Effect.exit(herd.run(1))
      yield* herd.pause
      yield* herd.resume
      yield* herd.drain
      yield* Stream.runDrain(herd.changes)
      yield* Stream.runDrain(herd.outcomes)
    }),

  "served, with nobody there": (watch) => serve(watch, false),

  "served, with event streams, idle sockets, half a request and a silent socket": (watch) =>
    Effect.gen(function*() {
      const { url } = yield* serve(watch, false)
      yield* open(url, request("GET /herds/lives%2FNumbers/events?history=true"), "data: ")
      yield* open(url, request("GET /herds/lives%2FNumbers/events"), "data: ")
      yield* open(url, request("GET /herd"), "success")
      yield* open(url, request("GET /"), "</html>")
      yield* open(url, request("GET /metrics"), "gofherd_size")
      yield* open(url, `${request("PATCH /herd", "Content-Length: 9\r\n")}{"nu`, "")
      yield* open(url, "GET /he", "")
      yield* open(url, "", "")
    }),

  "served until it is drained": (watch) =>
    Effect.gen(function*() {
      const { url } = yield* serve(watch, true)
      yield* open(url, request("GET /herds/lives%2FNumbers/events"), "data: ")
      yield* open(url, request("GET /herd"), "success")
    }),

  "served to a client that watches": (watch) =>
    Effect.gen(function*() {
      const { herd, url } = yield* serve(watch, false)
      const client = yield* HerdClient.make({ baseUrl: url })
      yield* Effect.orDie(client.size)
      yield* waits(Stream.runDrain(client.changes(herd.name)))
      yield* Effect.orDie(Stream.runDrain(Stream.take(client.changes(herd.name), 1)))
    }).pipe(Effect.provide(FetchHttpClient.layer)),

  "with its progress on a terminal": (watch) =>
    Effect.zipRight(asTerminals, progress(watch, { stream: terminal, total: Effect.never })),

  "with its progress in the log": (watch) => progress(watch, { stream: { write: () => true }, interval: HOUR })
}

/** What the looking has to find: a life that leaves one of everything, for the process to keep. */
export const leak: Life = (watch) =>
  Effect.gen(function*() {
    const herd = yield* Scope.extend(make(watch, { process: sleeping }), yield* Scope.make())
    yield* Effect.forkDaemon(Effect.async<never>((_resume) => {}))
    setTimeout(() => {}, 3_600_000)
    process.on("exit", () => herd)
  })
