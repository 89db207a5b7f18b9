import { FetchHttpClient } from "@effect/platform"
import { type Chunk, Effect, Schema, Stream } from "effect"
import { HerdClient, type Outcome } from "gofherd"
import { get } from "node:http"
import type { Chance } from "./chance.ts"
import { Counts, overfull, receding, unbalanced } from "./checks.ts"
import type { Client } from "./client.ts"
import type { Subject, Subjects } from "./herds.ts"
import { misdirected, READERS } from "./senders.ts"
import type { Violations } from "./violations.ts"
import type { Page, Unfetched, Visit } from "./visit.ts"

const decodeState = Schema.decodeUnknownSync(Schema.parseJson(Counts))

/** Those who watch the herds, while that holds. */
export class Readers {
  /** What they have seen, by kind. */
  readonly counts = new Map<string, number>()
  private readonly subjects: Subjects
  private readonly client: Client
  private readonly violations: Violations

  constructor(subjects: Subjects, client: Client, violations: Violations) {
    this.subjects = subjects
    this.client = client
    this.violations = violations
  }

  watching(chance: (name: string) => Chance, while_: () => boolean): ReadonlyArray<Effect.Effect<void>> {
    const { crawler, links, lookups } = this.subjects
    const again = (body: () => Effect.Effect<unknown>) => Effect.whileLoop({ while: while_, body, step: () => {} })
    const pages = chance("pages")
    const scrapes = chance("scrapes")
    return [
      again(() => Effect.zipRight(Effect.sleep("200 millis"), this.client.ask("/herd"))),
      again(() => Effect.zipRight(Effect.sleep(pages.between(200, 2_000)), this.page(pages))),
      again(() => Effect.zipRight(Effect.sleep(scrapes.between(500, 3_000)), this.scrapes(scrapes.between(1, 8)))),
      ...[crawler, links, lookups, lookups].map((subject, i) => {
        const own = chance(`events ${i}`)
        return again(() => Effect.zipRight(Effect.sleep(own.between(0, 500)), this.events(subject, own)))
      }),
      ...[crawler, links].map((subject, i) => {
        const own = chance(`changes ${i}`)
        return again(() =>
          Effect.zipRight(Effect.sleep(own.between(0, 500)), this.changes(subject, own.between(20, 3_000)))
        )
      })
    ]
  }

  // ---------------------------------------------------------------------------------------------------- pages

  private page(chance: Chance): Effect.Effect<unknown> {
    const [path, method, status] = chance.one<readonly [string, string, number]>([
      ["/", "GET", 200],
      ["/openapi.json", "GET", 200],
      ["/herds/links", "GET", 200],
      ["/herds/nobody", "GET", 404],
      ["/herds/crawler", "DELETE", 405],
      ["/nothing", "GET", 404]
    ])
    return this.client.ask(path, { method }, status)
  }

  private scrapes(times: number): Effect.Effect<unknown> {
    return Effect.all(Array.from({ length: times }, () => this.client.ask("/metrics")), { concurrency: "unbounded" })
  }

  // ---------------------------------------------------------------------------------------------------- events

  /** An event stream on a bare connection, which is cut wherever it is. */
  private events(subject: Subject, chance: Chance): Effect.Effect<unknown> {
    const path = `/herds/${subject.name}/events${chance.happens(0.3) ? "?history=true" : ""}`
    const seen = this.states(subject)
    const opened = Effect.async<void>((resume) => {
      let text = ""
      const request = get(`${this.subjects.url}${path}`, { agent: false }, (response) => {
        response.setEncoding("utf8")
        response.on("data", (chunk: string) => {
          const events = (text + chunk).split("\n\n")
          text = events.pop() ?? ""
          for (const event of events) if (event.startsWith("data: ")) seen(decodeState(event.slice("data: ".length)))
        })
        response.on("end", () => resume(Effect.void))
        response.on("error", () => resume(Effect.void))
      })
      request.on("error", () => resume(Effect.void))
      return Effect.sync(() => request.destroy())
    })
    return Effect.tap(Effect.timeoutOption(opened, chance.between(5, 3_000)), (ended) =>
      Effect.sync(() => {
        this.count("event streams, cut")
        if (ended._tag === "Some") {
          this.violations.add("events", `expected ${path} to go on until it is cut, got an end`)
        }
      }))
  }

  private changes(subject: Subject, millis: number): Effect.Effect<unknown> {
    const seen = this.states(subject)
    return this.changesOf(subject).pipe(
      Stream.runForEach((state) => Effect.sync(() => seen(state))),
      Effect.timeoutOption(millis),
      Effect.match({
        onFailure: (error) => this.violations.add("events", `${subject.name}: expected changes, got ${error}`),
        onSuccess: (ended) => {
          this.count("HerdClient.changes, left")
          if (ended._tag === "Some") {
            this.violations.add("events", `${subject.name}: expected changes to go on, got an end`)
          }
        }
      })
    )
  }

  /** One that stays: its stream ends, without an error, when the server closes. */
  readonly faithful: Effect.Effect<void> = Effect.suspend(() => {
    const { crawler } = this.subjects
    const seen = this.states(crawler)
    return this.changesOf(crawler).pipe(
      Stream.runForEach((state) => Effect.sync(() => seen(state))),
      Effect.catchAllCause((cause) =>
        Effect.sync(() => this.violations.add("events", `expected changes to end with the server, got ${cause}`))
      )
    )
  })

  private changesOf({ name }: Subject) {
    return HerdClient.make({ baseUrl: this.subjects.url }).pipe(
      Effect.map((client) => client.changes(name)),
      Stream.unwrap,
      Stream.provideLayer(FetchHttpClient.layer)
    )
  }

  /** Looks at each state that a stream tells of. */
  private states(subject: Subject) {
    let last: typeof Counts.Type | undefined
    return (state: typeof Counts.Type): void => {
      this.count("states by events")
      this.violations.addAll("G3", unbalanced(state))
      this.violations.addAll("G4", overfull(state, subject))
      if (last !== undefined) this.violations.addAll("events", receding(last, state))
      last = state
    }
  }

  // ---------------------------------------------------------------------------------------------------- outcomes

  /** One who reads fast, then slowly, then is away, and so on; until the herd is drained. */
  comingAndGoing(subject: Subject, chance: Chance): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      let drained = false
      while (!drained) {
        let left = chance.between(1, 60)
        const delay = chance.happens(0.3) ? chance.between(10, 100) : 0
        // It leaves after a whole batch, as the rest of one would be lost with it.
        const stays = subject.herd.outcomes.pipe(
          Stream.chunks,
          Stream.tap((batch) => Effect.zipRight(this.batch(subject, batch), Effect.sleep(delay))),
          Stream.takeUntil(() => --left <= 0)
        )
        yield* Stream.runDrain(stays)
        this.count("readers of outcomes, gone")
        drained = left > 0
        if (!drained) yield* Effect.sleep(chance.happens(0.1) ? chance.between(1_000, 4_000) : chance.between(0, 300))
      }
    })
  }

  /** One who reads on. */
  staying(subject: Subject): Effect.Effect<void> {
    return subject.herd.outcomes.pipe(Stream.chunks, Stream.runForEach((batch) => this.batch(subject, batch)))
  }

  /**
   * Unread outcomes are no more than their capacity and those of the units that ran when it was
   * reached.
   */
  private batch(
    { account, largest, name, unread }: Subject,
    batch: Chunk.Chunk<Outcome.Outcome<Visit, Page, Unfetched>>
  ) {
    return Effect.sync(() => {
      if (batch.length > unread + largest) {
        this.violations.add(
          "G4",
          `${name}: expected at most ${unread} + ${largest} unread outcomes, got ${batch.length}`
        )
      }
      for (const { exit, status, work: { body } } of batch) {
        this.violations.addAll("G2", misdirected(body, exit))
        account.settle(body, status, READERS)
      }
    })
  }

  private count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }
}
