/**
 * Makes the page of the dashboard from its sources: one script and one style sheet, as strings in a
 * module, so that whoever bundles or serves the routes has no files to carry along.
 *
 *     npm run dashboard
 */
import { build } from "esbuild"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const at = (path: string) => fileURLToPath(new URL(`../src/internal/${path}`, import.meta.url))

const bundle = async (entryPoint: string): Promise<string> => {
  const { outputFiles: [file] } = await build({
    entryPoints: [at(`dashboard/${entryPoint}`)],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2022",
    charset: "utf8",
    legalComments: "inline",
    jsx: "automatic",
    jsxImportSource: "preact"
  })
  // Inside an element of HTML, this would be its end.
  return (file?.text ?? "").trim().replaceAll("</", "<\\/")
}

/** The text of the module. */
export const generate = async (): Promise<string> =>
  [
    "// Made by `npm run dashboard` from ./dashboard/. It contains Preact and uPlot (MIT), and eventsource-parser (MIT).",
    "",
    "/** @internal */",
    `export const script = ${JSON.stringify(await bundle("main.tsx"))}`,
    "",
    "/** @internal */",
    `export const style = ${JSON.stringify(await bundle("style.css"))}`,
    ""
  ].join("\n")

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(at("dashboardPage.ts"), await generate())
