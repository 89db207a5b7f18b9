import { Cause, Effect, HashMap, Layer, Logger, LogLevel, Option } from "effect"

/** Collects what is logged, as `LEVEL [herd] message cause`. */
export const makeLogs = (minimum: LogLevel.LogLevel = LogLevel.Debug) => {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message }) => {
    const herd = Option.getOrElse(HashMap.get(annotations, "herd"), () => "-")
    const reason = Cause.isEmpty(cause) ? "" : ` ${Cause.pretty(cause).split("\n")[0]}`
    lines.push(`${logLevel.label} [${herd}] ${Array.isArray(message) ? message.join(" ") : message}${reason}`)
  })
  const layer = Layer.merge(Logger.add(logger), Logger.minimumLogLevel(minimum))
  return { lines, collect: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provide(effect, layer) }
}
