import { randomUUID } from "node:crypto"
import type { Claim, Settled, Settlement } from "../HerdSource.ts"
import { type Engine, settledAll } from "./bullEngine.ts"
import { byPlace, Held, type Next, nextOf } from "./bullJob.ts"
import { Schedulers } from "./bullSchedulers.ts"
import { isObject } from "./check.ts"
import { show } from "./show.ts"
import { crashText } from "./sourceText.ts"

/** Does BullMQ say that the claim is not one any more? What else fails may be tried again. */
export const isLost = (error: unknown): boolean =>
  isObject(error) && "code" in error && typeof error.code === "number" && error.code < 0

type Release = Extract<Settlement, { readonly _tag: "Release" }>

/** A settlement, and the claim as it is held. */
interface Open<S extends Settlement = Settlement> {
  readonly settlement: S
  readonly held: Held
}

/** One settling of many units, and claiming of others. */
interface Step {
  readonly max: number
  /** The time of the herd's Clock. */
  readonly clock: number
  readonly lost: Array<Claim>
  readonly claimed: Array<Held>
  /** Nothing more can be claimed. */
  exhausted: boolean
}

/**
 * The jobs that one owner holds of a queue: claims, settles and renews them.
 *
 * @internal
 */
export class Claims {
  private readonly engine: Engine
  private readonly lease: number
  private readonly maxCrashes: number
  private readonly owner = randomUUID()
  private count = 0
  private readonly held = new Map<string, Held>()
  /** Claimed in a step that failed otherwise. The next one has them. */
  private spare: Array<Held> = []
  /** The tokens of claims settled in a step that failed otherwise: it will be done again. */
  private readonly through = new Set<string>()

  private readonly schedulers: Schedulers
  private readonly warn: (message: string) => void

  constructor(
    { engine, lease, maxCrashes, queue, warn }: {
      readonly engine: Engine
      readonly queue: string
      readonly lease: number
      readonly maxCrashes: number
      readonly warn: (message: string) => void
    }
  ) {
    this.engine = engine
    this.lease = lease
    this.maxCrashes = maxCrashes
    this.schedulers = new Schedulers(queue, engine.backend)
    this.warn = warn
  }

  get all(): ReadonlyArray<Held> {
    return Array.from(this.held.values())
  }

  get hasSpare(): boolean {
    return this.spare.length > 0
  }

  /** No two are the same. */
  get nextToken(): string {
    return `${this.owner}.${this.count++}`
  }

  // ---------------------------------------------------------------------------------------------------- claiming

  async claim(max: number, clock: number): Promise<ReadonlyArray<Claim>> {
    const { claimed } = await this.settle([], max, clock)
    return claimed
  }

  /** Fills the step up. */
  private async claimMore(step: Step): Promise<void> {
    const { engine } = this
    const missing = step.max - step.claimed.length
    if (missing <= 0 || step.exhausted) return
    await engine.tend()
    if (engine.step !== undefined && !await this.stepped([], step)) return
    // Claiming one job costs as little as looking for one.
    const { claimable } = missing === 1 ? { claimable: 1 } : await engine.look(missing)
    const claiming = Array.from({ length: Math.min(missing, claimable) }, async () => {
      const lock = this.nextToken
      return this.admit(nextOf(await engine.backend.moveToActive(lock)), lock)
    })
    const { failed, values } = await settledAll(claiming)
    this.add(values, step)
    if (failed !== undefined) throw failed.reason
  }

  private add(admitted: ReadonlyArray<Held | undefined>, { claimed }: Step): void {
    const held = admitted.filter((held) => held !== undefined)
    claimed.push(...(this.engine.inOrder ? held : held.toSorted(byPlace)))
  }

  /**
   * The job that BullMQ has claimed with this lock; undefined if there was none, or if it is
   * buried.
   */
  private async admit(next: Next | undefined, lock: string): Promise<Held | undefined> {
    if (next === undefined) return undefined
    const held = new Held(next.json, next.id, lock, this.nextToken)
    await this.schedule(held).catch(() => {
      // Tried again before the job is settled.
      held.unscheduled = true
    })
    const doom = held.doom(this.maxCrashes)
    if (doom !== undefined) {
      // If that fails, the lock runs out and the job is recovered.
      if (!held.unscheduled) await this.bury(held, doom, false).catch(() => {})
      return undefined
    }
    this.held.set(held.claim.token, held)
    return held
  }

  private async schedule(held: Held): Promise<void> {
    if (held.json.repeatJobKey === undefined) return
    const error = await this.schedulers.follow(held)
    held.unscheduled = false
    if (error === undefined) return
    this.warn(
      `expected job scheduler ${show(held.json.repeatJobKey)} to make its next job, got ${
        show(error)
      }: it makes no more`
    )
  }

  // ---------------------------------------------------------------------------------------------------- settling

  async settle(settlements: ReadonlyArray<Settlement>, max: number, clock: number): Promise<Settled> {
    const step: Step = { max, clock, lost: [], claimed: this.spare.splice(0, max), exhausted: false }
    try {
      await this.conclude(this.open(settlements, step), step)
      await this.claimMore(step)
    } catch (error) {
      this.spare.push(...step.claimed)
      throw error
    }
    for (const { claim } of settlements) this.through.delete(claim.token)
    return { lost: step.lost, claimed: step.claimed.map(({ claim }) => claim) }
  }

  /** Those that are held. */
  private open(settlements: ReadonlyArray<Settlement>, { lost }: Step): ReadonlyArray<Open> {
    return settlements.flatMap((settlement) => {
      const { claim } = settlement
      const held = this.held.get(claim.token)
      if (held !== undefined) {
        held.settling = true
        return [{ settlement, held }]
      }
      if (!this.through.has(claim.token)) lost.push(claim)
      return []
    })
  }

  private async conclude(open: ReadonlyArray<Open>, step: Step): Promise<void> {
    if (open.length === 0) return
    for (const { held } of open) if (held.unscheduled) await this.schedule(held)
    const back = open.filter(({ settlement }) => settlement._tag === "Release")
    // Released first, so that the claim below can take them.
    const released = await settledAll(back.length === 0 ? [] : [this.release(back.map(({ held }) => held), step)])
    // Several jobs are completed by one command. A single job and its successor go by BullMQ's own
    // command, whose plan PostgreSQL keeps.
    const acked = open.filter(({ held, settlement }) =>
      settlement._tag === "Ack" && held.opts.removeOnComplete === undefined
    )
    const together = this.engine.step !== undefined && this.engine.keep !== true && (acked.length > 1 || step.max > 1)
    const done = together ? acked : []
    const others = open.filter((one) => !back.includes(one) && !done.includes(one))
    if (step.max > 0) await this.engine.tend()
    let fetching = 0
    const concluded = others.map((one) => {
      // Each command that makes room claims the next job, unless `stepped` claims them all.
      const fetchNext = done.length === 0 && step.claimed.length + fetching < step.max
      if (fetchNext) fetching++
      return this.concludeOne(one, fetchNext, step)
    })
    const stepped = done.length === 0 ? [] : [this.stepped(done, step)]
    const [rest, { failed = rest.failed }] = await Promise.all([settledAll(concluded), settledAll(stepped)])
    this.add(rest.values, step)
    const { failed: first = failed } = released
    if (first !== undefined) throw first.reason
  }

  /**
   * Those that are done, and those claimed with them, in one command. Is there anything left to
   * claim by others?
   */
  private async stepped(done: ReadonlyArray<Open>, step: Step): Promise<boolean> {
    const locks = Array.from({ length: Math.max(0, step.max - step.claimed.length) }, () => this.nextToken)
    const held = done.map(({ held }) => held)
    const { limited, next, told } = await this.trying(held, () => this.engine.step?.(held, locks)) ?? nothing
    this.add(await Promise.all(next.map((next) => this.admit(next, next.lock))), step)
    if (!limited) step.exhausted = next.length < locks.length
    const left = done.map((one, i): Promise<unknown> => {
      if (told[i] === "done") return Promise.resolve(this.gone(one.held))
      return told[i] === "other" ? this.concludeOne(one, false, step) : this.resettle(one, step)
    })
    const { failed } = await settledAll(left)
    if (failed !== undefined) throw failed.reason
    return limited
  }

  private async concludeOne(
    { held, settlement }: Open,
    fetchNext: boolean,
    step: Step,
    resumable = true
  ): Promise<Held | undefined> {
    if (settlement._tag === "Release") return undefined
    try {
      const next = nextOf(await this.trying([held], () => this.told(settlement, held, fetchNext, step.clock)))
      this.gone(held)
      if (fetchNext && next === undefined) step.exhausted = true
      return await this.admit(next, held.lock)
    } catch (error) {
      if (!isLost(error)) throw error
      if (resumable) await this.resettle({ held, settlement }, step)
      else await this.missed(held, step)
      return undefined
    }
  }

  /** The lock is gone: settles once more if it only ran out. */
  private async resettle(one: Open, step: Step): Promise<void> {
    if (await this.resume(one.held)) await this.concludeOne(one, false, step, false)
    else await this.missed(one.held, step)
  }

  private async told(
    settlement: Exclude<Settlement, Release>,
    held: Held,
    fetchNext: boolean,
    clock: number
  ): Promise<ReadonlyArray<unknown> | void> {
    const { backend, keep } = this.engine
    switch (settlement._tag) {
      case "Ack":
        return (await backend.moveToCompleted(held, null, held.opts.removeOnComplete ?? keep, held.lock, fetchNext))
          .result
      case "Bury":
        return this.bury(held, settlement.cause, fetchNext)
      case "Retry": {
        const { at, cause, firstFailureAt } = settlement
        return this.engine.retry({ held, delay: Math.max(0, Math.ceil(at - clock)), firstFailureAt, cause, fetchNext })
      }
    }
  }

  private async bury(held: Held, cause: string, fetchNext: boolean): Promise<ReadonlyArray<unknown> | void> {
    return (await this.engine.backend.moveToFailed(held, cause, false, held.lock, fetchNext)).result
  }

  /** A job that crashed for the last time, maybe before its scheduler made the next one. */
  async buryCrashed(job: Next, lock: string): Promise<void> {
    const held = new Held(job.json, job.id, lock, "")
    await this.schedule(held)
    await this.bury(held, crashText, false)
  }

  private async release(released: ReadonlyArray<Held>, step: Step, resumable = true): Promise<void> {
    const gone = new Set(await this.trying(released, () => this.engine.release(released)))
    for (const held of released) {
      if (!gone.has(held.id)) this.gone(held)
      else if (resumable && await this.resume(held)) await this.release([held], step, false)
      else await this.missed(held, step)
    }
  }

  /** Of those for whom it fails, unless since they are lost, it is not known what they are. */
  private async trying<A>(held: ReadonlyArray<Held>, run: () => A | Promise<A>): Promise<A> {
    try {
      return await run()
    } catch (error) {
      if (!isLost(error)) { for (const one of held) one.doubtful = true }
      throw error
    }
  }

  private gone({ claim: { token } }: Held): void {
    this.held.delete(token)
    this.through.add(token)
  }

  /**
   * Its lock is gone. Did it only run out, while nobody else took the unit? Then it is ours again,
   * to be settled.
   */
  private async resume(held: Held): Promise<boolean> {
    return (await this.engine.renew([held])).length === 0
  }

  /** Its lock is gone: since it was settled, without our having heard of it, or it is lost. */
  private async missed(held: Held, { lost }: Step): Promise<void> {
    if (!held.doubtful || !await this.isThrough(held)) lost.push(held.claim)
    this.held.delete(held.claim.token)
  }

  private async isThrough({ id, json }: Held): Promise<boolean> {
    const now = await this.engine.backend.getJobData(id)
    // Only a crash would have let another owner take it.
    return now === undefined || now.stalledCounter === json.stalledCounter
  }

  // ---------------------------------------------------------------------------------------------------- renewing

  async renew(claims: ReadonlyArray<Claim>): Promise<ReadonlyArray<Claim>> {
    await this.extend(claims.flatMap(({ token }) => this.held.get(token) ?? []))
    return claims.filter(({ token }) => !this.held.has(token) && !this.through.has(token))
  }

  /**
   * Claims whose leases may have run out while the process was too busy to renew them. This process
   * must not recover them.
   */
  get late(): ReadonlyArray<Held> {
    const before = performance.now() - this.lease / 2
    return this.all.filter(({ renewedAt }) => renewedAt < before)
  }

  /** Releases all claims. */
  async releaseAll(): Promise<void> {
    const { all, late } = this
    if (late.length > 0) await this.engine.renew(late)
    if (all.length > 0) await this.engine.release(all)
  }

  /** Extends the locks, and forgets the claims that are lost. */
  private async extend(held: ReadonlyArray<Held>): Promise<void> {
    const now = performance.now()
    const lost = new Set(await this.engine.renew(held))
    for (const one of held) {
      if (!lost.has(one.id)) one.renewedAt = now
      // Of one that is being settled that tells.
      else if (!one.settling) this.held.delete(one.claim.token)
    }
  }
}

const nothing = { told: [], next: [], limited: true }
