import type * as Clock from "effect/Clock"
import { readFileSync, readlinkSync } from "node:fs"
import { machine, steadyMillis } from "./steadyTime.ts"

/**
 * The trimmed result, or `""` if reading fails.
 *
 * @internal
 */
export const attempt = (read: () => string): string => {
  try {
    return read().trim()
  } catch {
    return ""
  }
}

/**
 * The name of this run of the machine, `""` if it has none.
 *
 * @internal
 */
export const bootId = (): string => attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"))

/**
 * Names this run of the machine, whose processes share one monotonic clock. Only Linux has a name.
 *
 * @internal
 */
export const bootOf = (): string | undefined => {
  const boot = bootId()
  // A container may have its own monotonic clock.
  const namespace = attempt(() => readlinkSync("/proc/self/ns/time"))
  return boot === "" ? undefined : `boot ${boot} ${namespace}`.trim()
}

/**
 * Milliseconds of the machine's monotonic clock.
 *
 * @internal
 */
export const uptime = (): number => Number(process.hrtime.bigint()) / 1e6

/**
 * Effect's own Clock goes by the machine's monotonic clock; a test's Clock does not.
 *
 * @internal
 */
export const isMachines = (clock: Clock.Clock): boolean => Math.abs(steadyMillis(clock) - steadyMillis(machine)) < 1_000
