/**
 * A gopher, as the resource that it owns sees it: so that a resource that is broken can say so.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/**
 * @since 0.1.0
 * @category models
 */
export interface ReplaceOptions {
  /**
   * A unit that was at work on so many gophers while they broke is a failure, whatever the herd's
   * Schedule says: it may be what breaks them. An integer from 1; default: only the Schedule
   * decides.
   */
  readonly maxCrashes?: number | undefined
}

/**
 * What the Effect given as `gopher:` may ask for, to replace its gopher when the resource breaks: a
 * connection that is lost, a page that has crashed, a thread that has ended.
 *
 * What becomes of the unit and what becomes of the gopher are two things. A unit that fails is
 * retried as the Schedule says, and the gopher goes on; a unit that dies of a defect fails for
 * good, and its gopher is replaced. To fail a unit **and** replace its gopher, `replace` it and
 * fail as usual. If the unit is not to blame, since it never got to the resource, `putBack` puts it
 * back.
 *
 * A gopher that is replaced takes no further unit. When its unit has ended its scope closes, and a
 * fresh gopher follows: at once if this one had ended a unit before it broke; otherwise after
 * 100 ms, 200 ms, and so on up to 30 s, as often as that happens in a row.
 *
 * @example
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { Gopher, Herd } from "gofherd"
 *
 * class ConnectionLost {
 *   readonly _tag = "ConnectionLost"
 * }
 * declare const connect: Effect.Effect<{
 *   readonly query: (sql: string) => Effect.Effect<number, ConnectionLost>
 *   readonly lost: Effect.Effect<void>
 *   readonly end: Effect.Effect<void>
 * }>
 *
 * const herd = Herd.make({
 *   gopher: Effect.gen(function*() {
 *     const gopher = yield* Gopher.Gopher
 *     const connection = yield* Effect.acquireRelease(connect, ({ end }) => end)
 *     // Also one that is lost while it is idle is replaced before there is work for it.
 *     yield* Effect.forkScoped(Effect.zipRight(connection.lost, gopher.replace()))
 *     return (sql: string) => Effect.tapErrorTag(connection.query(sql), "ConnectionLost", () => gopher.replace())
 *   }),
 *   size: 4,
 *   retry: Schedule.recurs(3)
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export class Gopher extends Context.Tag("gofherd/Gopher")<Gopher, {
  /**
   * The resource is broken: the gopher takes no further unit and is replaced by a fresh one. One
   * without a unit is replaced at once; one that has a unit, when that has ended, however it ends.
   * Returns at once, also if it has been said before or the gopher is gone.
   */
  replace(options?: ReplaceOptions): Effect.Effect<void>
  /**
   * The same, and the gopher's unit, if it has one, is interrupted and put back at the head of the
   * queue, without having spent an attempt: the resource was broken before it got the unit. (One
   * that was cancelled meanwhile is not put back.) Whoever calls it is interrupted.
   */
  readonly putBack: Effect.Effect<never>
}>() {}
