import type * as Scope from "effect/Scope"

/**
 * For an option: accepts anything, unless `T` has a `Bad` in it. Then the compiler's error ends
 * with the message.
 *
 * A wrapper that is generic in `T` is accepted, too. The compiler defers a condition on its `T`,
 * and accepts what is deferred only if it knows that one branch is out. It does know that "good"
 * does not extend `never`.
 */
export type Unless<T, Bad, Message extends string> =
  ({ readonly bad: Extract<T, Bad> } extends { readonly bad: never } ? "good" : never) extends never ? Message
    : unknown

/** Refuses a `process` that leaves its Scope to others. */
export type ClosesItsScope<R> = Unless<
  R,
  Scope.Scope,
  "expected process to close its Scope, got one left open: use Effect.scoped"
>
