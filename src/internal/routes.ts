import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Herd from "../Herd.ts"
import { HerdApi, HerdSize, NotFound } from "../HerdApi.ts"
import type { Access } from "./access.ts"
import { authorization, guarded } from "./access.ts"
import type { Request } from "./command.ts"
import { page } from "./dashboard.ts"
import { listDead, settleDead } from "./deadLetters.ts"
import { EventStreams } from "./eventStreams.ts"
import { fallback } from "./fallback.ts"
import { Monitor } from "./monitor.ts"
import { resizeBy, updateBy } from "./patch.ts"
import { scrape } from "./prometheus.ts"
import { show } from "./show.ts"
import { slashedNames } from "./slashedNames.ts"
import type { StoredControl } from "./stored.ts"
import { isStored } from "./stored.ts"

/** What the routes are made with: every option present and in its bounds. */
export interface Settings extends Access {
  /** `""`, or a path without a slash at its end. */
  readonly prefix: `/${string}` | ""
  readonly readOnly: boolean
  readonly dashboard: boolean
  readonly maxEventStreams: number
}

/**
 * The routes of some herds, and what is answered where there is none.
 *
 * @internal
 */
export const routes = (
  herds: readonly [Herd.Control, ...Array<Herd.Control>],
  settings: Settings,
  options: {
    /** Is every path of the server ours to answer? */
    readonly answersAll: boolean
  }
) =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const [first, ...others] = herds
    const monitors = [yield* Monitor.make(first), ...(yield* Effect.forEach(others, Monitor.make))] as const
    // The handlers have to be of the very value that is mounted.
    const api: Api = settings.prefix === "" ? HerdApi : HerdApi.prefix(settings.prefix)
    const methods = methodsOf(api)
    const handlers = Layer.mergeAll(
      herdHandlers(api, monitors[0], settings),
      herdsHandlers(api, monitors, settings),
      deadHandlers(api, monitors, settings),
      metricsHandlers(api),
      pagesHandlers(api, settings)
    )
    return HttpLayerRouter.addHttpApi(api).pipe(
      Layer.provide(handlers),
      Layer.provide(authorization(settings)),
      Layer.provide(HttpLayerRouter.middleware(guarded(settings)).layer),
      Layer.provide(HttpLayerRouter.disableLogger),
      Layer.merge(fallback({ methods, all: options.answersAll, access: settings })),
      Layer.merge(slashedNames(herds.map(({ name }) => name), pathsOf(methods, `${settings.prefix}/herds`)))
    )
  }))

type Api = ReturnType<typeof HerdApi.prefix>

/** The methods of each path of the contract, for those who ask with another one. */
const methodsOf = (api: Api): ReadonlyMap<string, ReadonlySet<string>> => {
  const methods = new Map<string, Set<string>>()
  for (const group of Object.values(api.groups)) {
    for (const { method, path } of Object.values(group.endpoints)) {
      const known = methods.get(path) ?? new Set()
      known.add(method)
      if (method === "GET") known.add("HEAD")
      methods.set(path, known)
    }
  }
  return methods
}

/** What there is below the name of a herd. */
const pathsOf = (methods: ReturnType<typeof methodsOf>, base: string) => {
  const herd = `${base}/:name`
  const paths = Array.from(methods.keys()).filter((path) => path.startsWith(herd))
  return { base, below: new Set(paths.map((path) => path.slice(herd.length))) }
}

// ------------------------------------------------------------------------------------------------------ handlers

const herdHandlers = (api: Api, { herd }: Monitor, settings: Settings) =>
  HttpApiBuilder.group(api, "herd", (handlers) =>
    handlers
      .handle("get", () => Effect.map(herd.size, (num) => new HerdSize({ num, msg: "success" })))
      .handleRaw("resize", ({ request }) => resizeBy(request, herd, settings)))

/** Finds the herd that a path names. */
const named = (
  monitors: ReadonlyArray<Monitor>,
  { name }: { readonly name: string }
): Effect.Effect<Monitor, NotFound> => {
  const found = monitors.find(({ herd }) => herd.name === name)
  if (found !== undefined) return Effect.succeed(found)
  const names = monitors.map(({ herd }) => show(herd.name)).join(", ")
  return new NotFound({ msg: `expected the name of a herd, one of ${names}, got ${show(name)}` })
}

const herdsHandlers = (
  api: Api,
  monitors: ReadonlyArray<Monitor>,
  settings: Settings
) => {
  const streams = new EventStreams(settings.maxEventStreams)
  return HttpApiBuilder.group(api, "herds", (handlers) =>
    handlers
      .handle("list", () => Effect.forEach(monitors, ({ state }) => state, { concurrency: "unbounded" }))
      .handle("get", ({ path }) => Effect.flatMap(named(monitors, path), ({ state }) => state))
      .handleRaw("update", ({ path, request }) =>
        Effect.flatMap(named(monitors, path), ({ forget, herd, state }) =>
          updateBy(request, herd, settings).pipe(
            Effect.tap((toldSource) =>
              toldSource ? forget : Effect.void
            ),
            Effect.zipRight(state)
          )))
      .handle("events", ({ path, request, urlParams }) =>
        Effect.map(
          Effect.flatMap(
            named(monitors, path),
            (monitor) => streams.open(request, monitor.events(urlParams.history === "true"))
          ),
          (events) =>
            HttpServerResponse.stream(events, {
              contentType: "text/event-stream",
              // A server that closes has no idle connection to wait for, and nginx does not hold
              // events back.
              headers: { connection: "close", "x-accel-buffering": "no" }
            })
        )))
}

const deadHandlers = (
  api: Api,
  monitors: ReadonlyArray<Monitor>,
  settings: Settings
) => {
  const durable = (path: { readonly name: string }) =>
    Effect.flatMap(named(monitors, path), ({ forget, herd }): Effect.Effect<Durable, NotFound> =>
      isStored(herd)
        ? Effect.succeed({ forget, herd })
        : new NotFound({ msg: `expected the name of a durable herd, got ${show(herd.name)}, which is not durable` }))
  const settle = (path: { readonly name: string }, request: Request, how: "redrive" | "discard") =>
    Effect.flatMap(
      durable(path),
      ({ forget, herd }) => Effect.zipLeft(settleDead(request, herd, how, settings), forget)
    )
  return HttpApiBuilder.group(api, "dead", (handlers) =>
    handlers
      .handle("list", ({ path, urlParams }) => Effect.flatMap(durable(path), ({ herd }) => listDead(herd, urlParams)))
      .handleRaw("redrive", ({ path, request }) => settle(path, request, "redrive"))
      .handleRaw("discard", ({ path, request }) => settle(path, request, "discard")))
}

interface Durable {
  readonly herd: StoredControl
  readonly forget: Effect.Effect<void>
}

const metricsHandlers = (api: Api) =>
  HttpApiBuilder.group(api, "metrics", (handlers) => handlers.handle("metrics", () => Effect.sync(scrape)))

const pagesHandlers = (api: Api, settings: Settings) => {
  const shown = page({ readOnly: settings.readOnly, asksToken: settings.token !== undefined })
  return HttpApiBuilder.group(api, "pages", (handlers) =>
    handlers
      .handle(
        "dashboard",
        () =>
          settings.dashboard
            ? Effect.succeed(shown)
            : new NotFound({ msg: "expected routes with a dashboard, got none" })
      )
      .handle("description", () => Effect.sync(() => description(api))))
}

const description = (api: Api): Record<string, unknown> => ({ ...OpenApi.fromApi(api) })
