import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { Condition } from "./condition.ts"
import { Gopher } from "./gopher.ts"

/**
 * Idle gophers beyond so many end: a fiber takes some 3 kB, and making one costs about as much as
 * ten small units.
 */
const IDLE = 64

/**
 * Milliseconds for which gophers that own a resource are made in one turn: 10,000 at once would
 * hold the event loop up for 0.1 s.
 */
const BIRTHS = 4

/**
 * The gophers of a herd: how many there should be, which there are, and who wakes whom.
 *
 * Gophers of a plain `process` are made when work asks for them; those that own a resource are
 * there before it. An idle gopher costs nothing: it waits in a list, and the one that was idle last
 * is woken first. Whoever adds work wakes at most one gopher, and each gopher that starts a unit
 * wakes the next: a burst of units that end at once is done by one of them.
 *
 * @internal
 */
export class Crew<In, Out, E> {
  size = 0
  /** Gophers retire or have retired, and their fibers have not ended. */
  private leaving = 0
  private readonly gophers = new Map<Fiber.RuntimeFiber<unknown, unknown>, Gopher<In, Out, E>>()
  private readonly idle: Array<Gopher<In, Out, E>> = []
  private waking: Gopher<In, Out, E> | undefined = undefined
  private readonly resident: boolean
  private readonly ready: () => boolean
  private readonly born: (gopher: Gopher<In, Out, E>) => Fiber.RuntimeFiber<void>
  private readonly died: (gopher: Gopher<In, Out, E>, exit: Exit.Exit<void>) => void
  private readonly askForTurn: () => void
  private disbanded = false

  /** No more gophers are live than the size allows. */
  readonly settled = new Condition(() => this.live <= this.size)

  constructor(options: {
    /** They own a resource: they are there before there is work, and never ended for being idle. */
    readonly resident: boolean
    /** May a unit start now? */
    readonly ready: () => boolean
    /** Starts the fiber. */
    readonly born: (gopher: Gopher<In, Out, E>) => Fiber.RuntimeFiber<void>
    /** The fiber has ended. */
    readonly died: (gopher: Gopher<In, Out, E>, exit: Exit.Exit<void>) => void
    /** There is something to do at the end of the turn. */
    readonly askForTurn: () => void
  }) {
    this.resident = options.resident
    this.ready = options.ready
    this.born = options.born
    this.died = options.died
    this.askForTurn = options.askForTurn
  }

  get live(): number {
    return this.gophers.size
  }

  // ---------------------------------------------------------------------------------------------------- size

  resize(size: number, interrupt: boolean): void {
    this.size = size
    if (this.surplus > 0) this.retireUnready()
    while (this.surplus > 0) {
      const gopher = this.idle.pop()
      if (gopher === undefined) break
      this.retire(gopher)
    }
    // Not idle any more, but not at work either: rather this one than one with a unit.
    if (this.surplus > 0 && this.waking !== undefined) this.retire(this.waking)
    if (interrupt && this.surplus > 0) this.interruptLatest()
    this.settled.check()
    this.fill()
    this.signal()
  }

  /** Ends every gopher for good, and waits until their fibers have ended. */
  readonly disband: Effect.Effect<void> = Effect.suspend(() => {
    this.disbanded = true
    this.idle.length = 0
    const gophers = Array.from(this.gophers.values())
    for (const gopher of gophers) this.interrupt(gopher)
    return Effect.forEach(gophers, ({ fiber }) => fiber === undefined ? Effect.void : Fiber.await(fiber), {
      discard: true
    })
  })

  /** Interrupts what the gopher is at, if anything; its fiber ends. */
  interrupt(gopher: Gopher<In, Out, E>): void {
    this.retire(gopher)
    // Between two units it looks at `retired` by itself.
    if (gopher.work !== undefined) gopher.fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  /** A fiber has forked. If it is a gopher's, the unit may leave children. */
  forked(parent: Fiber.RuntimeFiber<unknown, unknown>): void {
    const gopher = this.gophers.get(parent)
    if (gopher !== undefined) gopher.forked = true
  }

  /** The ids of the units that are being processed. */
  get workIds(): Array<string> {
    return Array.from(this.gophers.values()).flatMap(({ work }) => work === undefined ? [] : [work.id])
  }

  /** How many more than those at work could begin at once, or once so many others have ended. */
  free(working: number, ending = 0): number {
    const free = Math.max(0, this.size - working + ending)
    return this.resident ? Math.min(free, this.idle.length + (this.waking === undefined ? 0 : 1) + ending) : free
  }

  /** Gophers that have to go for the size to be kept. */
  private get surplus(): number {
    return this.live - this.leaving - this.size
  }

  /**
   * Those that are still acquiring their resource go first: they have no unit to lose, and may
   * never get it.
   */
  private retireUnready(): void {
    for (const gopher of this.gophers.values()) {
      if (this.surplus === 0) return
      if (!gopher.ready) this.retire(gopher)
    }
  }

  private interruptLatest(): void {
    const busy = Array.from(this.gophers.values()).filter((gopher) => !gopher.retired)
    busy.sort((self, that) => that.startedAt - self.startedAt)
    for (const gopher of busy.slice(0, this.surplus)) {
      gopher.putBack = true
      this.interrupt(gopher)
    }
  }

  /** The gopher's resource is broken: it ends once its unit has. */
  replace(gopher: Gopher<In, Out, E>): void {
    gopher.broken = true
    this.forgetIdle(gopher)
    this.retire(gopher)
  }

  /** If the gopher ends now, does a fresh one follow? Not if it was ending anyway. */
  replaces(gopher: Gopher<In, Out, E>): boolean {
    return !gopher.retired && this.surplus <= 0
  }

  private forgetIdle(gopher: Gopher<In, Out, E>): void {
    if (gopher.wake !== undefined) this.idle.splice(this.idle.indexOf(gopher), 1)
  }

  private retire(gopher: Gopher<In, Out, E>): void {
    if (gopher.retired) return
    gopher.retired = true
    this.leaving++
    if (gopher.ready) this.wake(gopher)
    else gopher.fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  // ---------------------------------------------------------------------------------------------------- work

  /**
   * There may be something to do: wakes a gopher, or makes one, unless one is already on its way.
   */
  signal(): void {
    if (this.waking !== undefined || !this.ready()) return
    const gopher = this.idle.pop()
    if (gopher !== undefined) {
      this.waking = gopher
      this.wake(gopher)
    } else if (this.live < this.size && !this.resident) {
      this.waking = this.spawn()
    }
  }

  /**
   * The gopher is between two units: should it take one? If not, it parks, or ends if it has been
   * retired here.
   */
  wants(gopher: Gopher<In, Out, E>): boolean {
    if (this.waking === gopher) this.waking = undefined
    if (gopher.retired) return false
    if (this.surplus > 0) {
      this.retire(gopher)
      return false
    }
    return this.ready()
  }

  /**
   * The gopher waits to be woken. `false`: it looks again, since there is work after all, or it is
   * not wanted any more.
   */
  park(gopher: Gopher<In, Out, E>, wake: () => void, hasWork: boolean): boolean {
    if (gopher.retired || this.ready()) return false
    const enough = !hasWork && !this.resident && this.idle.length >= IDLE
    if (enough || this.surplus > 0) {
      this.retire(gopher)
      return false
    }
    gopher.wake = wake
    this.idle.push(gopher)
    return true
  }

  private wake(gopher: Gopher<In, Out, E>): void {
    const wake = gopher.wake
    gopher.wake = undefined
    wake?.()
  }

  /** A turn of the event loop has ended. */
  endOfTurn(): void {
    this.fill()
    this.signal()
  }

  private fill(): void {
    if (!this.lacks) return
    const until = performance.now() + BIRTHS
    do this.spawn()
    while (this.lacks && performance.now() < until)
    if (this.lacks) this.askForTurn()
  }

  private get lacks(): boolean {
    return this.resident && !this.disbanded && this.live < this.size
  }

  private spawn(breaks = 0): Gopher<In, Out, E> {
    const gopher = new Gopher<In, Out, E>(breaks)
    const fiber = gopher.fiber = this.born(gopher)
    this.gophers.set(fiber, gopher)
    fiber.addObserver((exit) => {
      this.gophers.delete(fiber)
      if (gopher.retired) this.leaving--
      if (this.waking === gopher) this.waking = undefined
      // An idle gopher ends only after it was woken: somebody else has interrupted its fiber.
      this.forgetIdle(gopher)
      this.died(gopher, exit)
      this.settled.check()
      if (gopher.broken && this.lacks) this.spawn(gopher.proven ? 0 : gopher.breaks + 1)
      this.fill()
      this.signal()
    })
    return gopher
  }
}
