import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TooManyEventStreams } from "../HerdApi.ts"
import { isObject } from "./check.ts"

/** How long the reader of a web handler's answer may take for an event. */
const UNREAD = "30 seconds"

/**
 * How many event streams are open, and may be. They last as long as their readers like, and each
 * holds a connection: without a bound, who opens many leaves none to others.
 *
 * @internal
 */
export class EventStreams {
  private readonly max: number
  private count = 0

  constructor(max: number) {
    this.max = max
  }

  /**
   * Takes a place until the request's scope closes, which it does when the answer has ended or its
   * client is gone.
   */
  open(
    { method, source }: HttpServerRequest.HttpServerRequest,
    events: Stream.Stream<Uint8Array>
  ): Effect.Effect<Stream.Stream<Uint8Array>, TooManyEventStreams, Scope.Scope> {
    // Its answer has no body, so nothing stays open.
    if (method === "HEAD") return Effect.succeed(events)
    const signal = signalOf(source)
    return signal === undefined ? Effect.as(this.place, events) : this.openTo(signal, events)
  }

  private readonly place = Effect.acquireRelease(
    Effect.suspend(() => {
      if (this.count >= this.max) {
        return new TooManyEventStreams({ msg: `expected at most ${this.max} event streams at once, got one more` })
      }
      this.count++
      return Effect.void
    }),
    () =>
      Effect.sync(() => {
        this.count--
      })
  )

  /**
   * The scope of a web handler's request closes when its body has ended or is cancelled, and on
   * nothing else. So the events also end, and their place is free, when the request is aborted and
   * when nobody reads them.
   */
  private openTo(
    signal: AbortSignal,
    events: Stream.Stream<Uint8Array>
  ): Effect.Effect<Stream.Stream<Uint8Array>, TooManyEventStreams, Scope.Scope> {
    return Effect.gen(this, function*() {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      yield* Scope.extend(this.place, scope)
      const unread = yield* Mailbox.make<Uint8Array>(1)
      yield* Scope.addFinalizer(scope, unread.end)
      const close = Scope.close(scope, Exit.void)
      const telling = Stream.runForEach(events, (event) => Effect.timeout(unread.offer(event), UNREAD))
      yield* Effect.raceFirst(Effect.ignore(telling), aborted(signal)).pipe(
        Effect.zipRight(Effect.forkDaemon(close)),
        Effect.forkIn(scope)
      )
      return Mailbox.toStream(unread)
    })
  }
}

const signalOf = (source: unknown): AbortSignal | undefined =>
  isObject(source) && "signal" in source && source.signal instanceof AbortSignal ? source.signal : undefined

const aborted = (signal: AbortSignal): Effect.Effect<void> =>
  Effect.async((resume) => {
    const done = () => resume(Effect.void)
    if (signal.aborted) return done()
    signal.addEventListener("abort", done, { once: true })
    return Effect.sync(() => signal.removeEventListener("abort", done))
  })
