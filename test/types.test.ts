/**
 * What the compiler infers, and what it refuses. `npm run check` runs these; here they only have to
 * load.
 */
import { describe, expectTypeOf, it } from "@effect/vitest"
import type { ConfigError, Option, Scope, Stream } from "effect"
import { Config, Context, Effect, Layer, Schedule, Schema } from "effect"
import { Gopher, Herd, HerdError, HerdRouter, type Outcome, type Work } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdThread from "gofherd/HerdThread"
import type * as threadSchemas from "./fixtures/threadSchemas.ts"
import { Order, type Refused } from "./fixtures/threadSchemas.ts"

class Http extends Context.Tag("Http")<Http, { readonly get: (url: URL) => Effect.Effect<string, FetchError> }>() {}
class Audit extends Context.Tag("Audit")<Audit, { readonly note: (text: string) => Effect.Effect<void> }>() {}
class Budget extends Context.Tag("Budget")<Budget, { readonly left: Effect.Effect<boolean> }>() {}
class FetchError {
  readonly _tag = "FetchError"
}
class Crawler extends Context.Tag("Crawler")<Crawler, Herd.Herd<URL, string, FetchError>>() {}
class Indexer extends Context.Tag("Indexer")<Indexer, Herd.Herd<string, number>>() {}

const fetchPage = (url: URL) => Effect.flatMap(Http, ({ get }) => get(url))

type Made<In, Out, E, R> = Effect.Effect<Herd.Herd<In, Out, E>, never, R | Scope.Scope>

describe("types", () => {
  it("make infers In, Out, E and R", () => {
    const herd = Herd.make({ process: fetchPage, retry: Schedule.recurs(2) })
    expectTypeOf(herd).toEqualTypeOf<Made<URL, string, FetchError, Http>>()
    expectTypeOf(Herd.make({ process: (n: number) => Effect.succeed(n) })).toEqualTypeOf<
      Made<number, number, never, never>
    >()
    expectTypeOf(Herd.make({ process: Effect.succeed<number> })).toEqualTypeOf<Made<number, number, never, never>>()
    const nested = Effect.scoped(
      Effect.map(Herd.make({ process: (n: number, { attempt }) => Effect.fail(n + attempt) }), (h) => h)
    )
    expectTypeOf(nested).toEqualTypeOf<Effect.Effect<Herd.Herd<number, never, number>>>()
  })

  it("make sums what process, the Schedule and the callbacks require", () => {
    const herd = Herd.make({
      process: fetchPage,
      retry: Schedule.whileInputEffect(Schedule.forever, () => Effect.flatMap(Budget, ({ left }) => left)),
      onSuccess: ({ exit, work }) => {
        expectTypeOf(work).toEqualTypeOf<Work.Work<URL>>()
        expectTypeOf(exit).toEqualTypeOf<Outcome.Outcome<URL, string, FetchError>["exit"]>()
        return Effect.flatMap(Audit, ({ note }) => note(work.id))
      },
      onRetry: (retry) => {
        expectTypeOf(retry).toEqualTypeOf<Outcome.Retry<URL, FetchError>>()
        return Effect.flatMap(Audit, ({ note }) => note(retry.work.id))
      }
    })
    expectTypeOf(herd).toEqualTypeOf<Made<URL, string, FetchError, Http | Audit | Budget>>()
  })

  it("gopher infers the same, and may require a Scope", () => {
    const connect = Effect.acquireRelease(Effect.map(Http, ({ get }) => get), () => Effect.void)
    const herd = Herd.make({ gopher: Effect.map(connect, (get) => (url: URL) => get(url)) })
    expectTypeOf(herd).toEqualTypeOf<Made<URL, string, FetchError, Http>>()
  })

  it("gopher takes Gopher from the herd, and threads infer body, result and error from the worker module", () => {
    const own = Herd.make({
      gopher: Effect.map(Gopher.Gopher, ({ putBack }) => (url: URL) => Effect.as(putBack, url.href))
    })
    expectTypeOf(own).toEqualTypeOf<Made<URL, string, never, never>>()
    const url = new URL("file:///worker.ts")
    const threads = HerdThread.gopher<typeof threadSchemas>(url, {
      schema: { body: Order },
      transfer: ({ id }) => [new ArrayBuffer(id)]
    })
    expectTypeOf(Herd.make({ gopher: threads, retry: Schedule.recurs(2) })).toEqualTypeOf<
      Made<
        Order,
        Option.Option<{ readonly label: string; readonly at: Date; readonly picky: number }>,
        Refused | HerdError.ThreadCrashed | HerdError.InvalidMessage,
        never
      >
    >()
    // @ts-expect-error -- the type of the worker module is missing
    const untyped = HerdThread.gopher(url)
    // @ts-expect-error -- another body
    const mistyped = HerdThread.gopher<typeof threadSchemas>(url, { schema: { body: Schema.Number } })
    expectTypeOf(untyped).not.toEqualTypeOf(mistyped)
    // @ts-expect-error -- nothing provides Http
    HerdThread.serve(fetchPage)
    const served = HerdThread.serve(fetchPage, { layer: Layer.succeed(Http, { get: () => Effect.succeed("") }) })
    expectTypeOf(served).toEqualTypeOf<HerdThread.Served<URL, string, FetchError>>()
  })

  it("run, stream, outcomes and send have the types of the herd", () => {
    const use = (herd: Herd.Herd<URL, string, FetchError>, urls: Stream.Stream<URL, "bad line", Budget>) => {
      expectTypeOf(herd.run(new URL("http://x"))).toEqualTypeOf<
        Effect.Effect<string, FetchError | HerdError.HerdClosed>
      >()
      expectTypeOf(herd.stream(urls)).toEqualTypeOf<
        Stream.Stream<Outcome.Outcome<URL, string, FetchError>, "bad line", Budget>
      >()
      expectTypeOf(herd.outcomes).toEqualTypeOf<Stream.Stream<Outcome.Outcome<URL, string, FetchError>>>()
      expectTypeOf(herd.send(new URL("http://x"))).toEqualTypeOf<Effect.Effect<void, HerdError.HerdClosed>>()
      expectTypeOf(herd.trySend(new URL("http://x"))).toEqualTypeOf<Effect.Effect<boolean, HerdError.HerdClosed>>()
      expectTypeOf(herd.resize(1)).toEqualTypeOf<Effect.Effect<void, HerdError.InvalidSize>>()
    }
    expectTypeOf(use).toBeFunction()
  })

  it("HerdClosed can be caught also where the errors of a herd are unknown", () => {
    const run = (herd: Herd.Herd<URL, string, unknown>, known: Herd.Herd<URL, string, FetchError>, url: URL) => {
      const caught = Effect.catchIf(
        herd.run(url),
        (error) => error instanceof HerdError.HerdClosed,
        ({ accepted }) => Effect.succeed(accepted)
      )
      expectTypeOf(caught).toEqualTypeOf<Effect.Effect<string | number, unknown>>()
      // @ts-expect-error -- what is unknown need not have a tag
      void herd.run(url).pipe(Effect.catchTag("HerdClosed", () => Effect.succeed("")))
      const tagged = known.run(url).pipe(Effect.catchTag("HerdClosed", () => Effect.succeed("")))
      expectTypeOf(tagged).toEqualTypeOf<Effect.Effect<string, FetchError>>()
    }
    expectTypeOf(run).toBeFunction()
  })

  it("layer takes the types of its tag, plain options or an Effect of them", () => {
    const live = Herd.layer(Crawler, { process: (url) => fetchPage(url), size: 8 })
    expectTypeOf(live).toEqualTypeOf<Layer.Layer<Crawler, never, Http>>()
    const configured = Herd.layer(
      Crawler,
      Effect.map(Config.integer("SIZE"), (size) => ({ process: fetchPage, size }))
    )
    expectTypeOf(configured).toEqualTypeOf<Layer.Layer<Crawler, ConfigError.ConfigError, Http>>()
  })

  it("a server or router requires the herds that it is given", () => {
    const server = HerdServer.layer({ herds: [Crawler, Indexer], port: 0 })
    expectTypeOf(server).toEqualTypeOf<
      Layer.Layer<HerdServer.HerdServer, HerdError.ListenError | HerdError.UnprotectedHost, Crawler | Indexer>
    >()
    const routes = HerdRouter.layer({ herds: [Crawler] })
    expectTypeOf<Crawler>().toExtend<Layer.Layer.Context<typeof routes>>()
    expectTypeOf<Indexer>().not.toExtend<Layer.Layer.Context<typeof routes>>()
  })

  // What the compiler is expected to refuse, the diagnostics need not find again.
  // @effect-diagnostics missingEffectContext:skip-file missingEffectError:skip-file
  it("a wrong body, a missing service and an unhandled error do not compile", () => {
    const wrong = (herd: Herd.Herd<URL, string, FetchError>) => {
      // @ts-expect-error a string is no URL
      void herd.send("http://x")
      // @ts-expect-error nor in sendAll
      void herd.sendAll(["http://x"])
      // @ts-expect-error nor in run
      void herd.run("http://x")
      // @ts-expect-error FetchError and HerdClosed are not handled
      const handled: Effect.Effect<string> = herd.run(new URL("http://x"))
      void handled
      // @ts-expect-error the size is a number
      void herd.resize("3")
      // @ts-expect-error Http is missing
      void Effect.runFork(Effect.scoped(Herd.make({ process: fetchPage })))
      // @ts-expect-error the process of the tag fails with FetchError only
      void Herd.layer(Crawler, { process: (_: URL) => Effect.fail("other") })
      // @ts-expect-error neither process nor gopher
      void Herd.make({ size: 3 })
      // @ts-expect-error both of them
      void Herd.make({ process: fetchPage, gopher: Effect.succeed(fetchPage) })
      // @ts-expect-error a Schedule for other errors
      void Herd.make({ process: fetchPage, retry: Schedule.recurWhile((n: number) => n > 1) })
      // @ts-expect-error at least one herd
      void HerdRouter.layer({ herds: [] })
      // @ts-expect-error a callback must not fail
      void Herd.make({ process: fetchPage, onFailure: () => Effect.fail("no") })
    }
    expectTypeOf(wrong).toBeFunction()
  })

  it("a process that leaves its Scope to others does not compile", () => {
    const open = (n: number) => Effect.acquireRelease(Effect.succeed(n), () => Effect.void)
    // @ts-expect-error use Effect.scoped
    const refused = () => Herd.make({ process: open })
    expectTypeOf(refused).toBeFunction()
    expectTypeOf(Herd.make({ process: (n: number) => Effect.scoped(open(n)) })).toEqualTypeOf<
      Made<number, number, never, never>
    >()
  })
})
