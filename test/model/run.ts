/** Runs a sequence of commands against the model and the herd side by side. */
import { assert } from "@effect/vitest"
import { Effect, type Fiber, LogLevel, Logger, type Runtime, Stream } from "effect"
import type { Outcome } from "gofherd"
import type { Act, Command, Config, Plan } from "./commands.ts"
import { ROOMY } from "./commands.ts"
import type { Place, Sender, Unit } from "./model.ts"
import { Model } from "./model.ts"
import { VirtualClock } from "./virtualClock.ts"
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
  private readonly model: Model
  private readonly world: World
  private readonly clock = new VirtualClock()
  private readonly outcomes: Place = { kind: "outcomes", settled: new Map() }
  private readonly askers: Array<Asker> = []
  private units = 0

  constructor(config: Config) {
    this.config = config
    this.model = new Model(config)
    const runtime: Runtime.Runtime<never> = Effect.runSync(
      Effect.runtime<never>().pipe(Effect.withClock(this.clock), Logger.withMinimumLogLevel(LogLevel.None))
    )
    this.world = new World(config, runtime)
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
        if (this.mayBringMany) this.ask("stream", command.plans, 0, command.fails)
        return
      case "cancel": {
        const waiting = this.askers.filter((asker) => !asker.cancelled && this.expected(asker) === undefined)
        const asker = waiting[command.nth % waiting.length]
        if (asker === undefined) return
        asker.cancelled = true
        model.withdraw(asker.sender)
        if (asker.kind === "run" || asker.kind === "stream") for (const unit of asker.units) model.cancel(unit)
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
      case "read":
        if (model.attached || model.unread === 0) return
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
      case "trySend": {
        const unit = this.unit(act.plan, act.priority, this.outcomes)
        const expected = model.closed ? "closed" : model.tryBring(unit)
        const got = world.now(
          Effect.merge(Effect.mapError(world.herd.trySend(bodyOf(unit), { priority: act.priority }), () => "closed"))
        )
        return assert.strictEqual(got, expected)
      }
      case "resize":
        model.resize(act.to, act.mode)
        return world.resize(act.to, act.mode)
      case "grow":
      case "shrink": {
        const to = model.size + (act.do === "grow" ? act.by : -act.by)
        const done = world.now(Effect.option(world.herd[act.do](act.by)))
        assert.strictEqual(done._tag, to < 0 ? "None" : "Some")
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

  private get tight(): boolean {
    return this.config.capacity < ROOMY
  }

  /** Who brings several units goes on by himself; with two of them, or instant retries, the order would be left to chance. */
  private get mayBringMany(): boolean {
    return !this.tight || (this.config.retry?.delay !== 0 && this.model.waiting.every(({ units }) => units.length === 1))
  }

  /** Of gophers with a resource, one that has been called to its unit and is not there yet might survive a shrink, or not. */
  private inOrder(acts: ReadonlyArray<Act>): ReadonlyArray<Act> {
    if (this.config.gopher === undefined) return acts
    const resizes = (act: Act) => act.do === "resize" || act.do === "grow" || act.do === "shrink"
    return [...acts.filter(resizes), ...acts.filter((act) => !resizes(act))]
  }

  private unit(plan: Plan, priority: number, place: Place): Unit {
    return { n: ++this.units, plan, priority, place, attempts: 0, phase: "new", cancelled: false }
  }

  private ask(kind: Asker["kind"], plans: ReadonlyArray<Plan>, priority: number, fails = false): void {
    const { herd } = this.world
    const place: Place = kind === "send" || kind === "sendAll" ? this.outcomes : { kind, settled: new Map() }
    const units = plans.map((plan) => this.unit(plan, priority, place))
    const sender = this.model.bring(units, priority)
    const received: Asker["received"] = new Map()
    const options = priority === 0 ? undefined : { priority }
    const bodies = units.map(bodyOf)
    const [body] = bodies
    const asking = (): Effect.Effect<unknown, unknown> => {
      switch (kind) {
        case "send":
          return herd.send(body as typeof bodies[number], options)
        case "run":
          return herd.run(body as typeof bodies[number], options)
        case "sendAll":
          return herd.sendAll(bodies, options)
        case "stream": {
          const input = Stream.fromIterable(bodies)
          const failing = fails ? Stream.concat(input, Stream.fail("input")) : input
          return Stream.runForEach(herd.stream(failing), (outcome) =>
            Effect.sync(() => this.world.deliver(received, outcome)))
        }
      }
    }
    const fiber = this.world.fork(asking())
    this.askers.push({ kind, units, sender, fiber, fails, received, cancelled: false })
  }

  /** Lets everything happen that is due by then, one after the other. */
  private async advance(to: number): Promise<void> {
    const { clock, model } = this
    while (model.next <= to) {
      const { next } = model
      clock.set(next)
      model.tick(next)
      await this.compare()
    }
    clock.set(to)
    model.tick(to)
  }

  // ---------------------------------------------------------------------------------------------------- comparing

  private async compare(): Promise<void> {
    const { model, world } = this
    await world.still()
    model.pump()
    const { live, name, ...state } = world.checkWatchers()
    model.reconcile(state.accepted)
    model.pump()
    assert.deepStrictEqual(world.starts, model.starts, `starts (G15), ${world.starts}, ${model.starts}`)
    same("state", state, model.state())
    assert.isFalse(model.keepsWaiting, "a sender waits though there is room")
    if (this.config.gopher !== undefined && model.life !== "stopped") {
      assert.strictEqual(live, model.gophers.length, "live")
    } else assert.isAtMost(live, Math.max(state.size, state.running), "live")
    same("metrics", world.metrics(), {
      success: model.succeeded,
      retry: model.retried,
      failure: model.failed,
      interrupted: model.interrupted,
      resizes: model.resizes,
      acquireFailures: model.acquireFailures,
      attempts: model.ends,
      waits: model.starts.length,
      size: model.size,
      running: state.running,
      queued: state.queued,
      retrying: state.retrying,
      paused: model.paused ? 1 : 0
    })
    for (const asker of this.askers) this.compareAsker(asker)
    if (this.config.outcomes !== "discard") {
      assert.strictEqual(world.delivered.size, this.outcomes.settled.size - model.unread, "outcomes delivered")
      for (const [n, status] of world.delivered) assert.strictEqual(status, this.outcomes.settled.get(n), `unit ${n}`)
    }
    assert.strictEqual(world.stopping?.unsafePoll() != null, model.life === "stopped", "scope closed")
  }

  private compareAsker(asker: Asker): void {
    const { cancelled, fiber, kind, received, sender, units } = asker
    if (cancelled) {
      const waits = units.some(({ phase }) => phase === "running")
      const own = kind === "run" || kind === "stream"
      return assert.strictEqual(fiber.unsafePoll() === null, own && waits, `${kind} cancelled`)
    }
    assert.strictEqual(endOf(fiber), this.expected(asker), `${kind} of ${units.map(({ n }) => n)}`)
    if (kind !== "stream") return
    assert.deepStrictEqual(received, units[0]?.place.settled ?? new Map(), "outcomes of the stream")
    if (sender.end === "done") assert.strictEqual(sender.entered, units.length)
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
      await this.step({ do: "resize", to: 3, mode: "graceful" })
      while (!model.drained) await this.goOn()
    }
    await this.step({ do: "stop" })
    while (model.life !== "stopped") await this.goOn()
    await this.step({ do: "attach" })
    assert.strictEqual(model.accepted, model.settled)
    assert.isTrue(world.look().drained)
    const { callbacks, config } = this.world
    if (config.callbacks !== "none") {
      assert.deepStrictEqual(callbacks, { success: model.succeeded, retry: model.retried, failure: model.failed }, "G14")
    }
    if (config.outcomes !== "discard") {
      assert.deepStrictEqual(sorted(world.delivered), sorted(this.outcomes.settled), "every unit settles once (G2)")
      assert.strictEqual(endOf(world.reader as Fiber.RuntimeFiber<void>), "success", "outcomes has ended")
    }
    world.checkEnd()
    assert.strictEqual(this.clock.sleeping, 0, "nobody sleeps any more")
  }

  private async step(command: Command): Promise<void> {
    await this.do(command)
    await this.compare()
  }

  private goOn(): Promise<void> {
    const waits = this.model.running.length > 0
    return this.step(waits ? { do: "finish", nth: 0, as: "succeed" } : { do: "advance", tens: 100 })
  }
}

const bodyOf = ({ n, plan }: Unit) => ({ n, plan })

/** Says what differs, of objects with many fields. */
const same = <A extends object>(what: string, got: A, expected: A): void => {
  const different = (Object.keys(expected) as Array<keyof A>).filter((key) => got[key] !== expected[key])
  const list = different.map((key) => `${String(key)} ${expected[key]}, got ${got[key]}`)
  if (list.length > 0) throw new Error(`${what}: expected ${list.join("; ")}`)
}

const sorted = <A>(map: Map<number, A>) => Array.from(map).sort(([self], [that]) => self - that)

export const run = (config: Config, commands: ReadonlyArray<Command>): Promise<void> =>
  new Sequence(config).run(commands)
