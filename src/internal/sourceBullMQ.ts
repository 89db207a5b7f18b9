import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { setTimeout as timer } from "node:timers/promises"
import { SourceError } from "../HerdError.ts"
import type {
  Claim,
  DeadLetter,
  Depth,
  Fleet,
  HerdSource,
  ListOptions,
  NewUnit,
  OpenOptions,
  Queue,
  Settled,
  Settlement,
  UnitRefusal
} from "../HerdSource.ts"
import { Claims, isLost } from "./bullClaims.ts"
import { type Engine, type EngineOptions, settledAll } from "./bullEngine.ts"
import { deadLetter, Held, jobId, newJob, priorityRefusal, queueName } from "./bullJob.ts"
import { checkNow } from "./check.ts"
import { logOf } from "./log.ts"
import { isSize } from "./options.ts"
import { sleep } from "./sleep.ts"
import { listOptions, MAX_BODY_BYTES } from "./sourceOptions.ts"

/**
 * Milliseconds: the shortest and the longest between two looks for leases that have run out;
 * otherwise it is a quarter of a lease.
 */
const RECOVER = { shortest: 20, longest: 10_000 }

/**
 * Milliseconds between two looks for units that are done and have been kept for long enough, and
 * how many of them are deleted at a time.
 */
const FORGET = 1_000
const DELETED = 1_000

/** How many dead letters are redriven or discarded at a time. */
const LETTERS = 500

/** Milliseconds for each of the two things that are done when the scope closes. */
const FAREWELL = 2_000

/**
 * The units of one herd, for one owner.
 */
class BullQueue implements Queue {
  private readonly engine: Engine
  private readonly lease: number
  private readonly maxCrashes: number
  private readonly pollInterval: Duration.Duration
  private readonly retention: number
  private readonly claims: Claims
  /** All that are open here on the queue, with this one: alive, however late they are. */
  private readonly siblings: ReadonlySet<BullQueue>
  /** While the server is at one command, it may be sent another. */
  readonly concurrency = 2
  readonly maxBodyBytes = MAX_BODY_BYTES
  private units = 0
  private readonly warnings: Array<string> = []
  private readonly log: (effect: Effect.Effect<void>) => Effect.Effect<void>
  /** How often in a row there was nothing to claim. */
  private futile = 0

  constructor(
    engine: Engine,
    { lease, maxCrashes }: OpenOptions,
    siblings: ReadonlySet<BullQueue>,
    { herd, pollInterval, retention }: {
      readonly herd: string
      readonly pollInterval: Duration.Duration
      readonly retention: number
    }
  ) {
    this.engine = engine
    this.siblings = siblings
    this.lease = Duration.toMillis(lease)
    this.maxCrashes = maxCrashes
    this.claims = new Claims({
      engine,
      queue: queueName(herd),
      lease: this.lease,
      maxCrashes,
      warn: (message) => void this.warnings.push(message)
    })
    this.log = (effect) => logOf(herd, effect)
    this.pollInterval = pollInterval
    this.retention = retention
  }

  /** Begun, it is seen through: what it claims is somebody's. */
  private ask<A>(operation: string, run: () => Promise<A>): Effect.Effect<A, SourceError> {
    return Effect.uninterruptible(Effect.tap(this.look(operation, run), () => {
      const warnings = this.warnings.splice(0)
      return this.log(Effect.forEach(warnings, (message) => Effect.logWarning(message), { discard: true }))
    }))
  }

  private look<A>(operation: string, run: () => Promise<A>): Effect.Effect<A, SourceError> {
    return Effect.tryPromise({
      try: run,
      catch: (error) =>
        new SourceError({ source: "BullMQ", operation: `${operation} units`, cause: this.engine.reason(error) })
    })
  }

  // ---------------------------------------------------------------------------------------------------- work

  readonly refusal = (unit: NewUnit): UnitRefusal | undefined => priorityRefusal(unit) ?? this.engine.refusal?.(unit)

  readonly offer = (units: ReadonlyArray<NewUnit>): Effect.Effect<void, SourceError> =>
    Effect.flatMap(Clock.currentTimeMillis, (clock) => {
      const { reserved, time: { next: now } } = this.engine
      const jobs = units.map((unit) => newJob(unit, { now, clock, reserved, seq: this.units++ }))
      return jobs.length === 0 ? Effect.void : Effect.asVoid(this.ask("offer", () => this.engine.add(jobs)))
    })

  readonly claim = (max: number): Effect.Effect<ReadonlyArray<Claim>, SourceError> =>
    Effect.flatMap(Clock.currentTimeMillis, (clock) =>
      this.ask("claim", async () => {
        const claimed = await this.claims.claim(max, clock)
        this.futile = claimed.length > 0 ? 0 : this.futile + 1
        return claimed
      }))

  readonly settle = (settlements: ReadonlyArray<Settlement>, claim: number): Effect.Effect<Settled, SourceError> =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (clock) => this.ask("settle", () => this.claims.settle(settlements, claim, clock))
    )

  readonly renew = (claims: ReadonlyArray<Claim>): Effect.Effect<ReadonlyArray<Claim>, SourceError> =>
    this.ask("renew", () => this.claims.renew(claims))

  // ---------------------------------------------------------------------------------------------------- waiting

  readonly arrival: Effect.Effect<void, SourceError> = Effect.suspend(() => {
    this.engine.watchers++
    return Effect.ensuring(
      this.arrived,
      Effect.sync(() => {
        this.engine.watchers--
      })
    )
  })

  private readonly arrived: Effect.Effect<void, SourceError> = Effect.suspend(() => {
    const { bell } = this.engine
    const { ended } = bell
    if (this.claims.hasSpare) return Effect.void
    return Effect.flatMap(this.look("wait for", () => this.engine.watch()), ({ claimable, dueIn = Infinity }) => {
      const soon = (millis: number) =>
        Effect.raceFirst(bell.after(ended), sleep(Duration.min(this.pollInterval, Duration.millis(millis))))
      if (claimable === 0) return Effect.zipRight(soon(Math.max(1, dueIn)), this.arrived)
      // Units are claimable, but claims get none: other processes are quicker, or there is a rate
      // limit.
      return this.futile > 1 ? soon(2 ** this.futile) : Effect.void
    })
  })

  // ---------------------------------------------------------------------------------------------------- what time brings about

  readonly recover: Effect.Effect<void, SourceError> = this.suspended("recover", async () => {
    const late = Array.from(this.siblings, ({ claims }) => claims.late).flat()
    const lock = this.claims.nextToken
    for (const id of await this.engine.recover(this.maxCrashes, lock, late)) {
      const json = await this.engine.backend.getJobData(id)
      if (json !== undefined) await this.claims.buryCrashed({ json, id }, lock)
    }
  })

  private readonly forget: Effect.Effect<void, SourceError> = this.suspended("forget", async () => {
    let deleted = DELETED
    while (deleted === DELETED) deleted = await this.engine.forget(this.retention, DELETED)
  })

  /**
   * Both, again and again. What fails is tried again, and told by whatever is asked for meanwhile.
   */
  readonly tending: Effect.Effect<never> = Effect.suspend(() => {
    const often = Duration.millis(Math.min(RECOVER.longest, Math.max(RECOVER.shortest, this.lease / 4)))
    const always = (effect: Effect.Effect<void, SourceError>, interval: Duration.DurationInput) =>
      Effect.forever(
        Effect.zipRight(Effect.sleep(interval), Effect.catchAll(effect, ({ message }) => Effect.logDebug(message)))
      )
    const recovering = always(this.recover, often)
    return Number.isFinite(this.retention) ? Effect.raceFirst(recovering, always(this.forget, FORGET)) : recovering
  })

  private suspended(operation: string, run: () => Promise<void>): Effect.Effect<void, SourceError> {
    // Closing does not wait for this: another process does it again.
    return Effect.suspend(() => this.look(operation, run))
  }

  // ---------------------------------------------------------------------------------------------------- watching

  readonly idle: Effect.Effect<boolean, SourceError> = Effect.suspend(() => this.look("look for", this.engine.idle))

  /** Times are those of the herd's Clock. */
  readonly depth: Effect.Effect<Depth, SourceError> = Effect.suspend(() =>
    Effect.zipWith(this.look("count", this.engine.depth), Clock.currentTimeMillis, ({ oldestAt, ...depth }, clock) => ({
      ...depth,
      oldestAt: oldestAt === undefined ? undefined : Math.ceil(clock - this.engine.time.since(oldestAt))
    }))
  )

  private async letters(ids: ReadonlyArray<string> | "all"): Promise<ReadonlyArray<string>> {
    const { backend, reserved } = this.engine
    if (ids === "all") return (await backend.getRanges(["failed"], 0, -1, true)).flat()
    // Another program's job may have this id without being encoded.
    return Array.from(new Set(ids.flatMap((id) => [jobId(id, reserved), id])))
  }

  readonly dead = {
    list: (options?: ListOptions): Effect.Effect<ReadonlyArray<DeadLetter>, SourceError> =>
      Effect.suspend(() => {
        const { limit, maxBody, offset } = listOptions(options)
        return this.look("list", async () => {
          const { engine } = this
          const ids = (await engine.backend.getRanges(["failed"], offset, offset + limit - 1, false)).flat()
          return (await engine.letters(ids, maxBody)).map((job) => deadLetter(job, maxBody))
        })
      }),
    redrive: (ids: ReadonlyArray<string> | "all"): Effect.Effect<number, SourceError> =>
      this.ask("redrive", async () => {
        const letters = await this.letters(ids)
        let redriven = 0
        for (const some of Arr.chunksOf(letters, LETTERS)) {
          redriven += await this.redriveSome(await this.engine.pardon(some))
        }
        return redriven
      }),
    discard: (ids: ReadonlyArray<string> | "all"): Effect.Effect<number, SourceError> =>
      this.ask("discard", async () => {
        const letters = await this.letters(ids)
        let discarded = 0
        for (const some of Arr.chunksOf(letters, LETTERS)) discarded += await this.engine.discard(some)
        return discarded
      })
  }

  /** In order; those that somebody else has redriven meanwhile are passed over. */
  private async redriveSome(ids: ReadonlyArray<string>): Promise<number> {
    const { backend } = this.engine
    const redriving = (await this.engine.letters(ids)).map(async ({ id, json }) => {
      try {
        const job = new Held(json, id, "", "")
        await backend.retryFinishedJob(job, "failed", { resetAttemptsMade: true, resetAttemptsStarted: true })
        return true
      } catch (error) {
        if (isLost(error)) return false
        throw error
      }
    })
    const { failed, values } = await settledAll(redriving)
    if (failed !== undefined) throw failed.reason
    return values.filter(Boolean).length
  }

  readonly fleet: Option.Option<Fleet> = Option.some({
    size: Effect.suspend(() =>
      this.look("count", async () => {
        const bound = await this.engine.backend.getQueueMetaField("concurrency")
        return Option.map(Option.fromNullable(bound), Number)
      })
    ),
    resize: (size: Option.Option<number>) =>
      Effect.suspend(() => {
        const { engine } = this
        const bound = Option.getOrUndefined(size)
        if (bound !== undefined) checkNow(isSize(bound, 2 ** 31 - 1), "size", "an integer from 0 to 2147483647", bound)
        return Effect.asVoid(this.ask("bound", async () => {
          if (bound === undefined) await engine.backend.removeQueueMetaFields(["concurrency"])
          else await engine.backend.setQueueMeta({ concurrency: bound + 0 })
          await engine.wake()
        }))
      })
  })

  // ---------------------------------------------------------------------------------------------------- the end

  /** The server may be gone: then their leases run out. */
  readonly close: Effect.Effect<void> = Effect.promise(async () => {
    await within(FAREWELL, this.claims.releaseAll())
    await within(FAREWELL, this.engine.close())
  })
}

const within = async (millis: number, done: Promise<unknown>): Promise<void> => {
  const over = new AbortController()
  await Promise.race([done, timer(millis, undefined, { signal: over.signal })]).catch(() => {})
  over.abort()
  // A later failure has no reader.
  done.catch(() => {})
}

/**
 * @internal
 */
export interface Settings {
  readonly pollInterval: Duration.Duration
  readonly retention: Duration.Duration
  readonly open: (options: EngineOptions) => Promise<Engine>
}

/**
 * @internal
 */
export const makeBullMQ = (settings: Settings): Context.Tag.Service<HerdSource> => {
  const queues = new Map<string, Set<BullQueue>>()
  return { open: (herd, options) => open(settings, queues, herd, options) }
}

const open = (
  settings: Settings,
  queues: Map<string, Set<BullQueue>>,
  herd: string,
  options: OpenOptions
): Effect.Effect<BullQueue, SourceError, Scope.Scope> =>
  Effect.gen(function*() {
    const retention = Duration.toMillis(settings.retention)
    const engine = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () =>
          settings.open({
            queue: queueName(herd),
            lease: Math.ceil(Duration.toMillis(options.lease)),
            retention
          }),
        catch: (cause) => new SourceError({ source: "BullMQ", operation: "open its queue", cause })
      }),
      (engine) => Effect.promise(() => within(FAREWELL, engine.close()))
    )
    const siblings = queues.get(herd) ?? new Set()
    queues.set(herd, siblings)
    const queue = new BullQueue(engine, options, siblings, { herd, pollInterval: settings.pollInterval, retention })
    yield* queue.recover
    siblings.add(queue)
    yield* Effect.addFinalizer(() => {
      siblings.delete(queue)
      return queue.close
    })
    yield* Effect.forkScoped(Effect.interruptible(queue.tending))
    return queue
  })
