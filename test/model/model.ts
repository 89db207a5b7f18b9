/**
 * A herd as plain data: no fibers, no Effects, no event loop. It says what a real one has to look
 * like whenever nothing more happens by itself.
 */
import { type Attempt, type Config, type End, goesBack, type Plan } from "./commands.ts"

/** Where an outcome goes: to the readers of `outcomes`, or to the one who asked for it. */
export interface Place {
  readonly kind: "outcomes" | "run" | "stream"
  /** What became of its units. */
  readonly settled: Map<number, Settled>
}

export type Settled = "success" | "failure" | "interrupted"

export interface Unit {
  readonly n: number
  readonly plan: Plan
  readonly priority: number
  readonly place: Place
  /** Attempts that ended. */
  attempts: number
  /** Gophers that broke while they were at it. */
  crashes: number
  wentBack: boolean
  phase: "new" | "queued" | "running" | "retrying" | "settled"
  cancelled: boolean
}

/** Somebody who brings units; all of them have entered, or the rest waits for room. */
export interface Sender {
  readonly units: ReadonlyArray<Unit>
  readonly priority: number
  /** Units that have entered. */
  entered: number
  end: "entering" | "done" | "closed" | "gone"
}

interface Gopher {
  /** The number of the attempt to acquire its resource. */
  id: number
  unit: Unit | undefined
  /** When it tries again to acquire its resource, and how often it has tried in vain. */
  due: number | undefined
  failures: number
  /** It goes as soon as it can. */
  leaving: boolean
  /** A shrink, or the resource, wants the unit back in the queue. */
  putBack: boolean
  /** Its resource is broken. */
  broken: boolean
  /** Gophers before it that broke in a row without being proven. */
  readonly breaks: number
  maxCrashes: number
}

const gopherOf = (unit: Unit | undefined, due: number | undefined, breaks = 0): Gopher => ({
  id: 0,
  unit,
  due,
  failures: 0,
  leaving: false,
  putBack: false,
  broken: false,
  breaks,
  maxCrashes: Infinity
})

const first = <A>(items: ReadonlyArray<A>, before: (self: A, that: A) => boolean): A | undefined =>
  items.reduce<A | undefined>((best, item) => best === undefined || before(item, best) ? item : best, undefined)

const remove = <A>(items: Array<A>, item: A): void => {
  const at = items.indexOf(item)
  if (at !== -1) items.splice(at, 1)
}

export class Model {
  readonly config: Config
  now = 0
  size: number
  paused = false
  closed = false
  life: "open" | "draining" | "stopping" | "stopped" = "open"
  /** When the scope closes at the latest, once it began to. */
  deadline = Infinity

  /** In the order in which they are going to start. */
  readonly queue: Array<Unit> = []
  readonly retrying: Array<{ readonly unit: Unit; readonly due: number }> = []
  /** Those who wait for room, in order of arrival. */
  readonly waiting: Array<Sender> = []
  /**
   * Those who may bring more, since their last unit has just entered: when they do is left to the
   * herd.
   */
  readonly resuming: Array<Sender> = []
  /**
   * Those at work in order of their starts; those with a resource also when they are idle or
   * acquire it.
   */
  readonly gophers: Array<Gopher> = []

  accepted = 0
  succeeded = 0
  retried = 0
  failed = 0
  interrupted = 0
  resizes = 0
  acquireFailures = 0
  /** Gophers that were replaced. */
  replacements = 0
  /** Attempts that started, as unit and number of the attempt, in order. */
  readonly starts: Array<string> = []
  /** Attempts that ended. */
  ends = 0
  /** Units that died while they were interrupted: nobody is left to run a callback. */
  diedInterrupted = 0
  /** Units that a shrink has put back. */
  putBacks = 0
  /** Senders that had to wait for room. */
  waits = 0
  /** Units that units gave to their own herd. */
  givenInside = 0
  /** What a herd that has stopped goes on to show, since its name may be another's. */
  pausedAtEnd = false
  /** Outcomes that wait for a reader, and whether one is there. */
  unread = 0
  attached = false
  acquired = 0
  /** From here on every resource can be acquired. */
  healthy = false

  /** Which of the gophers took each of the units: that is left to the herd. */
  private readonly startedOn: ReadonlyArray<number>
  /** The gophers that have a resource, by their number: the herd says who is who. */
  private readonly known = new Map<number, {
    /** An attempt has ended on it while it was not broken. */
    proven: boolean
    readonly breaks: number
  }>()

  constructor(config: Config, startedOn: ReadonlyArray<number>) {
    this.config = config
    this.startedOn = startedOn
    this.size = config.size
    this.fill()
  }

  get running(): Array<Unit> {
    return this.gophers.flatMap(({ unit }) => unit === undefined ? [] : [unit])
  }

  get settled(): number {
    return this.succeeded + this.failed + this.interrupted
  }

  get drained(): boolean {
    return this.closed && this.accepted === this.settled
  }

  state() {
    return {
      size: this.size,
      running: this.running.length,
      queued: this.queue.length,
      retrying: this.retrying.length,
      senders: this.waiting.length,
      accepted: this.accepted,
      succeeded: this.succeeded,
      retried: this.retried,
      failed: this.failed,
      interrupted: this.interrupted,
      paused: this.paused,
      closed: this.closed,
      drained: this.drained
    }
  }

  // ---------------------------------------------------------------------------------------------------- entering

  /** Units that may enter now. */
  private get room(): number {
    return Math.max(0, this.config.capacity - this.queue.length - this.retrying.length)
  }

  /** Capacity 0: units that may go straight to a gopher. */
  private get handOvers(): number {
    return this.config.capacity > 0 ? 0 : this.size - this.running.length - this.retrying.length
  }

  /** What comes from inside one of the herd's own units enters whatever room there is (G19). */
  bring(units: ReadonlyArray<Unit>, priority: number, inside: boolean): Sender {
    const sender: Sender = { units, priority, entered: 0, end: "entering" }
    if (this.closed) {
      sender.end = "closed"
      return sender
    }
    if (inside) {
      while (sender.entered < units.length) this.enter(sender)
      this.givenInside += units.length
    }
    this.go(sender)
    return sender
  }

  /** Enters what there is room for; the rest waits. */
  private go(sender: Sender): void {
    while (sender.entered < sender.units.length && this.mayEnter(sender.priority) && this.room > 0) this.enter(sender)
    if (sender.entered === sender.units.length) sender.end = "done"
    else {
      this.waits++
      this.waiting.push(sender)
      this.refill()
    }
  }

  private enter(sender: Sender): void {
    const unit = sender.units[sender.entered++] as Unit
    this.accepted++
    this.enqueue(unit)
  }

  /**
   * Those who wait for room come before others, save before those of a higher priority than theirs
   * and than all units.
   */
  private mayEnter(priority: number): boolean {
    const sender = this.firstWaiting
    return sender === undefined || (priority > sender.priority && this.overtakes(priority))
  }

  private overtakes(priority: number): boolean {
    return priority > (this.queue[0]?.priority ?? -Infinity)
  }

  private get firstWaiting(): Sender | undefined {
    return first(this.waiting, (self, that) => self.priority > that.priority)
  }

  tryBring(unit: Unit, inside: boolean): boolean {
    if (inside) {
      this.givenInside++
      this.accepted++
      this.enqueue(unit)
      return true
    }
    if (!this.mayEnter(unit.priority)) return false
    const room = this.config.capacity > 0 ? this.room : Math.min(this.free, this.handOvers) - this.queue.length
    if (room <= 0) return false
    this.accepted++
    this.enqueue(unit)
    return true
  }

  private enqueue(unit: Unit): void {
    unit.phase = "queued"
    const after = this.queue.findIndex((other) => other.priority < unit.priority)
    this.queue.splice(after === -1 ? this.queue.length : after, 0, unit)
  }

  private get wellFilled(): boolean {
    return this.queue.length > 0 && this.queue.length + this.retrying.length > Math.floor(this.config.capacity / 2)
  }

  /**
   * Those who wait go on once half of the capacity is free, or nothing is queued; those of a higher
   * priority before.
   */
  private refill(): void {
    const { wellFilled } = this
    while (this.room > 0 && this.goesOn(wellFilled)) this.enterNext()
  }

  private goesOn(wellFilled: boolean): boolean {
    const sender = this.firstWaiting
    return sender !== undefined && (!wellFilled || this.overtakes(sender.priority))
  }

  private enterNext(): Unit {
    const sender = this.firstWaiting as Sender
    remove(this.waiting, sender)
    const unit = sender.units[sender.entered] as Unit
    this.enter(sender)
    if (sender.entered === sender.units.length) sender.end = "done"
    else this.resuming.push(sender)
    return unit
  }

  // ---------------------------------------------------------------------------------------------------- size

  /** Live gophers that have to go. */
  private get surplus(): number {
    return this.gophers.filter((gopher) => !isGoing(gopher)).length - this.size
  }

  get leaving(): number {
    return this.gophers.filter(isGoing).length
  }

  /** Gophers that could start a unit now. */
  private get free(): number {
    if (this.paused || this.life === "stopping" || this.life === "stopped" || this.heldUp) return 0
    const free = Math.max(0, this.size - this.running.length)
    return this.config.gopher === undefined ? free : Math.min(free, this.gophers.filter(isIdle).length)
  }

  private get heldUp(): boolean {
    return this.config.outcomes !== "discard" && this.unread >= this.config.outcomes
  }

  resize(to: number, mode: "graceful" | "interrupt"): void {
    if (to !== this.size && this.life !== "stopped") this.resizes++
    this.size = to
    for (const rests of [isAcquiring, isIdle]) {
      for (const gopher of this.gophers.filter(rests)) if (this.surplus > 0) remove(this.gophers, gopher)
    }
    if (mode === "interrupt") {
      for (const gopher of this.gophers.filter((gopher) => !isGoing(gopher)).toReversed()) {
        if (this.surplus > 0) {
          gopher.leaving = true
          gopher.putBack = true
        }
      }
    }
    this.fill()
  }

  /** Gophers with a resource are there before there is work. */
  private fill(): void {
    if (this.config.gopher === undefined || this.life === "stopping" || this.life === "stopped") return
    while (this.gophers.length < this.size) {
      this.gophers.push(gopherOf(undefined, this.now))
    }
  }

  private acquire(gopher: Gopher): void {
    const { acquires } = this.config.gopher as NonNullable<Config["gopher"]>
    const ok = this.healthy || acquires[this.acquired % acquires.length] === "succeed"
    gopher.id = this.acquired++
    if (ok) {
      this.known.set(gopher.id, { proven: false, breaks: gopher.breaks })
      gopher.due = undefined
      return
    }
    this.acquireFailures++
    gopher.due = this.now + Math.min(30_000, 100 * 2 ** gopher.failures++)
  }

  // ---------------------------------------------------------------------------------------------------- working

  /** All that happens by itself. */
  pump(): void {
    while (true) {
      this.land()
      for (const gopher of this.gophers.filter(({ due = Infinity }) => due <= this.now)) this.acquire(gopher)
      if (this.free > 0 && this.startNext()) continue
      if (this.life === "draining" && (this.drained || this.now >= this.deadline)) this.disband()
      else if (this.life === "stopping" && this.gophers.length === 0) this.end()
      else return
    }
  }

  private startNext(): boolean {
    let unit = this.queue.shift()
    if (unit !== undefined) this.refill()
    else if (this.waiting.length > 0 && this.handOvers > 0) {
      unit = this.enterNext()
      remove(this.queue, unit)
    } else if (this.resuming.length > 0 && (this.handOvers > 0 || this.room > 0)) {
      this.go(this.resuming.shift() as Sender)
      return true
    } else return false
    this.start(unit)
    return true
  }

  private start(unit: Unit): void {
    unit.phase = "running"
    this.starts.push(`${unit.n}, attempt ${unit.attempts + 1}`)
    const idle = this.gophers.filter(isIdle)
    const id = this.startedOn[this.starts.length - 1]
    let gopher = idle.find((gopher) => gopher.id === id) ?? idle[0]
    if (gopher === undefined) {
      gopher = gopherOf(unit, undefined)
    } else {
      gopher.id = id ?? gopher.id
      gopher.unit = unit
      remove(this.gophers, gopher)
    }
    this.gophers.push(gopher)
    const attempt = attemptOf(unit)
    if (attempt === "wait" || attempt === "hold") return
    const { gopher: { breaks, maxCrashes = Infinity } = { breaks: false } } = this.config
    if (attempt === "break") {
      if (breaks) {
        this.break(gopher, "stays")
        gopher.maxCrashes = Math.min(gopher.maxCrashes, maxCrashes)
      }
      this.finish(gopher, "fail")
    } else if (attempt === "go back") {
      if (unit.wentBack || !goesBack(this.config, unit.plan)) return this.finish(gopher, "succeed")
      unit.wentBack = true
      this.break(gopher, "goes back")
      this.interruptNow(gopher)
    } else {
      this.finish(gopher, attempt)
    }
  }

  /**
   * These are the gophers that have a resource: which of the idle ones a shrink took is left to the
   * herd.
   */
  identify(ids: ReadonlyArray<number>): void {
    const unnamed = ids.filter((id) => this.gophers.every((gopher) => gopher.due !== undefined || gopher.id !== id))
    for (const gopher of this.gophers.filter(isIdle)) {
      if (!ids.includes(gopher.id)) gopher.id = unnamed.pop() ?? gopher.id
    }
  }

  /** The gopher's resource breaks. */
  break(gopher: Gopher, unit: "stays" | "goes back"): void {
    if (!isGoing(gopher) && this.surplus <= 0) this.replacements++
    gopher.broken = true
    if (gopher.unit === undefined) return this.leave(gopher)
    if (unit === "stays") return
    gopher.leaving = true
    gopher.putBack = true
  }

  /** What was interrupted and can be ends. */
  private land(): void {
    for (const gopher of this.gophers.filter(({ leaving }) => leaving).toReversed()) {
      if (gopher.unit !== undefined && attemptOf(gopher.unit) === "wait") this.interruptNow(gopher)
    }
  }

  private interruptNow(gopher: Gopher, as: Settled = "interrupted"): void {
    const unit = gopher.unit as Unit
    if (gopher.putBack && this.life !== "stopping" && !unit.cancelled) {
      unit.phase = "queued"
      this.putBacks++
      const at = this.queue.findIndex((other) => other.priority <= unit.priority)
      this.queue.splice(at === -1 ? this.queue.length : at, 0, unit)
    } else {
      this.ends++
      unit.attempts++
      this.settle(unit, as)
      if (as === "failure") this.diedInterrupted++
    }
    this.leave(gopher)
  }

  /** The attempt that waits ends as it is told. */
  finishUnit(unit: Unit, as: End): void {
    const gopher = this.gophers.find((gopher) => gopher.unit === unit) as Gopher
    // It was interrupted and could not be: now it can, and what it ends with is lost, save a
    // defect.
    if (gopher.leaving) this.interruptNow(gopher, as === "die" ? "failure" : "interrupted")
    else this.finish(gopher, as)
  }

  private finish(gopher: Gopher, as: Exclude<Attempt, "wait" | "hold" | "break" | "go back">): void {
    const unit = gopher.unit as Unit
    const { retry } = this.config
    unit.attempts++
    this.ends++
    gopher.unit = undefined
    if (gopher.broken) unit.crashes++
    else {
      const known = this.known.get(gopher.id)
      if (known !== undefined) known.proven = true
    }
    const poison = gopher.broken && unit.crashes >= gopher.maxCrashes
    if (as === "succeed") this.settle(unit, "success")
    else if (as === "interrupt itself") this.settle(unit, "interrupted")
    else if (as !== "fail" || retry === undefined || poison || unit.attempts > retry.times) this.settle(unit, "failure")
    else {
      this.retried++
      const delay = retry.grows ? retry.delay * 2 ** (unit.attempts - 1) : retry.delay
      if (delay === 0) this.enqueue(unit)
      else {
        unit.phase = "retrying"
        this.retrying.push({ unit, due: this.now + delay })
      }
    }
    const died = as === "die" || as === "throw" || as === "nonsense"
    if (this.config.gopher !== undefined && died && !isGoing(gopher) && this.surplus <= 0) {
      this.replacements++
    }
    if (this.config.gopher === undefined || died || gopher.broken || this.surplus > 0) this.leave(gopher)
  }

  private leave(gopher: Gopher): void {
    remove(this.gophers, gopher)
    // Of those that broke, a fresh one follows later if they did so at once.
    if (gopher.broken && this.gophers.length < this.size && this.life !== "stopping" && this.life !== "stopped") {
      const { breaks: before, proven } = this.known.get(gopher.id) ?? { breaks: 0, proven: false }
      const breaks = proven ? 0 : before + 1
      const delay = breaks === 0 ? 0 : Math.min(30_000, 100 * 2 ** (breaks - 1))
      this.gophers.push(gopherOf(undefined, this.now + delay, breaks))
    }
    this.fill()
  }

  private settle(unit: Unit, as: Settled): void {
    unit.phase = "settled"
    if (as === "success") this.succeeded++
    else if (as === "failure") this.failed++
    else this.interrupted++
    if (unit.place.settled.has(unit.n)) throw new Error(`expected unit ${unit.n} to settle once, got twice`)
    unit.place.settled.set(unit.n, as)
    if (unit.place.kind === "outcomes" && this.config.outcomes !== "discard" && !this.attached) this.unread++
  }

  // ---------------------------------------------------------------------------------------------------- the others

  cancel(unit: Unit): void {
    switch (unit.phase) {
      case "new":
      case "settled":
        return
      case "queued":
        remove(this.queue, unit)
        break
      case "retrying":
        this.retrying.splice(this.retrying.findIndex((entry) => entry.unit === unit), 1)
        break
      case "running": {
        const gopher = this.gophers.find((gopher) => gopher.unit === unit) as Gopher
        unit.cancelled = true
        gopher.leaving = true
        return
      }
    }
    this.settle(unit, "interrupted")
    this.refill()
  }

  withdraw(sender: Sender): void {
    if (sender.end === "entering") sender.end = "gone"
    remove(this.waiting, sender)
  }

  close(): void {
    this.closed = true
    for (const sender of this.waiting.splice(0)) sender.end = "closed"
  }

  stop(): void {
    if (this.life !== "open") return
    this.close()
    this.life = "draining"
    this.deadline = this.now + this.config.gracePeriod
  }

  private disband(): void {
    this.life = "stopping"
    for (const gopher of Array.from(this.gophers)) {
      if (gopher.unit === undefined) remove(this.gophers, gopher)
      gopher.leaving = true
    }
  }

  private end(): void {
    for (const unit of [...this.retrying.splice(0).map(({ unit }) => unit), ...this.queue.splice(0)]) {
      this.settle(unit, "interrupted")
    }
    this.life = "stopped"
    this.size = 0
    this.pausedAtEnd = this.paused
  }

  attach(): void {
    this.attached = this.config.outcomes !== "discard"
    this.unread = 0
  }

  /** The next time at which something happens by itself. */
  get next(): number {
    return Math.min(
      this.life === "draining" ? this.deadline : Infinity,
      ...this.retrying.map(({ due }) => due),
      ...this.gophers.map(({ due = Infinity }) => due)
    )
  }

  /** The clock has come to `next`, or to a time before it. */
  tick(now: number): void {
    this.now = now
    for (const entry of this.retrying.filter(({ due }) => due <= now)) {
      remove(this.retrying, entry)
      this.enqueue(entry.unit)
    }
  }

  /**
   * Somebody who brings several units and waited for room goes on in a fiber of its own: how many
   * of the rest had entered when nothing more happened is left to the herd, within the bounds of
   * the capacity. The herd says how many it has accepted.
   */
  reconcile(accepted: number): void {
    while (this.accepted < accepted && this.room > 0) {
      const sender = this.resuming[0] ?? this.firstWaiting
      if (sender === undefined || sender.units.length === 1) return
      this.enter(sender)
      if (sender.entered === sender.units.length) {
        sender.end = "done"
        remove(this.resuming, sender)
        remove(this.waiting, sender)
      }
    }
    for (const sender of this.resuming.splice(0)) {
      if (this.closed) sender.end = "closed"
      else this.waiting.push(sender)
    }
  }

  /** Somebody waits for room though he need not. */
  get keepsWaiting(): boolean {
    return this.room > 0 && this.goesOn(this.wellFilled)
  }
}

const isIdle = (gopher: Gopher): boolean => gopher.unit === undefined && gopher.due === undefined && !isGoing(gopher)

/** It takes no further unit. */
const isGoing = (gopher: Gopher): boolean => gopher.leaving || gopher.broken

const isAcquiring = (gopher: Gopher): boolean => gopher.due !== undefined

const attemptOf = (unit: Unit): Attempt => {
  const { attempts } = unit.plan
  return attempts[Math.min(unit.attempts, attempts.length - 1)] as Attempt
}
