import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as HashMap from "effect/HashMap"
import * as Inspectable from "effect/Inspectable"
import * as List from "effect/List"
import * as LogLevel from "effect/LogLevel"
import * as LogSpan from "effect/LogSpan"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { availableParallelism } from "node:os"
import { Gopher } from "../Gopher.ts"
import type { Process } from "../Herd.ts"
import { InvalidMessage, ThreadCrashed, ThreadNotStarted } from "../HerdError.ts"
import type { Work } from "../Work.ts"
import { crashOf } from "./crash.ts"
import { log } from "./log.ts"
import { inTime } from "./sleep.ts"
import { type Answer, type Ended, Thread } from "./thread.ts"
import { whyNot } from "./threadClone.ts"
import { causeOf, crossed } from "./threadError.ts"
import type { GopherSettings } from "./threadOptions.ts"
import type { CrossedCause, FiberContext, Part, ToHerd } from "./threadProtocol.ts"
import { movable } from "./threadTransfer.ts"

/**
 * A gopher that owns a thread.
 *
 * @internal
 */
export const threadGopher = <In, Out, E>(
  settings: GopherSettings
): Effect.Effect<
  Process<In, Out, E | ThreadCrashed | InvalidMessage, never>,
  never,
  Scope.Scope | Gopher
> => {
  // Too many that start at once would keep each other from ever being ready.
  const starts = Effect.unsafeMakeSemaphore(Math.max(2, availableParallelism()))
  return Effect.gen(function*() {
    const gopher = yield* Gopher
    const runtime = yield* Effect.runtime<never>()
    const contexts = yield* Effect.withFiberRuntime<Contexts>((fiber) => Effect.succeed(new Contexts(fiber)))
    const notStarted = (cause: unknown) => new ThreadNotStarted({ file: settings.url.href, cause })
    const start = Effect.acquireRelease(
      Effect.try({
        try: () => new Thread(settings, contexts.first, (entry) => Runtime.runFork(runtime)(logged(entry))),
        catch: notStarted
      }),
      (thread) => thread.stop
    )
    const ready = (thread: Thread) =>
      Effect.flatMap(
        inTime(Effect.mapError(thread.started, notStarted), settings.startTimeout),
        Option.match({
          onNone: () => {
            const within = Duration.format(settings.startTimeout)
            return notStarted(new Error(`no call of HerdThread.serve that was ready within ${within}`))
          },
          onSome: (started) => Effect.succeed(started)
        })
      )
    const thread = yield* starts.withPermits(1)(Effect.tap(start, ready)).pipe(Effect.orDie)
    yield* Effect.forkScoped(Effect.flatMap(thread.exit, (ended) => idleEnd(thread, ended, settings, gopher)))
    return new Units<In, Out, E>(thread, settings, contexts, gopher).process
  })
}

/** Between two units. At one, the unit tells of it. */
const idleEnd = (
  thread: Thread,
  ended: Ended,
  { url }: GopherSettings,
  gopher: Context.Tag.Service<Gopher>
): Effect.Effect<void> => {
  if (thread.stopping || !ended.idle) return Effect.void
  return Effect.zipRight(
    log(Effect.logWarning(`expected the idle thread of ${url.href} to wait for a unit, got ${crashOf(ended)}`)),
    gopher.replace()
  )
}

/** The units of one thread. */
class Units<In, Out, E> {
  private readonly thread: Thread
  private readonly settings: GopherSettings
  private readonly contexts: Contexts
  private readonly gopher: Context.Tag.Service<Gopher>
  /**
   * The unit at hand has cost it its thread, and the gopher takes no other: should it send
   * something again, that is not put back.
   */
  private lost = false

  constructor(thread: Thread, settings: GopherSettings, contexts: Contexts, gopher: Context.Tag.Service<Gopher>) {
    this.thread = thread
    this.settings = settings
    this.contexts = contexts
    this.gopher = gopher
  }

  readonly process: Process<In, Out, E | ThreadCrashed | InvalidMessage, never> = (body, work) => {
    const coder = this.settings.coders.body
    return coder === undefined
      ? this.send(body, work)
      : Effect.flatMap(refusing(work, "body", coder.encode(body)), (body) => this.send(body, work))
  }

  private send(body: unknown, work: Work<In>): Effect.Effect<Out, E | ThreadCrashed | InvalidMessage> {
    return Effect.withFiberRuntime((fiber) =>
      this.thread.run({
        message: (seq) => {
          const context = this.contexts.next(fiber)
          const { attempt, id, priority } = work
          return context === undefined
            ? [seq, body, id, attempt, priority]
            : [seq, body, id, attempt, priority, context]
        },
        transfer: this.settings.transfer && (() => movable(this.settings.transfer?.(body) ?? [])),
        settle: (answer) => this.settle(work, answer),
        terminates: this.terminates,
        refuse: (error) => {
          this.contexts.forget()
          return invalid(work, "body", whyNot(error, body))
        }
      })
    )
  }

  /** It is interrupted, and does not end. What is put around it may go on nevertheless. */
  private readonly terminates = Effect.suspend(() => {
    this.lost = true
    return this.gopher.replace()
  })

  private settle(work: Work<In>, answer: Answer): Effect.Effect<Out, E | ThreadCrashed | InvalidMessage> {
    switch (answer._tag) {
      case "Success":
        return this.decode<Out>(work, "result", answer.value)
      case "Failure":
        return this.fail(work, answer.cause)
      case "Invalid":
        if (answer.part === "body") this.contexts.forget()
        return invalid(work, answer.part, answer.reason)
      case "Ended":
        return answer.begun || this.lost ? this.crash(work, answer.ended) : this.gopher.putBack
    }
  }

  /** Where no Schema looks at it, it is what the types of the other side promise. */
  private decode<A>(work: Work<In>, part: Part, value: unknown): Effect.Effect<A, InvalidMessage> {
    const coder = this.settings.coders[part]
    return coder === undefined
      ? Effect.succeed(value as A)
      : Effect.map(refusing(work, part, coder.decode(value)), (value) => value as A)
  }

  private fail(
    work: Work<In>,
    { defects, failures, interrupted }: CrossedCause
  ): Effect.Effect<never, E | InvalidMessage> {
    return Effect.flatMap(
      Effect.forEach(failures, (error) => this.decode<E>(work, "error", crossed(error))),
      (failures) => Effect.failCause(causeOf(failures, defects.map(crossed), interrupted))
    )
  }

  private crash({ id }: Work<In>, { cause, exitCode, reason }: Ended): Effect.Effect<never, ThreadCrashed> {
    const { maxCrashes, url } = this.settings
    this.lost = true
    return Effect.zipRight(
      this.gopher.replace({ maxCrashes }),
      new ThreadCrashed({ file: url.href, unit: id, reason, exitCode, ...(cause !== undefined && { cause }) })
    )
  }
}

const invalid = ({ id }: Work<unknown>, part: Part, reason: string) => new InvalidMessage({ unit: id, part, reason })

const refusing = <A>(work: Work<unknown>, part: Part, coded: Effect.Effect<A, string>) =>
  Effect.mapError(coded, (reason) => invalid(work, part, reason))

/** What units inherit of their fibers, told to the thread where it has changed. */
class Contexts {
  /** That of the fiber that acquires the thread. */
  readonly first: FiberContext
  private last: Inherited | undefined

  constructor(fiber: Fiber.RuntimeFiber<unknown, unknown>) {
    this.last = inherited(fiber)
    this.first = contextOf(this.last)
  }

  next(fiber: Fiber.RuntimeFiber<unknown, unknown>): FiberContext | undefined {
    const { last } = this
    const now = this.last = inherited(fiber)
    const same = now.level === last?.level && now.annotations === last.annotations
      && now.logSpans === last.logSpans && now.span === last.span
    return same ? undefined : contextOf(now)
  }

  /** The last one has not arrived. */
  forget(): void {
    this.last = undefined
  }
}

interface Inherited {
  readonly level: LogLevel.LogLevel
  readonly annotations: HashMap.HashMap<string, unknown>
  readonly logSpans: List.List<LogSpan.LogSpan>
  readonly span: Tracer.AnySpan | undefined
}

const inherited = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Inherited => ({
  level: fiber.getFiberRef(FiberRef.currentMinimumLogLevel),
  annotations: fiber.getFiberRef(FiberRef.currentLogAnnotations),
  logSpans: fiber.getFiberRef(FiberRef.currentLogSpan),
  span: Option.getOrUndefined(Context.getOption(fiber.getFiberRef(FiberRef.currentContext), Tracer.ParentSpan))
})

const contextOf = ({ annotations, level, logSpans, span }: Inherited): FiberContext => ({
  level: level._tag,
  annotations: Array.from(annotations, ([key, value]) => [key, cloneable(value)]),
  logSpans: Array.from(logSpans, ({ label, startTime }) => [label, startTime]),
  span: span && { traceId: span.traceId, spanId: span.spanId, sampled: span.sampled }
})

const cloneable = (value: unknown): unknown =>
  typeof value === "object" || typeof value === "function" || typeof value === "symbol"
    ? Inspectable.toStringUnknown(value)
    : value

/** A line that was written in the thread, as if it were written here. */
const logged = ({ annotations, cause, level, message, spans }: Extract<ToHerd, { readonly type: "log" }>) => {
  const parts = message.map(crossed)
  const causes = causeOf(cause.failures.map(crossed), cause.defects.map(crossed), cause.interrupted)
  return log(
    Effect.logWithLevel(LogLevel.fromLiteral(level), ...parts, ...(Cause.isEmpty(causes) ? [] : [causes])).pipe(
      Effect.annotateLogs(Object.fromEntries(annotations)),
      // The thread has asked for the level of the unit's fiber, which is what counts.
      Effect.locally(FiberRef.currentMinimumLogLevel, LogLevel.All),
      Effect.locally(
        FiberRef.currentLogSpan,
        List.fromIterable(spans.map(({ label, startTime }) => LogSpan.make(label, startTime)))
      )
    )
  )
}
