/**
 * A herd's metrics and spans, sent to an OpenTelemetry collector while it works and once more at
 * the end.
 *
 *     OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 npx tsx examples/otlp.ts
 */
import * as Otlp from "@effect/opentelemetry/Otlp"
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Schedule, Stream } from "effect"
import { Herd } from "gofherd"

const TelemetryLive = Layer.unwrapEffect(
  Effect.map(
    Config.withDefault(Config.string("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://127.0.0.1:4318"),
    (baseUrl) =>
      Otlp.layerJson({
        baseUrl,
        resource: { serviceName: "otlp-example" },
        metricsExportInterval: "1 second",
        tracerExportInterval: "1 second"
      })
  )
).pipe(Layer.provide(NodeHttpClient.layer))

/** Every fifth page needs a second attempt, and page 7 can't be had. */
const fetchPage = (page: number, attempt: number) =>
  Effect.delay(
    page === 7 || (page % 5 === 0 && attempt === 1) ? Effect.fail(`no page ${page}`) : Effect.succeed(page),
    "20 millis"
  )

const program = Effect.gen(function*() {
  const herd = yield* Herd.make({
    name: "pages",
    process: (page: number, { attempt }) => fetchPage(page, attempt),
    size: 4,
    retry: Schedule.recurs(1),
    tracing: true
  })
  yield* herd.sendAll(Array.from({ length: 20 }, (_, n) => n + 1)).pipe(
    // The attempts are its children, also those that run after its end.
    Effect.withSpan("crawl")
  )
  yield* herd.close
  yield* Stream.runDrain(herd.outcomes)
  const { failed, retried, succeeded } = yield* herd.state
  yield* Console.log(`${succeeded} succeeded, ${failed} failed, ${retried} retries`)
})

program.pipe(Effect.scoped, Effect.provide(TelemetryLive), NodeRuntime.runMain)
