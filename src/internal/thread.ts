import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Transferable, Worker } from "node:worker_threads"
import type { Crash } from "./crash.ts"
import { nextTurn } from "./nextTurn.ts"
import { sleep } from "./sleep.ts"
import { causeOf, crossed } from "./threadError.ts"
import { entryOf } from "./threadFile.ts"
import { codedParts, type GopherSettings } from "./threadOptions.ts"
import { BEGUN, KEY, SERVING } from "./threadProtocol.ts"
import type { Failed, FiberContext, Part, Run, ThreadData, ToHerd, ToThread } from "./threadProtocol.ts"

/**
 * How a thread came to its end.
 *
 * @internal
 */
export interface Ended extends Crash {
  /** It had no unit. */
  readonly idle: boolean
}

/**
 * What becomes of a unit in a thread.
 *
 * @internal
 */
export type Answer =
  | { readonly _tag: "Success"; readonly value: unknown }
  | Failed
  /** The thread's end came first, perhaps before it had begun the unit. */
  | { readonly _tag: "Ended"; readonly ended: Ended; readonly begun: boolean }

type Log = Extract<ToHerd, { readonly type: "log" }>

/**
 * A thread, as the herd sees it.
 *
 * @internal
 */
export class Thread {
  ended: Ended | undefined = undefined
  /** It is to end, so that its end is no news. */
  stopping = false
  private readonly settings: GopherSettings
  private readonly onLog: (log: Log) => void
  private readonly shared = new Int32Array(new SharedArrayBuffer(8))
  private readonly port: MessagePort
  private readonly worker: Worker
  private readonly ready = Deferred.unsafeMake<void, unknown>(FiberId.none)
  private readonly gone = Deferred.unsafeMake<Ended>(FiberId.none)
  private readonly closed = Deferred.unsafeMake<void>(FiberId.none)
  private seq = 0
  /** Who wants to know of which unit. */
  private readonly waiting = new Map<number, (answer: Answer) => void>()
  /** What nobody in the thread has caught, in a box, since it may be anything. */
  private thrown: readonly [unknown] | undefined = undefined

  constructor(settings: GopherSettings, context: FiberContext, onLog: (log: Log) => void) {
    this.settings = settings
    this.onLog = onLog
    const { env, execArgv, resourceLimits, url } = settings
    const { entry, eval: isScript } = entryOf(url, execArgv ?? process.execArgv)
    const { port1, port2 } = new MessageChannel()
    const data: ThreadData = { port: port2, shared: this.shared, context }
    try {
      this.worker = new Worker(entry, {
        eval: isScript,
        workerData: { [KEY]: data },
        transferList: [port2],
        ...(execArgv !== undefined && { execArgv: Array.from(execArgv) }),
        ...(env !== undefined && { env }),
        ...(resourceLimits !== undefined && { resourceLimits })
      })
    } catch (error) {
      port1.close()
      throw error
    }
    this.port = port1
    this.port.on("message", (message: ToHerd) => this.hear(message))
    this.port.on("close", () => Deferred.unsafeDone(this.closed, Exit.void))
    this.port.on("messageerror", ({ message }) => this.unreadable(message))
    this.worker.on("error", (error: unknown) => this.thrown = [error])
    this.worker.on("exit", (code) => this.exited(code))
  }

  // ---------------------------------------------------------------------------------------------------- what it says

  private hear(message: ToHerd): void {
    if (!("type" in message)) {
      const [seq, value] = message
      return this.answered(seq, { _tag: "Success", value })
    }
    switch (message.type) {
      case "ready":
        return Deferred.unsafeDone(this.ready, this.greeted(message.schemas))
      case "refused":
        return Deferred.unsafeDone(this.ready, Exit.fail(crossed(message.error)))
      case "failed":
        return this.answered(message.seq, message.failed)
      case "log":
        return this.onLog(message)
    }
  }

  private greeted(theirs: ReadonlyArray<Part>): Exit.Exit<void, unknown> {
    const named = (parts: ReadonlyArray<Part>) => parts.length === 0 ? "none" : parts.join(", ")
    const ours = codedParts(this.settings.coders)
    if (named(ours) === named(theirs)) return Exit.void
    const differ = new Error(
      `expected the same Schemas in gopher and in serve, got ${named(ours)} and ${named(theirs)}`
    )
    return Exit.fail<unknown>(differ)
  }

  private answered(seq: number, answer: Answer): void {
    const waiting = this.waiting.get(seq)
    this.waiting.delete(seq)
    waiting?.(answer)
  }

  /** It can't be told what that was, but the thread knows which units it has answered. */
  private unreadable(reason: string): void {
    this.post({ type: "unread", seqs: Array.from(this.waiting.keys()), reason })
  }

  private exited(exitCode: number): void {
    this.hearRest()
    this.port.close()
    const { thrown } = this
    const cause = thrown?.[0]
    const outOfMemory = cause instanceof Error && "code" in cause && cause.code === "ERR_WORKER_OUT_OF_MEMORY"
    const ended = this.ended = {
      reason: thrown === undefined ? "exit" : outOfMemory ? "memory" : "error",
      exitCode,
      cause,
      idle: this.waiting.size === 0
    }
    const early = thrown === undefined ? new Error(`its exit with code ${exitCode} before it was ready`) : cause
    Deferred.unsafeDone(this.ready, Exit.fail(early))
    Deferred.unsafeDone(this.gone, Exit.succeed(ended))
    // The next one may have been what took the memory, as it came. (The number wraps around.)
    const last = Atomics.load(this.shared, BEGUN) + (outOfMemory ? 1 : 0)
    for (const seq of this.waiting.keys()) this.answered(seq, { _tag: "Ended", ended, begun: (last - seq | 0) >= 0 })
  }

  /** What it said last may be here, and not have been heard. */
  private hearRest(): void {
    for (;;) {
      try {
        const received = receiveMessageOnPort(this.port)
        if (received === undefined) return
        this.hear(received.message)
      } catch {
        // It can't be read, nor asked for: its unit, if it was an answer, is one that the thread
        // has ended of.
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------- what it is told

  /** Waits until it takes units; fails with why it does not. */
  get started(): Effect.Effect<void, unknown> {
    return Deferred.await(this.ready)
  }

  /** Waits for its end, and that nothing of it is left here. */
  get exit(): Effect.Effect<Ended> {
    return Effect.zipLeft(Deferred.await(this.gone), Deferred.await(this.closed))
  }

  /**
   * What comes of the unit's answer, or of the thread's end; or else of why the unit can't cross.
   */
  run<A, E>(unit: {
    readonly message: (seq: number) => Run
    readonly transfer: (() => ReadonlyArray<Transferable>) | undefined
    readonly settle: (answer: Answer) => Effect.Effect<A, E>
    readonly refuse: (error: unknown) => Effect.Effect<A, E>
    /** To be run before the thread is terminated, since the unit does not end. */
    readonly terminates: Effect.Effect<void>
  }): Effect.Effect<A, E> {
    return Effect.async<A, E>((resume) => {
      if (this.ended !== undefined) return resume(unit.settle({ _tag: "Ended", ended: this.ended, begun: false }))
      const seq = this.seq + 1
      try {
        this.post(unit.message(seq), unit.transfer?.())
      } catch (error) {
        return resume(unit.refuse(error))
      }
      this.seq = seq
      this.waiting.set(seq, (answer) => resume(unit.settle(answer)))
      return this.interrupt(seq, unit.terminates)
    })
  }

  /**
   * Interrupts the Effect inside; the thread, if that does not answer in time. What the Effect dies
   * of meanwhile is told, as of any other.
   */
  private interrupt(seq: number, terminates: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.suspend(() => {
      // The answer may have come just before.
      if (!this.waiting.has(seq)) return Effect.void
      this.post({ type: "interrupt", seq })
      return this.inTime(
        Effect.async<void>((resume) => {
          this.waiting.set(seq, (answer) => {
            const defects = answer._tag === "Failure" ? answer.cause.defects : []
            resume(defects.length === 0 ? Exit.void : Exit.failCause(causeOf([], defects.map(crossed), false)))
          })
        }),
        Effect.zipRight(terminates, this.terminate)
      )
    })
  }

  /**
   * Ends it: first by asking, so that its Layer is released. One that does not serve yet, or is
   * stuck, is not asked twice.
   */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    if (Atomics.load(this.shared, SERVING) === 0) return this.terminate
    this.post({ type: "stop" })
    return this.inTime(this.exit, this.terminate)
  })

  private readonly terminate: Effect.Effect<void> = Effect.zipRight(
    Effect.promise(() => {
      this.stopping = true
      return this.worker.terminate()
    }),
    Effect.suspend(() => Effect.asVoid(this.exit))
  )

  private inTime(effect: Effect.Effect<unknown>, otherwise: Effect.Effect<void>): Effect.Effect<void> {
    // Where this thread was busy meanwhile, the answer may be there and has to be heard first.
    const late = Effect.zipRight(sleep(this.settings.terminateAfter), nextTurn)
    const inTime = Effect.raceFirst(
      Effect.interruptible(Effect.as(effect, true)),
      Effect.interruptible(Effect.as(late, false))
    )
    return Effect.flatMap(inTime, (inTime) => inTime ? Effect.void : otherwise)
  }

  private post(message: ToThread, transfer?: ReadonlyArray<Transferable>): void {
    this.port.postMessage(message, transfer)
  }
}
