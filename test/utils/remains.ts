import { Effect, Fiber, Supervisor } from "effect"
import { Herd } from "gofherd"
import type { Life } from "./lives.ts"
import { turns } from "./stage.ts"

/** How long sockets may take to be gone, in milliseconds: both ends of each are in this process. */
const PATIENCE = 5_000

/**
 * How many full collections what is garbage may outlive: what V8 has compiled for it may hold it
 * for some.
 */
const COLLECTIONS = 20

/** How many of these are still there once garbage is gone. */
export const keptOf = (refs: ReadonlyArray<WeakRef<object>>): Effect.Effect<number> =>
  Effect.gen(function*() {
    let kept = refs
    for (let n = 0; n < COLLECTIONS && kept.length > 0; n++) {
      // What was dereferenced in a turn stays until its end.
      yield* turns
      globalThis.gc?.()
      kept = kept.filter((ref) => ref.deref() !== undefined)
    }
    return kept.length
  })

/**
 * What keeps a process alive, or hangs on it. The platform's services open `stdin` with the first
 * server: here it is open from the start.
 */
const census = (): Array<string> => {
  const emitters = { process, stdin: process.stdin, stdout: process.stdout, stderr: process.stderr }
  return [
    ...process.getActiveResourcesInfo(),
    ...Object.entries(emitters).flatMap(([name, emitter]) =>
      emitter.eventNames().flatMap((event) =>
        Array.from({ length: emitter.listenerCount(event) }, () => `listener of ${String(event)} on ${name}`)
      )
    ),
    ...[process.stdout, process.stderr].flatMap((stream) => Object.hasOwn(stream, "write") ? ["wrapped write"] : [])
  ]
}

/** What is in the second and not in the first, as often as it is. */
const added = (before: ReadonlyArray<string>, after: ReadonlyArray<string>): Array<string> => {
  const rest = [...before]
  return after.filter((what) => {
    const i = rest.indexOf(what)
    if (i >= 0) rest.splice(i, 1)
    return i < 0
  })
}

/**
 * What is still there after the scope of a life has closed: fibers, handles, listeners, herds,
 * names.
 */
export const remainsOf = (life: Life): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const before = census()
    const roots = new Set(yield* Fiber.roots)
    const supervisor = yield* Supervisor.track
    const herds: Array<WeakRef<Herd.Control>> = []
    const names = new Set<string>()
    const lived = Effect.scoped(life((herd) => {
      herds.push(new WeakRef(herd))
      names.add(herd.name)
      return herd
    }))
    yield* Effect.supervised(lived, supervisor)

    const remains = Effect.gen(function*() {
      const fibers = new Set([...(yield* supervisor.value), ...(yield* Fiber.roots).filter((root) => !roots.has(root))])
      return [...Array.from(fibers, () => "fiber"), ...added(before, census())]
    })
    // A socket is gone when the other end has heard of it; nothing else needs more than some turns.
    const until = performance.now() + PATIENCE
    yield* turns
    let left = yield* remains
    while (left.some((what) => what.startsWith("TCP")) && performance.now() < until) {
      yield* turns
      left = yield* remains
    }

    const kept = Array.from({ length: yield* keptOf(herds) }, () => "herd")
    const taken: Array<string> = []
    for (const name of names) {
      const again = yield* Effect.scoped(Herd.make({ name, process: Effect.succeed<number> }))
      if (again.name !== name) taken.push(`name ${name}`)
    }
    return [...left, ...kept, ...taken, ...(herds.length === 0 ? ["no herd was made"] : [])]
  })
