/**
 * What a resource tells its gopher.
 *
 * @since 0.1.0
 */
export * as Gopher from "./Gopher.ts"

/**
 * Run work with bounded concurrency, and change that bound while it runs: how many fibers process a
 * queue.
 *
 * @since 0.1.0
 */
export * as Herd from "./Herd.ts"

/**
 * The HTTP contract.
 *
 * @since 0.1.0
 */
export * as HerdApi from "./HerdApi.ts"

/**
 * A client of that contract.
 *
 * @since 0.1.0
 */
export * as HerdClient from "./HerdClient.ts"

/**
 * Every error of a herd.
 *
 * @since 0.1.0
 */
export * as HerdError from "./HerdError.ts"

/**
 * Every metric of a herd.
 *
 * @since 0.1.0
 */
export * as HerdMetrics from "./HerdMetrics.ts"

/**
 * The routes by which herds are watched and steered.
 *
 * @since 0.1.0
 */
export * as HerdRouter from "./HerdRouter.ts"

/**
 * What became of a unit of work.
 *
 * @since 0.1.0
 */
export * as Outcome from "./Outcome.ts"

/**
 * A unit of work.
 *
 * @since 0.1.0
 */
export * as Work from "./Work.ts"
