/**
 * Durable herds that are served, on sources that do as a test says.
 */
import { it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, LogLevel, Option, Schema, type Scope } from "effect"
import { Herd, HerdError } from "gofherd"
import * as DurableHerd from "gofherd/DurableHerd"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdSource from "gofherd/HerdSource"
import { until } from "./stage.ts"

const LEASE = Duration.seconds(30)

/** `lies` tells what are no counts; `hangs` never answers. */
type Mood = "answers" | "fails" | "dies" | "hangs" | "lies"

/**
 * The memory source, with a fleet size if one is given, which takes `resizing` to change, and in a
 * mood: what operators ask of it goes by that.
 */
export const makeSource = (
  options: { readonly fleet?: number | null; readonly resizing?: Effect.Effect<unknown> } = {}
) => {
  let mood: Mood = "answers"
  let depths = 0
  let fleet = Option.fromNullable(options.fleet)
  const moody = <A>(operation: string, effect: Effect.Effect<A, HerdError.SourceError>) =>
    Effect.suspend((): Effect.Effect<A, HerdError.SourceError> => {
      switch (mood) {
        case "fails":
          return new HerdError.SourceError({ source: "test", operation, cause: new Error("the disk is <b>full</b>") })
        case "dies":
          return Effect.die(new Error("a secret"))
        case "hangs":
          return Effect.never
        default:
          return effect
      }
    })
  const size = moody("tell the fleet size", Effect.sync(() => fleet))
  /** As one of a class would be, whose method is called on it. */
  const bound: HerdSource.Fleet & { readonly set: (size: Option.Option<number>) => void } = {
    size,
    set: (size) => {
      fleet = size
    },
    resize(size) {
      const { resizing = Effect.void } = options
      const set = Effect.zipRight(resizing, Effect.sync(() => this.set(size)))
      return moody("set the fleet size", Effect.uninterruptible(set))
    }
  }
  const wrap = (queue: HerdSource.Queue): HerdSource.Queue => ({
    ...queue,
    depth: Effect.suspend(() => {
      const told = moody("count units", queue.depth)
      return mood === "lies" ? Effect.map(told, (depth) => ({ ...depth, ready: NaN })) : told
    }),
    dead: {
      list: (options) => moody("list dead letters", queue.dead.list(options)),
      redrive: (ids) => moody("redrive dead letters", queue.dead.redrive(ids)),
      discard: (ids) => moody("discard dead letters", queue.dead.discard(ids))
    },
    fleet: options.fleet === undefined ? Option.none() : Option.some(bound)
  })
  const layer = Layer.map(HerdSource.layerMemory(), (context) => {
    const memory = Context.get(context, HerdSource.HerdSource)
    return Context.make(HerdSource.HerdSource, {
      open: (herd, options) => Effect.map(memory.open(herd, options), wrap)
    })
  })
  return {
    layer,
    /**
     * The herd, which counts how often it is asked how many units its source has; what it asks by
     * itself does not count.
     */
    counting: <In>(herd: DurableHerd.DurableHerd<In>): DurableHerd.DurableHerd<In> => ({
      ...herd,
      depth: Effect.suspend(() => {
        depths++
        return herd.depth
      })
    }),
    depths: () => depths,
    fleet: () => Option.getOrNull(fleet),
    is: (next: Mood) =>
      Effect.sync(() => {
        mood = next
      })
  }
}

export type TestSource = ReturnType<typeof makeSource>

export class Mails extends Context.Tag("mails")<Mails, DurableHerd.DurableHerd<string>>() {}
class Plain extends Context.Tag("plain")<Plain, Herd.Herd<number, number>>() {}

type Options = Omit<HerdServer.Options<readonly [typeof Mails, typeof Plain]>, "herds">

/**
 * A durable herd whose units fail that begin with "bad", and the others never end; and one that is
 * not durable.
 */
export const serve = (source: TestSource, options: Options & { readonly size?: number } = {}) =>
  Effect.gen(function*() {
    const { size = 1, ...routes } = options
    const herds = Layer.provideMerge(
      Layer.merge(
        DurableHerd.layer(Mails, {
          schema: Schema.String,
          process: (body) => body.startsWith("bad") ? Effect.die(new Error(`${body} is refused`)) : Effect.never,
          size,
          maxSize: 100
        }).pipe(Layer.map((context) => Context.make(Mails, source.counting(Context.get(context, Mails))))),
        Herd.layer(Plain, { process: Effect.succeed<number>, size: 2 })
      ),
      source.layer
    )
    const layer = HerdServer.layer({ herds: [Mails, Plain], port: 0, ...routes })
    const context = yield* Effect.orDie(Layer.build(Layer.provideMerge(layer, herds)))
    const herd = Context.get(context, Mails)
    const other = Context.get(context, HerdSource.HerdSource)
    return {
      url: Context.get(context, HerdServer.HerdServer).url,
      herd,
      plain: Context.get(context, Plain),
      /** The units of the herd as another process has them. */
      elsewhere: Effect.orDie(other.open("mails", { lease: LEASE, maxCrashes: 3 })),
      /**
       * Offers units that fail, each called as its body begins, and waits until all are dead
       * letters.
       */
      kill: (...bodies: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const { dead: before } = yield* herd.depth
          for (const [i, body] of bodies.entries()) {
            yield* herd.offer(body, { id: body.slice(0, 5) })
            // One after the other, so that it is known which was buried last.
            yield* until(Effect.map(herd.depth, ({ dead }) => dead === before + i + 1))
          }
        }).pipe(Effect.orDie)
    }
  })

export const test = (name: string, program: Effect.Effect<void, unknown, Scope.Scope>) =>
  it.scopedLive(name, () => Logger.withMinimumLogLevel(program, LogLevel.Error), 20_000)
