import { hasLegacyRepeatableKeyShape, type IQueueBackend, JobScheduler, type RepeatOptions } from "bullmq"
import type { Next } from "./bullJob.ts"
import { isObject } from "./check.ts"

/** The server failed: the scheduler goes on once the server is back. */
class ServerFailed extends Error {}

/** A backend whose errors can be told from those of a `JobScheduler`. */
const marking = (backend: IQueueBackend): IQueueBackend => {
  const update: IQueueBackend["updateJobSchedulerNextMillis"] = async (...args) => {
    try {
      return await backend.updateJobSchedulerNextMillis(...args)
    } catch (cause) {
      throw new ServerFailed("the server failed", { cause })
    }
  }
  return new Proxy(backend, {
    get: (target, key): unknown => key === "updateJobSchedulerNextMillis" ? update : Reflect.get(target, key)
  })
}

/**
 * Job schedulers of a queue. A scheduler has one job at a time. BullMQ's Worker makes the next one
 * at each claim, and so does a herd.
 *
 * @internal
 */
export class Schedulers {
  private readonly queue: string
  private readonly backend: IQueueBackend
  private scheduler: JobScheduler | undefined = undefined

  constructor(queue: string, backend: IQueueBackend) {
    this.queue = queue
    this.backend = backend
  }

  /**
   * Makes the job that follows this one. A second call for the same job does nothing. Fails if the
   * server fails; any other error, which would come again, is returned.
   */
  async follow(job: Next): Promise<unknown> {
    const { repeatJobKey: key } = job.json
    if (key === undefined) return undefined
    if (!await this.backend.isJobScheduler(key)) {
      // It was removed, or it is of BullMQ 5.
      return hasLegacyRepeatableKeyShape(key) ? new Error("a repeatable job of BullMQ 5") : undefined
    }
    try {
      return await this.make(job, key)
    } catch (error) {
      if (error instanceof ServerFailed) throw error.cause
      return error
    }
  }

  private async make({ id, json: { name, opts } }: Next, key: string): Promise<undefined> {
    this.scheduler ??= new JobScheduler(this.queue, { connection: {} }, () => marking(this.backend))
    // The engine hears the backend's errors; without a listener they would be printed.
    if (this.scheduler.listenerCount("error") === 0) this.scheduler.on("error", () => {})
    const repeat: unknown = Reflect.get(opts, "repeat")
    // The scheduler keeps its data. Passing data would replace it on PostgreSQL, even if it was
    // changed since.
    const data = undefined
    await this.scheduler.upsertJobScheduler(key, isRepeat(repeat) ? repeat : {}, name, data, opts, {
      override: false,
      producerId: id
    })
  }
}

const isRepeat = (value: unknown): value is RepeatOptions => isObject(value)
