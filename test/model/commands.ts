import { FastCheck as fc } from "effect"

/** What one attempt at a unit does. */
export type Attempt =
  | "succeed"
  | "fail"
  | "die"
  | "throw"
  /** Returns something that is no Effect. */
  | "nonsense"
  | "interrupt itself"
  /** Ends when and how the test says. */
  | "wait"
  /** The same, uninterruptible. */
  | "hold"
  /**
   * Breaks its gopher, and fails. As all of these: where gophers may break, and otherwise it just
   * fails.
   */
  | "break"
  /** Finds its gopher broken and is put back, once; then it succeeds. */
  | "go back"

/** A unit: what its attempts do, one after the other; the last is repeated. */
export interface Plan {
  readonly attempts: ReadonlyArray<Attempt>
  /** Leaves a child fiber behind. */
  readonly forks: boolean
  /** Leaves a FiberRef changed. */
  readonly sets: boolean
}

export type End = "succeed" | "fail" | "die"

/** What happens to the herd at once, before it gets to do anything. */
export type Act =
  | { readonly do: "send"; readonly plan: Plan; readonly priority: number }
  | { readonly do: "trySend"; readonly plan: Plan; readonly priority: number }
  | { readonly do: "run"; readonly plan: Plan; readonly priority: number }
  | { readonly do: "resize"; readonly to: number; readonly mode: "graceful" | "interrupt" }
  | { readonly do: "grow" | "shrink"; readonly by: number }
  | { readonly do: "pause" }
  | { readonly do: "resume" }
  | { readonly do: "close" }

export type Command =
  | Act
  | { readonly do: "burst"; readonly acts: ReadonlyArray<Act> }
  | { readonly do: "sendAll"; readonly plans: ReadonlyArray<Plan>; readonly priority: number }
  | { readonly do: "stream"; readonly plans: ReadonlyArray<Plan>; readonly fails: boolean }
  /** The n-th of the units that wait gives units to its own herd. */
  | {
    readonly do: "inside"
    readonly nth: number
    readonly gives: "send" | "trySend" | "sendAll" | "run" | "stream"
    readonly plans: ReadonlyArray<Plan>
    readonly priority: number
  }
  /** Interrupts the n-th of those who wait for a `run`, a `stream`, or for room. */
  | { readonly do: "cancel"; readonly nth: number }
  /** Ends the n-th of the attempts that wait. */
  | { readonly do: "finish"; readonly nth: number; readonly as: End }
  /** The resource of the n-th gopher breaks, whatever that is at; the unit stays, or goes back. */
  | { readonly do: "break"; readonly nth: number; readonly unit: "stays" | "goes back" }
  /** A reader of `outcomes` who takes what is there, and goes. */
  | { readonly do: "read" }
  /** A reader who stays, and one who goes. */
  | { readonly do: "attach" }
  | { readonly do: "detach" }
  /** In units of 10 ms. */
  | { readonly do: "advance"; readonly tens: number }
  /** Closes the herd's scope. */
  | { readonly do: "stop" }

/** The options of a herd, and how the test ends. */
export interface Config {
  readonly size: number
  readonly capacity: number
  readonly outcomes: number | "discard"
  readonly retry: { readonly times: number; readonly delay: number; readonly grows: boolean } | undefined
  /**
   * What becomes of attempts to acquire a gopher's resource, one after the other and over again;
   * undefined for a plain `process`.
   */
  readonly gopher:
    | {
      readonly acquires: ReadonlyArray<"succeed" | "die">
      readonly releaseDies: boolean
      readonly breaks: boolean
      readonly maxCrashes: number | undefined
    }
    | undefined
  readonly callbacks: "none" | "count" | "die"
  readonly gracePeriod: number
  readonly tracing: boolean
  readonly ending: "drain" | "stop"
}

/**
 * Whether units are put back by a gopher that was broken before. One that has children takes
 * longer, so that others may overtake it; and somebody who waits for room may find some while the
 * unit is on its way.
 */
export const goesBack = ({ capacity, gopher }: Config, { forks }: Plan): boolean =>
  gopher?.breaks === true && capacity >= ROOMY && !forks

/**
 * How long to wait before the next command: not at all, for other fibers to make some steps, or for
 * a turn of the event loop.
 */
export type Gap = "none" | "steps" | "turn"

/** More than a sequence has units. */
export const ROOMY = 1024

const attempt = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Attempt>("succeed", "fail", "wait", "wait") },
  { weight: 2, arbitrary: fc.constantFrom<Attempt>("die", "throw", "nonsense", "interrupt itself", "hold") },
  { weight: 1, arbitrary: fc.constantFrom<Attempt>("break", "go back") }
)

const plan: fc.Arbitrary<Plan> = fc.record({
  attempts: fc.array(attempt, { minLength: 1, maxLength: 3 }),
  forks: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  sets: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) })
})

const priority = fc.constantFrom(0, 0, 0, 1, 5)
const size = fc.constantFrom(0, 1, 1, 2, 2, 3, 4, 6)
const mode = fc.constantFrom("graceful" as const, "interrupt" as const)
const nth = fc.nat(7)
const end = fc.constantFrom<End>("succeed", "succeed", "fail", "die")

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("send" as const), plan, priority }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("trySend" as const), plan, priority }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("run" as const), plan, priority }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("resize" as const), to: size, mode }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("grow" as const, "shrink" as const),
      by: fc.integer({ min: 1, max: 3 })
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("pause" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("resume" as const) }) }
)

const close: fc.Arbitrary<Act> = fc.record({ do: fc.constant("close" as const) })

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 40, arbitrary: act },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("burst" as const),
      acts: fc.array(fc.oneof({ weight: 20, arbitrary: act }, { weight: 1, arbitrary: close }), {
        minLength: 2,
        maxLength: 6
      })
    })
  },
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant("sendAll" as const), plans: fc.array(plan, { maxLength: 6 }), priority })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("stream" as const),
      plans: fc.array(plan, { maxLength: 6 }),
      fails: fc.boolean()
    })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("inside" as const),
      nth,
      gives: fc.constantFrom(
        "send" as const,
        "trySend" as const,
        "sendAll" as const,
        "run" as const,
        "stream" as const
      ),
      plans: fc.array(plan, { minLength: 1, maxLength: 6 }),
      priority
    })
  },
  { weight: 10, arbitrary: fc.record({ do: fc.constant("cancel" as const), nth }) },
  { weight: 30, arbitrary: fc.record({ do: fc.constant("finish" as const), nth, as: end }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("break" as const),
      nth,
      unit: fc.constantFrom("stays" as const, "stays" as const, "goes back" as const)
    })
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("read" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("attach" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("detach" as const) }) },
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant("advance" as const), tens: fc.constantFrom(1, 2, 3, 10, 100) })
  },
  { weight: 1, arbitrary: close },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stop" as const) }) }
)

export const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(command, { maxLength: 40, size: "max" })

const gap = fc.constantFrom<Gap>("none", "steps", "turn")

export const hasty: fc.Arbitrary<ReadonlyArray<readonly [Command, Gap]>> = fc.array(fc.tuple(command, gap), {
  maxLength: 40,
  size: "max"
})

/**
 * A gopher that acquires its resource later, and a backoff, must not end at the same instant, nor
 * may two gophers acquire at the same instant of which one has failed before: who is first is left
 * to chance.
 */
const unambiguous = ({ gopher: given, ...rest }: Config): Config => {
  const gopher = given?.breaks ? { ...given, acquires: ["succeed" as const] } : given
  const config = { ...rest, gopher }
  const { retry } = config
  return (gopher?.breaks === true || gopher?.acquires.includes("die") === true) && retry !== undefined
    ? { ...config, retry: { ...retry, delay: 0 } }
    : config
}

export const config: fc.Arbitrary<Config> = fc.record<Config>({
  size,
  capacity: fc.constantFrom(0, 1, 2, 3, 5, ROOMY, ROOMY, ROOMY),
  outcomes: fc.constantFrom<number | "discard">(1, 2, 1024, 1024, "discard"),
  retry: fc.option(
    fc.record({ times: fc.constantFrom(1, 2, 5), delay: fc.constantFrom(0, 10, 30), grows: fc.boolean() }),
    { nil: undefined }
  ),
  gopher: fc.option(
    fc.record({
      acquires: fc.array(fc.constantFrom<"succeed" | "die">("succeed", "succeed", "die"), {
        minLength: 1,
        maxLength: 4
      }),
      releaseDies: fc.boolean(),
      breaks: fc.boolean(),
      maxCrashes: fc.constantFrom(undefined, 1, 2)
    }),
    { nil: undefined, freq: 2 }
  ),
  callbacks: fc.constantFrom("none", "none", "count", "die"),
  // Ends between two tens, so that it never coincides with a backoff.
  gracePeriod: fc.constantFrom(0, 0, 25, 1005),
  tracing: fc.constantFrom(false, false, false, true),
  ending: fc.constantFrom("drain", "stop")
}).map(unambiguous)
