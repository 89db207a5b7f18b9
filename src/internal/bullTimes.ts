import { type PostgresConnection, RedisQueueBackend } from "bullmq"
import type { ServerTime } from "./serverTime.ts"

/** Where BullMQ's scripts are given the time of this machine, after so many keys. */
const scripts: { readonly [Name in string]?: number } = {
  moveToActive: 11 + 1,
  moveToFinished: 14 + 1,
  updateJobScheduler: 12 + 4
}

/** Where BullMQ's statements are. */
const statements = [
  { call: /^SELECT \* FROM move_to_active\(/m, at: [3] },
  { call: /^SELECT move_to_completed\(/m, at: [4] },
  { call: /^SELECT \* FROM move_to_completed_fetch\(/m, at: [4, 9] },
  { call: /^SELECT move_to_failed\(/m, at: [5] },
  { call: /^SELECT \* FROM move_to_failed_fetch\(/m, at: [5, 10] },
  { call: /^SELECT update_job_scheduler_next_millis\(/m, at: [5] }
] as const

/**
 * BullMQ's commands with the server's time instead of the machine's.
 *
 * @internal
 */
export class TimedRedisBackend extends RedisQueueBackend {
  time: ServerTime | undefined

  override execCommand(...[client, name, given]: Parameters<RedisQueueBackend["execCommand"]>): unknown {
    const at = scripts[name]
    const args: Array<unknown> = Array.from(given)
    if (at !== undefined && this.time !== undefined) args[at] = this.time.now
    return super.execCommand(client, name, args)
  }
}

/**
 * Makes BullMQ's statements on a connection use the server's time.
 *
 * @internal
 */
export const timed = ({ pool }: PostgresConnection, time: ServerTime): void => {
  const query = pool.query.bind(pool)
  const known = new Map<string, ReadonlyArray<number>>()
  const positions = (text: string): ReadonlyArray<number> => {
    const at = known.get(text) ?? statements.find(({ call }) => call.test(text))?.at ?? []
    known.set(text, at)
    return at
  }
  pool.query = (text, given = []) => {
    const at = positions(text)
    return query(text, at.length === 0 ? given : given.map((value, i) => at.includes(i) ? time.now : value))
  }
}
