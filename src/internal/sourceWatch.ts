import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Depth } from "../HerdSource.ts"
import { logOf } from "./log.ts"
import { isSize } from "./options.ts"
import { show } from "./show.ts"
import { SteadyTime } from "./steadyTime.ts"
import type { StoredControl } from "./stored.ts"

/** For so long an answer of the source is told again, before it is asked anew. */
const FRESH_MILLIS = 1_000

/** For so long whoever asks waits for an answer. */
const PATIENCE_MILLIS = 1_000

/**
 * For so long an answer is told while the next one keeps others waiting, which is then given up.
 */
const KEPT_MILLIS = 10_000

/** What the source has of a herd. */
export interface Figures {
  readonly depth: Depth
  /** `null` if there is no bound, `undefined` if the source has none to set. */
  readonly fleet: number | null | undefined
}

interface Answer {
  /** `undefined` if the source did not tell. */
  readonly figures: Figures | undefined
  /** When it came. */
  readonly at: number
}

/** A question that is not answered yet. */
interface Question {
  readonly since: number
  readonly done: Deferred.Deferred<void>
}

/**
 * What the source has of a herd, asked of it at most once a second, however many want to know: a
 * count can cost a database more than the page that shows it is worth. A source that fails, or
 * hangs, keeps nobody from what the herd itself says.
 *
 * @internal
 */
export class SourceWatch {
  private readonly herd: StoredControl
  private readonly scope: Scope.Scope
  private readonly time = new SteadyTime()
  private latest: Answer = { figures: undefined, at: -Infinity }
  private asking: Question | undefined
  /** How many answers were other ones than those before. */
  private changes = 0

  constructor(herd: StoredControl, scope: Scope.Scope) {
    this.herd = herd
    this.scope = scope
  }

  /** What it has, up to a second ago; `undefined` if the source does not tell, or not soon. */
  readonly figures: Effect.Effect<Figures | undefined> = Effect.gen(this, function*() {
    const clock = yield* Effect.clock
    if (this.age(clock) < FRESH_MILLIS) return this.latest.figures
    const { done, since } = yield* this.ask
    const left = since + PATIENCE_MILLIS - this.time.read(clock)
    if (left > 0) yield* Effect.timeoutOption(Deferred.await(done), left)
    return this.age(clock) < KEPT_MILLIS ? this.latest.figures : undefined
  })

  /** Something was changed by way of the routes, and what was told before is no answer any more. */
  readonly forget: Effect.Effect<void> = Effect.sync(() => {
    this.latest = { figures: this.latest.figures, at: -Infinity }
    this.asking = undefined
  })

  /**
   * Looks once a second, until the scope closes, and runs this after each change, whoever has come
   * upon it.
   */
  watch(changed: Effect.Effect<void>): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen(this, function*() {
      yield* this.figures
      // Of the changes until now is told at once to whom this is for.
      let seen = this.changes
      const look = Effect.gen(this, function*() {
        const clock = yield* Effect.clock
        const due = this.time.read(clock) + FRESH_MILLIS
        yield* Effect.sleep(FRESH_MILLIS)
        this.time.atLeast(due, clock)
        yield* this.figures
        if (seen === this.changes) return
        seen = this.changes
        yield* changed
      })
      yield* Effect.forkScoped(Effect.forever(look))
    })
  }

  private age(clock: Clock.Clock): number {
    return this.time.read(clock) - this.latest.at
  }

  /**
   * Asks, unless that is under way. The question is everybody's, so it is not given up with whoever
   * asked first.
   */
  private readonly ask: Effect.Effect<Question> = Effect.uninterruptible(Effect.clockWith((clock) => {
    if (this.asking !== undefined) return Effect.succeed(this.asking)
    const question = { since: this.time.read(clock), done: Deferred.unsafeMake<void>(FiberId.none) }
    this.asking = question
    const answered = Effect.suspend(() => {
      if (this.asking === question) this.asking = undefined
      return Deferred.succeed(question.done, undefined)
    })
    const asked = Effect.map(Effect.interruptible(this.answer), (figures) => {
      if (this.asking !== question) return
      if (!same(figures, this.latest.figures)) this.changes++
      this.latest = { figures, at: this.time.read(clock) }
    })
    return Effect.as(Effect.forkIn(Effect.ensuring(asked, answered), this.scope), question)
  }))

  private readonly answer: Effect.Effect<Figures | undefined> = Effect.suspend(() =>
    Effect.zipWith(this.herd.depth, this.fleet, (depth, fleet) => ({ depth, fleet }))
  ).pipe(
    // It may be a user's, and what is no count can't be sent.
    Effect.filterOrFail(areFigures, (figures) => `expected counts, got ${show(figures)}`),
    Effect.exit,
    // One that can't be interrupted is left to itself.
    Effect.disconnect,
    Effect.timeoutTo({
      duration: KEPT_MILLIS,
      onSuccess: (exit) => exit,
      onTimeout: () => Exit.fail(`expected an answer within ${KEPT_MILLIS / 1_000} s, got none`)
    }),
    Effect.flatten,
    Effect.catchAllCause((cause) =>
      Effect.as(
        logOf(this.herd.name, Effect.logDebug("the source does not tell how many units it has", cause)),
        undefined
      )
    )
  )

  private readonly fleet = Effect.suspend(() =>
    Option.match(this.herd.fleet, {
      onNone: () => Effect.succeed(undefined),
      onSome: ({ size }) => Effect.map(size, Option.getOrNull)
    })
  )
}

const isCount = (value: number): boolean => isSize(value, Number.MAX_SAFE_INTEGER)

const areFigures = ({ depth: { dead, delayed, held, oldestAt, ready }, fleet }: Figures): boolean =>
  [ready, delayed, held, dead].every(isCount)
  && (oldestAt === undefined || Number.isFinite(oldestAt))
  && (fleet === undefined || fleet === null || isCount(fleet))

const same = (one: Figures | undefined, other: Figures | undefined): boolean =>
  one === other
  || one !== undefined && other !== undefined
    && one.fleet === other.fleet
    && (["ready", "delayed", "held", "dead", "oldestAt"] as const).every((name) =>
      one.depth[name] === other.depth[name]
    )
