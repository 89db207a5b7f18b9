import { Effect } from "effect"
import { Agent } from "node:http"
import { createHistogram } from "node:perf_hooks"
import { type Answer, exchange, type Question } from "./exchange.ts"
import type { Violations } from "./violations.ts"

/** Longer than the server takes for anything on any machine: then the question has no answer. */
const PATIENCE = 60_000

/**
 * Asks the server of the herds, notes how long answers take, and reports those that are not as
 * expected.
 */
export class Client {
  /** By what was asked and the status of the answer. */
  readonly statuses = new Map<string, number>()
  /** Microseconds from question to answer, since the warm-up. */
  readonly micros = createHistogram()
  /** Microseconds of the processor that this process took between the two. */
  readonly processorMicros = createHistogram()
  /** The longest ever, in milliseconds. */
  longest = 0
  private readonly agent = new Agent({ keepAlive: true })
  private readonly url: string
  private readonly violations: Violations

  constructor(url: string, violations: Violations) {
    this.url = url
    this.violations = violations
  }

  /** The answer if there is one of that status. */
  ask(path: string, question: Question = {}, expected = 200): Effect.Effect<Answer | undefined> {
    const name = `${question.method ?? "GET"} ${path.replace(/\/herds\/[^/]+/, "/herds/:name")}`
    return Effect.suspend(() => {
      const began = performance.now()
      const usage = process.cpuUsage()
      return exchange(`${this.url}${path}`, this.agent, question).pipe(
        Effect.retry({ times: 3, while: (error) => "_tag" in error && error._tag === "StaleConnection" }),
        Effect.timeout(PATIENCE),
        Effect.match({
          onFailure: (error) => {
            this.count(`${name} without an answer`)
            this.violations.add("answers", `expected an answer to ${name}, got ${error.message || error.name}`)
            return undefined
          },
          onSuccess: (answer) => {
            const millis = performance.now() - began
            this.micros.record(Math.max(1, Math.round(millis * 1000)))
            const { system, user } = process.cpuUsage(usage)
            this.processorMicros.record(Math.max(1, system + user))
            this.longest = Math.max(this.longest, millis)
            this.count(`${name} ${answer.status}`)
            if (answer.status === expected) return answer
            this.violations.add(
              "answers",
              `expected ${expected} to ${name} ${question.body ?? ""}, got ${answer.status}: ${
                answer.text.slice(0, 200)
              }`
            )
            return undefined
          }
        })
      )
    })
  }

  close(): void {
    this.agent.destroy()
  }

  private count(what: string): void {
    this.statuses.set(what, (this.statuses.get(what) ?? 0) + 1)
  }
}
