import { randomBytes } from "node:crypto"
import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"
import { attempt, bootId } from "./boot.ts"

/**
 * Who holds a unit: a name that tells, on the machine that made it, whether the process is alive.
 *
 * @internal
 */
export interface Owner {
  /**
   * The machine since it was booted, and the namespace in which processes have their numbers: in
   * each container another.
   */
  readonly host: string
  readonly pid: number
  /**
   * When the process started, in the kernel's ticks since it was booted: numbers are used again.
   */
  readonly started: string
  readonly random: string
}

/** What Linux says of it; elsewhere nothing. */
const startOf = (pid: number): string => {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "utf8"))
  // The name of the program stands in parentheses and may hold anything; its start is the 22nd
  // field of all, so the 20th after it.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
}

const hostOf = (): string => {
  const boot = bootId()
  const namespace = attempt(() => readlinkSync("/proc/self/ns/pid"))
  return `${boot === "" ? hostname() : boot} ${namespace}`
}

/**
 * A new owner in this process.
 *
 * @internal
 */
export const makeOwner = (): Owner => ({
  host: hostOf(),
  pid: process.pid,
  started: startOf(process.pid),
  random: randomBytes(8).toString("hex")
})

/**
 * Is the process gone? `false` also of one on another machine, of which that can't be told.
 *
 * @internal
 */
export const isDead = (owner: Owner, here: Owner): boolean => {
  if (owner.host !== here.host) return false
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    // Another user's process may not be sent a signal, but is there.
    return (error as NodeJS.ErrnoException).code === "ESRCH"
  }
  const started = startOf(owner.pid)
  return started !== "" && owner.started !== "" && started !== owner.started
}

/**
 * The owner as a text.
 *
 * @internal
 */
export const ownerText = ({ host, pid, random, started }: Owner): string => JSON.stringify([host, pid, started, random])

/**
 * The owner of a text that `ownerText` made; `undefined` of any other.
 *
 * @internal
 */
export const ownerOf = (text: string): Owner | undefined => {
  try {
    const [host, pid, started, random] = JSON.parse(text)
    return typeof host === "string" && Number.isInteger(pid) && typeof started === "string" &&
        typeof random === "string"
      ? { host, pid, started, random }
      : undefined
  } catch {
    return undefined
  }
}
