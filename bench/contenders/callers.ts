import { Effect } from "effect"
import type { Work } from "../work.ts"

/**
 * Of those who wait for a result before they ask for the next, so many are in line while all places
 * are taken. With a caller for each unit, all at once, one would measure the memory that they take.
 */
const IN_LINE = 48

const callersOf = (work: Work): number => work.size + IN_LINE

/** Callers that are loops and await promises. Resolves to the sum of what they got. */
export const byCallers = async (work: Work, call: (n: number) => Promise<number>): Promise<number> => {
  let sum = 0
  const bodies = work.bodies.values()
  const caller = async () => {
    for (const n of bodies) {
      const result = await call(n)
      sum += result
    }
  }
  await Promise.all(Array.from({ length: callersOf(work) }, caller))
  return sum
}

/** Callers that are fibers. */
export const byFibers = <E>(work: Work, call: (n: number) => Effect.Effect<number, E>): Effect.Effect<number, E> =>
  sumByFibers(work, call, callersOf(work))

/** So many fibers that share an index. */
export const sumByFibers = <E>(
  { bodies }: Work,
  unit: (n: number) => Effect.Effect<number, E>,
  fibers: number
): Effect.Effect<number, E> =>
  Effect.suspend(() => {
    let next = 0
    let sum = 0
    const fiber = Effect.suspend(() =>
      Effect.whileLoop({
        while: () => next < bodies.length,
        body: () => unit(bodies[next++] ?? 0),
        step: (result) => {
          sum += result
        }
      })
    )
    return Effect.map(Effect.replicateEffect(fiber, fibers, { concurrency: "unbounded", discard: true }), () => sum)
  })

/** The sum of what `Effect.forEach` comes by. */
export const sumOfEach = <E>(
  { bodies }: Work,
  unit: (n: number) => Effect.Effect<number, E>,
  concurrency: number
): Effect.Effect<number, E> => {
  let sum = 0
  const add = (n: number) => Effect.map(unit(n), (result) => sum += result)
  return Effect.map(Effect.forEach(bodies, add, { concurrency, discard: true }), () => sum)
}
