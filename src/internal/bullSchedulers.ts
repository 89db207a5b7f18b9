import { type IQueueBackend, JobScheduler, type RepeatOptions } from "bullmq"
import type { Next } from "./bullJob.ts"
import { isObject } from "./check.ts"

/**
 * Job schedulers of a queue. Each makes one job at a time: whoever claims it has to have the next one made, as BullMQ's Worker does.
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
   * Has the job made that follows this one, once, however often it is asked. Fails if the server does. Why it can't be made for
   * another reason is returned.
   */
  async follow(job: Next): Promise<unknown> {
    const { repeatJobKey: key } = job.json
    // It may be deleted by now, or of BullMQ 5, in whose way version 6 makes none.
    if (key === undefined || !await this.backend.isJobScheduler(key)) return undefined
    try {
      return await this.make(job, key)
    } catch {
      await this.backend.isJobScheduler(key)
    }
    // The server answers. Did it when it was asked for the job?
    try {
      return await this.make(job, key)
    } catch (error) {
      await this.backend.isJobScheduler(key)
      return error
    }
  }

  private async make({ id, json: { data, name, opts } }: Next, key: string): Promise<undefined> {
    this.scheduler ??= new JobScheduler(this.queue, { connection: {} }, () => this.backend)
    // The backend's errors are heard elsewhere; without a listener they would be printed.
    if (this.scheduler.listenerCount("error") === 0) this.scheduler.on("error", () => {})
    const repeat: unknown = Reflect.get(opts, "repeat")
    await this.scheduler.upsertJobScheduler(key, isRepeat(repeat) ? repeat : {}, name, JSON.parse(data), opts, {
      override: false,
      producerId: id
    })
  }
}

const isRepeat = (value: unknown): value is RepeatOptions => isObject(value)
