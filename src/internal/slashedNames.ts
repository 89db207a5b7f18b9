import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Where herds are, and what there is below each, such as `""` or `/dead/redrive`. */
interface Paths {
  /** Such as `/ops/herds`. */
  readonly base: string
  readonly below: ReadonlySet<string>
}

/**
 * Finds herds with a slash in their names behind a proxy that decodes `%2F`, as nginx does with
 * `proxy_pass` and a path.
 *
 * The shortest name of a herd counts that is followed by a path of the contract, or by nothing. So
 * a path means one herd, whatever the method. A name that comes encoded is one segment, and is not
 * read in another way.
 *
 * @internal
 */
export const slashedNames = (
  names: ReadonlyArray<string>,
  paths: Paths
): Layer.Layer<never, never, HttpLayerRouter.HttpRouter> => {
  // A semicolon ends the path to the router.
  if (!names.some((name) => /[/;]/.test(name))) return Layer.empty
  const known = new Set(names)
  return HttpLayerRouter.middleware(
    (app) =>
      Effect.updateService(app, HttpServerRequest.HttpServerRequest, (request) => {
        const url = encodedName(request.url, known, paths)
        return url === undefined ? request : request.modify({ url })
      }),
    { global: true }
  )
}

/**
 * The URL with the name encoded; `undefined` if the router finds it as it is, or if there is no
 * such herd.
 */
const encodedName = (url: string, names: ReadonlySet<string>, paths: Paths): string | undefined => {
  const path = url.replace(/^https?:\/\/[^/?]*/i, "")
  const read = split(path, /[?#;]/)
  const found = find(read, names, paths)
  if (found?.segments === 1) return undefined
  return found?.url ?? find(split(path, /[?#]/), names, paths)?.url
}

/** A path and what follows, which begins with one of these characters. */
const split = (url: string, end: RegExp): readonly [path: string, query: string] => {
  const length = url.search(end)
  return length < 0 ? [url, ""] : [url.slice(0, length), url.slice(length)]
}

/** The herd of the shortest name, and of how many segments that is. */
const find = ([path, query]: readonly [string, string], names: ReadonlySet<string>, { base, below }: Paths) => {
  const segments = decoded(path)
  const first = base.split("/").length - 1
  if (segments === undefined || pathOf(segments.slice(0, first)) !== base.toLowerCase()) return undefined
  for (let last = first + 1; last <= segments.length; last++) {
    const name = segments.slice(first, last).join("/")
    const rest = pathOf(segments.slice(last))
    if (names.has(name) && below.has(rest)) {
      return { url: `${base}/${encodeURIComponent(name)}${rest}${query}`, segments: last - first }
    }
  }
  return undefined
}

const pathOf = (segments: ReadonlyArray<string>) => segments.map((segment) => `/${segment.toLowerCase()}`).join("")

/** The segments of a path. To the router none is empty. */
const decoded = (path: string): ReadonlyArray<string> | undefined => {
  try {
    return path.split("/").filter((segment) => segment !== "").map((segment) => decodeURIComponent(segment))
  } catch {
    return undefined
  }
}
