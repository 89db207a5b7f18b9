/** The same herds with their units in worker threads. */
import { Effect, type Scope } from "effect"
import type { Gopher, Herd, Work } from "gofherd"
import * as HerdThread from "gofherd/HerdThread"
import { BroadcastChannel } from "node:worker_threads"
import type * as threadModel from "../fixtures/threadModel.ts"
import type { FromThreads, ToThreads, Unit } from "../fixtures/threadModel.ts"
import type { Config, End } from "./commands.ts"

type InThread = Herd.Process<Unit, number, unknown, never>

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

let ever = 0

/** What goes on in the threads of one herd, so that the test can wait until nothing does. */
export class Threads {
  /** Threads that are starting or ending. */
  private readonly changing = new Set<object>()
  /** Units that have started, and neither ended nor said that they wait. */
  private readonly transit = new Set<number>()
  private readonly channel: BroadcastChannel
  private readonly acquire: Effect.Effect<InThread, never, Scope.Scope | Gopher.Gopher>
  private pings = 0
  private pongs = 0

  constructor(url: URL, { gopher }: Config, on: {
    readonly waits: (n: number) => void
    readonly fault: (fault: string) => void
  }) {
    const name = `gofherd model ${++ever}`
    this.channel = new BroadcastChannel(name)
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- @types/node has no other
    this.channel.onmessage = (event: unknown) => {
      const { data } = event as { readonly data: FromThreads }
      if ("pong" in data) {
        if (data.pong === this.pings) this.pongs++
      } else if ("waits" in data) {
        if (this.transit.delete(data.waits)) on.waits(data.waits)
      } else on.fault(`expected no FiberRef of another unit, got one in unit ${data.stained} (G12)`)
    }
    this.acquire = HerdThread.gopher<typeof threadModel>(url, {
      env: { ...process.env, MODEL_CHANNEL: name },
      // The model's default is none.
      maxCrashes: gopher?.maxCrashes ?? Number.MAX_SAFE_INTEGER
    })
  }

  /** A thread of a gopher's own. */
  readonly gopher: Effect.Effect<InThread, never, Scope.Scope | Gopher.Gopher> = Effect.gen(this, function*() {
    const { acquire, changing } = this
    const thread = {}
    yield* Effect.acquireRelease(
      Effect.sync(() => changing.add(thread)),
      () => Effect.sync(() => changing.delete(thread))
    )
    const inThread = yield* acquire
    changing.delete(thread)
    // The first finalizer to run, as the other is the last.
    yield* Effect.addFinalizer(() => Effect.sync(() => changing.add(thread)))
    return inThread
  })

  run(inThread: InThread, unit: Unit, work: Work.Work<unknown>): Effect.Effect<number, unknown> {
    return Effect.suspend(() => {
      this.transit.add(unit.n)
      return Effect.ensuring(
        inThread(unit, { ...work, body: unit }),
        Effect.sync(() => this.transit.delete(unit.n))
      )
    })
  }

  finish(n: number, as: End): void {
    this.transit.add(n)
    this.say({ finish: n, as })
  }

  /** Waits until so many threads have dealt with what they were told, and nothing is on its way. */
  async still(threads: () => number): Promise<void> {
    const end = performance.now() + 5_000
    const patient = () => performance.now() < end
    while (patient() && (this.changing.size > 0 || this.transit.size > 0)) await turn()
    this.pongs = 0
    this.say({ ping: ++this.pings })
    while (patient() && this.pongs < threads()) await turn()
  }

  close(): void {
    this.channel.close()
  }

  private say(message: ToThreads): void {
    this.channel.postMessage(message)
  }
}
