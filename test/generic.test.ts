/**
 * Wrappers that are generic over what a herd is made of. `npm run check` compiles them; here they
 * only have to load.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Schedule } from "effect"
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import { type Gopher, Herd, type HerdError, HerdRouter } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdProgress from "gofherd/HerdProgress"
import * as HerdServer from "gofherd/HerdServer"
import type * as HerdSource from "gofherd/HerdSource"
import * as HerdThread from "gofherd/HerdThread"

class Lengths extends Context.Tag("Lengths")<Lengths, Herd.Herd<string, number>>() {}
class Mails extends Context.Tag("Mails")<Mails, DurableHerd.DurableHerd<string>>() {}

type HerdTag<Id, In, Out, E> = Context.Tag<Id, Herd.Herd<In, Out, E>>
type DurableTag<Id, In> = Context.Tag<Id, DurableHerd.DurableHerd<In>>
type Acquire<In, Out, E, R> = Effect.Effect<Herd.Process<In, Out, E, R>, never, R | Scope.Scope>
type ServerLayer<R> = Layer.Layer<HerdServer.HerdServer, HerdError.ListenError | HerdError.UnprotectedHost, R>

const make = {
  process: <In, Out, E, R>(
    process: Herd.Process<In, Out, E, R>
  ): Effect.Effect<Herd.Herd<In, Out, E>, never, R | Scope.Scope> => Herd.make({ process }),
  onlyR: <R>(process: (body: string) => Effect.Effect<number, never, R>) => Herd.make({ process, size: 2 }),
  retry: <In, Out, E, R, RS>(process: Herd.Process<In, Out, E, R>, retry: Schedule.Schedule<unknown, E, RS>) =>
    Herd.make({ process, retry }),
  callback: <In, Out, E, R, RC>(process: Herd.Process<In, Out, E, R>, call: Effect.Effect<void, never, RC>) =>
    Herd.make({ process, onFailure: () => call }),
  gopher: <In, Out, E, R>(
    gopher: Effect.Effect<Herd.Process<In, Out, E, R>, never, R | Scope.Scope | Gopher.Gopher>
  ) => Herd.make({ gopher }),
  options: <In, Out, E, R>(options: Herd.Options<In, Out, E, R>) => Herd.make(options),
  moreOptions: <In, Out, E, R>(options: Herd.Options<In, Out, E, R>) => Herd.make({ ...options, name: "other" })
}

const layer = {
  tag: <Id, In, Out, E>(tag: HerdTag<Id, In, Out, E>, process: (body: In) => Effect.Effect<Out, E>) =>
    Herd.layer(tag, { process, size: 2 }),
  onlyR: <R>(process: (body: string) => Effect.Effect<number, never, R>) => Herd.layer(Lengths, { process, size: 2 }),
  effectOnlyR: <R>(process: (body: string) => Effect.Effect<number, never, R>) =>
    Herd.layer(Lengths, Effect.succeed({ process, size: 2 })),
  all: <Id, In, Out, E, R>(
    tag: HerdTag<Id, In, Out, E>,
    process: Herd.Process<In, Out, E, R>
  ): Layer.Layer<Id, never, Exclude<R, Scope.Scope>> => Herd.layer(tag, { process, size: 2 }),
  effect: <Id, In, Out, E, R, EL, RL>(
    tag: HerdTag<Id, In, Out, E>,
    process: Herd.Process<In, Out, E, R>,
    size: Effect.Effect<number, EL, RL>
  ): Layer.Layer<Id, EL, Exclude<R | RL, Scope.Scope>> =>
    Herd.layer(tag, Effect.map(size, (size) => ({ process, size }))),
  gopher: <Id, In, Out, E, R>(tag: HerdTag<Id, In, Out, E>, gopher: Acquire<In, Out, E, R>) =>
    Herd.layer(tag, { gopher }),
  retry: <Id, In, Out, E, R, RS>(
    tag: HerdTag<Id, In, Out, E>,
    process: Herd.Process<In, Out, E, R>,
    retry: Schedule.Schedule<unknown, E, RS>
  ) => Herd.layer(tag, { process, retry }),
  options: <Id, In, Out, E, R>(tag: HerdTag<Id, In, Out, E>, options: Herd.Options<In, Out, E, R>) =>
    Herd.layer(tag, options),
  optionsOrEffect: <Id, In, Out, E, R>(
    tag: HerdTag<Id, In, Out, E>,
    options: Herd.Options<In, Out, E, R> | Effect.Effect<Herd.Options<In, Out, E, R>>
  ) => Herd.layer(tag, options)
}

const durable = {
  make: <In, I, Out, E, R>(schema: Schema.Schema<In, I>, process: Herd.Process<In, Out, E, R>) =>
    DurableHerd.make({ schema, process }),
  onlyR: <R>(process: (body: string) => Effect.Effect<void, never, R>) =>
    DurableHerd.layer(Mails, { schema: Schema.String, process }),
  layer: <Id, In, I, Out, E, R>(
    tag: DurableTag<Id, In>,
    schema: Schema.Schema<In, I>,
    process: Herd.Process<In, Out, E, R>
  ): Layer.Layer<Id, HerdError.SourceError, HerdSource.HerdSource | Exclude<R, Scope.Scope>> =>
    DurableHerd.layer(tag, { schema, process }),
  effect: <Id, In, I, Out, E, R, EL, RL>(
    tag: DurableTag<Id, In>,
    schema: Schema.Schema<In, I>,
    process: Herd.Process<In, Out, E, R>,
    size: Effect.Effect<number, EL, RL>
  ) => DurableHerd.layer(tag, Effect.map(size, (size) => ({ schema, process, size }))),
  gopher: <Id, In, I, Out, E, R>(
    tag: DurableTag<Id, In>,
    schema: Schema.Schema<In, I>,
    gopher: Acquire<In, Out, E, R>
  ) => DurableHerd.layer(tag, { schema, gopher }),
  options: <Id, In, I, Out, E, R>(tag: DurableTag<Id, In>, options: DurableHerd.Options<In, I, Out, E, R>) =>
    DurableHerd.layer(tag, options)
}

const serve = {
  tag: <Id, In, Out, E>(tag: HerdTag<Id, In, Out, E>): ServerLayer<Id> => HerdServer.layer({ herds: [tag], port: 0 }),
  durable: <Id, In>(tag: DurableTag<Id, In>) => HerdServer.layer({ herds: [tag, Lengths] }),
  herds: <H extends HerdRouter.Herds>(herds: H): ServerLayer<Effect.Effect.Context<H[number]>> =>
    HerdServer.layer({ herds }),
  options: <H extends HerdRouter.Herds>(options: HerdServer.Options<H>) => HerdServer.layer({ ...options, port: 0 }),
  config: <Id, In, Out, E>(tag: HerdTag<Id, In, Out, E>) => HerdServer.layerConfig({ herds: [tag] }),
  routes: <H extends HerdRouter.Herds>(options: HerdRouter.Options<H>) => HerdRouter.layer({ ...options }),
  progress: <Id, In, Out, E>(
    tag: HerdTag<Id, In, Out, E>
  ): Layer.Layer<never, never, Exclude<Id, Scope.Scope>> => HerdProgress.layer(tag),
  total: <R, RT>(herd: Effect.Effect<Herd.Control, never, R>, total: Effect.Effect<number, never, RT>) =>
    HerdProgress.layer(herd, { total })
}

const threads = {
  gopher: <In, Out, E>(url: URL) =>
    Herd.make({ gopher: HerdThread.gopher<HerdThread.WorkerModule<In, Out, E>>(url), size: 2 }),
  module: <M extends HerdThread.WorkerModule<never, unknown, unknown>>(url: URL) =>
    Herd.make({ gopher: HerdThread.gopher<M>(url) }),
  layer: <Id, In, Out, E>(
    tag: HerdTag<Id, In, Out, E | HerdError.ThreadCrashed | HerdError.InvalidMessage>,
    url: URL
  ) => Herd.layer(tag, { gopher: HerdThread.gopher<HerdThread.WorkerModule<In, Out, E>>(url) }),
  schema: <In, Out, E>(url: URL, body: Schema.Schema<In>) =>
    HerdThread.gopher<HerdThread.WorkerModule<In, Out, E>>(url, { schema: { body } }),
  serve: <In, Out, E>(process: Herd.Process<In, Out, E, never>) => HerdThread.serve(process),
  serveWith: <In, Out, E, R, EL>(process: Herd.Process<In, Out, E, R>, layer: Layer.Layer<R, EL>) =>
    HerdThread.serve(process, { layer })
}

const leavesItOpen = (body: string) => Effect.acquireRelease(Effect.succeed(body.length), () => Effect.void)

describe("wrappers that are generic over In, Out, E and R", () => {
  it("compile around every constructor", () => {
    for (const wrapper of Object.values({ ...make, ...layer, ...durable, ...serve, ...threads })) {
      assert.isFunction(wrapper)
    }
  })

  it.scoped("make herds that work", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(layer.all(Lengths, (body: string) => Effect.succeed(body.length)))
      assert.strictEqual(yield* Context.get(context, Lengths).run("four"), 4)
      const herd = yield* make.process((body: string) => Effect.succeed(body.length))
      assert.strictEqual(yield* herd.run("three"), 5)
    }))

  it("a process that leaves its Scope to others compiles with none of the constructors", () => {
    const refused = [
      // @ts-expect-error use Effect.scoped
      () => Herd.layer(Lengths, { process: leavesItOpen }),
      // @ts-expect-error also in an Effect of the options
      () => Herd.layer(Lengths, Effect.succeed({ process: leavesItOpen })),
      // @ts-expect-error nor in a durable herd
      () => DurableHerd.make({ schema: Schema.String, process: leavesItOpen }),
      // @ts-expect-error nor in a layer of one
      () => DurableHerd.layer(Mails, { schema: Schema.String, process: leavesItOpen })
    ]
    assert.lengthOf(refused, 4)
  })
})
