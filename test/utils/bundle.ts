import { Effect, type Scope } from "effect"
import { build } from "esbuild"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { folder, type Running, start } from "./children.ts"

const root = new URL("../..", import.meta.url).pathname

/** What is in one file: made once, whichever tests ask for it. */
const texts = new Map<string, Promise<Uint8Array>>()

const textOf = (entry: string): Promise<Uint8Array> => {
  const text = texts.get(entry) ?? make(entry)
  texts.set(entry, text)
  return text
}

const make = async (entry: string): Promise<Uint8Array> => {
  const { outputFiles: [file] } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    write: false,
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
  if (file === undefined) throw new Error(`expected ${entry} to be bundled, got no file`)
  return file.contents
}

/** A program of the repository in one file, which starts in a third of the time that tsx takes. */
export const bundle = (entry: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const file = join(yield* folder, "program.mjs")
    writeFileSync(file, yield* Effect.promise(() => textOf(entry)))
    return file
  })

/** Runs it, as `start` does. */
export const startBundled = (
  entry: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.flatMap(bundle(entry), (file) => start(process.execPath, [file, ...args], env))
