import { HttpClient, type HttpClientError } from "@effect/platform"
import { type Cause, Effect } from "effect"
import type { Agent } from "node:http"
import { exchange } from "./exchange.ts"
import { type Page, Unfetched } from "./visit.ts"

/**
 * Three ways to visit a target, as three users would: Effect's HttpClient, Node's with a connection
 * that is kept, and fetch. All have a time-out, since some targets never answer, and fail with the
 * same error.
 */

/** Longer than a target takes that is merely slow, mostly. */
const TIMEOUT = "700 millis"

type Failure = Error | HttpClientError.HttpClientError | Cause.UnknownException

const fetched = <R>(
  n: number,
  request: Effect.Effect<{ readonly status: number; readonly text: string }, Failure, R>
): Effect.Effect<Page, Unfetched, R> => {
  const unfetched = (why: string) => new Unfetched({ n, why })
  return request.pipe(
    Effect.mapError((error) => unfetched(error.message)),
    Effect.timeoutFail({
      duration: TIMEOUT,
      onTimeout: () => unfetched(`expected an answer within ${TIMEOUT}, got none`)
    }),
    Effect.filterOrFail(({ status }) => status === 200, ({ status }) => unfetched(`expected 200, got ${status}`)),
    Effect.filterOrFail(
      ({ text }) => text === `{"n":${n}}`,
      ({ text }) => unfetched(`expected {"n":${n}}, got ${text}`)
    ),
    Effect.as({ n })
  )
}

export const byHttpClient = (url: string, n: number): Effect.Effect<Page, Unfetched, HttpClient.HttpClient> =>
  fetched(
    n,
    Effect.flatMap(HttpClient.get(url), ({ status, text }) => Effect.map(text, (text) => ({ status, text })))
  )

export const byAgent = (agent: Agent, url: string, n: number): Effect.Effect<Page, Unfetched> =>
  fetched(n, exchange(url, agent))

export const byFetch = (url: string, n: number): Effect.Effect<Page, Unfetched> =>
  fetched(
    n,
    Effect.tryPromise(async (signal) => {
      const response = await fetch(url, { signal })
      return { status: response.status, text: await response.text() }
    })
  )
