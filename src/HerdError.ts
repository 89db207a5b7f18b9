/**
 * Every error of a herd. None of them knows about HTTP; the routes give them a status.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { crashOf } from "./internal/crash.ts"
import { cutId, reasonOf } from "./internal/show.ts"

/**
 * A size that `resize`, `grow` or `shrink` refuses: the herd is as it was.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidSize extends Schema.TaggedError<InvalidSize>("gofherd/InvalidSize")("InvalidSize", {
  /** The name of the herd. */
  herd: Schema.String,
  /** What was asked for, as text. */
  given: Schema.String,
  /** The size, which is unchanged. */
  size: Schema.Number,
  /** The largest size that this herd accepts. */
  maxSize: Schema.Number
}) {
  override get message(): string {
    return `expected the size of herd "${this.herd}" to be an integer from 0 to ${this.maxSize}, got ${this.given}`
  }
}

/**
 * The herd is closed and takes no more work.
 *
 * @since 0.1.0
 * @category errors
 */
export class HerdClosed extends Schema.TaggedError<HerdClosed>("gofherd/HerdClosed")("HerdClosed", {
  /** The name of the herd. */
  herd: Schema.String,
  /**
   * How many units of this call were accepted before: of a `sendAll`, the first so many; otherwise
   * 0.
   */
  accepted: Schema.Number
}) {
  override get message(): string {
    return `expected herd "${this.herd}" to be open, got closed (${this.accepted} units of this call were accepted)`
  }
}

/**
 * An option that makes no sense: a defect of `make`, `layer`, `send`, `run` and their like, because
 * it is a mistake in the program and not something to recover from.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>("gofherd/InvalidOption")("InvalidOption", {
  /** The name of the option. */
  option: Schema.String,
  /** What it has to be. */
  expected: Schema.String,
  /** What was given, as text. */
  given: Schema.String
}) {
  override get message(): string {
    return `expected ${this.option} to be ${this.expected}, got ${this.given}`
  }
}

/**
 * The server could not listen: the port is in use, or the address is none of this machine's.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenError extends Schema.TaggedError<ListenError>("gofherd/ListenError")("ListenError", {
  host: Schema.String,
  port: Schema.Number,
  /** What the system said. */
  cause: Schema.Defect
}) {
  override get message(): string {
    return `expected to listen on ${this.host}:${this.port}, got ${reasonOf(this.cause)}`
  }
}

/**
 * The server would listen where others get to it, and let everybody resize.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnprotectedHost extends Schema.TaggedError<UnprotectedHost>("gofherd/UnprotectedHost")("UnprotectedHost", {
  host: Schema.String
}) {
  override get message(): string {
    return `expected a token or readOnly for host "${this.host}", which others can reach, got neither: set token `
      + "(GOFHERD_TOKEN), set readOnly (GOFHERD_READ_ONLY=true), or listen on 127.0.0.1"
  }
}

/**
 * The thread of a gopher ended while it was at a unit, by which the unit fails: it may be retried,
 * on a thread that takes its place.
 *
 * @since 0.1.0
 * @category errors
 */
export class ThreadCrashed extends Schema.TaggedError<ThreadCrashed>("gofherd/ThreadCrashed")("ThreadCrashed", {
  /** The worker module, as a URL. */
  file: Schema.String,
  /** The id of the unit. */
  unit: Schema.String,
  /**
   * It called `process.exit`, threw what nobody caught, or needed more memory than its
   * `resourceLimits` allow.
   */
  reason: Schema.Literal("exit", "error", "memory"),
  exitCode: Schema.Number,
  /** What was thrown, if anything was. */
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `expected the thread of ${this.file} to answer unit ${this.unit}, got ${crashOf(this)}`
  }
}

/**
 * A thread that could not be started, or ended before it was ready: a defect of the gopher's
 * acquiring, which the herd warns of once and tries again with a growing delay.
 *
 * @since 0.1.0
 * @category errors
 */
export class ThreadNotStarted
  extends Schema.TaggedError<ThreadNotStarted>("gofherd/ThreadNotStarted")("ThreadNotStarted", {
    /** The worker module, as a URL. */
    file: Schema.String,
    /** What it threw, or what was missed. */
    cause: Schema.Defect
  })
{
  override get message(): string {
    return `expected ${this.file} to start a thread, got ${reasonOf(this.cause)}`
  }
}

/**
 * A body, a result or an error that can't cross to or from a thread: it can't be cloned, or its
 * Schema refuses it. The thread goes on.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidMessage extends Schema.TaggedError<InvalidMessage>("gofherd/InvalidMessage")("InvalidMessage", {
  /** The id of the unit. */
  unit: Schema.String,
  part: Schema.Literal("body", "result", "error"),
  /** What refused it, as text, and where the part sits that can't be cloned. */
  reason: Schema.String
}) {
  override get message(): string {
    return `expected the ${this.part} of unit ${this.unit} to cross between threads, got ${this.reason}`
  }
}

/**
 * A unit that can't be offered: its Schema does not encode the body to JSON, its id is none, or its
 * source can't keep the body or the priority.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidUnit extends Schema.TaggedError<InvalidUnit>("gofherd/InvalidUnit")("InvalidUnit", {
  /** The name of the herd. */
  herd: Schema.String,
  part: Schema.Literal("body", "id", "priority"),
  /** What it has to be. */
  expected: Schema.String,
  /** What it is, or what refused it, as text. */
  given: Schema.String
}) {
  override get message(): string {
    return `expected the ${this.part} of a unit of herd "${this.herd}" to be ${this.expected}, got ${this.given}`
  }
}

/**
 * The source of a durable herd could not do what it was asked for: its database is away, full, or
 * not what it should be.
 *
 * @since 0.1.0
 * @category errors
 */
export class SourceError extends Schema.TaggedError<SourceError>("gofherd/SourceError")("SourceError", {
  /** Which source. */
  source: Schema.String,
  /** What it was to do, such as `claim`. */
  operation: Schema.String,
  /** What the driver said. */
  cause: Schema.Defect
}) {
  override get message(): string {
    return `expected the ${this.source} source to ${this.operation}, got ${reasonOf(this.cause)}`
  }
}

/**
 * A unit that a durable herd held is not its own any more: its lease had run out, and its unit is
 * ready again, or another's. What became of it here is not written down; it runs again.
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>("gofherd/LeaseLost")("LeaseLost", {
  /** The name of the herd. */
  herd: Schema.String,
  /** The id of the unit. */
  unit: Schema.String,
  attempt: Schema.Number
}) {
  override get message(): string {
    return `expected herd "${this.herd}" to hold unit ${
      cutId(this.unit)
    } until attempt ${this.attempt} has settled, got its lease lost`
  }
}

/**
 * @since 0.1.0
 * @category errors
 */
export type HerdError =
  | InvalidSize
  | HerdClosed
  | InvalidOption
  | ListenError
  | UnprotectedHost
  | ThreadCrashed
  | ThreadNotStarted
  | InvalidMessage
  | InvalidUnit
  | SourceError
  | LeaseLost
