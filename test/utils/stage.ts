import { Deferred, Effect, Exit, Schedule, Scope } from "effect"

/**
 * A `process` under the test's control: a unit starts, says so, and ends when the test says how.
 */
export const makeStage = <E = string>() => {
  const started: Array<number> = []
  const interrupted: Array<number> = []
  const inside = new Map<number, Deferred.Deferred<number, E>>()
  let most = 0
  const of = (n: number) => {
    const unit = inside.get(n)
    if (unit === undefined) throw new Error(`expected unit ${n} to be running, got ${Array.from(inside.keys())}`)
    return unit
  }
  return {
    /** The bodies of all attempts that started, in order. */
    started,
    /** The bodies of all attempts that were interrupted, in order. */
    interrupted,
    /** The bodies inside `process`. */
    get running() {
      return Array.from(inside.keys())
    },
    /** The largest number that was ever inside `process` at once. */
    get most() {
      return most
    },
    process: (n: number): Effect.Effect<number, E> =>
      Effect.suspend(() => {
        const unit = Deferred.unsafeMake<number, E>(Effect.runSync(Effect.fiberId))
        started.push(n)
        inside.set(n, unit)
        most = Math.max(most, inside.size)
        return Deferred.await(unit).pipe(
          Effect.onInterrupt(() => Effect.sync(() => interrupted.push(n))),
          Effect.ensuring(Effect.sync(() => inside.delete(n)))
        )
      }),
    succeed: (n: number) => Effect.zipRight(Deferred.succeed(of(n), n * 10), turns),
    fail: (n: number, error: E) => Effect.zipRight(Deferred.fail(of(n), error), turns),
    /** Lets every running unit succeed, and those that start then, and so on. */
    finish: Effect.suspend(function finish(): Effect.Effect<void> {
      if (inside.size === 0) return Effect.void
      for (const [n, unit] of inside) Deferred.unsafeDone(unit, Effect.succeed(n * 10))
      return Effect.zipRight(turns, Effect.suspend(finish))
    })
  }
}

/** One turn of the event loop. */
export const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Lets everything happen that needs neither time nor the test. */
export const turns: Effect.Effect<void> = Effect.repeatN(turn, 4)

/** Waits until this no longer throws: for what another socket has to bring about. */
export const eventually = (check: () => void): Effect.Effect<void> =>
  Effect.retry(Effect.try(check), Schedule.intersect(Schedule.spaced("10 millis"), Schedule.recurs(500))).pipe(
    Effect.orDie
  )

/** Waits until it holds: for what another process or socket has to bring about. */
export const until = <E = never>(condition: Effect.Effect<boolean, E> | (() => boolean)) =>
  Effect.repeat(Effect.isEffect(condition) ? condition : Effect.sync(condition), {
    until: (holds) => holds,
    schedule: Schedule.spaced("20 millis")
  })

/** A herd in a scope of its own, for the test to close. */
export const scoped = <A, R>(make: Effect.Effect<A, never, R>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const herd = yield* Scope.extend(make, scope)
    return { herd, close: Scope.close(scope, Exit.void) }
  })
