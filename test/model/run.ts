/** Runs a sequence of commands against the model and the herd side by side. */
import { Effect, type Fiber } from "effect"
import type { Outcome } from "gofherd"
import { holds, same, sameFields, sameList } from "./check.ts"
import type { Act, Command, Config, Plan } from "./commands.ts"
import { ROOMY } from "./commands.ts"
import type { Place, Sender, Unit } from "./model.ts"
import { Model } from "./model.ts"
import { type Time, virtual } from "./time.ts"
import { endOf, World } from "./world.ts"

/** Somebody who asked the herd for something, and may wait. */
interface Asker {
  readonly kind: "send" | "sendAll" | "run" | "stream"
  readonly units: ReadonlyArray<Unit>
  readonly sender: Sender
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  /** The input of the stream fails after its last unit. */
  readonly fails: boolean
  /** Outcomes that the stream has brought. */
  readonly received: Map<number, Outcome.Outcome.Status>
  cancelled: boolean
}

class Sequence {
  private readonly config: Config
  readonly model: Model
  private readonly world: World
  private readonly time: Time
  private readonly outcomes: Place = { kind: "outcomes", settled: new Map() }
  private readonly askers: Array<Asker> = []
  private units = 0

  /**
   * What it grows to in the end: several threads would leave it to chance whose unit ends first.
   */
  private readonly most: number

  constructor(config: Config, time: Time, worker: URL | undefined) {
    this.config = config
    this.time = time
    this.most = worker === undefined ? 3 : 1
    this.world = new World(config, time.runtime, worker)
    this.model = new Model(config, this.world.startedOn)
  }

  async run(commands: ReadonlyArray<Command>): Promise<void> {
    try {
      await this.compare()
      for (const command of commands) await this.step(command)
      await this.end()
    } catch (error) {
      this.world.abandon()
      throw error
    }
  }

  // ---------------------------------------------------------------------------------------------------- commands

  private async do(command: Command): Promise<void> {
    const { model, world } = this
    switch (command.do) {
      case "burst":
        for (const act of this.inOrder(command.acts)) this.act(act)
        return
      case "sendAll":
        if (this.mayBringMany) this.ask("sendAll", command.plans, this.tight ? 0 : command.priority)
        return
      case "stream":
        if (this.mayBringMany) this.ask("stream", command.plans, 0, { fails: command.fails })
        return
      case "inside": {
        const { gives, nth, plans, priority } = command
        const from = model.running[nth % model.running.length]
        if (from === undefined) return
        if (gives === "trySend") return this.trySend(plans[0] as Plan, priority, from)
        if (gives === "stream") return this.ask(gives, plans, 0, { from })
        return this.ask(gives, gives === "sendAll" ? plans : plans.slice(0, 1), priority, { from })
      }
      case "cancel": {
        const waiting = this.askers.filter((asker) => !asker.cancelled && this.expected(asker) === undefined)
        const asker = waiting[command.nth % waiting.length]
        if (asker === undefined) return
        asker.cancelled = true
        model.withdraw(asker.sender)
        if (asker.kind === "run" || asker.kind === "stream") { for (const unit of asker.units) model.cancel(unit) }
        asker.fiber.unsafeInterruptAsFork(asker.fiber.id())
        return
      }
      case "finish": {
        const waiting = model.running
        const unit = waiting[command.nth % waiting.length]
        if (unit === undefined) return
        model.finishUnit(unit, command.as)
        world.finish(unit.n, command.as)
        return
      }
      case "break": {
        if (!this.config.gopher?.breaks) return
        const gophers = model.gophers.filter(({ due }) => due === undefined)
        const gopher = gophers.toSorted((self, that) => self.id - that.id)[command.nth % gophers.length]
        if (gopher === undefined) return
        model.break(gopher, command.unit)
        return world.break(gopher.id, command.unit)
      }
      case "read":
        // Of a herd that has stopped they come in several batches.
        if (model.attached || model.unread === 0 || model.life === "stopped") return
        model.unread = 0
        return void await world.read()
      case "attach":
        model.attach()
        return world.attach()
      case "detach":
        model.attached = false
        return void await world.detach()
      case "advance":
        return this.advance(model.now + command.tens * 10)
      case "stop":
        model.stop()
        return world.stop()
      default:
        this.act(command)
    }
  }

  private act(act: Act): void {
    const { model, world } = this
    switch (act.do) {
      case "send":
      case "run":
        return this.ask(act.do, [act.plan], act.priority)
      case "trySend":
        return this.trySend(act.plan, act.priority)
      case "resize": {
        // Interrupted units are put back as they end, and one that has children takes longer.
        const byChance = model.running.length > 1 && model.running.some(({ plan }) => plan.forks)
        const mode = byChance ? "graceful" : act.mode
        model.resize(act.to, mode)
        return world.resize(act.to, mode)
      }
      case "grow":
      case "shrink": {
        const to = model.size + (act.do === "grow" ? act.by : -act.by)
        const done = world.now(Effect.option(world.herd[act.do](act.by)))
        same(act.do, done._tag, to < 0 ? "None" : "Some")
        if (to >= 0) model.resize(to, "graceful")
        return
      }
      case "pause":
        model.paused = true
        return world.now(world.herd.pause)
      case "resume":
        model.paused = false
        return world.now(world.herd.resume)
      case "close":
        model.close()
        return world.now(world.herd.close)
    }
  }

  private trySend(plan: Plan, priority: number, from?: Unit): void {
    const { model, world } = this
    const unit = this.unit(plan, priority, this.outcomes)
    const expected = model.closed ? "closed" : model.tryBring(unit, from !== undefined)
    const trying = world.herd.trySend(bodyOf(unit), { priority })
    const got = world.now(Effect.merge(Effect.mapError(trying, () => "closed")), from?.n)
    same("trySend", got, expected)
  }

  private get tight(): boolean {
    return this.config.capacity < ROOMY
  }

  /**
   * Who waits with several units goes on in a fiber of its own: two of them, or retries, would
   * leave the order to chance.
   */
  private get mayBringMany(): boolean {
    return !this.tight ||
      (this.config.retry === undefined && this.model.waiting.every(({ units }) => units.length === 1))
  }

  /**
   * What is left to chance is not done at once. An interrupted unit takes its time to end, and
   * others may overtake it, so an interruption comes last. And a gopher with a resource that is on
   * its way, to its unit or to its end, may count or not, so there is one resize, and it comes
   * first.
   */
  private inOrder(acts: ReadonlyArray<Act>): ReadonlyArray<Act> {
    const resizes = (act: Act) => act.do === "resize" || act.do === "grow" || act.do === "shrink"
    const sorted = this.config.gopher === undefined
      ? acts
      : [...acts.filter(resizes).slice(-1), ...acts.filter((act) => !resizes(act))]
    return sorted.map((act, n) =>
      act.do === "resize" && n < sorted.length - 1 ? { do: act.do, to: act.to, mode: "graceful" } : act
    )
  }

  private unit(plan: Plan, priority: number, place: Place): Unit {
    return {
      n: ++this.units,
      plan,
      priority,
      place,
      attempts: 0,
      crashes: 0,
      wentBack: false,
      phase: "new",
      cancelled: false
    }
  }

  private ask(
    kind: Asker["kind"],
    plans: ReadonlyArray<Plan>,
    priority: number,
    { fails = false, from }: { readonly fails?: boolean; readonly from?: Unit } = {}
  ): void {
    const place: Place = kind === "send" || kind === "sendAll" ? this.outcomes : { kind, settled: new Map() }
    const units = plans.map((plan) => this.unit(plan, priority, place))
    const sender = this.model.bring(units, priority, from !== undefined)
    const received: Asker["received"] = new Map()
    const fiber = this.world.give(kind, units.map(bodyOf), priority, { received, fails, from: from?.n })
    this.askers.push({ kind, units, sender, fiber, fails, received, cancelled: false })
  }

  /** Lets everything happen that is due by then, one after the other. */
  private async advance(to: number): Promise<void> {
    const { model, time } = this
    while (model.next <= to) {
      const { next } = model
      await time.set(next)
      model.tick(next)
      await this.compare()
    }
    await time.set(to)
    model.tick(to)
  }

  // ---------------------------------------------------------------------------------------------------- comparing

  private async compare(): Promise<void> {
    const { model, world } = this
    await world.still()
    model.pump()
    const state = world.checkWatchers()
    const { live } = state
    model.reconcile(state.accepted)
    model.pump()
    model.identify(Array.from(world.gophers.keys()))
    sameList("starts (G15)", world.starts, model.starts)
    sameFields("state", state, model.state())
    holds(!model.keepsWaiting, "a sender waits though there is room")
    if (this.config.gopher !== undefined && model.life !== "stopped") {
      same("live", live, model.gophers.length)
    } else {
      const most = Math.max(state.size, state.running) + model.leaving
      holds(live <= most, `${live} gophers, at most ${most} expected`)
    }
    const stopped = model.life === "stopped"
    sameFields("metrics", world.metrics(), {
      success: model.succeeded,
      retry: model.retried,
      failure: model.failed,
      interrupted: model.interrupted,
      resizes: model.resizes,
      acquireFailures: model.acquireFailures,
      replacements: model.replacements,
      attempts: model.ends,
      waits: model.starts.length,
      size: stopped ? 0 : model.size,
      running: state.running,
      queued: state.queued,
      retrying: state.retrying,
      senders: state.senders,
      paused: (stopped ? model.pausedAtEnd : model.paused) ? 1 : 0
    })
    for (const asker of this.askers) this.compareAsker(asker)
    if (this.config.outcomes !== "discard") {
      same("outcomes delivered", world.delivered.size, this.outcomes.settled.size - model.unread)
      for (const [n, status] of world.delivered) same(`unit ${n}`, status, this.outcomes.settled.get(n))
    }
    same("scope closed", world.stopped, model.life === "stopped")
  }

  private compareAsker(asker: Asker): void {
    const { cancelled, fiber, kind, received, sender, units } = asker
    if (cancelled) {
      const waits = units.some(({ phase }) => phase === "running")
      const own = kind === "run" || kind === "stream"
      return same(`${kind}, cancelled, waits`, fiber.unsafePoll() === null, own && waits)
    }
    same(`${kind} of ${units.map(({ n }) => n)}`, endOf(fiber), this.expected(asker))
    if (kind !== "stream") return
    sameList("outcomes of the stream", sorted(received), sorted(units[0]?.place.settled ?? new Map()))
    if (sender.end === "done") same("units entered", sender.entered, units.length)
  }

  /** What has to have become of those who asked: `undefined` while they wait. */
  private expected({ fails, kind, sender, units }: Asker): string | undefined {
    const { end, entered } = sender
    if (end === "entering") return undefined
    if (kind === "send" || kind === "sendAll") return end === "closed" ? `closed after ${entered}` : "success"
    if (units.slice(0, entered).some(({ phase }) => phase !== "settled")) return undefined
    if (kind === "run") return end === "closed" ? "closed after 0" : units[0]?.place.settled.get(units[0].n)
    if (end === "closed" && units.length > 0) return `closed after ${entered}`
    return fails ? "input failed" : "success"
  }

  // ---------------------------------------------------------------------------------------------------- the end

  /** The herd ends, drained or not, and then everything has settled and nothing is left. */
  private async end(): Promise<void> {
    const { model, world } = this
    model.healthy = world.healthy = true
    if (this.config.ending === "drain") {
      for (const command of [{ do: "resume" }, { do: "attach" }, { do: "close" }] as const) await this.step(command)
      await this.step({ do: "resize", to: this.most, mode: "graceful" })
      for (let n = 0; !model.drained; n++) await this.goOn(n)
    }
    await this.step({ do: "stop" })
    for (let n = 0; model.life !== "stopped"; n++) await this.goOn(n)
    await this.step({ do: "attach" })
    same("units settled", model.settled, model.accepted)
    holds(world.look().drained, "the herd is drained")
    const { callbacks, config } = this.world
    if (config.callbacks !== "none") {
      const { diedInterrupted, failed, retried, succeeded } = model
      const expected = { success: succeeded, retry: retried, failure: failed - diedInterrupted }
      sameFields("callbacks (G14)", callbacks, expected)
    }
    if (config.outcomes !== "discard") {
      sameList("every unit settles once (G2)", sorted(world.delivered), sorted(this.outcomes.settled))
      holds(world.reader !== undefined && endOf(world.reader) === "success", "`outcomes` has ended")
    }
    world.checkEnd()
    same("sleeping fibers", this.time.sleeping(), 0)
  }

  private async step(command: Command): Promise<void> {
    await this.do(command)
    await this.compare()
  }

  private goOn(n: number): Promise<void> {
    if (n > 1000) throw new Error("expected the herd to come to an end, got 1000 steps")
    const waits = this.model.running.length > 0
    return this.step(waits ? { do: "finish", nth: 0, as: "succeed" } : { do: "advance", tens: 100 })
  }
}

const bodyOf = ({ n, plan }: Unit) => ({ n, plan })

const sorted = <A>(map: ReadonlyMap<number, A>) => Array.from(map).toSorted(([self], [that]) => self - that)

export const run = async (
  config: Config,
  commands: ReadonlyArray<Command>,
  time: Time = virtual(),
  worker?: URL
): Promise<Model> => {
  const sequence = new Sequence(config, time, worker)
  await sequence.run(commands)
  return sequence.model
}
