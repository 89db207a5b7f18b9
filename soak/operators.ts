import { Effect, Schema } from "effect"
import { HerdApi } from "gofherd"
import type { Chance } from "./chance.ts"
import { Counts, overfull, unbalanced } from "./checks.ts"
import type { Client } from "./client.ts"
import type { Subject, Subjects } from "./herds.ts"
import type { Violations } from "./violations.ts"

/** How many operate at a time. */
const OPERATORS = 3

/** Longer than any unit takes that nobody interrupts. */
const SETTLES = "30 seconds"

const decodeState = Schema.decodeUnknown(Schema.parseJson(Counts))
const decodeSize = Schema.decodeUnknown(Schema.parseJson(HerdApi.HerdSize))
const decodeNum = Schema.decodeUnknown(Schema.parseJson(Schema.Struct({ num: Schema.Int })))

/** What is no change: the body, the status of the answer, and whether `/herd` refuses it, too. */
const refused: readonly [Refused, ...Array<Refused>] = [
  { body: "", status: 400 },
  { body: "{\"num\":", status: 400 },
  { body: "{}", status: 400 },
  { body: "null", status: 400 },
  { body: "[5]", status: 400 },
  { body: "\"5\"", status: 400 },
  { body: "{\"num\":\"5\"}", status: 400 },
  { body: "{\"num\":2.5}", status: 400 },
  { body: "{\"num\":-1,\"paused\":true}", status: 400 },
  { body: "{\"num\":1e9,\"paused\":true}", status: 400 },
  { body: "{\"num\":5,\"mode\":\"abrupt\"}", status: 400 },
  { body: "{\"mode\":\"interrupt\"}", status: 400 },
  { body: "{\"num\":5,\"paused\":\"yes\"}", status: 400 },
  { body: `{"num":5,"pad":"${"x".repeat(5_000)}"}`, status: 413 }
]

interface Refused {
  readonly body: string
  readonly status: number
}

/** Those who steer the herds, over HTTP only. */
export class Operators {
  /** What they have done, by kind. */
  readonly counts = new Map<string, number>()
  /**
   * Changes by each of them, begun or done: who finds it the same as before knows that nothing was
   * changed meanwhile.
   */
  private changes = 0
  /** One permit to change something, all of them to be the only one. */
  private readonly permits = Effect.unsafeMakeSemaphore(OPERATORS)
  private readonly subjects: readonly [Subject, ...Array<Subject>]
  private readonly client: Client
  private readonly violations: Violations

  constructor({ crawler, links, lookups }: Subjects, client: Client, violations: Violations) {
    this.subjects = [crawler, links, lookups]
    this.client = client
    this.violations = violations
  }

  /** All of them, at work while that holds. */
  working(chance: (name: string) => Chance, while_: () => boolean): ReadonlyArray<Effect.Effect<void>> {
    return Array.from({ length: OPERATORS }, (_, i) => {
      const own = chance(`operator ${i}`)
      return Effect.whileLoop({
        while: while_,
        body: () => Effect.zipRight(Effect.sleep(own.between(50, 800)), this.act(own)),
        step: () => {}
      })
    })
  }

  /** Sets every herd to work, in a way that lasts. */
  readonly restore: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(this.subjects, (subject) => this.patch(subject, { num: 8, paused: false }), { discard: true })
  )

  private act(chance: Chance): Effect.Effect<void> {
    const subject = chance.one(this.subjects)
    const num = chance.between(1, subject.largest)
    const mode = chance.happens(0.4) ? "interrupt" : "graceful"
    const luck = chance.between(1, 100)
    if (luck <= 40) return this.counted("resize", this.patch(subject, { num, mode }))
    if (luck <= 50) return this.counted("resize, and wait until it has settled", this.settles(subject, { num, mode }))
    if (luck <= 60) return this.counted("size 0 for a while", this.holds(subject, { num: 0, mode }, { num }, chance))
    if (luck <= 70) {
      return this.counted("pause for a while", this.holds(subject, { paused: true }, { paused: false }, chance))
    }
    if (luck <= 80) return this.counted("several resizes at once", this.burst(subject, chance))
    if (luck <= 90) return this.counted("refused", this.refuses(subject, chance.one(refused)))
    return this.counted("resize by /herd", this.resizeFirst(chance.between(1, this.subjects[0].largest)))
  }

  private counted(what: string, action: Effect.Effect<unknown>): Effect.Effect<void> {
    return Effect.zipRight(Effect.sync(() => this.counts.set(what, (this.counts.get(what) ?? 0) + 1)), action)
  }

  private exclusively<A>(action: Effect.Effect<A>): Effect.Effect<A> {
    return this.permits.withPermits(OPERATORS)(action)
  }

  private changing<A>(action: Effect.Effect<A>): Effect.Effect<A> {
    const change = Effect.sync(() => this.changes++)
    return Effect.zipRight(change, Effect.ensuring(action, change))
  }

  /** A change that is accepted; its answer is a state. */
  private request(subject: Subject, update: Readonly<Record<string, unknown>>) {
    const asked = this.client.ask(`/herds/${subject.name}`, { method: "PATCH", body: JSON.stringify(update) })
    return Effect.flatMap(
      this.changing(asked),
      (answer) => answer === undefined ? Effect.void : this.read(subject, answer.text)
    )
  }

  private read(subject: Subject, text: string): Effect.Effect<typeof Counts.Type | undefined> {
    return Effect.match(decodeState(text), {
      onFailure: (error) => {
        this.violations.add("answers", error.message)
        return undefined
      },
      onSuccess: (state) => {
        this.violations.addAll("G3", unbalanced(state))
        this.violations.addAll("G4", overfull(state, subject))
        return state
      }
    })
  }

  private patch(subject: Subject, update: Readonly<Record<string, unknown>>) {
    return this.permits.withPermits(1)(this.request(subject, update))
  }

  /** Nothing starts meanwhile, which the census sees to; afterwards all is as before. */
  private holds(
    subject: Subject,
    held: Readonly<Record<string, unknown>>,
    after: Readonly<Record<string, unknown>>,
    chance: Chance
  ) {
    return Effect.zipRight(
      this.patch(subject, held),
      Effect.ensuring(Effect.sleep(chance.between(100, 1_500)), this.patch(subject, after))
    )
  }

  /** Unless somebody else changes the size meanwhile, the surplus retires. */
  private settles(subject: Subject, update: Readonly<Record<string, unknown>>) {
    return Effect.gen(this, function*() {
      yield* this.patch(subject, update)
      const { changes } = this
      const settled = yield* Effect.timeoutOption(subject.herd.settled, SETTLES)
      const { live, size } = yield* subject.herd.state
      if (changes !== this.changes) return
      if (settled._tag === "None") {
        this.violations.add(
          "G5",
          `${subject.name}: expected it to settle within ${SETTLES}, got ${live} live of ${size}`
        )
      } else if (live > size) {
        this.violations.add("G5", `${subject.name}: expected at most ${size} live when settled, got ${live}`)
      }
    })
  }

  /** The last one wins; over several connections, that may be any. */
  private burst(subject: Subject, chance: Chance) {
    const sizes = Array.from({ length: chance.between(2, 8) }, () => chance.between(1, subject.largest))
    return this.exclusively(Effect.gen(this, function*() {
      const answers = yield* Effect.forEach(
        sizes,
        (num) => this.request(subject, { num, mode: chance.happens(0.5) ? "interrupt" : "graceful" }),
        { concurrency: "unbounded" }
      )
      const size = yield* subject.herd.size
      if (answers.every((answer) => answer !== undefined) && !sizes.includes(size)) {
        this.violations.add("G5", `${subject.name}: expected one of the sizes ${sizes} that were set, got ${size}`)
      }
    }))
  }

  /** The answer says the size as it is, and nothing has changed. */
  private refuses(subject: Subject, { body, status }: Refused) {
    return this.exclusively(Effect.gen(this, function*() {
      const before = yield* subject.herd.state
      const answer = yield* this.client.ask(`/herds/${subject.name}`, { method: "PATCH", body }, status)
      const after = yield* subject.herd.state
      if (after.size !== before.size || after.paused !== before.paused) {
        this.violations.add(
          "G5",
          `${subject.name}: expected ${
            body.slice(0, 40)
          } to change nothing, got size ${after.size}, paused ${after.paused}`
        )
      }
      if (answer === undefined) return
      const { num } = yield* Effect.orElseSucceed(decodeNum(answer.text), () => ({ num: Number.NaN }))
      if (num !== before.size) {
        this.violations.add("answers", `expected num ${before.size} with ${status}, got ${answer.text}`)
      }
    }))
  }

  private resizeFirst(num: number) {
    const [first] = this.subjects
    return this.exclusively(Effect.gen(this, function*() {
      const answer = yield* this.changing(this.client.ask("/herd", { method: "PATCH", body: JSON.stringify({ num }) }))
      const size = yield* first.herd.size
      if (answer === undefined) return
      const told = yield* Effect.orElseSucceed(decodeSize(answer.text), () => ({ num: Number.NaN }))
      if (told.num !== num || size !== num) {
        this.violations.add("G5", `${first.name}: expected size ${num} after ${answer.text}, got ${size}`)
      }
    }))
  }
}
