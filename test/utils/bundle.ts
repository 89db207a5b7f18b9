import { Effect, Exit, Scope } from "effect"
import { build } from "esbuild"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { folder } from "./children.ts"

const root = new URL("../..", import.meta.url).pathname

/** A program of the repository in one file, which starts in a third of the time that tsx takes. */
export const bundle = (entry: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const outfile = join(yield* folder, "program.mjs")
    yield* Effect.promise(() =>
      build({
        absWorkingDir: root,
        entryPoints: [entry],
        outfile,
        bundle: true,
        platform: "node",
        format: "esm",
        target: "node20",
        // Some of what is bundled is CommonJS.
        banner: {
          js: "import { createRequire as requiring } from \"node:module\"; const require = requiring(import.meta.url)"
        },
        plugins: [{
          name: "gofherd",
          setup: (build) => {
            // It looks for its binary where it is.
            build.onResolve({ filter: /^libsql$/ }, () => ({
              path: join(root, "node_modules/libsql/index.js"),
              external: true
            }))
            build.onResolve({ filter: /^gofherd(\/|$)/ }, ({ path }) => ({
              path: join(root, "src", `${path === "gofherd" ? "index" : path.slice("gofherd/".length)}.ts`)
            }))
          }
        }]
      })
    )
    return outfile
  })

/** Some of them, for all tests of the file that asks for them. */
export const bundled = <Entry extends string>(...entries: ReadonlyArray<Entry>): (entry: Entry) => string => {
  const files = new Map<string, string>()
  const scope = Effect.runSync(Scope.make())
  beforeAll(async () => {
    for (const entry of entries) files.set(entry, await Effect.runPromise(Scope.extend(bundle(entry), scope)))
  }, 60_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return (entry) => {
    const file = files.get(entry)
    if (file === undefined) throw new Error(`expected ${entry} to be bundled, got ${[...files.keys()]}`)
    return file
  }
}
