import { Cause, Effect, Exit, Option, Stream } from "effect"
import { HerdError } from "gofherd"
import type { Chance } from "./chance.ts"
import { NOBODY, type Subject, type Subjects } from "./herds.ts"
import type { Violations } from "./violations.ts"
import { type Page, type TargetName, Unfetched, type Visit } from "./visit.ts"

/** Where the outcomes of `send`, `sendAll` and `trySend` arrive. */
export const READERS = "the readers of outcomes"

/** Everybody who gives work, each until the herd is closed. */
export const senders = (
  { crawler, links, lookups }: Subjects,
  chance: (name: string) => Chance,
  violations: Violations
): ReadonlyArray<Effect.Effect<void>> => [
  bursts(crawler, chance("crawler bursts"), 300),
  singles(crawler, chance("crawler singles")),
  attempts(crawler, chance("crawler attempts"), READERS),
  bursts(links, chance("links bursts"), 40),
  attempts(links, chance("links attempts"), READERS),
  attempts(lookups, chance("lookups attempts"), NOBODY),
  ...Array.from({ length: 12 }, (_, i) => callers(lookups, chance(`caller ${i}`), `caller ${i}`, violations)),
  ...Array.from({ length: 2 }, (_, i) => streams(lookups, chance(`stream ${i}`), `stream ${i}`, violations))
]

// ------------------------------------------------------------------------------------------------------ what is sent

const shares: ReadonlyArray<readonly [percent: number, target: TargetName]> = [
  [55, "fast"],
  [15, "slow"],
  [10, "failing"],
  [10, "resetting"],
  [10, "vanishing"]
]

const visitFor = (chance: Chance, to: string): Omit<Visit, "n"> => {
  const luck = chance.between(1, 100)
  let sum = 0
  const [, target] = shares.find(([percent]) => luck <= (sum += percent)) ?? [0, "fast"]
  // Who is interrupted has nobody to tell, if its outcome goes to nobody.
  const fate = chance.happens(0.01) ? "dies" : to !== NOBODY && chance.happens(0.005) ? "interrupts itself" : "visits"
  return { target, to, fate }
}

const pause = (chance: Chance, from: number, to: number) => Effect.sleep(chance.between(from, to))

/** Over and over until the herd is closed. */
const untilClosed = <E>(again: Effect.Effect<void, HerdError.HerdClosed | E>) =>
  Effect.catchTag(Effect.forever(again), "HerdClosed", () => Effect.void)

// ------------------------------------------------------------------------------------------------------ for outcomes

/** `sendAll` of up to so many. What of it a herd that closes has accepted, it says. */
const bursts = ({ account, herd }: Subject, chance: Chance, most: number) =>
  untilClosed(Effect.suspend(() => {
    const taken = new Array<Visit>()
    const visits = function*() {
      for (let left = chance.between(1, most); left > 0; left--) {
        const visit = account.give(visitFor(chance, READERS))
        taken.push(visit)
        yield visit
      }
    }
    return herd.sendAll(visits(), { priority: chance.between(0, 1) }).pipe(
      Effect.tapError(({ accepted }) =>
        Effect.sync(() => taken.slice(accepted).map((visit) => account.refused(visit)))
      ),
      Effect.zipRight(pause(chance, 50, 900))
    )
  }))

const singles = ({ account, herd }: Subject, chance: Chance) =>
  untilClosed(Effect.suspend(() => {
    const visit = account.give(visitFor(chance, READERS))
    return herd.send(visit).pipe(
      Effect.tapError(() => Effect.sync(() => account.refused(visit))),
      Effect.zipRight(pause(chance, 5, 60))
    )
  }))

/** `trySend`, which a full queue refuses. */
const attempts = ({ account, herd }: Subject, chance: Chance, to: string) =>
  untilClosed(Effect.suspend(() => {
    const visit = account.give(visitFor(chance, to))
    return herd.trySend(visit, { priority: chance.between(-1, 1) }).pipe(
      Effect.tapError(() => Effect.sync(() => account.refused(visit))),
      Effect.tap((accepted) => Effect.sync(() => accepted || account.refused(visit))),
      Effect.zipRight(pause(chance, 5, 60))
    )
  }))

// ------------------------------------------------------------------------------------------------------ for themselves

/** `run`, and in one of five cases no patience. */
const callers = ({ account, herd }: Subject, chance: Chance, name: string, violations: Violations) =>
  untilClosed(Effect.gen(function*() {
    const visit = account.give(visitFor(chance, name))
    const patience = chance.happens(0.2) ? chance.between(1, 300) : Number.POSITIVE_INFINITY
    const call = Effect.exit(herd.run(visit, { priority: chance.between(-1, 1) }))
    const answer = yield* Number.isFinite(patience) ? Effect.timeoutOption(call, patience) : Effect.asSome(call)
    const error = Option.getOrUndefined(Option.flatMap(answer, errorOf))
    if (Option.isNone(answer)) {
      account.cancel(visit)
    } else if (error instanceof HerdError.HerdClosed) {
      account.refused(visit)
      return yield* error
    } else {
      violations.addAll("G2", misdirected(visit, answer.value))
      account.settle(visit, statusOf(answer.value), name)
    }
    yield* pause(chance, 10, 200)
  }))

/** `stream`, and in one of five cases somebody who has enough before its end. */
const streams = ({ account, herd }: Subject, chance: Chance, name: string, violations: Violations) =>
  untilClosed(Effect.gen(function*() {
    const open = new Set<Visit>()
    const input = Stream.repeatEffect(Effect.sync(() => {
      const visit = account.give(visitFor(chance, name))
      open.add(visit)
      return visit
    })).pipe(Stream.take(chance.between(1, 200)), Stream.rechunk(chance.between(1, 32)))
    const outcomes = Stream.runForEach(herd.stream(input), ({ exit, status, work: { body } }) =>
      Effect.sync(() => {
        violations.addAll("G2", misdirected(body, exit))
        if (!open.delete(body)) {
          violations.add("G2", `${name}: expected outcomes of its own input, got one of ${body.n}`)
        }
        account.settle(body, status, name)
      }))
    const patience = chance.happens(0.2) ? chance.between(1, 1_000) : Number.POSITIVE_INFINITY
    const end = yield* Effect.exit(
      Number.isFinite(patience) ? Effect.timeoutOption(outcomes, patience) : Effect.asSome(outcomes)
    )
    if (Exit.isFailure(end)) {
      const death = Option.getOrUndefined(Cause.dieOption(end.cause))
      if (!(death instanceof HerdError.HerdClosed)) return yield* Effect.failCause(end.cause)
      for (const visit of open) account.refused(visit)
      return yield* death
    }
    if (Option.isNone(end.value)) { for (const visit of open) account.cancel(visit) }
    else if (open.size > 0) violations.add("G2", `${name}: expected an outcome of each unit, got ${open.size} too few`)
    yield* pause(chance, 50, 500)
  }))

type Answer = Exit.Exit<Page, Unfetched | HerdError.HerdClosed>

const errorOf = (answer: Answer) => Exit.isFailure(answer) ? Cause.failureOption(answer.cause) : Option.none()

const statusOf = (answer: Answer) =>
  Exit.isSuccess(answer) ? "success" : Cause.isInterruptedOnly(answer.cause) ? "interrupted" : "failure"

/** Is it the result of that unit? Page and error say whose they are. */
export const misdirected = ({ fate, n }: Visit, answer: Answer): ReadonlyArray<string> => {
  const wrong = (got: string) => [`expected the result of unit ${n}, which ${fate}, got ${got}`]
  if (Exit.isSuccess(answer)) return answer.value.n === n && fate === "visits" ? [] : wrong(`that of ${answer.value.n}`)
  const error = Option.getOrUndefined(errorOf(answer))
  if (error instanceof Unfetched) return error.n === n && fate === "visits" ? [] : wrong(`the error of ${error.n}`)
  const expected = fate === "dies"
    ? Option.isSome(Cause.dieOption(answer.cause))
    : Cause.isInterruptedOnly(answer.cause)
  return expected && fate !== "visits" ? [] : wrong(Cause.pretty(answer.cause))
}
