import { fork } from "node:child_process"
import { once } from "node:events"

/**
 * Runs a file in a process of its own, with the options of this one, until it has sent its numbers
 * or has ended without. It does not outlive this call, nor this process.
 */
export const numbersOf = async (file: URL, ...args: ReadonlyArray<string>): Promise<ReadonlyArray<number>> => {
  const child = fork(file, args)
  const kill = () => child.kill("SIGKILL")
  process.once("exit", kill)
  try {
    const answer: unknown = await Promise.race([
      once(child, "message").then(([message]) => message),
      once(child, "exit").then(([code]) => `an exit with ${code}`)
    ])
    if (!isNumbers(answer)) throw new Error(`expected numbers of ${file.pathname}, got ${answer}`)
    return answer
  } finally {
    process.off("exit", kill)
    kill()
  }
}

const isNumbers = (answer: unknown): answer is ReadonlyArray<number> =>
  Array.isArray(answer) && answer.every((number) => typeof number === "number")
