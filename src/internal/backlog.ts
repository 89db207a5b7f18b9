import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Queue from "effect/Queue"
import { Fifo } from "./fifo.ts"
import { Heap } from "./heap.ts"
import type { Unit } from "./job.ts"
import { Job } from "./job.ts"

/** Written into a lane when the time has moved on, so that units need no time of entry each. */
class Stamp {
  /** As with jobs: a body must not hear of it. */
  static is(item: unknown): item is Stamp {
    return typeof item === "object" && item !== null && #isStamp in item
  }

  // oxlint-disable-next-line no-unused-private-class-members -- it is looked for, not at
  readonly #isStamp = true
  readonly millis: number
  constructor(millis: number) {
    this.millis = millis
  }
}

/** The units of one priority, first in, first out, with time stamps in between. */
class Lane<A> {
  readonly priority: number
  readonly items = new Fifo<A | Stamp>()
  /** The last stamp that was written, and the last that was read. */
  written = Number.NaN
  read = Number.NaN

  constructor(priority: number) {
    this.priority = priority
  }

  /**
   * Drops the dead, and stamps that are of no use without them: those that no unit follows before
   * the next.
   */
  sweep(isDead: (unit: A) => boolean): void {
    const { items } = this
    let stamp: Stamp | undefined
    for (let n = items.length; n > 0; n--) {
      const item = items.shift()
      if (Stamp.is(item)) {
        stamp = item
      } else if (!isDead(item)) {
        if (stamp !== undefined) items.push(stamp)
        stamp = undefined
        items.push(item)
      }
    }
    // The next unit writes its own.
    if (stamp !== undefined) this.written = Number.NaN
  }
}

/** A sender that waits for room. */
class Sender<A> {
  readonly units: ReadonlyArray<A>
  readonly priority: number
  /** Its place among the senders of its priority. */
  readonly turn: number
  /**
   * Called once: with true when all units were accepted, with false when the backlog was closed.
   */
  readonly resume: (accepted: boolean) => void
  entered = 0
  withdrawn = false

  constructor(
    units: ReadonlyArray<A>,
    priority: number,
    turn: number,
    resume: (accepted: boolean) => void
  ) {
    this.units = units
    this.priority = priority
    this.turn = turn
    this.resume = resume
  }

  get next(): A {
    return this.units[this.entered] as A
  }
}

const senderBefore = <A>(self: Sender<A>, that: Sender<A>): boolean =>
  self.priority === that.priority ? self.turn < that.turn : self.priority > that.priority

const priorityOf = (unit: unknown): number => Job.is(unit) ? unit.priority : 0

const exitTrue = Exit.succeed(true)
const exitFalse = Exit.succeed(false)

/**
 * Cancelled units stay in their lane until they are passed over, but never more than this beyond
 * the live ones.
 */
const DEAD = 64

/**
 * The units that wait for a gopher: backing and strategy, in one, of the herd's `Queue`, since both
 * look at the same state.
 *
 * `Queue.bounded` wakes a suspended sender for each unit that is taken; this one waits until half
 * of the capacity is free and then lets senders fill it up, so that a busy herd suspends a sender
 * once per refill.
 *
 * Suspended senders go first, by priority and then by arrival. While one waits, only a unit of a
 * higher priority enters. With capacity 0 nothing is stored, and a gopher takes directly from the
 * sender.
 *
 * @internal
 */
export class Backlog<In, Out, E> implements Queue.BackingQueue<Unit<In, Out, E>>, Queue.Strategy<Unit<In, Out, E>> {
  readonly [Queue.BackingQueueTypeId] = { _A: identity }
  readonly [Queue.QueueStrategyTypeId] = { _A: identity }

  /** Units that entered, ever. */
  accepted = 0
  /** Units in the lanes that are to be processed. */
  waiting = 0
  /** When the unit that was taken last had entered. */
  entered = 0
  closed = false

  private readonly limit: number
  private readonly retrying: () => number
  private readonly places: () => number
  private readonly now: () => number
  private readonly onWork: () => void
  private readonly onSenders: () => void
  private readonly lanes = new Map<number, Lane<Unit<In, Out, E>>>()
  private readonly order = new Heap<Lane<Unit<In, Out, E>>>((self, that) => self.priority > that.priority)
  private top: Lane<Unit<In, Out, E>>
  private readonly senders = new Heap<Sender<Unit<In, Out, E>>>(senderBefore)
  private sendersWaiting = 0
  private sendersEver = 0
  private dead = 0
  /** How many units may enter beyond the capacity. */
  private lent = 0
  /** Units that callers brought, ever; how many of them have ripened. */
  private brought = 0
  private ripe = 0
  private ripening = false

  constructor(options: {
    readonly capacity: number
    /** How many units wait for their backoff: they use up capacity. */
    readonly retrying: () => number
    /**
     * How many more units than those that run and those that wait for their backoff the size
     * allows. With capacity 0 a unit in its backoff keeps its place: if gophers took others
     * meanwhile, there would be no end to those that wait.
     */
    readonly places: () => number
    /** The current time in milliseconds, at the precision of a turn of the event loop. */
    readonly now: () => number
    /** There is something to take. */
    readonly onWork: () => void
    /** A sender has begun to wait for room, or has given up. */
    readonly onSenders: () => void
  }) {
    this.limit = options.capacity
    this.retrying = options.retrying
    this.places = options.places
    this.now = options.now
    this.onWork = options.onWork
    this.onSenders = options.onSenders
    this.top = this.lane(0)
  }

  // ---------------------------------------------------------------------------------------------------- in

  /** How many units of the priority may enter now. */
  private room(priority: number): number {
    if (this.closed || (this.sendersWaiting > 0 && !this.goesFirst(priority))) return 0
    return Math.max(0, this.limit + this.lent - this.waiting - this.retrying())
  }

  /** While senders wait, only a unit enters that they would not come before. */
  private goesFirst(priority: number): boolean {
    return priority > (this.firstSender?.priority ?? -Infinity) && this.overtakes(priority)
  }

  /** Is the priority above that of the next unit? */
  private overtakes(priority: number): boolean {
    if (this.waiting === 0) return true
    this.head()
    return priority > this.top.priority
  }

  /**
   * With capacity 0, what is offered meanwhile may enter if one of so many free gophers is going to
   * take it at once.
   */
  lending<A>(gophers: number, offering: () => A): A {
    this.lent = this.limit === 0 ? gophers + this.retrying() : 0
    try {
      return offering()
    } finally {
      this.lent = 0
    }
  }

  offer(unit: Unit<In, Out, E>): boolean {
    if (this.room(priorityOf(unit)) === 0) return false
    this.admit(unit)
    this.arrived(unit)
    return true
  }

  offerAll(units: Iterable<Unit<In, Out, E>>): Chunk.Chunk<Unit<In, Out, E>> {
    const surplus: Array<Unit<In, Out, E>> = []
    for (const unit of units) {
      if (this.room(priorityOf(unit)) > 0) this.admit(unit)
      else surplus.push(unit)
    }
    this.onWork()
    return Chunk.unsafeFromArray(surplus)
  }

  handleSurplus(units: Iterable<Unit<In, Out, E>>): Effect.Effect<boolean> {
    return Effect.async<boolean>((resume) => {
      const withdraw = this.wait(Array.from(units), (accepted) => resume(accepted ? exitTrue : exitFalse))
      return Effect.sync(withdraw)
    })
  }

  /**
   * Enters the units, of one priority, as room is made. The result takes back those that have not
   * entered.
   */
  wait(units: ReadonlyArray<Unit<In, Out, E>>, resume: (accepted: boolean) => void): () => void {
    if (this.closed) {
      resume(false)
      return () => {}
    }
    const sender = new Sender(units, priorityOf(units[0]), this.sendersEver++, resume)
    const withdraw = () => this.withdraw(sender)
    for (const unit of units) if (Job.is(unit)) unit.withdraw = withdraw
    this.senders.push(sender)
    this.sendersWaiting++
    this.onSenders()
    this.refill()
    this.arrived(units[0])
    return withdraw
  }

  /** A unit from inside one of the herd's own units is never refused (G19). */
  enter(unit: Unit<In, Out, E>): void {
    this.admit(unit)
    this.arrived(unit)
  }

  /** A unit that was accepted before comes back at the tail: it is never refused. */
  again(job: Job<In, Out, E>): void {
    job.phase = "queued"
    this.put(job)
    this.onWork()
  }

  /** A unit that was taken and could not be begun or finished goes back to the head. */
  putBack(unit: Unit<In, Out, E>): void {
    const lane = this.lane(priorityOf(unit))
    if (Job.is(unit)) unit.phase = "queued"
    if (Number.isNaN(lane.read)) lane.read = this.now()
    lane.items.unshift(unit)
    this.waiting++
    this.onWork()
  }

  /**
   * Suspended senders enter their units, once half of the capacity is free or nothing is left to
   * take. A sender whose priority is above that of the next unit does not wait for that: it gets
   * the next free place.
   */
  refill(): void {
    if (this.sendersWaiting === 0) return
    const used = this.waiting + this.retrying()
    const low = used <= this.limit >> 1 || this.waiting === 0
    for (let room = this.limit - used; room > 0 && this.sendersWaiting > 0; room--) {
      if (!low && !this.overtakes(this.firstSender?.priority ?? -Infinity)) return
      this.admit(this.nextOfSenders())
    }
  }

  close(): void {
    this.closed = true
    while (this.senders.size > 0) {
      const sender = this.senders.pop()
      if (sender !== undefined && !sender.withdrawn) sender.resume(false)
    }
    this.sendersWaiting = 0
  }

  private get firstSender(): Sender<Unit<In, Out, E>> | undefined {
    while (this.senders.peek()?.withdrawn === true) this.senders.pop()
    return this.senders.peek()
  }

  /** Takes a unit from the first sender; only to be called when one waits. */
  private nextOfSenders(): Unit<In, Out, E> {
    const sender = this.firstSender as Sender<Unit<In, Out, E>>
    const unit = sender.next
    if (Job.is(unit)) unit.withdraw = undefined
    if (++sender.entered === sender.units.length) {
      this.senders.pop()
      this.sendersWaiting--
      sender.resume(true)
    }
    return unit
  }

  private withdraw(sender: Sender<Unit<In, Out, E>>): void {
    if (this.closed || sender.withdrawn || sender.entered === sender.units.length) return
    sender.withdrawn = true
    this.sendersWaiting--
    this.senders.prune(this.sendersWaiting, (sender) => !sender.withdrawn)
    this.onSenders()
  }

  private arrived(unit: Unit<In, Out, E> | undefined): void {
    if (Job.is(unit) && unit.settle !== undefined) {
      unit.arrival = ++this.brought
      this.ripen()
    }
    this.onWork()
  }

  /**
   * A caller may be interrupted in the instant in which it brings its unit. The interruption passes
   * each fiber above the caller in a microtask of its own. The unit is not taken before all of
   * these have run.
   */
  private ripen(): void {
    if (this.ripening) return
    this.ripening = true
    queueMicrotask(() => {
      const { brought } = this
      // Called by a microtask, it waits until no microtask is left.
      process.nextTick(() => {
        this.ripening = false
        this.ripe = brought
        if (this.brought > brought) this.ripen()
        this.onWork()
      })
    })
  }

  /** Somebody may still cancel the next unit before it begins. */
  private get ripens(): boolean {
    if (this.brought === this.ripe) return false
    const unit = this.head()
    return Job.is(unit) && unit.arrival > this.ripe
  }

  private admit(unit: Unit<In, Out, E>): void {
    this.accepted++
    if (Job.is(unit)) unit.phase = "queued"
    this.put(unit)
  }

  private put(unit: Unit<In, Out, E>): void {
    const priority = priorityOf(unit)
    const lane = this.top.priority === priority ? this.top : this.lane(priority)
    const now = this.now()
    if (lane.written !== now) {
      lane.items.push(new Stamp(now))
      lane.written = now
    }
    lane.items.push(unit)
    this.waiting++
  }

  private lane(priority: number): Lane<Unit<In, Out, E>> {
    let lane = this.lanes.get(priority)
    if (lane === undefined) {
      lane = new Lane(priority)
      this.lanes.set(priority, lane)
      this.order.push(lane)
      this.top = this.order.peek() as Lane<Unit<In, Out, E>>
    }
    return lane
  }

  // ---------------------------------------------------------------------------------------------------- out

  /** How many units could be taken now. */
  get available(): number {
    const handsOver = this.waiting === 0 && this.limit === 0 && this.places() > 0
    const count = handsOver ? this.sendersWaiting : this.waiting
    return count > 0 && this.ripens ? 0 : count
  }

  /** The next unit, after which senders may have room; only to be called when `available > 0`. */
  take(): Unit<In, Out, E> {
    const unit = this.next()
    this.refill()
    return unit
  }

  poll<Def>(none: Def): Unit<In, Out, E> | Def {
    return this.available > 0 ? this.next() : none
  }

  pollUpTo(limit: number): Chunk.Chunk<Unit<In, Out, E>> {
    const units: Array<Unit<In, Out, E>> = []
    while (units.length < limit && this.waiting > 0) units.push(this.next())
    return Chunk.unsafeFromArray(units)
  }

  unsafeOnQueueEmptySpace(): void {
    this.refill()
  }

  /** A queued job is cancelled. It stays where it is and is passed over. */
  discard(job: Job<In, Out, E>): void {
    job.phase = "settled"
    this.waiting--
    this.dead++
    if (this.dead > this.waiting + DEAD) this.sweep()
    this.refill()
  }

  /** Drops the cancelled units, and the lanes that are empty without them. */
  private sweep(): void {
    for (const lane of this.lanes.values()) {
      lane.sweep((unit) => Job.is(unit) && unit.phase === "settled")
      if (lane.items.length === 0 && lane !== this.top) this.lanes.delete(lane.priority)
    }
    this.order.retain((lane) => this.lanes.has(lane.priority))
    this.dead = 0
  }

  private next(): Unit<In, Out, E> {
    if (this.waiting === 0) return this.handOver()
    const unit = this.head() as Unit<In, Out, E>
    this.waiting--
    this.top.items.shift()
    this.entered = this.top.read
    return unit
  }

  /** The unit that is taken next. */
  private head(): Unit<In, Out, E> | undefined {
    if (this.waiting === 0) return this.firstSender?.next
    while (true) {
      const lane = this.topLane()
      const item = lane.items.peek()
      if (Stamp.is(item)) lane.read = item.millis
      else if (Job.is(item) && item.phase === "settled") this.dead--
      else return item
      lane.items.shift()
    }
  }

  /**
   * The lane of the highest priority that holds anything. Emptied lanes are dropped, save the last.
   */
  private topLane(): Lane<Unit<In, Out, E>> {
    while (this.top.items.length === 0 && this.order.size > 1) {
      this.order.pop()
      this.lanes.delete(this.top.priority)
      this.top = this.order.peek() as Lane<Unit<In, Out, E>>
    }
    return this.top
  }

  /** Capacity 0: the gopher takes from the first sender. */
  private handOver(): Unit<In, Out, E> {
    this.accepted++
    this.entered = this.now()
    return this.nextOfSenders()
  }

  // ---------------------------------------------------------------------------------------------------- Queue

  capacity(): number {
    return this.limit
  }

  length(): number {
    return this.available
  }

  surplusSize(): number {
    return this.sendersWaiting
  }

  readonly shutdown = Effect.void

  onCompleteTakersWithEmptyQueue(): void {
    // Gophers take from here, not from the Queue: there are no takers.
  }
}
