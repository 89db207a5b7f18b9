import * as Effect from "effect/Effect"
import * as MetricLabel from "effect/MetricLabel"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Herd from "../Herd.ts"
import { Failed, HerdSample, HerdState, Resized } from "../HerdApi.ts"
import * as HerdMetrics from "../HerdMetrics.ts"
import type { Buckets } from "./quantile.ts"
import { quantile } from "./quantile.ts"

/** A herd that changes is sampled this often, and the samples of about five minutes are kept. */
const SAMPLE_MILLIS = 1_000
const KEPT = 300

/** The window of the quantiles. */
const MINUTE = 60_000

/** An event stream tells of changes at most this often, and of the state at least that often. */
const EVENT_INTERVAL = "250 millis"
const HEARTBEAT = "10 seconds"

interface Sample {
  readonly at: number
  readonly buckets: Buckets
  /** As JSON. */
  readonly text: string
}

/**
 * What the routes tell of one herd.
 *
 * @internal
 */
export interface Monitor {
  readonly herd: Herd.Control
  readonly state: Effect.Effect<HerdState>
  /**
   * Server-sent events: the past, if it is asked for, and the state at once, when it changes, and as a heartbeat. They end with
   * the monitor's scope, since a server waits for its responses before it closes.
   */
  readonly events: (history: boolean) => Stream.Stream<Uint8Array>
}

/** It takes samples while the herd changes, so that a dashboard has a past to show when it opens; for a herd that rests no timer runs. */
class Watch {
  readonly herd: Herd.Control
  private readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  private readonly samples: Array<Sample> = []
  private readonly start: Buckets

  constructor(herd: Herd.Control) {
    this.herd = herd
    this.labels = [MetricLabel.make("herd", herd.name)]
    this.start = this.buckets()
  }

  readonly state: Effect.Effect<HerdState> = Effect.suspend(() =>
    Effect.zipWith(this.herd.state, this.herd.history, (state, { failures, resizes }) =>
      new HerdState({
        ...state,
        at: new Date(),
        maxSize: this.herd.maxSize,
        attemptSeconds: this.attemptSeconds(this.buckets(), Date.now()),
        resizes: resizes.map((resized) => new Resized(resized)),
        failures: failures.map((failed) => new Failed(failed))
      }))
  )

  /** The state as an event: at once, when it changes, and as a heartbeat. */
  readonly states: Stream.Stream<string> = Stream.suspend(() => {
    const heartbeat = Stream.drop(Stream.tick(HEARTBEAT), 1)
    return Stream.merge(paced(this.herd.changes), heartbeat, { haltStrategy: "left" }).pipe(
      Stream.mapEffect(() => this.state),
      Stream.map((state) => `data: ${encodeState(state)}\n\n`)
    )
  })

  /** The past as an event. */
  readonly past: Effect.Effect<string> = Effect.sync(() =>
    `event: history\ndata: [${this.samples.map(({ text }) => text).join(",")}]\n\n`
  )

  readonly sampling: Effect.Effect<void> = Effect.suspend(() =>
    Stream.runForEach(
      this.herd.changes,
      (state) => Effect.zipRight(Effect.sync(() => this.sample(state)), Effect.sleep(SAMPLE_MILLIS))
    )
  )

  private sample(state: Herd.HerdState): void {
    const buckets = this.buckets()
    const at = new Date()
    const shown = new HerdSample({ ...state, at, attemptSeconds: this.attemptSeconds(buckets, at.getTime()) })
    this.samples.push({ at: at.getTime(), buckets, text: encodeSample(shown) })
    if (this.samples.length > KEPT) this.samples.shift()
  }

  private attemptSeconds(now: Buckets, at: number): HerdState["attemptSeconds"] {
    const before = this.samples.findLast((sample) => sample.at <= at - MINUTE)?.buckets ?? this.start
    return { p50: quantile(0.5, before, now), p95: quantile(0.95, before, now) }
  }

  private buckets(): Buckets {
    const { buckets } = HerdMetrics.attemptDuration.unsafeValue(this.labels)
    let below = 0
    const bounds: Array<number> = []
    const counts: Array<number> = []
    for (const [bound, cumulative] of buckets) {
      bounds.push(bound)
      counts.push(cumulative - below)
      below = cumulative
    }
    return { bounds, counts }
  }
}

/**
 * @internal
 */
export const monitor = (herd: Herd.Control): Effect.Effect<Monitor, never, Scope.Scope> =>
  Effect.gen(function*() {
    const watch = new Watch(herd)
    yield* Effect.forkScoped(watch.sampling)
    // Made once, however many read it; who is slow gets the last ones: a state, and the end.
    const states = yield* Stream.share(Stream.encodeText(watch.states), {
      capacity: 2,
      strategy: "sliding",
      replay: 1
    })
    const past = Stream.encodeText(Stream.fromEffect(watch.past))
    return { herd, state: watch.state, events: (history) => history ? Stream.concat(past, states) : states }
  })

const encodeState = Schema.encodeSync(Schema.parseJson(HerdState))
const encodeSample = Schema.encodeSync(Schema.parseJson(HerdSample))

/** After each element the stream rests: of what is conflated, nothing but the latest comes then. */
const paced = <A>(stream: Stream.Stream<A>): Stream.Stream<A> =>
  Stream.flatMap(stream, (value) => Stream.concat(Stream.succeed(value), Stream.execute(Effect.sleep(EVENT_INTERVAL))))
