import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { ResourceLimits, Transferable } from "node:worker_threads"
import type { Options, ServeOptions } from "../HerdThread.ts"
import { checkNow, holds, isFunction, isObject, optional, readNow } from "./check.ts"
import { checkDurationNow, isCount } from "./options.ts"
import { type Part, PARTS } from "./threadProtocol.ts"

/** One part of the traffic, by its Schema; what it fails with is why it refused. */
interface Coder {
  readonly encode: (value: unknown) => Effect.Effect<unknown, string>
  readonly decode: (value: unknown) => Effect.Effect<unknown, string>
}

/** Parts without one cross as they are. */
type Coders = { readonly [part in Part]?: Coder }

/** What `HerdThread.gopher` works with. */
export interface GopherSettings {
  readonly url: URL
  readonly coders: Coders
  readonly transfer: ((body: unknown) => ReadonlyArray<Transferable>) | undefined
  readonly terminateAfter: Duration.Duration
  readonly startTimeout: Duration.Duration
  readonly maxCrashes: number
  readonly resourceLimits: ResourceLimits | undefined
  /**
   * Without them a thread inherits the process's; given, Node refuses those that are of the whole
   * process.
   */
  readonly execArgv: ReadonlyArray<string> | undefined
  readonly env: Readonly<Record<string, string | undefined>> | undefined
}

/** What `HerdThread.serve` works with. */
export interface ServeSettings<R> {
  readonly layer: Layer.Layer<R, unknown>
  readonly coders: Coders
  readonly transfer: ((result: unknown) => ReadonlyArray<Transferable>) | undefined
}

const isStringOrMissing = (value: unknown) => value === undefined || typeof value === "string"

const coderOf = (schema: Schema.Schema.AnyNoContext): Coder => {
  const said = (error: { readonly message: string }) => error.message
  const [encode, decode] = [Schema.encodeUnknown(schema), Schema.decodeUnknown(schema)]
  // Either may throw, as the functions of a transformation do: that is a defect of the unit.
  return {
    encode: (value) => Effect.suspend(() => Effect.mapError(encode(value), said)),
    decode: (value) => Effect.suspend(() => Effect.mapError(decode(value), said))
  }
}

const codersOf = (schema: { readonly [part in Part]?: unknown } | undefined): Coders => {
  if (schema === undefined) return {}
  const given = readNow(schema, ({ body, error, result }) => ({ body, error, result }), "schema")
  const coders: { [part in Part]?: Coder } = {}
  for (const part of PARTS) {
    const value = given[part]
    if (value === undefined) continue
    checkNow(holds(Schema.isSchema, value), `schema.${part}`, "a Schema", value)
    coders[part] = coderOf(value as Schema.Schema.AnyNoContext)
  }
  return coders
}

/**
 * The parts that cross by a Schema.
 *
 * @internal
 */
export const codedParts = (coders: Coders): ReadonlyArray<Part> => PARTS.filter((part) => coders[part] !== undefined)

/**
 * Throws `InvalidOption`.
 *
 * @internal
 */
export const gopherSettings = <In, Out, E>(url: URL, options: Options<In, Out, E>): GopherSettings => {
  checkNow(holds((url) => url instanceof URL, url), "url", "a URL", url)
  const given = readNow(options, (options) => ({
    schema: options.schema,
    transfer: options.transfer,
    terminateAfter: options.terminateAfter,
    startTimeout: options.startTimeout,
    maxCrashes: options.maxCrashes,
    resourceLimits: options.resourceLimits,
    execArgv: options.execArgv,
    env: options.env
  }))
  const { env, execArgv, maxCrashes = 3, resourceLimits, startTimeout = "30 seconds" } = given
  const { schema, terminateAfter = "1 second", transfer } = given
  checkNow(optional(isFunction)(transfer), "transfer", "a function", transfer)
  checkNow(isCount(maxCrashes), "maxCrashes", "an integer from 1", maxCrashes)
  checkNow(optional(isObject)(resourceLimits), "resourceLimits", "an object", resourceLimits)
  const isList = (list: unknown) => Array.isArray(list) && list.every((argument) => typeof argument === "string")
  checkNow(optional(isList)(execArgv), "execArgv", "an array of strings", execArgv)
  const isEnv = (value: unknown) => isObject(value) && Object.values(value).every(isStringOrMissing)
  checkNow(optional(isEnv)(env), "env", "an object of strings", env)
  return {
    url: new URL(url),
    coders: codersOf(schema),
    transfer: transfer as GopherSettings["transfer"],
    terminateAfter: checkDurationNow("terminateAfter", "a duration", terminateAfter),
    startTimeout: checkDurationNow("startTimeout", "a duration of more than 0", startTimeout, Duration.greaterThan(0)),
    maxCrashes,
    resourceLimits: resourceLimits && readNow(resourceLimits, (limits) => ({ ...limits }), "resourceLimits"),
    execArgv: execArgv && Array.from(execArgv),
    env: env && { ...env }
  }
}

/**
 * Throws `InvalidOption`.
 *
 * @internal
 */
export const serveSettings = <In, Out, E, R>(
  process: unknown,
  options: ServeOptions<In, Out, E> & { readonly layer?: Layer.Layer<R, unknown> | undefined }
): ServeSettings<R> => {
  checkNow(isFunction(process), "process", "a function", process)
  const { layer, schema, transfer } = readNow(options, ({ layer, schema, transfer }) => ({ layer, schema, transfer }))
  checkNow(optional(isFunction)(transfer), "transfer", "a function", transfer)
  checkNow(optional(Layer.isLayer)(layer), "layer", "a Layer", layer)
  return {
    layer: layer ?? (Layer.empty as Layer.Layer<never> as Layer.Layer<R>),
    coders: codersOf(schema),
    transfer: transfer as ServeSettings<R>["transfer"]
  }
}
