/**
 * Pools of threads, each used as its own documentation recommends: made once, and given all the
 * units at once.
 */
import { Effect, type Scope, Stream } from "effect"
import { type Gopher, Herd } from "gofherd"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Piscina } from "piscina"
import { FixedThreadPool } from "poolifier"
import type { Contender } from "../race.ts"
import { withBackoff } from "../work.ts"
import { sumOf } from "./herd.ts"

/** The units of one timing. */
export interface Batch<Body> {
  readonly bodies: ReadonlyArray<Body>
  readonly sum: number
}

/**
 * A name in `bench/threads/units.ts`, which is also that of the function in the workers of piscina
 * and poolifier.
 */
export type UnitName = "fib" | "sha256" | "trip"

export interface Threads<Body> extends Contender<Batch<Body>> {
  /** Those that are piscina's and as many, used in the same way. */
  readonly peer?: string
  /** Bodies are gone after a run: each wants fresh ones. */
  readonly moves?: boolean
}

/** Lives as long as the scope. */
export type Opened<A> = Effect.Effect<A, never, Scope.Scope>

export type ThreadGopher<Body> = Effect.Effect<
  Herd.Process<Body, number, unknown, never>,
  never,
  Scope.Scope | Gopher.Gopher
>

const named = (pool: string, threads: number): string => `${pool}, ${threads} ${threads === 1 ? "thread" : "threads"}`

const sumOfAll = async (results: Promise<ReadonlyArray<number>>): Promise<number> =>
  (await results).reduce((sum, result) => sum + result, 0)

export const oneFiber = <Body>(unit: (body: Body) => number): Threads<Body> => ({
  name: "1 fiber",
  run: ({ bodies }) => {
    let sum = 0
    const add = (body: Body) => Effect.sync(() => sum += unit(body))
    return Effect.runPromise(Effect.map(Effect.forEach(bodies, add, { discard: true }), () => sum))
  }
})

export const herdPool = <Body>(gopher: ThreadGopher<Body>, size: number) =>
  Herd.make({ gopher, size, retry: withBackoff.schedule })

/** A herd that lives on has no end of its outcomes, so units go through it as a Stream. */
export const herdThreads = <Body>(gopher: ThreadGopher<Body>, threads: number): Opened<Threads<Body>> =>
  Effect.map(herdPool(gopher, threads), (herd) => ({
    name: named("herd", threads),
    peer: named("piscina", threads),
    run: ({ bodies }) => Effect.runPromise(sumOf(herd.stream(Stream.fromIterable(bodies))))
  }))

export const herdTransfer = <Body>(gopher: ThreadGopher<Body>, threads: number): Opened<Threads<Body>> =>
  Effect.map(herdThreads(gopher, threads), (contender) => ({
    ...contender,
    name: named("herd, transfer", threads),
    peer: named("piscina, move", threads),
    moves: true
  }))

/** As many at least as at most, so that idle threads stay. */
export const piscinaPool = (name: UnitName, threads: number): Opened<Piscina<unknown, number>> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new Piscina<unknown, number>({
        filename: new URL("../threads/piscina.mjs", import.meta.url).href,
        name,
        minThreads: threads,
        maxThreads: threads
      })
    ),
    (pool) => Effect.promise(() => pool.destroy())
  )

export const piscinaThreads = (name: UnitName, threads: number): Opened<Threads<unknown>> =>
  Effect.map(piscinaPool(name, threads), (pool) => ({
    name: named("piscina", threads),
    peer: named("piscina", threads),
    run: ({ bodies }) => sumOfAll(Promise.all(bodies.map((body) => pool.run(body))))
  }))

export const piscinaMove = (name: UnitName, threads: number): Opened<Threads<Uint8Array<ArrayBuffer>>> =>
  Effect.map(piscinaPool(name, threads), (pool) => ({
    name: named("piscina, move", threads),
    peer: named("piscina, move", threads),
    moves: true,
    run: ({ bodies }) => sumOfAll(Promise.all(bodies.map((body) => pool.run(Piscina.move(body)))))
  }))

/** Once in a while `destroy` never resolves, though the threads have ended. */
const PATIENCE = 2_000

export const poolifierPool = (threads: number): Opened<FixedThreadPool<unknown, number>> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new FixedThreadPool<unknown, number>(
        threads,
        fileURLToPath(new URL("../threads/poolifier.mjs", import.meta.url)),
        { errorHandler: (error) => console.error(error) }
      )
    ),
    (pool) => Effect.promise(() => Promise.race([pool.destroy(), setTimeout(PATIENCE)]))
  )

export const poolifierThreads = (name: UnitName, threads: number): Opened<Threads<unknown>> =>
  Effect.map(poolifierPool(threads), (pool) => ({
    name: named("poolifier", threads),
    peer: named("piscina", threads),
    run: ({ bodies }) => sumOfAll(pool.mapExecute(bodies, name))
  }))
