import { FetchHttpClient } from "@effect/platform"
import { Context, Effect, Layer, Schedule } from "effect"
import { Herd } from "gofherd"
import * as HerdServer from "gofherd/HerdServer"
import { Agent } from "node:http"
import { Account } from "./account.ts"
import { Census } from "./census.ts"
import type { Chance } from "./chance.ts"
import type { Targets } from "./targets.ts"
import type { Violations } from "./violations.ts"
import type { Page, Unfetched, Visit } from "./visit.ts"
import { byAgent, byFetch, byHttpClient } from "./visiting.ts"

type VisitHerd = Herd.Herd<Visit, Page, Unfetched>

/** What the soak knows of a herd without asking it. */
export interface Books {
  readonly name: string
  readonly account: Account
  readonly census: Census
  readonly capacity: number
  /** How many outcomes may be unread; none where nobody reads them. */
  readonly unread: number
  /** The largest size that operators ask for. */
  readonly largest: number
}

/** A herd under test, with its books. */
export interface Subject extends Books {
  readonly herd: VisitHerd
}

const booksOf = (
  options: { readonly name: string; readonly capacity: number; readonly unread: number; readonly largest: number },
  violations: Violations
): Books => {
  const account = new Account(options.name, violations)
  return { ...options, account, census: new Census(options.name, account, violations) }
}

/** Once more than so often would only take time: what fails then fails for good. */
const retries = (first: "20 millis" | "100 millis", times: number) =>
  Schedule.exponential(first).pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(times)))

const fated = <R>(
  visit: Visit,
  attempt: Effect.Effect<Page, Unfetched, R>
): Effect.Effect<Page, Unfetched, R> => {
  if (visit.fate === "dies") return Effect.dieMessage(`unit ${visit.n} dies`)
  return visit.fate === "interrupts itself" ? Effect.interrupt : attempt
}

// ------------------------------------------------------------------------------------------------------ crawler

/** Pages by HttpClient, with retries, and outcomes that are read by somebody who comes and goes. */
class Crawler extends Context.Tag("crawler")<Crawler, VisitHerd>() {}

const crawlerLive = ({ capacity, census, unread }: Books, targets: Targets) =>
  Layer.provide(
    Herd.layer(Crawler, {
      process: (visit) =>
        census.counted(visit, fated(visit, byHttpClient(targets.url(visit.target, visit.n), visit.n))),
      size: 8,
      capacity,
      retry: retries("100 millis", 3),
      outcomes: { capacity: unread },
      gracePeriod: "5 seconds"
    }),
    FetchHttpClient.layer
  )

// ------------------------------------------------------------------------------------------------------ links

/** How many resources of gophers there are, by the soak's own count. */
export class Connections {
  open = 0
  acquired = 0
  notAcquired = 0
  releasesDied = 0
}

/**
 * Gophers with a connection each, that may not come about and may not end well. Capacity 0: from
 * hand to hand.
 */
class Links extends Context.Tag("links")<Links, VisitHerd>() {}

const linksLive = ({ capacity, census, unread }: Books, targets: Targets, connections: Connections, chance: Chance) => {
  const connect = Effect.gen(function*() {
    if (chance.happens(0.05)) {
      connections.notAcquired++
      return yield* Effect.dieMessage("no connection")
    }
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const greeting = byAgent(agent, targets.url(chance.one(["fast", "vanishing"]), 0), 0)
    yield* Effect.orDie(Effect.tapError(greeting, () =>
      Effect.sync(() => {
        agent.destroy()
        connections.notAcquired++
      })))
    connections.acquired++
    connections.open++
    return agent
  })
  const disconnect = (agent: Agent) =>
    Effect.suspend(() => {
      agent.destroy()
      connections.open--
      if (!chance.happens(0.05)) return Effect.void
      connections.releasesDied++
      return Effect.dieMessage("the connection did not end well")
    })
  return Herd.layer(Links, {
    gopher: Effect.acquireRelease(connect, disconnect).pipe(
      Effect.map((agent) => (visit: Visit) =>
        census.counted(visit, fated(visit, byAgent(agent, targets.url(visit.target, visit.n), visit.n)))
      )
    ),
    size: 4,
    capacity,
    retry: retries("20 millis", 2),
    outcomes: { capacity: unread }
  })
}

// ------------------------------------------------------------------------------------------------------ lookups

/**
 * Callers and streams, some of which don't wait for the end, and units whose outcome nobody wants.
 */
class Lookups extends Context.Tag("lookups")<Lookups, VisitHerd>() {}

const lookupsLive = ({ account, capacity, census }: Books, targets: Targets, chance: Chance) => {
  /** For what is sent with no place for its outcome. A callback that dies changes nothing. */
  const told = (
    { status, work: { body } }: {
      readonly status: "success" | "failure" | "interrupted"
      readonly work: { readonly body: Visit }
    }
  ) =>
    Effect.suspend(() => {
      if (body.to === NOBODY) account.settle(body, status, NOBODY)
      return chance.happens(0.02) ? Effect.dieMessage("a callback dies") : Effect.void
    })
  return Herd.layer(Lookups, {
    process: (visit) => census.counted(visit, fated(visit, byFetch(targets.url(visit.target, visit.n), visit.n))),
    size: 8,
    capacity,
    retry: retries("20 millis", 1),
    onSuccess: told,
    onFailure: told,
    outcomes: "discard"
  })
}

/** Where outcomes go that nobody waits for. */
export const NOBODY = "nobody"

// ------------------------------------------------------------------------------------------------------ all of them

export interface Subjects {
  /** Where they are served. */
  readonly url: string
  readonly crawler: Subject
  readonly links: Subject
  readonly lookups: Subject
  readonly connections: Connections
}

export class Soaked extends Context.Tag("soak/Subjects")<Soaked, Subjects>() {}

/** The herds and their server, as a service would put them together. */
export const soakedLive = (options: {
  readonly targets: Targets
  readonly violations: Violations
  readonly chance: (name: string) => Chance
}) => {
  const { chance, targets, violations } = options
  const connections = new Connections()
  const crawler = booksOf({ name: "crawler", capacity: 64, unread: 128, largest: 48 }, violations)
  const links = booksOf({ name: "links", capacity: 0, unread: 32, largest: 12 }, violations)
  const lookups = booksOf({ name: "lookups", capacity: 32, unread: 0, largest: 32 }, violations)
  const herds = Layer.mergeAll(
    crawlerLive(crawler, targets),
    linksLive(links, targets, connections, chance("connections")),
    lookupsLive(lookups, targets, chance("callbacks"))
  )
  const soaked = Layer.effect(
    Soaked,
    Effect.gen(function*() {
      const subject = (books: Books, herd: VisitHerd): Subject => {
        books.census.limits = () => Effect.runSync(herd.state)
        return { ...books, herd }
      }
      return {
        url: (yield* HerdServer.HerdServer).url,
        crawler: subject(crawler, yield* Crawler),
        links: subject(links, yield* Links),
        lookups: subject(lookups, yield* Lookups),
        connections
      }
    })
  )
  return soaked.pipe(
    Layer.provide(HerdServer.layer({ herds: [Crawler, Links, Lookups], port: 0, drain: true })),
    Layer.provide(herds)
  )
}
