/**
 * What a herd and the thread of one of its gophers say to each other. A gopher has one unit at a
 * time, but what is put around its `process` may call that more than once, or not wait for the end
 * of what it interrupts: `seq` tells which unit is meant.
 */
import type * as LogLevel from "effect/LogLevel"
import type { MessagePort } from "node:worker_threads"

/**
 * What `workerData` holds for `serve`. A name that nobody else uses: other threads may import a
 * worker module, too.
 */
export const KEY = "gofherd/HerdThread"

export interface ThreadData {
  /** Not `parentPort`, by which other code in the thread may say what it likes. */
  readonly port: MessagePort
  /**
   * At `BEGUN` the `seq` of the unit that the thread began last; at `SERVING` 1 once it has called
   * `serve`. Shared by both sides, since what a thread does just before it ends can't be heard of
   * by messages.
   */
  readonly shared: Int32Array
  /** For the Layer, and for units until they bring another one. */
  readonly context: FiberContext
}

export const BEGUN = 0
export const SERVING = 1

/** What crosses of the fiber that a unit is run by. */
export interface FiberContext {
  /** The least that is logged. */
  readonly level: LogLevel.Literal
  readonly annotations: ReadonlyArray<readonly [string, unknown]>
  readonly logSpans: ReadonlyArray<readonly [label: string, startTime: number]>
  readonly span: { readonly traceId: string; readonly spanId: string; readonly sampled: boolean } | undefined
}

/**
 * A unit. A tuple, since the names of an object's fields would cross each time, which takes longer
 * than the unit.
 */
export type Run = readonly [
  seq: number,
  body: unknown,
  id: string,
  attempt: number,
  priority: number,
  /** Left out if it is that of the unit before. */
  context?: FiberContext
]

export type ToThread =
  | Run
  | { readonly type: "interrupt"; readonly seq: number }
  | { readonly type: "stop" }
  /** Something came that can't be read: was it the answer to one of these? */
  | { readonly type: "unread"; readonly seqs: ReadonlyArray<number>; readonly reason: string }

export const PARTS = ["body", "result", "error"] as const

export type Part = typeof PARTS[number]

/**
 * A failure or a defect. A clone of an Error would lose its fields, and with `_tag` what it is
 * called.
 */
export type CrossedError =
  | { readonly isError: false; readonly value: unknown }
  /** An array in which there are Errors. */
  | { readonly isError: false; readonly items: ReadonlyArray<CrossedError> }
  | {
    readonly isError: true
    readonly isDom: boolean
    readonly name: string
    readonly message: string
    readonly stack: string | undefined
    readonly fields: ReadonlyArray<readonly [string, CrossedError]>
  }

/** What a Cause is made of. */
export interface CrossedCause {
  readonly failures: ReadonlyArray<CrossedError>
  readonly defects: ReadonlyArray<CrossedError>
  readonly interrupted: boolean
}

/** What a unit came to: a tuple, too. */
type Succeeded = readonly [seq: number, value: unknown]

/** How a unit ended otherwise. */
export type Failed =
  | { readonly _tag: "Failure"; readonly cause: CrossedCause }
  | { readonly _tag: "Invalid"; readonly part: Part; readonly reason: string }

export type ToHerd =
  /** It takes units. It says by which Schemas, since both sides have to have the same. */
  | { readonly type: "ready"; readonly schemas: ReadonlyArray<Part> }
  | { readonly type: "refused"; readonly error: CrossedError }
  | Succeeded
  | { readonly type: "failed"; readonly seq: number; readonly failed: Failed }
  | {
    readonly type: "log"
    readonly level: LogLevel.Literal
    readonly message: ReadonlyArray<CrossedError>
    readonly cause: CrossedCause
    readonly annotations: ReadonlyArray<readonly [string, unknown]>
    readonly spans: ReadonlyArray<{ readonly label: string; readonly startTime: number }>
  }
