/**
 * docs/reliability.md, held against the tests that it names.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const root = new URL("..", import.meta.url).pathname

describe("docs/reliability.md", () => {
  /**
   * The whole names of a file's tests: that of the block they are in, and their own, with … for
   * what varies.
   */
  const testsOf = (file: string): ReadonlyArray<string> => {
    const source = readFileSync(join(root, "test", file), "utf8")
    const text = (code: string) => code.replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "…").replace(/\\(.)/g, "$1")
    const string = "(?<quote>[\"`])(?<name>(?:\\\\.|(?!\\k<quote>).)*)\\k<quote>"
    const blocks = Array.from(
      source.matchAll(new RegExp(`^(?:describe|layer)\\b.*\\(${string}, \\(`, "gm")),
      ({ groups, index }) => ({ name: text(groups?.["name"] ?? ""), index })
    )
    // One that does not run is as good as none, unless it only says that something is missing.
    const idle = /^ *(?:describe|it)(?:\.\w+)*\.(?:skip|todo|fails|only)\b(?!.*, which is not installed)/m
    assert.notMatch(source, idle, file)
    const tests = source.matchAll(
      new RegExp(`^(?<indent> *)(?:it|test|onStore|atEveryInstant)(?:\\.\\w+)*\\(\\s*${string}`, "gm")
    )
    return Array.from(tests, ({ groups, index }) => {
      const name = text(groups?.["name"] ?? "")
      const block = blocks.findLast((block) => block.index < index)
      return groups?.["indent"] === "" || block === undefined ? name : `${block.name} ${name}`
    })
  }

  /** The tests that a section's table names, each of which there has to be. */
  const namedIn = (title: string, atLeast: number): ReadonlySet<string> => {
    const section =
      readFileSync(join(root, "docs/reliability.md"), "utf8").split(`\n## ${title}\n`)[1]?.split("\n## ")[0] ?? ""
    const rows = section.split("\n").filter((line) => line.startsWith("| ")).slice(1)
    assert.isAtLeast(rows.length, atLeast)
    const named = new Set<string>()
    for (const row of rows) {
      const [fault, , tests = "", ...more] = row.split("|").slice(1, -1).map((cell) => cell.trim())
      assert.deepStrictEqual(more, [], fault)
      for (const test of tests.split("<br>")) {
        const [, file = "", name = ""] = /^`([\w./-]+)` (.+)$/.exec(test) ?? []
        assert.include(testsOf(file), name, fault)
        named.add(`${file} ${name}`)
      }
    }
    return named
  }

  it("names, for each fault, tests that there are, and every test of test/faults*.test.ts", () => {
    const named = namedIn("Faults", 30)
    const files = readdirSync(join(root, "test")).filter((name) => /^faults.*\.test\.ts$/.test(name))
    assert.isAtLeast(files.length, 3)
    const missing = files.flatMap((file) => testsOf(file).map((name) => `${file} ${name}`)).filter((test) =>
      !named.has(test)
    )
    assert.deepStrictEqual(missing, [])
  })

  it("names, for each fault of a durable herd, tests that there are", () => {
    namedIn("Durable herds", 15)
  })
})
