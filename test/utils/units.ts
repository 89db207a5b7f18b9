/**
 * What may become of units: each of these has some settle, and their outcomes read, by a herd that
 * goes on. It tells of every body, result and error, and gives back who uses the herd thereafter.
 */
import { Effect, Fiber, FiberRef, Schedule, type Scope, Stream } from "effect"
import { Herd, type Work } from "gofherd"
import { turns } from "./stage.ts"

/** A body, a result or an error: something that can be watched. */
class Thing {
  readonly bytes = new Uint8Array(1_000)
}

class Broken extends Error {
  readonly thing = new Thing()
}

type Watch = <A extends object>(thing: A) => A

export type Settling = (watch: Watch) => Effect.Effect<Herd.Control, never, Scope.Scope>

const COUNT = 100

const many = <A, E, R>(effect: () => Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: COUNT }), effect, { discard: true, concurrency: "unbounded" })

/** Sends many, and reads their outcomes. */
const sent = <Out, E>(herd: Herd.Herd<Thing, Out, E>, watch: Watch) =>
  Effect.gen(function*() {
    const reading = yield* Effect.fork(Stream.runDrain(Stream.take(herd.outcomes, COUNT)))
    yield* Effect.orDie(herd.sendAll(Array.from({ length: COUNT }, () => watch(new Thing()))))
    yield* Fiber.join(reading)
    yield* herd.awaitIdle
    return herd
  })

/** Has many `run`, and their callers go. */
const cancelled = <Out, E>(herd: Herd.Herd<Thing, Out, E>, watch: Watch) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(many(() => Effect.exit(herd.run(watch(new Thing())))))
    yield* turns
    yield* Fiber.interrupt(fiber)
    yield* turns
    return herd
  })

const things = (watch: Watch) => Stream.take(Stream.repeatEffect(Effect.sync(() => watch(new Thing()))), COUNT)

const local = FiberRef.unsafeMake<Thing | undefined>(undefined)
const waiting = Effect.async<never>((_resume) => {})

export const settlings: Readonly<Record<string, Settling>> = {
  "that succeeded at once": (watch) =>
    Effect.flatMap(
      Herd.make({ process: (_: Thing) => Effect.succeed(watch(new Thing())), size: 3 }),
      (herd) => sent(herd, watch)
    ),
  "that took their time to succeed": (watch) =>
    Effect.flatMap(
      Herd.make({ process: (thing: Thing) => Effect.map(turns, () => watch({ thing })), size: 3 }),
      (herd) => sent(herd, watch)
    ),
  "that failed": (watch) =>
    Effect.flatMap(
      Herd.make({ process: (_: Thing) => Effect.zipRight(turns, Effect.fail(watch(new Broken("broken")))), size: 3 }),
      (herd) => sent(herd, watch)
    ),
  "that failed with what has no message": (watch) =>
    Effect.flatMap(
      Herd.make({ process: (thing: Thing) => Effect.fail(watch({ thing })), size: 3 }),
      (herd) => sent(herd, watch)
    ),
  "that died, by a throw and by no Effect": (watch) =>
    Effect.flatMap(
      Herd.make({
        process: (_: Thing): Effect.Effect<void> => {
          throw watch(new Broken("broken"))
        },
        size: 3
      }),
      (herd) => sent(herd, watch)
    ),
  "that interrupted themselves": (watch) =>
    Effect.flatMap(
      Herd.make({ process: (_: Thing) => Effect.zipRight(turns, Effect.interrupt), size: 3 }),
      (herd) => sent(herd, watch)
    ),
  "that were retried, and succeeded": (watch) =>
    Effect.flatMap(
      Herd.make({
        process: (_: Thing, { attempt }: Work.Work<Thing>) =>
          attempt < 3 ? Effect.fail(watch(new Broken("again"))) : Effect.succeed(watch(new Thing())),
        retry: Schedule.spaced("1 millis"),
        size: 3
      }),
      (herd) => sent(herd, watch)
    ),
  "that were retried in vain, by a Schedule that remembers its input": (watch) =>
    Effect.flatMap(
      Herd.make({
        process: (_: Thing) => Effect.fail(watch(new Broken("again"))),
        retry: Schedule.intersect(Schedule.collectAllInputs<Broken>(), Schedule.recurs(2)),
        size: 3
      }),
      (herd) => sent(herd, watch)
    ),
  "of callers of run": (watch) =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({
        process: (_: Thing, { id }) =>
          Number(id) % 2 === 0 ? Effect.fail(watch(new Broken("even"))) : Effect.succeed(watch(new Thing())),
        size: 3
      })
      yield* many(() => Effect.exit(herd.run(watch(new Thing()))))
      return herd
    }),
  "of a stream, read to its end": (watch) =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (_: Thing) => Effect.as(turns, watch(new Thing())), size: 3 })
      yield* Stream.runDrain(herd.stream(things(watch)))
      return herd
    }),
  "that were cancelled while they ran": (watch) =>
    Effect.flatMap(Herd.make({ process: (_: Thing) => waiting, size: COUNT }), (herd) => cancelled(herd, watch)),
  "that were interrupted by a shrink, and succeeded then": (watch) =>
    Effect.gen(function*() {
      let waits = true
      const herd = yield* Herd.make({
        process: (thing: Thing) => waits ? waiting : Effect.succeed(watch({ thing })),
        size: COUNT
      })
      const sending = yield* Effect.fork(sent(herd, watch))
      yield* turns
      yield* Effect.orDie(herd.resize(0, { mode: "interrupt" }))
      waits = false
      yield* Effect.orDie(herd.resize(2))
      yield* Fiber.join(sending)
      return herd
    }),
  "that callbacks were told of": (watch) =>
    Effect.flatMap(
      Herd.make({
        process: (_: Thing, { attempt }: Work.Work<Thing>) =>
          attempt === 1 ? Effect.fail(watch(new Broken("again"))) : Effect.succeed(watch(new Thing())),
        retry: Schedule.recurs(1),
        onSuccess: () => turns,
        onRetry: () => Effect.die("defect of a callback"),
        onFailure: () => turns,
        size: 3
      }),
      (herd) => sent(herd, watch)
    ),
  "that set FiberRefs and forked": (watch) =>
    Effect.flatMap(
      Herd.make({
        process: (thing: Thing) =>
          Effect.gen(function*() {
            yield* FiberRef.set(local, thing)
            yield* Effect.fork(Effect.as(Effect.never, thing))
            yield* Effect.yieldNow()
          }),
        size: 3
      }),
      (herd) => sent(herd, watch)
    ),
  "that were traced": (watch) =>
    Effect.flatMap(
      Herd.make({ process: (_: Thing) => Effect.fail(watch(new Broken("broken"))), tracing: true, size: 3 }),
      (herd) => Effect.withSpan(sent(herd, watch), "sender")
    ),
  "that gophers with a resource had, and were replaced for": (watch) =>
    Effect.flatMap(
      Herd.make({ gopher: Effect.succeed((_: Thing) => Effect.die(watch(new Broken("defect")))), size: 3 }),
      (herd) => sent(herd, watch)
    ),
  "whose outcomes are discarded": (watch) =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (thing: Thing) => Effect.succeed({ thing }), outcomes: "discard" })
      yield* many(() => Effect.orDie(herd.send(watch(new Thing()), { priority: Math.random() })))
      yield* herd.awaitIdle
      return herd
    }),
  "that were never accepted": (watch) =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (_: Thing) => Effect.void, size: 0, capacity: 0 })
      yield* many(() => Effect.orDie(herd.trySend(watch(new Thing()))))
      yield* herd.close
      yield* many(() => Effect.exit(herd.send(watch(new Thing()))))
      return herd
    }),
  "left over by a herd that has stopped": (watch) =>
    Effect.gen(function*() {
      const herd = yield* Effect.scoped(Effect.gen(function*() {
        const herd = yield* Herd.make({ process: (_: Thing) => waiting, size: 3 })
        yield* Effect.orDie(herd.sendAll(Array.from({ length: COUNT }, () => watch(new Thing()))))
        yield* turns
        return herd
      }))
      yield* Stream.runDrain(herd.outcomes)
      return herd
    })
}

/**
 * Cancelled where they wait, units are passed over once they outnumber the others: so many may stay
 * until something else happens.
 */
export const PASSED_OVER = 64

export const cancellings: Readonly<Record<string, Settling>> = {
  "in the queue of a paused herd": (watch) =>
    Effect.flatMap(
      Herd.make({ process: (_: Thing) => Effect.void, size: 0 }),
      (herd) => cancelled(herd, watch)
    ),
  "by leaving their stream": (watch) =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (_: Thing) => Effect.as(turns, watch(new Thing())), size: 3 })
      const read = Stream.runDrain(Stream.take(herd.stream(Stream.rechunk(things(watch), COUNT)), 1))
      yield* Effect.repeatN(read, 4)
      return herd
    }),
  "in their backoff": (watch) =>
    Effect.flatMap(
      Herd.make({ process: (_: Thing) => Effect.fail("again"), retry: Schedule.spaced("1 hour") }),
      (herd) => cancelled(herd, watch)
    ),
  "as senders that were suspended": (watch) =>
    Effect.gen(function*() {
      const herd = yield* Herd.make({ process: (_: Thing) => Effect.void, size: 0, capacity: 0 })
      const fiber = yield* Effect.fork(many(() => herd.send(watch(new Thing()))))
      yield* turns
      yield* Fiber.interrupt(fiber)
      return herd
    })
}
