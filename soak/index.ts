/**
 * Real work for a long time: herds that visit local servers which are slow, fail, reset and vanish,
 * while operators resize them over HTTP and readers come and go. Each second it is looked whether
 * all is as guaranteed.
 *
 *     npm run soak                                # 30 minutes
 *     npm run soak -- --minutes 0.2 --seed 7      # for a glance; the same seed, the same course of chance
 *
 * Ends with a report, and with 0 if nothing was wrong, 1 if something was, 2 if the arguments make
 * no sense, and 130 if Ctrl-C ended it early and nothing was wrong until then.
 */
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { type Arguments, readArguments } from "./arguments.ts"
import { Chance } from "./chance.ts"
import { booksOff, leftOver, metricsDiffer, metricsOf } from "./checks.ts"
import { Client } from "./client.ts"
import { Soaked, soakedLive, type Subject, type Subjects } from "./herds.ts"
import { Logs } from "./logs.ts"
import { Operators } from "./operators.ts"
import { progress } from "./progress.ts"
import { Readers } from "./readers.ts"
import { type Facts, report } from "./report.ts"
import { senders } from "./senders.ts"
import { makeTargets } from "./targets.ts"
import { Violations } from "./violations.ts"
import { collectedHeap, fibers, resources, Watch } from "./watch.ts"

/**
 * More than the slowest unit with all its attempts takes, on a machine that does other things, too.
 */
const DRAINS = "60 seconds"
/** A server has 5 s for its answers in flight, and herds that are drained none. */
const CLOSES = "30 seconds"

const soak = ({ minutes, seed }: Arguments, stop: Deferred.Deferred<void>) =>
  Effect.gen(function*() {
    const violations = new Violations()
    const logs = new Logs(violations)
    const chance = (name: string) => new Chance(seed, name)
    // Node makes standard streams when somebody first asks for them: before anything is counted.
    void [process.stdin, process.stdout, process.stderr]
    const before = { heap: collectedHeap(), resources: resources(), fibers: yield* fibers }

    const result = yield* Effect.scoped(Effect.gen(function*() {
      const targets = yield* makeTargets(seed, violations)
      const scope = yield* Scope.make()
      const live = soakedLive({ targets, violations, chance }).pipe(Layer.provideMerge(logs.layer))
      const context = yield* Layer.buildWithScope(live, scope)
      return yield* Effect.provide(
        Effect.gen(function*() {
          const subjects = yield* Soaked
          const client = new Client(subjects.url, violations)
          const watch = new Watch(minutes, subjects, client, violations)
          const operators = new Operators(subjects, client, violations)
          const readers = new Readers(subjects, client, violations)
          let over = false
          const on = () => !over

          // Everybody is at work, until the time is over or Ctrl-C comes.
          const sending = yield* Effect.forkAll(senders(subjects, chance, violations))
          const reading = yield* Effect.forkAll([
            readers.comingAndGoing(subjects.crawler, chance("reader")),
            readers.staying(subjects.links)
          ])
          const faithful = yield* Effect.fork(readers.faithful)
          const acting = yield* Effect.forkAll([
            ...operators.working(chance, on),
            ...readers.watching(chance, on),
            Effect.whileLoop({
              while: on,
              body: () => Effect.zipRight(watch.look, Effect.sleep("1 second")),
              step: () => {}
            }),
            progress(subjects, watch, violations, on)
          ])
          const ended = yield* Effect.timeoutOption(Deferred.await(stop), `${minutes} minutes`)
          over = true

          // Operators and watchers come to an end; then the herds are closed, while senders still
          // wait, and drain.
          yield* within("operators and readers to end", DRAINS, violations, Fiber.join(acting))
          yield* operators.restore
          yield* Effect.forEach(all(subjects), ({ herd }) => herd.close)
          yield* within("senders to end", DRAINS, violations, Fiber.join(sending))
          yield* Effect.forEach(
            all(subjects),
            ({ herd }) => within(`${herd.name} to be drained`, DRAINS, violations, herd.awaitDrained)
          )
          yield* within("readers of outcomes to end", DRAINS, violations, Fiber.join(reading))
          yield* watch.look
          yield* examine(subjects, client, violations)
          const states = yield* Effect.forEach(all(subjects), ({ herd }) => herd.state)
          watch.conclude()

          // Server and herds are closed, and nothing is left of them.
          yield* within("server and herds to close", CLOSES, violations, Scope.close(scope, Exit.void))
          yield* within("the last event stream to end", CLOSES, violations, Fiber.join(faithful))
          client.close()
          if (subjects.connections.open > 0) {
            violations.add("end", `expected no connection of a gopher to be left, got ${subjects.connections.open}`)
          }
          const faults = yield* targets.counts
          return { subjects, client, watch, operators, readers, states, faults, endedEarly: ended._tag === "Some" }
        }),
        context
      )
    }))

    violations.addAll("end", yield* left(before))
    const heap = { start: before.heap, end: collectedHeap() }
    return { seed, minutes, logs: logs.counts, heap, violations, ...result } satisfies Facts
  })

const all = ({ crawler, links, lookups }: Subjects): ReadonlyArray<Subject> => [crawler, links, lookups]

/** It comes to its end in that time; if not, that is reported, and it goes on behind. */
const within = <A, E>(
  what: string,
  time: "60 seconds" | "30 seconds",
  violations: Violations,
  effect: Effect.Effect<A, E>
): Effect.Effect<void> =>
  Effect.disconnect(effect).pipe(
    Effect.timeoutFail({ duration: time, onTimeout: () => `expected ${what} within ${time}` }),
    Effect.catchAllCause((cause) => Effect.sync(() => violations.add("end", String(cause))))
  )

/** When all is done: the books, and the metrics. */
const examine = (subjects: Subjects, client: Client, violations: Violations) =>
  Effect.gen(function*() {
    const metrics = yield* client.ask("/metrics")
    for (const { account, herd } of all(subjects)) {
      const state = yield* herd.state
      violations.addAll("G2", booksOff(state, account))
      violations.addAll("metrics", metricsDiffer(metricsOf(metrics?.text ?? "", herd.name), state))
    }
  })

/**
 * What there is more of than before the start. Sockets that fetch keeps go when their targets are
 * gone, but not at once.
 */
const left = (before: { readonly resources: Readonly<Record<string, number>>; readonly fibers: number }) =>
  Effect.gen(function*() {
    const looked = Effect.map(
      fibers,
      (count) => leftOver({ ...before.resources, fibers: before.fibers }, { ...resources(), fibers: count })
    )
    return yield* Effect.repeat(Effect.delay(looked, "100 millis"), {
      until: (complaints) => complaints.length === 0,
      times: 100
    })
  })

const main = async (): Promise<void> => {
  if (globalThis.gc === undefined) throw new Error("expected node --expose-gc, got a node without gc")
  const args = readArguments(process.argv.slice(2))
  const stop = Deferred.unsafeMake<void>(Effect.runSync(Effect.fiberId))
  // The second one ends the process at once.
  process.once("SIGINT", () => Deferred.unsafeDone(stop, Exit.void))
  const facts = await Effect.runPromise(soak(args, stop))
  console.log(report(facts))
  process.exitCode = facts.violations.count > 0 ? 1 : facts.endedEarly ? 130 : 0
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
})
