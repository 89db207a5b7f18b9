import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Stream from "effect/Stream"
import type { HerdClosed } from "../HerdError.ts"
import type { Outcome } from "../Outcome.ts"
import { Condition } from "./condition.ts"
import type { Job } from "./job.ts"
import { Outcomes } from "./outcomes.ts"
import type { Turn } from "./turn.ts"

/** How many units of one stream may be in the herd or unread. */
const WINDOW = 1024

/** What a stream asks of its herd. */
interface Host<In, Out, E> {
  readonly jobOf: (body: In, settle: (outcome: Outcome<In, Out, E>) => void) => Job<In, Out, E>
  /** Enters the jobs in order. */
  readonly enter: (jobs: ReadonlyArray<Job<In, Out, E>>) => Effect.Effect<void, HerdClosed>
  /**
   * Takes a job that was accepted out of the herd, at once. The result waits until that is done.
   */
  readonly cancel: (job: Job<In, Out, E>) => Effect.Effect<void>
  readonly turn: Turn
}

/**
 * Passes a stream through a herd, chunk by chunk: the outcomes of one input wait in a buffer of
 * their own. No gopher waits for their reader, instead no more of the input is taken.
 *
 * @internal
 */
export const streamThrough = <In, Out, E, E2, R2>(
  input: Stream.Stream<In, E2, R2>,
  host: Host<In, Out, E>
): Stream.Stream<Outcome<In, Out, E>, E2, R2> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const pending = new Set<Job<In, Out, E>>()
    let fed: Exit.Exit<void, E2> | undefined
    const room = new Condition(() => pending.size + outcomes.length <= WINDOW / 2)
    const outcomes = new Outcomes<Outcome<In, Out, E>, E2>({ capacity: WINDOW, onTaken: () => room.check() })
    const endWhenDone = () => {
      if (fed !== undefined && pending.size === 0) outcomes.end(fed)
    }

    const jobOf = (body: In) => {
      const job = host.jobOf(body, (outcome) => {
        pending.delete(job)
        outcomes.push(outcome)
        endWhenDone()
      })
      pending.add(job)
      return job
    }

    // As much of the chunk as the window allows, then the rest.
    const feed = (bodies: Chunk.Chunk<In>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const now = Chunk.take(bodies, WINDOW - pending.size - outcomes.length)
        const later = Chunk.drop(bodies, now.length)
        const jobs = Chunk.toReadonlyArray(now).map(jobOf)
        const entered = Effect.catchTag(host.enter(jobs), "HerdClosed", (closed) => {
          for (const job of jobs.slice(closed.accepted)) pending.delete(job)
          return Effect.die(closed)
        })
        return later.length === 0 ? entered : Effect.zipRight(Effect.zipRight(entered, room.await), feed(later))
      })

    yield* Effect.acquireRelease(
      Effect.sync(() =>
        host.turn.atEnd(() => {
          if (outcomes.flush(host.turn.wasOver)) host.turn.begin()
        })
      ),
      (stop) => Effect.sync(stop)
    )
    // The last first, since it may wait for the room that others leave.
    const cancel = Effect.suspend(() =>
      Effect.all(Array.from(pending).toReversed().map(host.cancel), { concurrency: "unbounded", discard: true })
    )
    yield* Effect.addFinalizer(() => cancel)
    const feeding = yield* Effect.forkScoped(
      Effect.onExit(Stream.runForEachChunk(input, feed), (exit) =>
        Effect.sync(() => {
          fed = exit
          endWhenDone()
        }))
    )
    // Not after the input has ended, which takes its time: units would begin meanwhile.
    yield* Effect.addFinalizer(() => {
      feeding.unsafeInterruptAsFork(FiberId.none)
      return cancel
    })
    return Stream.repeatEffectChunkOption(outcomes.take)
  }))
