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
import { Gopher } from "../Gopher.ts"
import type { Process } from "../Herd.ts"
import { InvalidMessage, ThreadCrashed, ThreadNotStarted } from "../HerdError.ts"
import { crashOf } from "./crash.ts"
import { log } from "./log.ts"
import { reasonOf } from "./show.ts"
import { type Answer, type Ended, Thread } from "./thread.ts"
import { causeOf, crossed } from "./threadError.ts"
import type { GopherSettings } from "./threadOptions.ts"
import type { CrossedCause, FiberContext, Part, ToHerd } from "./threadProtocol.ts"

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
> =>
  Effect.gen(function*() {
    const gopher = yield* Gopher
    const runtime = yield* Effect.runtime<never>()
    const contexts = yield* Effect.withFiberRuntime<Contexts>((fiber) => Effect.succeed(new Contexts(fiber)))
    const notStarted = (cause: unknown) => new ThreadNotStarted({ file: settings.url.href, cause })
    const thread = yield* Effect.acquireRelease(
      Effect.try({
        try: () => new Thread(settings, contexts.first, (entry) => Runtime.runFork(runtime)(logged(entry))),
        catch: notStarted
      }),
      (thread) => thread.stop
    ).pipe(Effect.orDie)
    yield* thread.started.pipe(
      Effect.timeoutFail({
        duration: settings.startTimeout,
        onTimeout: () =>
          new Error(`no call of HerdThread.serve that was ready within ${Duration.format(settings.startTimeout)}`)
      }),
      Effect.mapError(notStarted),
      Effect.orDie
    )
    yield* Effect.forkScoped(Effect.flatMap(thread.exit, (ended) => idleEnd(thread, ended, settings, gopher)))
    return attempts<In, Out, E>(thread, settings, contexts, gopher)
  })

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

const attempts = <In, Out, E>(
  thread: Thread,
  { coders, maxCrashes, transfer, url }: GopherSettings,
  contexts: Contexts,
  gopher: Context.Tag.Service<Gopher>
): Process<In, Out, E | ThreadCrashed | InvalidMessage, never> => {
  return (body, work) => {
    const invalid = (part: Part, reason: string) => new InvalidMessage({ unit: work.id, part, reason })
    const decoded = <A>(part: Part, value: unknown): Effect.Effect<A, InvalidMessage> => {
      const coder = coders[part]
      // What the other side's types promise, where no Schema looks at it.
      if (coder === undefined) return Effect.succeed(value as A)
      return Effect.mapBoth(coder.decode(value), {
        onFailure: (reason) => invalid(part, reason),
        onSuccess: (value) => value as A
      })
    }
    const failure = ({ defects, failures, interrupted }: CrossedCause): Effect.Effect<never, E | InvalidMessage> =>
      Effect.flatMap(
        Effect.forEach(failures, (error) => decoded<E>("error", crossed(error))),
        (failures) => Effect.failCause(causeOf(failures, defects.map(crossed), interrupted))
      )
    const crash = ({ cause, exitCode, reason }: Ended): Effect.Effect<never, ThreadCrashed> =>
      Effect.zipRight(
        gopher.replace({ maxCrashes }),
        new ThreadCrashed({ file: url.href, unit: work.id, reason, exitCode, ...(cause !== undefined && { cause }) })
      )
    const settle = (answer: Answer): Effect.Effect<Out, E | ThreadCrashed | InvalidMessage> => {
      switch (answer._tag) {
        case "Success":
          return decoded<Out>("result", answer.value)
        case "Failure":
          return failure(answer.cause)
        case "Invalid":
          return invalid(answer.part, answer.reason)
        case "Ended":
          return answer.begun ? crash(answer) : gopher.putBack
      }
    }
    const send = (body: unknown) =>
      Effect.withFiberRuntime<Answer, InvalidMessage>((fiber) => {
        const refused = (error: unknown) => {
          contexts.forget()
          return invalid("body", reasonOf(error))
        }
        try {
          const moved = transfer?.(body)
          if (moved?.some(isGone) === true) return invalid("body", "an ArrayBuffer that has been moved before")
          const run = thread.run({ ...work, body }, contexts.next(fiber), moved)
          return Effect.mapError(run, refused)
        } catch (error) {
          return refused(error)
        }
      })
    const encoded = coders.body && Effect.mapError(coders.body.encode(body), (reason) => invalid("body", reason))
    return Effect.flatMap(encoded === undefined ? send(body) : Effect.flatMap(encoded, send), settle)
  }
}

/** Node would send it as an empty one. */
const isGone = (value: unknown): boolean => {
  if (!(value instanceof ArrayBuffer) || value.byteLength > 0) return false
  try {
    return new Uint8Array(value).length > 0
  } catch {
    return true
  }
}

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
    const same = now.level === last?.level && now.annotations === last.annotations && now.span === last.span
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
  readonly span: Tracer.AnySpan | undefined
}

const inherited = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Inherited => ({
  level: fiber.getFiberRef(FiberRef.currentMinimumLogLevel),
  annotations: fiber.getFiberRef(FiberRef.currentLogAnnotations),
  span: Option.getOrUndefined(Context.getOption(fiber.getFiberRef(FiberRef.currentContext), Tracer.ParentSpan))
})

const contextOf = ({ annotations, level, span }: Inherited): FiberContext => ({
  level: level._tag,
  annotations: Array.from(annotations, ([key, value]) => [key, cloneable(value)]),
  span: span && { traceId: span.traceId, spanId: span.spanId, sampled: span.sampled }
})

const cloneable = (value: unknown): unknown =>
  typeof value === "object" || typeof value === "function" || typeof value === "symbol"
    ? Inspectable.toStringUnknown(value)
    : value

/** A line that was written in the thread, as if it were written here. */
const logged = ({ annotations, cause, level, message, spans }: Extract<ToHerd, { readonly type: "log" }>) => {
  const logLevel = LogLevel.allLevels.find(({ _tag }) => _tag === level) ?? LogLevel.Info
  const parts = message.map(crossed)
  const causes = causeOf(cause.failures.map(crossed), cause.defects.map(crossed), cause.interrupted)
  return log(
    Effect.logWithLevel(logLevel, ...parts, ...(Cause.isEmpty(causes) ? [] : [causes])).pipe(
      Effect.annotateLogs(Object.fromEntries(annotations)),
      Effect.locally(
        FiberRef.currentLogSpan,
        List.fromIterable(spans.map(({ label, startTime }) => LogSpan.make(label, startTime)))
      )
    )
  )
}
