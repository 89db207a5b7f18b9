import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as List from "effect/List"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as LogSpan from "effect/LogSpan"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Tracer from "effect/Tracer"
import * as nodeProcess from "node:process"
import { isMainThread, type Transferable, workerData } from "node:worker_threads"
import type { Process } from "../Herd.ts"
import type { Work } from "../Work.ts"
import { isObject } from "./check.ts"
import { nextTurn } from "./nextTurn.ts"
import { noEffect } from "./noEffect.ts"
import { reasonOf } from "./show.ts"
import { portable, whyNot } from "./threadClone.ts"
import { crossable, crossing, crossingCause } from "./threadError.ts"
import { codedParts, type ServeSettings } from "./threadOptions.ts"
import { BEGUN, KEY, SERVING } from "./threadProtocol.ts"
import type {
  CrossedCause,
  CrossedError,
  Failed,
  FiberContext,
  Part,
  Run,
  ThreadData,
  ToHerd,
  ToThread
} from "./threadProtocol.ts"
import { movable } from "./threadTransfer.ts"

/**
 * Does what the herd asks for, if this is a thread that a herd has made; in any other one, and in
 * the main thread, it does nothing.
 *
 * @internal
 */
export const serve = <In, Out, E, R>(process: Process<In, Out, E, R>, settings: ServeSettings<R>): void => {
  const data = dataOf(workerData)
  if (isMainThread || data === undefined) return
  if (Atomics.exchange(data.shared, SERVING, 1) === 1) {
    throw new Error("expected a worker module to call HerdThread.serve once, got a second call")
  }
  new Server(process, settings, data).start()
}

/** What is there under this name was put there by the herd's side. */
const dataOf = (data: unknown): ThreadData | undefined =>
  isObject(data) && KEY in data ? data[KEY] as ThreadData : undefined

class Server<In, Out, E, R> {
  private readonly process: Process<In, Out, E, R>
  private readonly settings: ServeSettings<R>
  private readonly data: ThreadData
  /** By their `seq`. */
  private readonly running = new Map<number, Fiber.RuntimeFiber<unknown, unknown>>()
  /** The `seq` of the unit that came last, and of that which failed last. */
  private heard = 0
  private lastFailed = 0
  /** What the Layer provides. */
  private provided: Runtime.Runtime<R> | undefined = undefined
  /** Runs a unit with that, and with what the herd's fiber passes on. */
  private fork: (<A, E1>(effect: Effect.Effect<A, E1, R>) => Fiber.RuntimeFiber<A, E1>) | undefined = undefined

  constructor(process: Process<In, Out, E, R>, settings: ServeSettings<R>, data: ThreadData) {
    this.process = process
    this.settings = settings
    this.data = data
  }

  start(): void {
    const life = Effect.gen(this, function*() {
      this.provided = yield* Layer.toRuntime(this.settings.layer)
      this.fork = Runtime.runFork(runtimeIn(this.provided, this.data.context))
      yield* Effect.addFinalizer(() => Fiber.interruptAll(Array.from(this.running.values())))
      // By then a module that fails after it has called `serve` has ended the thread.
      yield* nextTurn
      this.post({ type: "ready", schemas: codedParts(this.settings.coders) })
      return yield* Effect.never
    })
    const forwarding = Logger.replace(Logger.defaultLogger, this.forwarder)
    const runtime = runtimeIn(Runtime.defaultRuntime, this.data.context)
    const fiber = Runtime.runFork(runtime)(Effect.scoped(life).pipe(Effect.provide(forwarding)))
    fiber.addObserver((exit) => {
      if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) this.refused(Cause.squash(exit.cause))
      nodeProcess.exit(0)
    })
    this.data.port.on("message", (message: ToThread) => {
      if (!("type" in message)) return this.begin(message)
      if (message.type === "stop") return fiber.unsafeInterruptAsFork(FiberId.none)
      if (message.type === "unread") return this.unread(message.seqs, message.reason)
      this.running.get(message.seq)?.unsafeInterruptAsFork(FiberId.none)
    })
    // Of all that comes only a unit can be too large, or too deep, to be read: the next one.
    this.data.port.on("messageerror", (error) => {
      const seq = this.heard + 1
      this.begins(seq)
      this.invalid(seq, "body", reasonOf(error))
    })
  }

  /** Units that have not ended are still to be answered. */
  private unread(seqs: ReadonlyArray<number>, reason: string): void {
    for (const seq of seqs) {
      if (!this.running.has(seq)) this.invalid(seq, seq === this.lastFailed ? "error" : "result", reason)
    }
  }

  private refused(reason: unknown): void {
    const error = crossing(reason)
    this.tell({ type: "refused", error }, () => ({ type: "refused", error: crossable(error) }))
  }

  // ---------------------------------------------------------------------------------------------------- units

  private begin([seq, body, id, attempt, priority, context]: Run): void {
    this.begins(seq)
    if (this.provided === undefined || this.fork === undefined) {
      throw new Error("expected a unit to come after the thread was ready, got one before")
    }
    if (context !== undefined) this.fork = Runtime.runFork(runtimeIn(this.provided, context))
    const effect = this.attempt({ id, body, attempt, priority })
    // There is nothing to run.
    if (Exit.isExit(effect) && Exit.isSuccess(effect)) return this.succeeded(seq, effect.value)
    const fiber = this.fork(effect)
    this.running.set(seq, fiber)
    fiber.addObserver((exit) => {
      this.running.delete(seq)
      if (Exit.isSuccess(exit)) this.succeeded(seq, exit.value)
      else this.failed(seq, exit.cause)
    })
  }

  private begins(seq: number): void {
    this.heard = seq
    Atomics.store(this.data.shared, BEGUN, seq)
  }

  /** One unit, from its body as it came to its result as it goes. */
  private attempt(work: Work<unknown>): Effect.Effect<unknown, unknown, R> {
    const { body, error, result } = this.settings.coders
    let attempt: Effect.Effect<unknown, unknown, R> = body === undefined
      ? this.processed(work.body, work)
      : Effect.flatMap(refusing("body", body.decode(work.body)), (body) => this.processed(body, work))
    if (error !== undefined) {
      attempt = Effect.catchAll(attempt, (failure) =>
        failure instanceof Refused
          ? Effect.fail(failure)
          : Effect.flatMap(refusing("error", error.encode(failure)), Effect.fail))
    }
    return result === undefined
      ? attempt
      : Effect.flatMap(attempt, (value) => refusing("result", result.encode(value)))
  }

  /** The body is what the herd's side says it is, or a Schema has looked at it. */
  private processed(body: unknown, { attempt, id, priority }: Work<unknown>): Effect.Effect<Out, E, R> {
    const own = body as In
    try {
      const effect = this.process(own, { id, body: own, attempt, priority })
      return Effect.isEffect(effect) ? effect : noEffect("process", effect)
    } catch (error) {
      // `Effect.die` would look at it, which a Proxy may answer by throwing again.
      return Exit.die(error)
    }
  }

  /** A result that can't be cloned is told of instead. */
  private succeeded(seq: number, value: unknown): void {
    try {
      this.post([seq, value], movable(this.settings.transfer?.(value) ?? []))
    } catch (error) {
      this.invalid(seq, "result", whyNot(error, value))
    }
  }

  private failed(seq: number, cause: Cause.Cause<unknown>): void {
    const refused = Chunk.findFirst(Cause.failures(cause), (error): error is Refused => error instanceof Refused)
    if (Option.isSome(refused)) {
      return this.invalid(seq, refused.value.part, refused.value.reason)
    }
    this.lastFailed = seq
    const crossed = crossingCause(cause)
    const failed = (failed: Failed) => ({ type: "failed", seq, failed } as const)
    this.tell(failed({ _tag: "Failure", cause: crossed }), (error) => {
      // By its Schema an error is as the Schema says, or it is none.
      const refused = crossed.failures.find((failure) => this.settings.coders.error !== undefined || isLost(failure))
      return refused === undefined
        ? failed({ _tag: "Failure", cause: crossableCause(crossed) })
        : failed({
          _tag: "Invalid",
          part: "error",
          reason: whyNot(error, "value" in refused ? refused.value : undefined)
        })
    })
  }

  private invalid(seq: number, part: Part, reason: string): void {
    this.post({ type: "failed", seq, failed: { _tag: "Invalid", part, reason } })
  }

  /** What can't be cloned is told otherwise. */
  private tell(message: ToHerd, otherwise: (error: unknown) => ToHerd): void {
    try {
      this.post(message)
    } catch (error) {
      this.post(otherwise(error))
    }
  }

  private post(message: ToHerd, transfer?: ReadonlyArray<Transferable>): void {
    this.data.port.postMessage(message, transfer)
  }

  // ---------------------------------------------------------------------------------------------------- logs

  /** Logs are the herd's. */
  private readonly forwarder = Logger.make<unknown, void>(({ annotations, cause, logLevel, message, spans }) => {
    const log = {
      type: "log" as const,
      level: logLevel._tag,
      message: (Array.isArray(message) ? message : [message]).map((part) => crossing(part)),
      cause: crossingCause(cause),
      annotations: Array.from(annotations),
      spans: Array.from(List.map(spans, ({ label, startTime }) => ({ label, startTime })))
    }
    this.tell(log, () => ({
      ...log,
      message: log.message.map(crossable),
      cause: crossableCause(log.cause),
      annotations: log.annotations.map(([key, value]) => [key, portable(value).value])
    }))
  })
}

/** A part that its Schema refused. */
class Refused {
  readonly part: Part
  readonly reason: string

  constructor(part: Part, reason: string) {
    this.part = part
    this.reason = reason
  }
}

const refusing = <A, R>(part: Part, coded: Effect.Effect<A, string, R>): Effect.Effect<A, Refused, R> =>
  Effect.mapError(coded, (reason) => new Refused(part, reason))

/** Is there nothing of it that can cross? */
const isLost = (failure: CrossedError): boolean => "value" in failure && portable(failure.value).lost[0] === ""

const crossableCause = ({ defects, failures, interrupted }: CrossedCause): CrossedCause => ({
  failures: failures.map(crossable),
  defects: defects.map(crossable),
  interrupted
})

/** As if units were run by the herd's fiber. */
const runtimeIn = <R>(
  { context, fiberRefs, runtimeFlags }: Runtime.Runtime<R>,
  { annotations, level, logSpans, span }: FiberContext
): Runtime.Runtime<R> => {
  const set = <A>(fiberRef: FiberRef.FiberRef<A>, value: A) => (refs: FiberRefs.FiberRefs) =>
    FiberRefs.updateAs(refs, { fiberId: FiberId.none, fiberRef, value })
  return Runtime.make({
    context: span === undefined ? context : Context.add(context, Tracer.ParentSpan, Tracer.externalSpan(span)),
    fiberRefs: fiberRefs.pipe(
      set(FiberRef.currentMinimumLogLevel, LogLevel.fromLiteral(level)),
      set(FiberRef.currentLogAnnotations, HashMap.fromIterable(annotations)),
      set(
        FiberRef.currentLogSpan,
        List.fromIterable(logSpans.map(([label, startTime]) => LogSpan.make(label, startTime)))
      )
    ),
    runtimeFlags
  })
}
