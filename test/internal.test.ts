/**
 * The parts below the public interface whose contract is worth a test of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Effect,
  FastCheck,
  Fiber,
  FiberId,
  FiberRef,
  Metric,
  MetricBoundaries,
  MetricKey,
  MetricLabel,
  MetricPair,
  MetricState,
  Option,
  Runtime,
  Supervisor
} from "effect"
import { Condition } from "../src/internal/condition.ts"
import { Fifo } from "../src/internal/fifo.ts"
import { ForkWatch, watchingForks } from "../src/internal/forks.ts"
import { Heap } from "../src/internal/heap.ts"
import { InitialRefs } from "../src/internal/isolation.ts"
import { scrape, serialize } from "../src/internal/prometheus.ts"
import { Round } from "../src/internal/round.ts"
import { Turn } from "../src/internal/turn.ts"
import { pretendNow } from "./utils/now.ts"

describe("Fifo", () => {
  it("behaves as an array under any sequence of push, unshift and shift", () => {
    const command = FastCheck.oneof(
      {
        weight: 5,
        arbitrary: FastCheck.record({
          kind: FastCheck.constant("push"),
          times: FastCheck.integer({ min: 1, max: 1_500 })
        })
      },
      {
        weight: 4,
        arbitrary: FastCheck.record({
          kind: FastCheck.constant("shift"),
          times: FastCheck.integer({ min: 1, max: 1_500 })
        })
      },
      {
        weight: 2,
        arbitrary: FastCheck.record({
          kind: FastCheck.constant("unshift"),
          times: FastCheck.integer({ min: 1, max: 1_100 })
        })
      }
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.array(command, { maxLength: 20 }), (commands) => {
        const fifo = new Fifo<number>()
        const model: Array<number> = []
        let next = 0
        for (const { kind, times } of commands) {
          for (let n = 0; n < times; n++) {
            if (kind === "push") {
              model.push(++next)
              fifo.push(next)
            } else if (kind === "unshift") {
              model.unshift(++next)
              fifo.unshift(next)
            } else if (model.length > 0) {
              assert.strictEqual(fifo.shift(), model.shift())
            }
          }
          assert.strictEqual(fifo.length, model.length)
        }
        while (model.length > 0) assert.strictEqual(fifo.shift(), model.shift())
      }),
      { numRuns: 100 }
    )
  })
})

describe("Heap", () => {
  it("gives its elements in order, whatever the order they came in, also after retain", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.integer()), FastCheck.integer({ min: 1, max: 5 }), (numbers, k) => {
        const heap = new Heap<number>((self, that) => self < that)
        for (const n of numbers) heap.push(n)
        heap.retain((n) => n % k === 0)
        const expected = numbers.filter((n) => n % k === 0).toSorted((a, b) => a - b)
        assert.strictEqual(heap.size, expected.length)
        assert.strictEqual(heap.peek(), expected[0])
        assert.deepStrictEqual(expected.map(() => heap.pop()), expected)
        assert.isUndefined(heap.pop())
      })
    )
  })

  it("lets go of the dead before they outnumber the living by much, and looks at few of them for it", () => {
    const heap = new Heap<number>((self, that) => self < that)
    for (let n = 0; n < 1_000; n++) heap.push(n)
    let looks = 0
    for (let dead = 1; dead <= 1_000; dead++) {
      heap.prune(1_000 - dead, (n) => {
        looks++
        return n >= dead
      })
      assert.isAtMost(heap.size, 2 * (1_000 - dead) + 64)
    }
    assert.isAtMost(looks, 4_000)
  })
})

describe("Condition", () => {
  it.effect("forgets a fiber that no longer waits", () =>
    Effect.gen(function*() {
      const never = new Condition(() => false)
      assert.isFalse(never.awaited)
      const waiter = yield* Effect.fork(never.await)
      yield* Effect.yieldNow()
      assert.isTrue(never.awaited)
      yield* Fiber.interrupt(waiter)
      assert.isFalse(never.awaited)
    }))
})

describe("Round", () => {
  it("calls whoever wants to know at its end, until told to stop", () => {
    const round = new Round()
    const calls: Array<string> = []
    const stop = round.atEnd(() => calls.push("one"))
    round.atEnd(() => calls.push("two"))
    round.next()
    stop()
    stop()
    round.next()
    assert.deepStrictEqual([calls, round.ended], [["one", "two", "two"], 2])
  })
})

describe("Turn", () => {
  it.scoped("is over for who looks more than 8 ms after its beginning, but not for the first (G13)", () =>
    Effect.gen(function*() {
      let now = 100
      yield* pretendNow(() => now)
      const turn = new Turn()
      for (let time = 0; time < 2; time++) {
        const began = now
        turn.begin()
        now += 20
        assert.deepStrictEqual([turn.look(), turn.over, turn.now], [now, false, began])
        yield* turn.passed
        assert.deepStrictEqual([turn.over, turn.wasOver], [false, false])

        turn.look()
        now += 8
        turn.look()
        assert.deepStrictEqual([turn.over, turn.spent], [false, false])
        now += 1
        turn.look()
        assert.deepStrictEqual([turn.over, turn.spent], [true, true])
        yield* turn.passed
        assert.deepStrictEqual([turn.over, turn.wasOver, turn.spent], [false, true, false])
        yield* turn.passed
      }
      assert.strictEqual(turn.ended, 6)
    }))
})

describe("InitialRefs", () => {
  const ref = FiberRef.unsafeMake("initial")

  it.effect("have changed until they are set back, and from the first FiberRef that is set (G12)", () =>
    Effect.withFiberRuntime((fiber) => {
      const refs = new InitialRefs(fiber)
      return Effect.gen(function*() {
        assert.isTrue(refs.changed)
        yield* refs.reset
        assert.isFalse(refs.changed)
        yield* Effect.yieldNow()
        yield* Effect.either(Effect.fail("no"))
        assert.isFalse(refs.changed)
        yield* FiberRef.set(ref, "set")
        assert.isTrue(refs.changed)
        assert.isTrue(refs.changed)
        yield* refs.reset
        assert.isFalse(refs.changed)
        assert.strictEqual(yield* FiberRef.get(ref), "initial")
        yield* Effect.locally(Effect.void, ref, "set for a while")
        assert.isTrue(refs.changed)
      })
    }))

  it.effect("are those that the fiber had when they were taken", () =>
    Effect.locally(
      Effect.withFiberRuntime((fiber) => {
        const refs = new InitialRefs(fiber)
        return Effect.gen(function*() {
          yield* FiberRef.set(ref, "set")
          yield* refs.reset
          assert.strictEqual(yield* FiberRef.get(ref), "of the fiber")
        })
      }),
      ref,
      "of the fiber"
    ))
})

describe("ForkWatch", () => {
  it.effect("tells who forks, whatever else is watching, until it is stopped", () =>
    Effect.gen(function*() {
      const track = yield* Supervisor.track
      const runtime = yield* Effect.supervised(Effect.runtime<never>(), track)
      const parents: Array<string> = []
      const watch = new ForkWatch((parent) => parents.push(FiberId.threadName(parent.id())))
      const run = Runtime.runFork(watchingForks(runtime, watch))
      const parent = run(Effect.zipRight(Effect.fork(Effect.never), Effect.never))
      yield* Effect.yieldNow()
      assert.deepStrictEqual(parents, [FiberId.threadName(parent.id())])
      assert.strictEqual((yield* track.value).length, 2)
      watch.stop()
      const other = run(Effect.zipRight(Effect.fork(Effect.never), Effect.never))
      yield* Effect.yieldNow()
      assert.strictEqual(parents.length, 1)
      assert.strictEqual((yield* track.value).length, 4)
      yield* Fiber.interruptAll([parent, other])
    }))
})

describe("Prometheus text", () => {
  const pair = <K extends Parameters<typeof MetricPair.unsafeMake>[0]>(
    key: K,
    state: MetricState.MetricState.Untyped
  ) => MetricPair.unsafeMake(key, state)
  const tagged = (name: string, tags: Record<string, string>, description?: string) =>
    MetricKey.taggedWithLabels(
      MetricKey.counter(name, { incremental: true, ...(description !== undefined && { description }) }),
      Object.entries(tags).map(([key, value]) => MetricLabel.make(key, value))
    )

  it("writes HELP and TYPE once per name, sorts names, and ends with a line feed", () => {
    const text = serialize([
      pair(tagged("b_total", { x: "2" }, "B"), MetricState.counter(2)),
      pair(MetricKey.gauge("a", { description: "A" }), MetricState.gauge(1.5)),
      pair(tagged("b_total", { x: "1" }, "B"), MetricState.counter(1))
    ])
    assert.strictEqual(
      text,
      "# HELP a A\n# TYPE a gauge\na 1.5\n# HELP b_total B\n# TYPE b_total counter\nb_total{x=\"2\"} 2\nb_total{x=\"1\"} 1\n"
    )
  })

  it("escapes labels and help, and makes names valid", () => {
    const text = serialize([
      pair(
        tagged("9 lives-total", { "a.b": "q\"s\\b\nn", "___own": "1", a__c: "2" }, "line\none \\ two"),
        MetricState.counter(1)
      )
    ])
    assert.strictEqual(
      text,
      "# HELP _9_lives_total line\\none \\\\ two\n# TYPE _9_lives_total counter\n_9_lives_total{_own=\"1\",a__c=\"2\",a_b=\"q\\\"s\\\\b\\nn\"} 1\n"
    )
  })

  it("calls a counter that may go down a gauge, and prints bigint, NaN and infinities", () => {
    const text = serialize([
      pair(MetricKey.counter("down"), MetricState.counter(3)),
      pair(MetricKey.gauge("big", { bigint: true }) as never, MetricState.gauge(2n ** 60n)),
      pair(MetricKey.gauge("nan"), MetricState.gauge(NaN)),
      pair(MetricKey.gauge("up"), MetricState.gauge(Infinity)),
      pair(MetricKey.gauge("vast"), MetricState.gauge(-Infinity))
    ])
    assert.include(text, "# TYPE down gauge\ndown 3\n")
    assert.include(text, "big 1152921504606846976\n")
    assert.include(text, "nan NaN\n")
    assert.include(text, "up +Inf\n")
    assert.include(text, "vast -Inf\n")
  })

  it("writes histograms with cumulative buckets, and +Inf from the count", () => {
    const histogram = Metric.histogram("test_prometheus_seconds", MetricBoundaries.fromIterable([1, 5]), "T")
    for (const value of [0.5, 2, 3, 10, NaN]) histogram.unsafeUpdate(value, [])
    const text = serialize(
      Metric.unsafeSnapshot().filter(({ metricKey }) => metricKey.name === "test_prometheus_seconds")
    )
    assert.strictEqual(
      text,
      [
        "# HELP test_prometheus_seconds T",
        "# TYPE test_prometheus_seconds histogram",
        "test_prometheus_seconds_bucket{le=\"1\"} 1",
        "test_prometheus_seconds_bucket{le=\"5\"} 3",
        "test_prometheus_seconds_bucket{le=\"+Inf\"} 5",
        "test_prometheus_seconds_sum NaN",
        "test_prometheus_seconds_count 5",
        ""
      ].join("\n")
    )
  })

  it("writes summaries and frequencies", () => {
    const summary = MetricState.summary({
      error: 0.1,
      quantiles: [[0.5, Option.some(2)], [0.9, Option.none()]],
      count: 1,
      min: 2,
      max: 2,
      sum: 2
    })
    const text = serialize([
      pair(
        MetricKey.summary({ name: "s", maxAge: "1 minute", maxSize: 10, error: 0.1, quantiles: [0.5, 0.9] }),
        summary
      ),
      pair(MetricKey.frequency("f"), MetricState.frequency(new Map([["a", 2], ["b", 3]])))
    ])
    assert.include(text, "# TYPE s summary\ns{quantile=\"0.5\"} 2\ns{quantile=\"0.9\"} NaN\ns_sum 2\ns_count 1\n")
    assert.include(text, "# TYPE f counter\nf{key=\"a\"} 2\nf{key=\"b\"} 3\n")
  })

  it("writes a series once, and of one name only the first type", () => {
    const text = serialize([
      pair(tagged("twice_total", { a: "1", b: "2" }), MetricState.counter(1)),
      pair(tagged("twice_total", { b: "2", a: "1" }), MetricState.counter(9)),
      pair(MetricKey.gauge("twice_total"), MetricState.gauge(7))
    ])
    assert.strictEqual(text, "# TYPE twice_total counter\ntwice_total{a=\"1\",b=\"2\"} 1\n")
  })

  it("keeps colons in names and quotes in help, names the nameless, and leaves an absent help out", () => {
    const text = serialize([
      pair(tagged("job:units:rate", { "": "1", "a:b": "\r\t" }, "say \"when\""), MetricState.counter(1)),
      pair(MetricKey.gauge(""), MetricState.gauge(2))
    ])
    assert.strictEqual(
      text,
      "# TYPE _ gauge\n_ 2\n# HELP job:units:rate say \"when\"\n# TYPE job:units:rate counter\njob:units:rate{_=\"1\",a_b=\"\r\t\"} 1\n"
    )
  })

  it("lets the labels of a histogram, a summary and a frequency take the place of a tag of that name", () => {
    const label = (key: string) => [MetricLabel.make(key, "mine"), MetricLabel.make("herd", "h")]
    const summary = { error: 0.1, quantiles: [0.5], maxAge: "1 minute", maxSize: 10 } as const
    const text = serialize([
      pair(
        MetricKey.taggedWithLabels(MetricKey.histogram("h", MetricBoundaries.fromIterable([1])), label("le")),
        MetricState.histogram({ buckets: [[1, 2], [Infinity, 3]], count: 3, min: 0, max: 9, sum: 10 })
      ),
      pair(
        MetricKey.taggedWithLabels(MetricKey.summary({ name: "s", ...summary }), label("quantile")),
        MetricState.summary({ error: 0.1, quantiles: [[0.5, Option.some(1)]], count: 1, min: 1, max: 1, sum: 1 })
      ),
      pair(
        MetricKey.taggedWithLabels(MetricKey.frequency("f"), label("key")),
        MetricState.frequency(new Map([["a", 1]]))
      )
    ])
    assert.include(text, "\nh_bucket{herd=\"h\",le=\"1\"} 2\nh_bucket{herd=\"h\",le=\"+Inf\"} 3\n")
    assert.include(text, "\ns{herd=\"h\",quantile=\"0.5\"} 1\n")
    assert.include(text, "\nf{herd=\"h\",key=\"a\"} 1\n")
  })

  it("leaves out a family without samples, and is empty when there is none", () => {
    assert.strictEqual(serialize([]), "")
    assert.strictEqual(serialize([pair(MetricKey.frequency("f"), MetricState.frequency(new Map()))]), "")
  })

  it("has of the process-wide registry the herds' metrics only, and ends with a line feed", () => {
    Metric.counter("test_foreign_total", { description: "not a herd's", incremental: true }).unsafeUpdate(1, [])
    Metric.counter("gofherd_test_total", { description: "of a herd", incremental: true }).unsafeUpdate(1, [])
    const text = scrape()
    assert.include(
      text,
      "# HELP gofherd_test_total of a herd\n# TYPE gofherd_test_total counter\ngofherd_test_total 1\n"
    )
    assert.notInclude(text, "test_foreign")
    assert.match(text, /\d\n$/)
  })
})
