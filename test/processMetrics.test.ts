import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs"
import { EventLoopLag, processMetrics } from "../src/internal/processMetrics.ts"
import { scrape, serialize } from "../src/internal/prometheus.ts"
import { spin } from "./utils/spin.ts"

const root = new URL("..", import.meta.url).pathname

const names = [
  "nodejs_eventloop_lag_seconds",
  "nodejs_heap_size_total_bytes",
  "nodejs_heap_size_used_bytes",
  "process_cpu_seconds_total",
  "process_open_fds",
  "process_resident_memory_bytes",
  "process_start_time_seconds"
]

/** The value of a sample without labels. */
const sample = (text: string, name: string): number =>
  Number(new RegExp(`^${name} (.+)$`, "m").exec(text)?.[1] ?? assert.fail(`no sample of ${name} in ${text}`))

const now = () => sample(scrape(), "nodejs_eventloop_lag_seconds")

const until = async (condition: () => boolean) => {
  const end = performance.now() + 5_000
  while (!condition()) {
    if (performance.now() > end) assert.fail("expected a condition to come true within 5 s, got none")
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe.skipIf(!existsSync("/proc/self/fd"))("the figures of the process", () => {
  it("are all in a scrape, each with HELP and TYPE; the event loop's from the second one on", async () => {
    scrape()
    await until(() => scrape().includes("\nnodejs_eventloop_lag_seconds "))
    const text = scrape()
    for (const name of names) {
      const type = name === "process_cpu_seconds_total" ? "counter" : "gauge"
      assert.match(text, new RegExp(`^# HELP ${name} \\S.+\\n# TYPE ${name} ${type}\\n${name} \\d\\S*$`, "m"))
    }
  })

  it("are in the README, each with its kind", () => {
    const readme = readFileSync(`${root}README.md`, "utf8")
    for (const name of names) {
      const kind = name === "process_cpu_seconds_total" ? "counter" : "gauge"
      assert.match(readme, new RegExp(`^\\| [^|]*\`${name}\`[^|]* \\| ${kind} \\|`, "m"))
    }
  })

  it("are those of the kernel: memory, descriptors, start", () => {
    const before = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024
    const text = scrape()
    assert.approximately(sample(text, "process_resident_memory_bytes"), before, before * 0.1)
    const open = sample(text, "process_open_fds")
    // The list has itself in it.
    assert.strictEqual(open, readdirSync("/proc/self/fd").length - 1)
    const files = Array.from({ length: 10 }, () => openSync("/dev/null", "r"))
    try {
      assert.strictEqual(sample(scrape(), "process_open_fds"), open + 10)
    } finally {
      for (const file of files) closeSync(file)
    }
    assert.approximately(sample(text, "process_start_time_seconds"), Date.now() / 1000 - process.uptime(), 1)
    const total = sample(text, "nodejs_heap_size_total_bytes")
    assert.approximately(total, process.memoryUsage().heapTotal, total / 2)
    assert.isBelow(sample(text, "nodejs_heap_size_used_bytes"), total)
  })

  it("count the time on the processor, and keep the start where it is", () => {
    const before = scrape()
    spin(100)
    const after = scrape()
    const used = sample(after, "process_cpu_seconds_total") - sample(before, "process_cpu_seconds_total")
    assert.isAbove(used, 0.02)
    const { system, user } = process.cpuUsage()
    assert.approximately(sample(after, "process_cpu_seconds_total"), (user + system) / 1e6, 0.1)
    assert.strictEqual(
      sample(after, "process_start_time_seconds"),
      sample(before, "process_start_time_seconds")
    )
  })
})

describe("the event loop's lag", () => {
  it("is the longest delay of late, whoever asks and however often", async () => {
    scrape()
    await until(() => scrape().includes("\nnodejs_eventloop_lag_seconds "))
    // The delay begins when a look was due, up to 10 ms into the block.
    spin(400)
    await until(() => now() >= 0.38)
    const seen = [now(), now(), now()]
    assert.deepStrictEqual(seen, [seen[0], seen[0], seen[0]])
    assert.isBelow(seen[0] ?? 0, 5)
  })

  it("forgets what is older than two windows, and stops looking when nobody asks any more", async () => {
    const lag = new EventLoopLag({ window: 200, idle: 600 })
    assert.isFalse(lag.watching)
    assert.isUndefined(lag.read())
    await until(() => lag.read() !== undefined)
    spin(150)
    await until(() => (lag.read() ?? 0) > 0.13)
    const seen = performance.now()
    await until(() => (lag.read() ?? 1) < 0.13)
    // For one window at least; timers may be a bit early.
    assert.isAbove(performance.now() - seen, 190)
    assert.isTrue(lag.watching)
    await until(() => !lag.watching)
    assert.isUndefined(lag.read())
    await until(() => lag.read() !== undefined)
    lag.stop()
    assert.isFalse(lag.watching)
  })

  it("does not keep the process alive", () => {
    const program = `
      import { scrape } from "./src/internal/prometheus.ts"
      scrape()
      setTimeout(() => console.log(/^nodejs_eventloop_lag_seconds .*/m.test(scrape())), 200)
    `
    const output = execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
      cwd: root,
      encoding: "utf8",
      timeout: 20_000
    })
    assert.strictEqual(output, "true\n")
  })
})

describe("on another runtime", () => {
  it("a scrape has what there is, and does not throw", () => {
    const program = `
      import { scrape } from "./src/internal/prometheus.ts"
      import { processMetrics } from "./src/internal/processMetrics.ts"
      const write = process.stdout.write.bind(process.stdout)
      const refuse = () => { throw new Error("not implemented") }
      const names = () => processMetrics().map(({ metricKey }) => metricKey.name).join(" ") + "\\n"
      const { process: node } = globalThis
      const lines = []
      globalThis.process = { memoryUsage: refuse, cpuUsage: refuse, getBuiltinModule: refuse }
      lines.push(names())
      globalThis.process = {}
      lines.push(names())
      delete globalThis.process
      lines.push(names(), scrape())
      globalThis.process = node
      write(lines.join(""))
    `
    const { stderr, stdout } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
      cwd: root,
      encoding: "utf8"
    })
    assert.strictEqual(stdout, "\n\n\n", stderr)
  })

  it("the modules ask for nothing of Node's by name, which a bundler for a browser would stumble over", () => {
    const source = readFileSync(`${root}src/internal/processMetrics.ts`, "utf8")
    assert.notMatch(source, /from "node:/)
  })
})

describe("a process metric", () => {
  it("is written like any other", () => {
    assert.match(serialize(processMetrics()), /^# HELP /)
  })
})
