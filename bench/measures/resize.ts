import { Effect } from "effect"
import { Herd } from "gofherd"
import { median } from "../statistics.ts"
import type { Options, Row, Suite } from "../suite.ts"

const MANY = 10_000
const FEW = 16
/** Of a resize between none and many, and of one by a single gopher, which is as much faster. */
const repetitionsOf = ({ quick }: Options) => quick ? { many: 1, one: 200 } : { many: 9, one: 2_000 }

/** What units wait at. */
class Gate {
  private readonly waiting: Array<() => void> = []
  private crowd = Number.POSITIVE_INFINITY
  private onCrowd: (at: number) => void = () => {}

  readonly pass = Effect.async<void>((resume) => {
    if (this.waiting.push(() => resume(Effect.void)) === this.crowd) this.onCrowd(performance.now())
  })

  /** When so many wait: the time at which the last of them came. */
  crowded(crowd: number): Promise<number> {
    return new Promise((resolve) => {
      this.crowd = crowd
      this.onCrowd = resolve
      if (this.waiting.length >= crowd) resolve(performance.now())
    })
  }

  open(): void {
    for (const resume of this.waiting.splice(0)) resume()
  }
}

/** A resize: how long it took to return, and how long until it showed. */
interface Resize {
  readonly micros: number
  readonly millis: number
}

/** Times a resize alone, called synchronously; `shown` says at what time it had its effect. */
const timed = async (herd: Herd.Herd<Gate, void>, size: number, shown: () => Promise<number>): Promise<Resize> => {
  const began = performance.now()
  Effect.runSync(herd.resize(size))
  const micros = (performance.now() - began) * 1000
  return { micros, millis: await shown() - began }
}

const settled = (herd: Herd.Herd<Gate, void>) => async () => {
  await Effect.runPromise(herd.settled)
  return performance.now()
}

const idle = (herd: Herd.Herd<Gate, void>) => Effect.runPromise(herd.awaitIdle)

/** Queues so many units that wait at the gate. */
const queue = (herd: Herd.Herd<Gate, void>, gate: Gate, units: number) =>
  Effect.runPromise(herd.sendAll(Array.from({ length: units }, () => gate)))

/** From none to many with work for all of them, and back. */
const upAndDown = async (herd: Herd.Herd<Gate, void>, resident: boolean): Promise<readonly [Resize, Resize]> => {
  globalThis.gc?.({ type: "minor" })
  const gate = new Gate()
  await queue(herd, gate, MANY)
  const up = await timed(herd, MANY, () => gate.crowded(MANY))
  if (resident) {
    gate.open()
    await idle(herd)
    return [up, await timed(herd, 0, settled(herd))]
  }
  // Gophers without a resource end when they idle. These retire with the unit that they are about
  // to finish.
  const down = await timed(herd, 0, () => {
    gate.open()
    return settled(herd)()
  })
  return [up, down]
}

/** One more, while all are busy and a unit is queued. */
const oneMore = async (herd: Herd.Herd<Gate, void>): Promise<Resize> => {
  const gate = new Gate()
  await Effect.runPromise(herd.resize(FEW))
  await queue(herd, gate, FEW + 1)
  await gate.crowded(FEW)
  const up = await timed(herd, FEW + 1, () => gate.crowded(FEW + 1))
  gate.open()
  await idle(herd)
  return up
}

const repeated = async <A>(repetitions: number, action: () => Promise<A>): Promise<ReadonlyArray<A>> => {
  const results = new Array<A>()
  await action()
  for (let n = 0; n < repetitions; n++) results.push(await action())
  return results
}

const row = (name: string, resizes: ReadonlyArray<Resize>): Row => ({
  name,
  values: [median(resizes.map(({ micros }) => micros)), median(resizes.map(({ millis }) => millis))]
})

const process = (gate: Gate) => gate.pass
const parts = {
  "": { process },
  ", with a resource": { gopher: Effect.acquireRelease(Effect.succeed(process), () => Effect.void) }
}

export const resize: Suite = {
  name: "resize",
  title: () => "resize with work queued, until so many units run; of a shrink, until the surplus has retired",
  columns: ["µs to return", "ms to effect"],
  run: async (options) => {
    const rows = new Array<Row>()
    const repetitions = repetitionsOf(options)
    for (const [suffix, part] of Object.entries(parts)) {
      rows.push(
        ...await Effect.gen(function*() {
          const herd = yield* Herd.make({ ...part, size: 0, capacity: MANY, outcomes: "discard" })
          const many = yield* Effect.promise(() => repeated(repetitions.many, () => upAndDown(herd, "gopher" in part)))
          const one = yield* Effect.promise(() => repeated(repetitions.one, () => oneMore(herd)))
          return [
            row(`0 to ${MANY.toLocaleString("en")}${suffix}`, many.map(([up]) => up)),
            row(`${MANY.toLocaleString("en")} to 0${suffix}`, many.map(([, down]) => down)),
            row(`${FEW} to ${FEW + 1}${suffix}`, one)
          ]
        }).pipe(Effect.scoped, Effect.runPromise)
      )
    }
    return rows
  }
}
