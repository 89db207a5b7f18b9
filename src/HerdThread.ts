/**
 * Gophers on every core: each one owns a worker thread, so that the size of the herd is the number
 * of threads. Not part of the barrel, since it needs Node's threads:
 * `import * as HerdThread from "gofherd/HerdThread"`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import type { ResourceLimits, Transferable } from "node:worker_threads"
import type { Gopher } from "./Gopher.ts"
import type { Process } from "./Herd.ts"
import type { InvalidMessage, ThreadCrashed } from "./HerdError.ts"
import { threadGopher } from "./internal/threadGopher.ts"
import { gopherSettings, serveSettings } from "./internal/threadOptions.ts"
import { serve as serveUnits } from "./internal/threadServe.ts"
import type { Unless } from "./internal/unless.ts"

// ------------------------------------------------------------------------------------------------------ models

/** Where a module's types are kept: there is nothing else to `Served`. */
const TypeId: unique symbol = Symbol.for("gofherd/HerdThread/Served")

type TypeId = typeof TypeId

/**
 * What a worker module exports: the types of its units, for the herd's side to infer them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Served<in In, out Out, out E> {
  readonly [TypeId]: {
    readonly _In: Types.Contravariant<In>
    readonly _Out: Types.Covariant<Out>
    readonly _E: Types.Covariant<E>
  }
}

/**
 * The type of a worker module, one whose default export is what `serve` returns:
 * `typeof import("./worker.ts")`.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerModule<in In, out Out, out E> {
  readonly default: Served<In, Out, E>
}

/**
 * Schemas of what crosses between the threads, the same on both sides. A part without one crosses
 * by structured clone: plain data, Maps, Dates, buffers and the like arrive as they were, an
 * instance of a class as a plain object, an Error by which a unit fails with its fields. By a
 * Schema it crosses in its encoded form, and what does not match is `InvalidMessage`.
 *
 * In a failure or a defect that crosses by structured clone, a text takes the place of each part
 * that can't be cloned, such as `"[a function: it could not be cloned]"`. AggregateErrors keep
 * their `errors`, and Errors that refer to each other do so.
 *
 * @since 0.1.0
 * @category models
 */
export interface Schemas<In, Out, E> {
  readonly body?: (Schema.Schema.AnyNoContext & { readonly Type: In }) | undefined
  readonly result?: (Schema.Schema.AnyNoContext & { readonly Type: Out }) | undefined
  readonly error?: (Schema.Schema.AnyNoContext & { readonly Type: E }) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ServeOptions<In, Out, E> {
  /** The same as on the herd's side. */
  readonly schema?: Schemas<In, Out, E> | undefined
  /**
   * What of a result is moved to the herd's side and not copied, such as its `ArrayBuffer`s: it is
   * gone here. (Of the encoded result, with a Schema.)
   */
  readonly transfer?: ((result: Out) => ReadonlyArray<Transferable>) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<In, Out, E> {
  /** The same as in the worker module. */
  readonly schema?: Schemas<In, Out, E> | undefined
  /**
   * What of a body is moved to the thread and not copied, such as its `ArrayBuffer`s: it is gone
   * here, so a further attempt fails with `InvalidMessage`. (Of the encoded body, with a Schema.)
   */
  readonly transfer?: ((body: In) => ReadonlyArray<Transferable>) | undefined
  /**
   * How long a thread may take to end its unit once that is interrupted, and to release its Layer
   * once its gopher retires, before it is terminated. Default 1 s.
   */
  readonly terminateAfter?: Duration.DurationInput | undefined
  /**
   * How long a thread may take to get ready: to load the module and to build its Layer. More than
   * 0; default 30 s.
   */
  readonly startTimeout?: Duration.DurationInput | undefined
  /**
   * A unit at which so many threads have crashed is a failure, whatever the herd's Schedule says.
   * An integer from 1; default 3.
   */
  readonly maxCrashes?: number | undefined
  /** What memory a thread may take, as Node's `Worker` has it. Default: Node's. */
  readonly resourceLimits?: ResourceLimits | undefined
  /** Node's options for the threads. Default: those of this process. */
  readonly execArgv?: ReadonlyArray<string> | undefined
  /** The environment of the threads, an object. Default: a copy of this process's. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
}

// ------------------------------------------------------------------------------------------------------ the thread's side

/**
 * In a worker module: what to do with each unit, as a herd's `process`, with a Layer for what that
 * requires. The Layer is built once in each thread and released when its gopher retires. What it
 * returns is the module's default export.
 *
 * Each unit runs on a fiber of its own, with the log level, log annotations, log spans and parent
 * span of the herd's fiber. What it logs goes to the herd's loggers; a Logger of the Layer comes in
 * addition. Spans go to the Layer's tracer.
 *
 * In the main thread, and in threads of others, it does nothing: a test may import the module.
 *
 * Throws `InvalidOption` where its arguments are out of their bounds.
 *
 * @example
 * ```ts
 * // hash.worker.ts
 * import { Effect } from "effect"
 * import * as HerdThread from "gofherd/HerdThread"
 * import { createHash } from "node:crypto"
 *
 * export default HerdThread.serve((bytes: Uint8Array) =>
 *   Effect.sync(() => createHash("sha256").update(bytes).digest("hex"))
 * )
 * ```
 *
 * @since 0.1.0
 * @category the thread's side
 */
export const serve: {
  <In, Out, E = never>(process: Process<In, Out, E, never>, options?: ServeOptions<In, Out, E>): Served<In, Out, E>
  <In, Out, E, R, EL>(
    process: Process<In, Out, E, R>,
    options: ServeOptions<In, Out, E> & { readonly layer: Layer.Layer<R, EL> }
  ): Served<In, Out, E>
} = <In, Out, E, R>(
  process: Process<In, Out, E, R>,
  options: ServeOptions<In, Out, E> & { readonly layer?: Layer.Layer<R, unknown> | undefined } = {}
): Served<In, Out, E> => {
  serveUnits(process, serveSettings(process, options))
  return { [TypeId]: { _In: (_) => _, _Out: (_) => _, _E: (_) => _ } as Served<In, Out, E>[TypeId] }
}

// ------------------------------------------------------------------------------------------------------ the herd's side

type AnyModule = WorkerModule<never, unknown, unknown>

/** What `gopher` takes for the type of a worker module that was left out. */
interface Untyped extends AnyModule {
  readonly [TypeId]: never
}

/**
 * The body of a worker module's units.
 *
 * @since 0.1.0
 * @category type-level
 */
export type In<M extends AnyModule> = Types.Contravariant.Type<M["default"][TypeId]["_In"]>

/**
 * The result of a worker module's units.
 *
 * @since 0.1.0
 * @category type-level
 */
export type Out<M extends AnyModule> = Types.Covariant.Type<M["default"][TypeId]["_Out"]>

/**
 * The error of a worker module's units.
 *
 * @since 0.1.0
 * @category type-level
 */
export type Error<M extends AnyModule> = Types.Covariant.Type<M["default"][TypeId]["_E"]>

/**
 * For a herd's `gopher:` option: each gopher owns a thread that runs the worker module. The herd's
 * size is the number of threads, a resize starts and stops them, and a gopher that retires lets its
 * unit finish.
 *
 * - **Interruption** reaches the Effect in the thread; if that has not ended within
 *   `terminateAfter`, as one that computes without a pause can't, the thread is terminated.
 * - **A crash** (`process.exit`, an exception that nobody caught, memory beyond `resourceLimits`)
 *   fails the unit with `ThreadCrashed`, which the herd's Schedule may retry, and the gopher is
 *   replaced as with `Gopher.replace`. A unit that the thread had not begun is put back, but for
 *   one that came as memory ran out: it may be what took it.
 * - **A thread that can't start** is `ThreadNotStarted`: warned of once, and tried again with a
 *   growing delay, while the units wait.
 *
 * What is put around the process that it yields
 * (`Effect.map(HerdThread.gopher(…), (process) => …)`), such as a timeout or log annotations, may
 * run several units in the thread at a time.
 *
 * The module is found where the URL says; if it is not there, as `.js` or `.mjs` for `.ts` (after a
 * build) or the other way round. Where this process runs by tsx, its threads do, if its command
 * line or `NODE_OPTIONS` says so: `tsx`, or `--import tsx`.
 *
 * Throws `InvalidOption` where its arguments are out of their bounds.
 *
 * @example
 * ```ts
 * import { Schedule } from "effect"
 * import { Herd } from "gofherd"
 * import * as HerdThread from "gofherd/HerdThread"
 * import { availableParallelism } from "node:os"
 *
 * const herd = Herd.make({
 *   gopher: HerdThread.gopher<typeof import("./hash.worker.ts")>(new URL("./hash.worker.ts", import.meta.url), {
 *     resourceLimits: { maxOldGenerationSizeMb: 512 }
 *   }),
 *   size: availableParallelism(),
 *   retry: Schedule.recurs(2)
 * })
 * ```
 *
 * @since 0.1.0
 * @category the herd's side
 */
export const gopher = <M extends AnyModule = Untyped>(
  url:
    & URL
    & Unless<M, Untyped, "expected the type of the worker module: gopher<typeof import(\"./worker.ts\")>">,
  options: Options<In<M>, Out<M>, Error<M>> = {}
): Effect.Effect<
  Process<In<M>, Out<M>, Error<M> | ThreadCrashed | InvalidMessage, never>,
  never,
  Scope.Scope | Gopher
> => threadGopher(gopherSettings(url, options))
