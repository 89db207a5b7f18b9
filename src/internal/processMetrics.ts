import * as MetricKey from "effect/MetricKey"
import * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"

/** What there is of Node's `process`; on other runtimes less, or nothing. */
type Process = Partial<
  Pick<typeof globalThis.process, "cpuUsage" | "getBuiltinModule" | "memoryUsage" | "uptime">
>

const runtime = (): Process => (globalThis as { readonly process?: Process }).process ?? {}

/** Other runtimes have some of Node's functions by name only: those throw. */
const attempt = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Milliseconds between two looks at the event loop. */
const RESOLUTION = 10

/**
 * How long the event loop was held up at worst, of late. It looks from the first time that somebody
 * asks until nobody has asked for a while, so nobody has to stop it; it does not keep the process
 * alive. Asking changes nothing, so any number of readers see the same.
 *
 * @internal
 */
export class EventLoopLag {
  private watch: { readonly seconds: () => number | undefined; readonly stop: () => void } | undefined
  private asked = 0
  private readonly window: number
  private readonly idle: number

  /**
   * A delay is remembered for one to two times `window`; `idle` after the last time that somebody
   * asked it stops. In ms.
   */
  constructor({ idle, window }: { readonly window: number; readonly idle: number }) {
    this.window = window
    this.idle = idle
  }

  get watching(): boolean {
    return this.watch !== undefined
  }

  /** In seconds; `undefined` before the first look. */
  read(): number | undefined {
    this.asked = performance.now()
    this.watch ??= attempt(() => this.start())
    return this.watch?.seconds()
  }

  stop(): void {
    this.watch?.stop()
    this.watch = undefined
  }

  private start() {
    const hooks = runtime().getBuiltinModule?.("node:perf_hooks")
    if (hooks === undefined) return undefined
    const delays = hooks.monitorEventLoopDelay({ resolution: RESOLUTION })
    delays.enable()
    // What it records is the time from look to look, in ns.
    const worst = () => Math.max(0, delays.max / 1e6 - RESOLUTION) / 1000
    let before: number | undefined
    const timer = setInterval(() => {
      if (performance.now() - this.asked > this.idle) return this.stop()
      before = delays.count > 0 ? worst() : before
      delays.reset()
    }, this.window)
    timer.unref()
    return {
      seconds: () => delays.count > 0 ? Math.max(before ?? 0, worst()) : before,
      stop: () => {
        clearInterval(timer)
        delays.disable()
      }
    }
  }
}

/** Longer than a usual interval between scrapes, so that no delay falls between two of them. */
const lag = new EventLoopLag({ window: 15_000, idle: 600_000 })

/** Settled at the first scrape: with the clock being set, it would wander. */
let started: number | undefined

const gauge = (name: string, description: string) => MetricKey.gauge(name, { description })

const residentMemory = gauge("process_resident_memory_bytes", "Resident memory of the process")
const heapUsed = gauge("nodejs_heap_size_used_bytes", "Memory of V8's heap that is in use")
const heapTotal = gauge("nodejs_heap_size_total_bytes", "Memory of V8's heap")
const startTime = gauge("process_start_time_seconds", "When the process started, in seconds since 1970")
const openFds = gauge("process_open_fds", "Open file descriptors of the process")
const eventLoopLag = gauge(
  "nodejs_eventloop_lag_seconds",
  "The longest delay of the event loop in the last 15 to 30 seconds"
)
const cpu = MetricKey.counter("process_cpu_seconds_total", {
  description: "Time that the process has spent on processors, of user and system",
  incremental: true
})

/**
 * The figures of the process, read now; those that the runtime doesn't have are left out. The names
 * are those that Prometheus' client libraries use.
 *
 * @internal
 */
export const processMetrics = (): ReadonlyArray<MetricPair.MetricPair.Untyped> => {
  const node = runtime()
  const memory = attempt(() => node.memoryUsage?.())
  const used = attempt(() => node.cpuUsage?.())
  const uptime = attempt(() => node.uptime?.())
  if (uptime !== undefined) started ??= Date.now() / 1000 - uptime
  // Reading the directory opens one more.
  const fds = attempt(() => node.getBuiltinModule?.("node:fs").readdirSync("/proc/self/fd").length)
  const pairs: Array<MetricPair.MetricPair.Untyped> = []
  const add = (key: typeof residentMemory, value: number | undefined) => {
    if (value !== undefined) pairs.push(MetricPair.unsafeMake(key, MetricState.gauge(value)))
  }
  add(residentMemory, memory?.rss)
  add(heapUsed, memory?.heapUsed)
  add(heapTotal, memory?.heapTotal)
  add(startTime, started)
  add(openFds, fds === undefined ? undefined : fds - 1)
  add(eventLoopLag, lag.read())
  if (used !== undefined) pairs.push(MetricPair.unsafeMake(cpu, MetricState.counter((used.user + used.system) / 1e6)))
  return pairs
}
