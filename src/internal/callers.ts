import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as HashMap from "effect/HashMap"
import * as List from "effect/List"
import type * as LogLevel from "effect/LogLevel"
import type * as LogSpan from "effect/LogSpan"
import * as Option from "effect/Option"
import type * as Runtime from "effect/Runtime"
import * as Tracer from "effect/Tracer"

/**
 * Runs an Effect with the log annotations, the log spans, the minimum log level and the parent span
 * of a caller.
 *
 * @internal
 */
export type Within = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const { currentLogAnnotations, currentLogSpan, currentMinimumLogLevel } = FiberRef

const defaultLevel = FiberRefs.getOrDefault(FiberRefs.empty(), currentMinimumLogLevel)

/**
 * The callers of `run`. A unit inherits what its caller has set and the herd has not. Most callers
 * have set nothing, and pay for looking that up only.
 *
 * @internal
 */
export class Callers {
  private readonly level: LogLevel.LogLevel
  private readonly annotations: HashMap.HashMap<string, unknown>
  private readonly logSpans: List.List<LogSpan.LogSpan>
  private readonly span: Tracer.AnySpan | undefined

  /** With the runtime of the herd's own fibers. */
  constructor({ context, fiberRefs }: Runtime.Runtime<never>) {
    this.level = FiberRefs.getOrDefault(fiberRefs, currentMinimumLogLevel)
    this.annotations = FiberRefs.getOrDefault(fiberRefs, currentLogAnnotations)
    this.logSpans = FiberRefs.getOrDefault(fiberRefs, currentLogSpan)
    this.span = Option.getOrUndefined(Context.getOption(context, Tracer.ParentSpan))
  }

  /** Of the fiber that runs now; `undefined` if it has set nothing. */
  get within(): Within | undefined {
    const fiber = Option.getOrUndefined(Fiber.getCurrentFiber())
    if (fiber === undefined) return undefined
    const span = fiber.currentSpan === this.span ? undefined : fiber.currentSpan
    const level = fiber.getFiberRef(currentMinimumLogLevel)
    const annotations = fiber.getFiberRef(currentLogAnnotations)
    const logSpans = fiber.getFiberRef(currentLogSpan)
    const hasLevel = level !== this.level && level !== defaultLevel
    const hasAnnotations = annotations !== this.annotations && !HashMap.isEmpty(annotations)
    const hasLogSpans = logSpans !== this.logSpans && List.isCons(logSpans)
    if (span === undefined && !hasLevel && !hasAnnotations && !hasLogSpans) return undefined
    return (effect) => {
      let inner = effect
      if (hasLevel) inner = Effect.locally(inner, currentMinimumLogLevel, level)
      if (hasLogSpans) inner = Effect.locally(inner, currentLogSpan, logSpans)
      if (hasAnnotations) {
        inner = Effect.locallyWith(inner, currentLogAnnotations, (own) => HashMap.union(own, annotations))
      }
      return span === undefined ? inner : Effect.withParentSpan(inner, span)
    }
  }
}
