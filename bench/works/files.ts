import { createHash, randomBytes } from "node:crypto"
import { rmSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Stage } from "../race.ts"
import { fromPromise, withBackoff } from "../work.ts"

const BYTES = 65_536

const hash = (content: Buffer): number => createHash("sha256").update(content).digest().readUInt32BE()

/** SHA-256 of files of 64 kB: their first bytes, so that there is something to add up. */
export const files = async (count: number): Promise<Stage> => {
  const folder = await mkdtemp(join(tmpdir(), "gofherd-bench-"))
  const removeNow = () => rmSync(folder, { recursive: true, force: true })
  process.once("exit", removeNow)
  const pathOf = (n: number) => join(folder, String(n))
  const hashes = new Array<number>()
  for (let n = 0; n < count; n++) {
    const content = randomBytes(BYTES)
    hashes.push(hash(content))
    await writeFile(pathOf(n), content)
  }
  const promise = async (n: number) => hash(await readFile(pathOf(n)))
  return {
    work: (units) => ({
      bodies: Array.from({ length: units }, (_, n) => n),
      size: 8,
      promise,
      effect: fromPromise(promise),
      retry: withBackoff,
      sum: hashes.slice(0, units).reduce((sum, hash) => sum + hash, 0)
    }),
    close: async () => {
      process.off("exit", removeNow)
      await rm(folder, { recursive: true })
    }
  }
}
