import * as Effect from "effect/Effect"
import * as MetricLabel from "effect/MetricLabel"
import * as RcRef from "effect/RcRef"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Herd from "../Herd.ts"
import { Failed, HerdSample, HerdState, Resized, SourceState } from "../HerdApi.ts"
import * as HerdMetrics from "../HerdMetrics.ts"
import { changesOf } from "./changes.ts"
import type { Buckets } from "./quantile.ts"
import { quantile } from "./quantile.ts"
import { Round } from "./round.ts"
import type { Figures } from "./sourceWatch.ts"
import { SourceWatch } from "./sourceWatch.ts"
import { SteadyTime } from "./steadyTime.ts"
import { isStored } from "./stored.ts"

/** A herd that changes is sampled this often, and the samples of about five minutes are kept. */
const SAMPLE_MILLIS = 1_000
const KEPT = 300

/** The window of the quantiles. */
const MINUTE = 60_000

/** An event stream tells of changes at most this often, and of the state at least that often. */
const BEAT_MILLIS = 250
const HEARTBEAT = "10 seconds"

interface Sample {
  readonly at: number
  readonly buckets: Buckets
  /** As JSON. */
  readonly text: string
}

/**
 * What the routes tell of one herd. It takes samples while the herd changes, so that a dashboard
 * has a past to show when it opens; for a herd that rests no timer runs, but for a durable one
 * while somebody hears its events.
 *
 * @internal
 */
export class Monitor {
  readonly herd: Herd.Control
  /** Of a durable herd. */
  private readonly source: SourceWatch | undefined
  /** Looks at the source, for as long as somebody hears the events. */
  private watching: RcRef.RcRef<void> | undefined
  private readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  private readonly samples: Array<Sample> = []
  private readonly start: Buckets
  /** Comes round when the herd has changed, and not too often. */
  private readonly beat = new Round()
  private readonly pace = Effect.unsafeMakeSemaphore(1)
  private ended = false
  /** What is compared to other times, where what is told is the time of day. */
  private readonly time = new SteadyTime()
  /** The last event, and when and for which beat it was made. */
  private told: { readonly event: Uint8Array; readonly at: number; readonly beat: number } | undefined

  static make(herd: Herd.Control): Effect.Effect<Monitor, never, Scope.Scope> {
    return Effect.gen(function*() {
      const source = isStored(herd) ? new SourceWatch(herd, yield* Effect.scope) : undefined
      const monitor = new Monitor(herd, source)
      if (source !== undefined) monitor.watching = yield* RcRef.make({ acquire: source.watch(monitor.nextBeat) })
      yield* Effect.forkScoped(monitor.sampling)
      yield* Effect.forkScoped(Effect.ensuring(monitor.beating, monitor.end))
      return monitor
    })
  }

  private constructor(herd: Herd.Control, source: SourceWatch | undefined) {
    this.herd = herd
    this.source = source
    this.labels = [MetricLabel.make("herd", herd.name)]
    this.start = this.buckets()
  }

  readonly state: Effect.Effect<HerdState> = Effect.gen(this, function*() {
    const figures = yield* this.source?.figures ?? Effect.succeed(undefined)
    const clock = yield* Effect.clock
    const { failures, resizes } = yield* this.herd.history
    const state = yield* this.herd.state
    const source = figures && sourceStateOf(figures, clock.unsafeCurrentTimeMillis())
    return HerdState.make({
      ...state,
      at: new Date(),
      maxSize: this.herd.maxSize,
      attemptSeconds: this.attemptSeconds(this.buckets(), this.time.read(clock)),
      resizes: resizes.map((resized) => Resized.make(resized, trusted)),
      failures: failures.map((failed) => Failed.make(failed, trusted)),
      ...(source && { source })
    }, trusted)
  })

  /** To be run when something in the source was changed by way of the routes. */
  readonly forget: Effect.Effect<void> = Effect.suspend(() => this.source?.forget ?? Effect.void)

  /**
   * Server-sent events: the past, if it is asked for, and the state at once, when it or the source
   * changes, and as a heartbeat. They end with the monitor's scope, since a server waits for its
   * responses before it closes, and with the herd's.
   */
  events(history: boolean): Stream.Stream<Uint8Array> {
    const changes = changesOf({ turn: this.beat, state: () => {}, stopped: () => this.ended })
    const heartbeat = Stream.drop(Stream.tick(HEARTBEAT), 1)
    const told = Stream.mapEffect(Stream.merge(changes, heartbeat, { haltStrategy: "left" }), () => this.event)
    const states = Stream.unwrapScoped(Effect.as(this.watched, told))
    return history ? Stream.concat(Stream.fromEffect(this.past), states) : states
  }

  private readonly watched: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() =>
    this.watching === undefined || this.ended ? Effect.void : RcRef.get(this.watching)
  )

  /** Made once for all who hear it at the same time. */
  private readonly event: Effect.Effect<Uint8Array> = Effect.clockWith((clock) => {
    const { beat, told } = this
    const at = this.time.read(clock)
    if (told?.beat === beat.ended && at - told.at < BEAT_MILLIS) return Effect.succeed(told.event)
    return Effect.map(this.state, (state) => {
      const event = encode(`data: ${encodeState(state)}\n\n`)
      this.told = { event, at, beat: beat.ended }
      return event
    })
  })

  private readonly past: Effect.Effect<Uint8Array> = Effect.sync(() =>
    encode(`event: history\ndata: [${this.samples.map(({ text }) => text).join(",")}]\n\n`)
  )

  /**
   * Each beat is for a change of the herd or of its source; who is late for it hears the latest.
   */
  private readonly nextBeat: Effect.Effect<void> = this.pace.withPermits(1)(
    Effect.zipRight(Effect.sync(() => this.beat.next()), Effect.sleep(BEAT_MILLIS))
  )

  private readonly beating = this.afterChanges(() => this.nextBeat)

  private readonly sampling = this.afterChanges((state) =>
    Effect.clockWith((clock) =>
      Effect.zipRight(Effect.sync(() => this.sample(state, this.time.read(clock))), Effect.sleep(SAMPLE_MILLIS))
    )
  )

  /** Runs it at once after a change, again and again: of changes meanwhile the latest counts. */
  private afterChanges(run: (state: Herd.HerdState) => Effect.Effect<void>): Effect.Effect<void> {
    return Effect.suspend(() => Stream.runForEach(this.herd.changes, run))
  }

  private readonly end: Effect.Effect<void> = Effect.sync(() => {
    this.ended = true
    this.beat.next()
  })

  private sample(state: Herd.HerdState, at: number): void {
    const buckets = this.buckets()
    const attemptSeconds = this.attemptSeconds(buckets, at)
    const text = encodeSample(HerdSample.make({ ...state, at: new Date(), attemptSeconds }, trusted))
    this.samples.push({ at, buckets, text })
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

const sourceStateOf = ({ depth, fleet }: Figures, now: number): SourceState => {
  const { dead, delayed, held, oldestAt, ready } = depth
  // A clock of the source's may be ahead.
  const oldestSeconds = oldestAt === undefined ? null : Math.max(0, now - oldestAt) / 1_000
  return SourceState.make({ ready, delayed, held, dead, oldestSeconds, ...(fleet !== undefined && { fleet }) }, trusted)
}

/** What a herd says of itself is right: to check it costs ten times as much as to send it. */
const trusted = { disableValidation: true }

const encodeState = Schema.encodeSync(Schema.parseJson(HerdState))
const encodeSample = Schema.encodeSync(Schema.parseJson(HerdSample))
const encoder = new TextEncoder()
const encode = (text: string) => encoder.encode(text)
