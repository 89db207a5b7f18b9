import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type {
  Changes,
  Claim,
  DeadLetter,
  Depth,
  HerdSource,
  MemoryOptions,
  NewUnit,
  Settlement
} from "../HerdSource.ts"
import { readNow } from "./check.ts"
import { Fifo } from "./fifo.ts"
import { Heap } from "./heap.ts"
import { Round } from "./round.ts"
import { sleep } from "./sleep.ts"
import { listOptions, retentionOf } from "./sourceOptions.ts"
import { crashText, cutBody } from "./sourceText.ts"
import { StoreTime } from "./storeTime.ts"

/** Of all sources in memory. */
const time = new StoreTime(() => 0)

/**
 * One that has a herd's units open: by a source, all of whose owners are in this process and alive.
 */
interface Owner {
  readonly source: object
}

/** A unit that is kept, and where it stands. */
interface Kept {
  readonly unit: NewUnit
  /** Its place among those of the same time. */
  number: number
  state: "ready" | "delayed" | "held" | "dead"
  /** Its place among the ready ones: since when it is ready, or will be. */
  place: number
  attempts: number
  crashes: number
  firstFailureAt: number | undefined
  /** Of the last claim. */
  claims: number
  owner: Owner | undefined
  leaseUntil: number
  cause: string
  diedAt: number
}

const readyBefore = (self: Kept, that: Kept): boolean => {
  if (self.unit.priority !== that.unit.priority) return self.unit.priority > that.unit.priority
  return self.place === that.place ? self.number < that.number : self.place < that.place
}

const dueBefore = (self: Kept, that: Kept): boolean => self.place < that.place

/** The units of one herd, of all its owners. */
class MemoryQueue {
  private readonly units = new Map<string, Kept>()
  private readonly ready = new Heap<Kept>(readyBefore)
  private readonly delayed = new Heap<Kept>(dueBefore)
  private readonly held = new Set<Kept>()
  private readonly dead = new Set<Kept>()
  /** Units that are done, and by which claim. */
  private readonly done = new Map<string, { readonly owner: Owner; readonly token: string }>()
  /**
   * The same in that order. To look for the first of a Map, whose first were deleted, takes longer
   * the more these were.
   */
  private readonly ages = new Fifo<{ readonly id: string; readonly at: number }>()
  private readonly retention: number
  /** As those say who opened it last. */
  maxCrashes = Infinity
  private ever = 0
  private readonly bell = new Round()
  private readonly changed = new Round()

  constructor(retention: number) {
    this.retention = retention
  }

  offer(units: ReadonlyArray<NewUnit>, owner: Owner, now: number, clock: Clock.Clock): void {
    this.tend(now, owner)
    for (const unit of units) {
      if (this.units.has(unit.id) || this.done.has(unit.id)) continue
      const kept: Kept = {
        unit,
        number: this.ever++,
        state: "ready",
        place: now,
        attempts: 0,
        crashes: 0,
        firstFailureAt: undefined,
        claims: 0,
        owner: undefined,
        leaseUntil: 0,
        cause: "",
        diedAt: 0
      }
      this.units.set(unit.id, kept)
      const due = unit.runAt === undefined ? now : time.due(clock, unit.runAt)
      if (due > now) this.delay(kept, due)
      else this.enter(kept)
    }
    this.tell()
  }

  claim(max: number, owner: Owner, lease: number, now: number): ReadonlyArray<Claim> {
    this.tend(now, owner)
    const claims: Array<Claim> = []
    while (claims.length < max) {
      const kept = this.ready.pop()
      if (kept === undefined) break
      kept.state = "held"
      kept.owner = owner
      kept.attempts++
      kept.claims++
      kept.leaseUntil = now + lease
      this.held.add(kept)
      const { attempts: attempt, firstFailureAt, unit: { body, id, priority } } = kept
      claims.push({ id, body, priority, attempt, firstFailureAt, token: String(kept.claims) })
    }
    if (claims.length > 0) this.changed.next()
    return claims
  }

  /** Is it so, now or since before, or is it lost? */
  settle(settlement: Settlement, owner: Owner, now: number, clock: Clock.Clock): boolean {
    const { id, token } = settlement.claim
    const kept = this.ownedBy(settlement.claim, owner)
    if (kept === undefined) {
      const done = this.done.get(id)
      return done?.owner === owner && done.token === token
    }
    if (kept.state !== "held") return true
    this.held.delete(kept)
    switch (settlement._tag) {
      case "Ack":
        this.units.delete(id)
        this.done.set(id, { owner, token })
        this.ages.push({ id, at: now })
        break
      case "Retry":
        kept.firstFailureAt = settlement.firstFailureAt
        kept.number = this.ever++
        this.delay(kept, Math.max(now, time.due(clock, settlement.at)))
        break
      case "Bury":
        this.bury(kept, settlement.cause, now)
        break
      case "Release":
        kept.attempts--
        this.enter(kept)
        break
    }
    this.tell()
    return true
  }

  renew(claim: Claim, owner: Owner, until: number): boolean {
    const kept = this.ownedBy(claim, owner)
    if (kept?.state !== "held") return false
    kept.leaseUntil = until
    return true
  }

  releaseAll(owner: Owner): void {
    for (const kept of this.held) {
      if (kept.owner !== owner) continue
      this.held.delete(kept)
      kept.attempts--
      this.enter(kept)
    }
    this.tell()
  }

  readonly changes: Changes = {
    count: Effect.sync(() => this.changed.ended),
    after: (count) =>
      Effect.flatMap(Effect.clock, (clock) => {
        const told = this.changed.after(count)
        const due = this.delayed.peek()?.place
        return due === undefined ? told : Effect.raceFirst(told, sleep(Math.max(0, due - time.now(clock))))
      })
  }

  isIdle(owner: Owner, now: number): boolean {
    this.tend(now, owner)
    return this.units.size === this.dead.size
  }

  /** Waits until there is something to claim, or it is time to look again. */
  arrival(owner: Owner): Effect.Effect<void> {
    return Effect.flatMap(Effect.clock, (clock) => {
      const now = time.now(clock)
      const next = this.nextEvent(owner)
      if (this.ready.size > 0 || next <= now) return Effect.void
      const told = this.bell.after(this.bell.ended)
      return next === Infinity ? told : Effect.raceFirst(told, sleep(next - now))
    })
  }

  depth(owner: Owner, now: number, clock: Clock.Clock): Depth {
    this.tend(now, owner)
    const { oldest } = this
    return {
      ready: this.ready.size,
      delayed: this.delayed.size,
      held: this.held.size,
      dead: this.dead.size,
      oldestAt: oldest === undefined ? undefined : time.toClock(clock, oldest)
    }
  }

  list(limit: number, offset: number, maxBody: number, clock: Clock.Clock): ReadonlyArray<DeadLetter> {
    return Array.from(this.dead).toReversed().slice(offset, offset + limit).map((kept) => {
      const { attempts, cause, crashes, unit: { body, id, priority } } = kept
      const diedAt = time.toClock(clock, kept.diedAt)
      return cutBody({ id, body, priority, attempts, crashes, cause, diedAt }, maxBody)
    })
  }

  redrive(ids: ReadonlyArray<string> | "all", now: number): number {
    const letters = this.letters(ids)
    for (const kept of letters) {
      this.dead.delete(kept)
      kept.owner = undefined
      kept.attempts = 0
      kept.crashes = 0
      kept.firstFailureAt = undefined
      kept.place = now
      kept.number = this.ever++
      this.enter(kept)
    }
    this.tell()
    return letters.length
  }

  discard(ids: ReadonlyArray<string> | "all"): number {
    const letters = this.letters(ids)
    for (const kept of letters) {
      this.dead.delete(kept)
      this.units.delete(kept.unit.id)
    }
    this.changed.next()
    return letters.length
  }

  private letters(ids: ReadonlyArray<string> | "all"): ReadonlyArray<Kept> {
    if (ids === "all") return Array.from(this.dead)
    return Array.from(new Set(ids)).flatMap((id) => {
      const kept = this.units.get(id)
      return kept?.state === "dead" ? [kept] : []
    })
  }

  /** What time has brought about, as this owner sees it. */
  private tend(now: number, owner: Owner): void {
    for (let kept = this.delayed.peek(); kept !== undefined && kept.place <= now; kept = this.delayed.peek()) {
      this.delayed.pop()
      this.enter(kept)
    }
    for (const kept of this.held) {
      if (kept.leaseUntil > now || isAlive(kept, owner)) continue
      this.held.delete(kept)
      kept.owner = undefined
      kept.crashes++
      if (kept.crashes >= this.maxCrashes) this.bury(kept, crashText, now)
      else this.enter(kept)
      this.changed.next()
    }
    for (
      let first = this.ages.peek();
      first !== undefined && first.at + this.retention <= now;
      first = this.ages.peek()
    ) {
      this.ages.shift()
      this.done.delete(first.id)
    }
  }

  private get oldest(): number | undefined {
    const ready = Array.from(this.units.values()).filter(({ state }) => state === "ready")
    return ready.length === 0 ? undefined : ready.reduce((oldest, { place }) => Math.min(oldest, place), Infinity)
  }

  private nextEvent(owner: Owner): number {
    let next = this.delayed.peek()?.place ?? Infinity
    for (const kept of this.held) if (!isAlive(kept, owner)) next = Math.min(next, kept.leaseUntil)
    return next
  }

  /** The unit, if this is its last claim, whose lease has not run out. */
  private ownedBy({ id, token }: Claim, owner: Owner): Kept | undefined {
    const kept = this.units.get(id)
    return kept?.owner === owner && String(kept.claims) === token ? kept : undefined
  }

  private tell(): void {
    this.bell.next()
    this.changed.next()
  }

  private enter(kept: Kept): void {
    kept.state = "ready"
    this.ready.push(kept)
  }

  private delay(kept: Kept, until: number): void {
    kept.state = "delayed"
    kept.place = until
    this.delayed.push(kept)
  }

  private bury(kept: Kept, cause: string, now: number): void {
    kept.state = "dead"
    kept.cause = cause
    kept.diedAt = now
    this.dead.add(kept)
  }
}

/**
 * An owner of the same source is open, or it would have released the unit: its lease says nothing.
 */
const isAlive = ({ owner }: Kept, { source }: Owner): boolean => owner?.source === source

/**
 * The units of herds by their names. A test may have several sources on it, as if each were a
 * process of its own.
 *
 * @internal
 */
export type Memory = Map<string, MemoryQueue>

/**
 * @internal
 */
export const makeMemory = (
  options: MemoryOptions = {},
  queues: Memory = new Map()
): Context.Tag.Service<HerdSource> => {
  const retention = retentionOf(readNow(options, ({ retention }) => retention))
  const source = {}
  const queueOf = (herd: string): MemoryQueue => {
    const queue = queues.get(herd) ?? new MemoryQueue(Duration.toMillis(retention))
    queues.set(herd, queue)
    return queue
  }
  return {
    open: (herd, { lease, maxCrashes }) =>
      Effect.gen(function*() {
        const queue = queueOf(herd)
        const owner: Owner = { source }
        const until = Duration.toMillis(lease)
        queue.maxCrashes = maxCrashes
        yield* Effect.addFinalizer(() => Effect.sync(() => queue.releaseAll(owner)))
        return {
          offer: (units) => atNow((now, clock) => queue.offer(units, owner, now, clock)),
          claim: (max) => atNow((now) => queue.claim(max, owner, until, now)),
          settle: (settlements, claim) =>
            atNow((now, clock) => ({
              lost: settlements.filter((settlement) => !queue.settle(settlement, owner, now, clock))
                .map(({ claim }) => claim),
              claimed: claim > 0 ? queue.claim(claim, owner, until, now) : []
            })),
          renew: (claims) => atNow((now) => claims.filter((claim) => !queue.renew(claim, owner, now + until))),
          arrival: queue.arrival(owner),
          idle: atNow((now) => queue.isIdle(owner, now)),
          changes: queue.changes,
          depth: atNow((now, clock) => queue.depth(owner, now, clock)),
          dead: {
            list: (options) =>
              atNow((_, clock) => {
                const { limit, maxBody, offset } = listOptions(options)
                return queue.list(limit, offset, maxBody, clock)
              }),
            redrive: (ids) => atNow((now) => queue.redrive(ids, now)),
            discard: (ids) => Effect.sync(() => queue.discard(ids))
          },
          fleet: Option.none()
        }
      })
  }
}

const atNow = <A>(f: (now: number, clock: Clock.Clock) => A): Effect.Effect<A> =>
  Effect.map(Effect.clock, (clock) => f(time.now(clock), clock))
