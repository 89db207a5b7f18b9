import { parseArgs } from "node:util"

export interface Arguments {
  /** How long the herds are worked and disturbed; starting and stopping come on top. */
  readonly minutes: number
  /** What all that is random follows from. */
  readonly seed: number
}

const EXPECTED = "expected options of --minutes N and --seed N"

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      options: { minutes: { type: "string", default: "30" }, seed: { type: "string" } }
    }).values
  } catch {
    throw new Error(`${EXPECTED}, got ${JSON.stringify(args.join(" "))}`)
  }
}

/** A day is longer than anybody waits, and still a time that a timer can have. */
const MOST_MINUTES = 1_440

export const readArguments = (args: ReadonlyArray<string>): Arguments => {
  const { minutes, seed = String(Date.now() % 1_000_000) } = parse(args)
  if (!/^\d*\.?\d+$/.test(minutes) || Number(minutes) <= 0 || Number(minutes) > MOST_MINUTES) {
    throw new Error(
      `expected --minutes to be a number above 0 and up to ${MOST_MINUTES}, got ${JSON.stringify(minutes)}`
    )
  }
  if (!/^\d{1,9}$/.test(seed)) {
    throw new Error(`expected --seed to be an integer from 0 to 999999999, got ${JSON.stringify(seed)}`)
  }
  return { minutes: Number(minutes), seed: Number(seed) }
}
