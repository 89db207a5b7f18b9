/**
 * A unit of work: what the herd's `process` is given beside the body.
 *
 * @since 0.1.0
 */

/**
 * One attempt at one unit of work. Every attempt gets a value of its own, so it may be kept or
 * passed on.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Herd, type Work } from "gofherd"
 *
 * const herd = Herd.make({
 *   process: (url: string, work: Work.Work<string>) => Effect.logDebug(`${work.id}, attempt ${work.attempt}: ${url}`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Work<out In> {
  /**
   * What its sender called it; without a name, a running number given at its first attempt: `"1"`,
   * `"2"`, …
   */
  readonly id: string
  /** What its sender sent. */
  readonly body: In
  /**
   * 1 for the first attempt, 2 for the first retry. An attempt that a shrink interrupted is not
   * counted.
   */
  readonly attempt: number
  /** As its sender set it; default 0. Higher starts first. */
  readonly priority: number
}
