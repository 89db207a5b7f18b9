/** The page: which herds there are, which one is looked at, and whether the server is heard. */
import { useEffect, useRef, useState } from "preact/hooks"
import type { Update } from "./connection.ts"
import { fetchHerds, readEvents, Refused, setToken, updateHerd } from "./connection.ts"
import { Controls } from "./Controls.tsx"
import { DeadLetters } from "./DeadLetters.tsx"
import { Dialog } from "./Dialog.tsx"
import { Fleet } from "./Fleet.tsx"
import * as format from "./format.ts"
import { Herd } from "./Herd.tsx"
import type { Point, Source, State } from "./model.ts"
import { append, conditionOf, pointOf } from "./model.ts"

type Connection = "connecting" | "live" | "reconnecting"

/** The other herds' figures are asked for this often. */
const HERDS_MILLIS = 2_000

/** How long the answer to a command stands. */
const SAID_MILLIS = 6_000

const FIRST_WAIT_MILLIS = 500
const LONGEST_WAIT_MILLIS = 8_000

export const App = ({ asksToken, readOnly }: {
  readonly readOnly: boolean
  /** Is a token wanted that is not there yet? */
  readonly asksToken: boolean
}) => {
  const [connection, setConnection] = useState<Connection>("connecting")
  const [herds, setHerds] = useState<ReadonlyArray<State>>([])
  const [name, setName] = useState(() => new URLSearchParams(location.hash.slice(1)).get("herd"))
  const [state, setState] = useState<State>()
  /** What the source told last, which need not be able to tell it now. */
  const [source, setSource] = useState<Source>()
  const [points, setPoints] = useState<ReadonlyArray<Point>>([])
  const [login, setLogin] = useState(asksToken ? "These herds are shown to those who have the token." : undefined)
  const [said, say] = useState<{ readonly text: string; readonly bad: boolean }>()
  /** How far the server's clock is ahead, at least: events come late, and never early. */
  const ahead = useRef(-Infinity)
  const theme = useTheme()
  const selected = herds.find((herd) => herd.name === name)?.name ?? herds[0]?.name

  /**
   * Tries again until told to stop, waiting longer each time; stops by itself where a token is
   * wanted.
   */
  const persist = (
    connect: (signal: AbortSignal, heard: () => void) => Promise<void>,
    tell: (connection: Connection) => void
  ) => {
    const stop = new AbortController()
    const run = async () => {
      let wait = FIRST_WAIT_MILLIS
      while (!stop.signal.aborted) {
        try {
          await connect(stop.signal, () => {
            wait = FIRST_WAIT_MILLIS
            tell("live")
          })
        } catch (error) {
          if (error instanceof Refused && error.status === 401 && !stop.signal.aborted) return setLogin(error.message)
        }
        if (stop.signal.aborted) return
        tell("reconnecting")
        await pause(wait, stop.signal)
        wait = Math.min(wait * 2, LONGEST_WAIT_MILLIS)
      }
    }
    void run()
    return () => stop.abort()
  }

  useEffect(() => {
    if (login !== undefined) return
    return persist(async (signal, heard) => {
      for (;;) {
        setHerds(await fetchHerds(signal))
        heard()
        await pause(HERDS_MILLIS, signal)
        await visible(signal)
        if (signal.aborted) return
      }
    }, () => {})
  }, [login])

  useEffect(() => {
    ahead.current = -Infinity
    setState(undefined)
    setPoints([])
    if (selected === undefined || login !== undefined) return
    return persist((signal, heard) =>
      readEvents(selected, {
        signal,
        onHistory: (samples) => setPoints(samples.map((sample) => pointOf(sample)).reduce(append, [])),
        onState: (state) => {
          heard()
          ahead.current = Math.max(ahead.current, Date.parse(state.at) - Date.now())
          setState(state)
          setPoints((points) => append(points, pointOf(state)))
        }
      }), setConnection)
  }, [selected, login])

  // While nothing is heard from a live server nothing has changed, and the charts go on.
  useEffect(() => {
    if (connection !== "live" || state === undefined) return
    const timer = setInterval(
      () => setPoints((points) => append(points, pointOf(state, (Date.now() + ahead.current) / 1_000))),
      1_000
    )
    return () => clearInterval(timer)
  }, [state, connection])

  useEffect(() => {
    if (state?.source !== undefined || state === undefined) setSource(state?.source)
  }, [state])

  useEffect(() => {
    if (said === undefined) return
    const timer = setTimeout(() => say(undefined), SAID_MILLIS)
    return () => clearTimeout(timer)
  }, [said])

  const select = (name: string) => {
    setName(name)
    history.replaceState(null, "", `#${new URLSearchParams({ herd: name })}`)
  }

  const update = async (name: string, change: Update) => {
    try {
      const after = await updateHerd(name, change)
      say({ text: describe(after, change), bad: false })
      // Unless another herd is looked at by now, or an event came first.
      setState((before) => before?.name === after.name && before.at <= after.at ? after : before)
    } catch (error) {
      complain("Nothing was changed", error)
    }
  }

  const complain = (what: string, error: unknown) => {
    if (error instanceof Refused && error.status === 401) setLogin(error.message)
    say({ text: `${what}: ${error instanceof Error ? error.message : String(error)}`, bad: true })
  }

  return (
    <>
      <header>
        <Mark />
        <h1>gofherd</h1>
        {readOnly && <span class="badge">read-only</span>}
        <span class={`badge connection ${connection}`} role="status">{connection}</span>
      </header>
      {herds.length > 1 && (
        <nav aria-label="Herds">
          {herds.map((herd) => (
            <button
              type="button"
              key={herd.name}
              aria-current={herd.name === selected ? "page" : undefined}
              onClick={() => select(herd.name)}
            >
              <b>{herd.name}</b>
              <span>
                {format.count(herd.running)} of {format.count(herd.size)} running, {waiting(herd)}
              </span>
            </button>
          ))}
        </nav>
      )}
      <main>
        {state !== undefined && (
          <>
            <div class="title">
              <h2>{state.name}</h2>
              <span class={`badge condition ${conditionOf(state)}`}>{conditionOf(state)}</span>
              <span class="hint totals">
                {format.count(state.accepted)} units accepted
                {state.interrupted > 0 && `, ${format.count(state.interrupted)} interrupted`}
              </span>
            </div>
            {!readOnly && (
              <Controls
                key={state.name}
                state={state}
                disabled={connection !== "live" || state.drained}
                onUpdate={(change) => update(state.name, change)}
              />
            )}
            {!readOnly && source?.fleet !== undefined && (
              <Fleet
                key={`fleet of ${state.name}`}
                fleet={source.fleet}
                disabled={connection !== "live" || state.source === undefined}
                onUpdate={(change) => update(state.name, change)}
              />
            )}
            <Herd state={state} source={source} points={points} theme={theme}>
              {source !== undefined && (
                <DeadLetters
                  key={state.name}
                  name={state.name}
                  dead={source.dead}
                  now={points.at(-1)?.time ?? Date.parse(state.at) / 1_000}
                  readOnly={readOnly}
                  disabled={connection !== "live"}
                  onDone={(text) => say({ text, bad: false })}
                  onFailed={complain}
                />
              )}
            </Herd>
          </>
        )}
        {state === undefined && login === undefined && <p class="hint empty">Waiting for the server …</p>}
      </main>
      <p class={`said ${said?.bad === true ? "bad" : ""}`} role="status">{said?.text}</p>
      {login !== undefined && (
        <Login
          message={login}
          onToken={(token) => {
            setToken(token)
            setLogin(undefined)
          }}
        />
      )}
    </>
  )
}

const describe = ({ name, paused, size, source }: State, change: Update): string => {
  if (change.fleet !== undefined) {
    // What was asked for, if the source does not tell.
    const { fleet } = source ?? change
    return `${name}: ${fleet === null ? "the fleet size has no limit" : `the fleet size is ${fleet}`}`
  }
  return change.paused === undefined ? `${name}: the size is ${size}` : `${name}: ${paused ? "paused" : "resumed"}`
}

const waiting = ({ queued, source }: State): string =>
  source === undefined ? `${format.count(queued)} queued` : `${format.count(source.ready)} ready`

const Login = ({ message, onToken }: {
  readonly message: string
  readonly onToken: (token: string) => void
}) => {
  const input = useRef<HTMLInputElement>(null)
  return (
    <Dialog title="Who is there?">
      <p class="hint">{message}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          onToken(input.current?.value.trim() ?? "")
        }}
      >
        <label for="token">Token</label>
        <input ref={input} id="token" type="password" autoComplete="current-password" required pattern="\S+" />
        <div class="buttons">
          <button type="submit" class="primary">Continue</button>
        </div>
      </form>
    </Dialog>
  )
}

/** Three gophers, or two and one on its way. */
const Mark = () => (
  <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
    <rect x="2" y="16" width="7" height="12" rx="3.5" />
    <rect x="12.5" y="9" width="7" height="19" rx="3.5" />
    <rect x="23" y="3" width="7" height="25" rx="3.5" class="late" />
  </svg>
)

// ------------------------------------------------------------------------------------------------------ the browser

const useTheme = (): string => {
  const dark = matchMedia("(prefers-color-scheme: dark)")
  const [theme, setTheme] = useState(dark.matches ? "dark" : "light")
  useEffect(() => {
    const change = () => setTheme(dark.matches ? "dark" : "light")
    dark.addEventListener("change", change)
    return () => dark.removeEventListener("change", change)
  }, [])
  return theme
}

const pause = (millis: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", done)
      resolve()
    }
    const timer = setTimeout(done, millis)
    signal.addEventListener("abort", done)
  })

/** Nobody needs news that nobody sees. */
const visible = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (!document.hidden) return resolve()
    const done = () => {
      document.removeEventListener("visibilitychange", done)
      signal.removeEventListener("abort", done)
      resolve()
    }
    document.addEventListener("visibilitychange", done)
    signal.addEventListener("abort", done)
  })
