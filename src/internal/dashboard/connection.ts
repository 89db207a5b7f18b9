/** Requests to the routes that served this page, with the token if there is one. */
import { createParser } from "eventsource-parser"
import type { Letter, Sample, State } from "./model.ts"

/** Where the routes are: beside the page, whatever prefix or proxy is in front of them. */
const base = location.pathname.replace(/\/+$/, "")

const TOKEN = `gofherd.token:${base}`

/**
 * A link may carry the token behind the hash, where it reaches no server; it does not stay in the
 * address.
 */
export const takeTokenFromAddress = (): void => {
  const fragment = new URLSearchParams(location.hash.slice(1))
  const token = fragment.get("token")
  if (token === null) return
  setToken(token)
  fragment.delete("token")
  history.replaceState(null, "", `${location.pathname}${location.search}#${fragment}`)
}

export const hasToken = (): boolean => sessionStorage.getItem(TOKEN) !== null

export const setToken = (token: string): void => sessionStorage.setItem(TOKEN, token)

/** The answer is no: its status, and what it says. */
export class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const request = async (path: string, init: RequestInit = {}): Promise<Response> => {
  const token = sessionStorage.getItem(TOKEN)
  const headers = new Headers(init.headers)
  if (token !== null) headers.set("authorization", `Bearer ${token}`)
  const response = await fetch(base + path, { ...init, headers, cache: "no-store" })
  if (response.ok) return response
  const body: unknown = await response.json().catch(() => undefined)
  const said = typeof body === "object" && body !== null && "msg" in body ? String(body.msg) : response.statusText
  throw new Refused(response.status, said)
}

export const fetchHerds = async (signal: AbortSignal): Promise<ReadonlyArray<State>> =>
  (await request("/herds", { signal })).json()

export interface Update {
  readonly num?: number
  readonly mode?: "graceful" | "interrupt"
  readonly paused?: boolean
  readonly fleet?: number | null
}

export const updateHerd = async (name: string, update: Update): Promise<State> =>
  (await request(`/herds/${encodeURIComponent(name)}`, json("PATCH", update))).json()

const json = (method: string, body: object): RequestInit => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body)
})

/** The server tells of so many dead letters at once. */
const MOST = 1_000

/** So many dead letters, if there are, the last buried first. */
export const fetchDead = async (name: string, { count, signal }: {
  readonly count: number
  readonly signal: AbortSignal
}): Promise<ReadonlyArray<Letter>> => {
  // By their ids, since those that come in meanwhile move the others on.
  const letters = new Map<string, Letter>()
  for (let offset = 0; offset < count; offset += MOST) {
    const limit = Math.min(MOST, count - offset)
    const path = `/herds/${encodeURIComponent(name)}/dead?limit=${limit}&offset=${offset}`
    const some: ReadonlyArray<Letter> = await (await request(path, { signal })).json()
    for (const letter of some) letters.set(letter.id, letter)
    if (some.length < limit) break
  }
  return Array.from(letters.values())
}

/** How many dead letters were redriven or discarded. */
export const settleDead = async (
  name: string,
  how: "redrive" | "discard",
  ids: ReadonlyArray<string> | "all"
): Promise<number> => {
  const answer: { readonly count: number } =
    await (await request(`/herds/${encodeURIComponent(name)}/dead/${how}`, json("POST", { ids }))).json()
  return answer.count
}

/** The server tells the state every 10 s; who hears nothing for so long has lost it. */
const SILENCE_MILLIS = 25_000

/** Reads the events of a herd until they end. `EventSource` could not send the token. */
export const readEvents = async (name: string, options: {
  readonly signal: AbortSignal
  readonly onHistory: (samples: ReadonlyArray<Sample>) => void
  readonly onState: (state: State) => void
}): Promise<void> => {
  const silence = new AbortController()
  let timer = setTimeout(() => silence.abort(), SILENCE_MILLIS)
  try {
    const response = await request(`/herds/${encodeURIComponent(name)}/events?history=true`, {
      signal: AbortSignal.any([options.signal, silence.signal])
    })
    const parser = createParser({
      onEvent: ({ data, event }) => {
        if (event === "history") options.onHistory(JSON.parse(data))
        else if (event === undefined) options.onState(JSON.parse(data))
      }
    })
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
      clearTimeout(timer)
      timer = setTimeout(() => silence.abort(), SILENCE_MILLIS)
      parser.feed(read.value)
    }
  } finally {
    clearTimeout(timer)
  }
}
