import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { TooManyEventStreams } from "../HerdApi.ts"

/**
 * How many event streams are open, and may be. They last as long as their readers like, and each holds a connection: without
 * a bound, who opens many leaves none to others.
 *
 * @internal
 */
export class EventStreams {
  private readonly max: number
  private count = 0

  constructor(max: number) {
    this.max = max
  }

  /** Takes a place until the request's scope closes, which it does when the answer has ended or its client is gone. */
  open({ method }: HttpServerRequest.HttpServerRequest): Effect.Effect<void, TooManyEventStreams, Scope.Scope> {
    // Its answer has no body, so nothing stays open.
    return method === "HEAD" ? Effect.void : this.place
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
}
