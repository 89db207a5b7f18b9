/**
 * The same commands given to a herd that is in the middle of something, with fibers that are
 * suspended anywhere. What happens is left to chance, so there is no model; the guarantees hold
 * nevertheless, and in the end the books balance.
 */
import { Exit, type Fiber, Scheduler } from "effect"
import type { Outcome } from "gofherd"
import { holds, same, sameFields } from "./check.ts"
import type { Act, Command, Config, Gap, Plan } from "./commands.ts"
import { type Time, virtual } from "./time.ts"
import { endOf, World } from "./world.ts"

/** Suspends fibers now and then, wherever they are. */
class Restless implements Scheduler.Scheduler {
  private seed: number
  awake = false

  constructor(seed: number) {
    this.seed = seed
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    // Of Park and Miller.
    this.seed = this.seed * 48_271 % 2_147_483_647
    return this.awake && this.seed % 16 === 0 ? 0 : Scheduler.defaultScheduler.shouldYield(fiber)
  }

  scheduleTask(task: Scheduler.Task, priority: number, fiber?: Fiber.RuntimeFiber<unknown, unknown>): void {
    Scheduler.defaultScheduler.scheduleTask(task, priority, fiber)
  }
}

interface Asker {
  readonly kind: "send" | "trySend" | "sendAll" | "run" | "stream"
  readonly units: ReadonlyArray<number>
  readonly plans: ReadonlyArray<Plan>
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  readonly received: Map<number, Outcome.Outcome.Status>
  cancelled: boolean
}

class Storm {
  private readonly config: Config
  private readonly world: World
  private readonly time: Time
  private readonly askers: Array<Asker> = []
  private units = 0
  private now = 0
  /** The scope has closed before all units had settled. */
  private cutOff = false

  constructor(config: Config, seed: number, worker: URL | undefined) {
    this.config = config
    const scheduler = new Restless(seed)
    this.time = virtual(scheduler)
    this.world = new World(config, this.time.runtime, worker)
    scheduler.awake = true
  }

  async run(commands: ReadonlyArray<readonly [Command, Gap]>): Promise<void> {
    try {
      for (const [command, gap] of commands) {
        this.do(command)
        if (gap === "steps") { for (let n = 0; n < 5; n++) await Promise.resolve() }
        if (gap === "turn") await new Promise((resolve) => setImmediate(resolve))
        this.world.look()
      }
      await this.end()
    } catch (error) {
      this.world.abandon()
      throw error
    }
  }

  // ---------------------------------------------------------------------------------------------------- commands

  private do(command: Command): void {
    const { config, world } = this
    switch (command.do) {
      case "burst":
        for (const act of command.acts) this.act(act)
        return
      case "sendAll":
        return this.ask("sendAll", command.plans, command.priority)
      case "stream":
        return this.ask("stream", command.plans, 0)
      case "inside": {
        const { gives, nth, plans, priority } = command
        const { waiting } = world
        const from = waiting[nth % waiting.length]
        if (from === undefined) return
        const many = gives === "sendAll" || gives === "stream"
        return this.ask(gives, many ? plans : plans.slice(0, 1), gives === "stream" ? 0 : priority, from)
      }
      case "cancel": {
        const waiting = this.askers.filter(({ fiber }) => fiber.unsafePoll() === null)
        const asker = waiting[command.nth % waiting.length]
        if (asker === undefined) return
        asker.cancelled = true
        return asker.fiber.unsafeInterruptAsFork(asker.fiber.id())
      }
      case "finish": {
        const n = world.waiting[command.nth % world.waiting.length]
        return n === undefined ? undefined : world.finish(n, command.as)
      }
      case "break": {
        const gophers = Array.from(world.gophers.keys())
        const gopher = gophers[command.nth % gophers.length]
        return gopher === undefined || !config.gopher?.breaks ? undefined : world.break(gopher, command.unit)
      }
      // Somebody who reads one batch would wait where there is none.
      case "read":
      case "attach":
        return world.attach()
      // A reader who goes in the middle of a batch takes it with him.
      case "detach":
        return
      case "advance":
        return this.advance(command.tens)
      case "stop":
        this.cutOff ||= !world.look().drained
        return world.stop()
      default:
        this.act(command)
    }
  }

  private act(act: Act): void {
    const { herd } = this.world
    switch (act.do) {
      case "send":
      case "run":
      case "trySend":
        return this.ask(act.do, [act.plan], act.priority)
      case "resize":
        return void this.world.fork(herd.resize(act.to, { mode: act.mode }))
      case "grow":
      case "shrink":
        return void this.world.fork(herd[act.do](act.by))
      default:
        return void this.world.fork(herd[act.do])
    }
  }

  private ask(kind: Asker["kind"], plans: ReadonlyArray<Plan>, priority: number, from?: number): void {
    const bodies = plans.map((plan) => ({ n: ++this.units, plan }))
    const received: Asker["received"] = new Map()
    const fiber = this.world.give(kind, bodies, priority, { received, from })
    this.askers.push({ kind, units: bodies.map(({ n }) => n), plans, fiber, received, cancelled: false })
  }

  private advance(tens: number): void {
    this.now += tens * 10
    void this.time.set(this.now)
  }

  // ---------------------------------------------------------------------------------------------------- the end

  private async end(): Promise<void> {
    const { config, world } = this
    world.healthy = true
    await world.still()
    for (const command of [{ do: "resume" }, { do: "resize", to: 3, mode: "graceful" }, { do: "attach" }] as const) {
      this.do(command)
    }
    await world.still()
    this.do({ do: config.ending === "drain" ? "close" : "stop" })
    await this.until(() => world.look().drained)
    this.do({ do: "stop" })
    await this.until(() => world.stopped)
    world.attach()
    await world.still()
    const state = world.look()
    sameFields("metrics", world.metrics(), {
      success: state.succeeded,
      failure: state.failed,
      interrupted: state.interrupted,
      retry: state.retried,
      waits: world.starts.length
    })
    if (config.outcomes !== "discard") {
      holds(world.reader !== undefined && endOf(world.reader) === "success", "`outcomes` has ended")
    }
    for (const asker of this.askers) this.checkAsker(asker)
    world.checkEnd()
  }

  /** Lets units end and time pass until it holds. */
  private async until(condition: () => boolean): Promise<void> {
    for (let n = 0; !condition(); n++) {
      holds(
        n < 200,
        `the herd does not come to an end: ${
          JSON.stringify([this.world.look(), this.world.waiting, this.world.starts])
        }`
      )
      this.do({ do: "finish", nth: 0, as: "succeed" })
      if (this.world.waiting.length === 0) this.advance(100)
      await this.world.still()
    }
  }

  /** Whoever was told that units were accepted finds them where they belong, and nobody else's. */
  private checkAsker({ cancelled, fiber, kind, plans, received, units }: Asker): void {
    const exit = fiber.unsafePoll()
    if (exit === null) throw new Error(`${kind} of ${units} waits for ever`)
    if (cancelled) return
    const closed = /^closed after (\d+)$/.exec(endOf(fiber) ?? "")
    const accepted = closed !== null
      ? Number(closed[1])
      : kind === "trySend" && Exit.isSuccess(exit) && exit.value === false
      ? 0
      : units.length
    if (kind === "run") {
      for (const n of units) holds(!this.world.delivered.has(n), `unit ${n}, of a run, went to \`outcomes\``)
      const mayBe = this.cutOff || plans.some(({ attempts }) => attempts.includes("interrupt itself"))
      holds(mayBe || endOf(fiber) !== "interrupted", `run of ${units} was interrupted by nobody`)
      return
    }
    const place = kind === "stream" ? received : this.world.delivered
    if (kind !== "stream" && this.config.outcomes === "discard") return
    for (const [at, n] of units.entries()) same(`unit ${n} settled`, place.has(n), at < accepted)
  }
}

export const storm = (
  config: Config,
  seed: number,
  commands: ReadonlyArray<readonly [Command, Gap]>,
  worker?: URL
): Promise<void> => new Storm(config, seed, worker).run(commands)
