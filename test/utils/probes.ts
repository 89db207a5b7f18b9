import { assert } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Herd } from "gofherd"
import { type Ask, events, eventsIn } from "./http.ts"
import { makeStage, turns } from "./stage.ts"

export class First extends Context.Tag("first")<First, Herd.Herd<number, number, string>>() {}
export class Second extends Context.Tag("second/2 ü")<Second, Herd.Herd<number, number, string>>() {}

/** Two herds of size 7 and 2, that accept sizes up to 100. */
export const herds = Layer.suspend(() => {
  const { process } = makeStage()
  return Layer.merge(
    Herd.layer(First, { process, size: 7, maxSize: 100 }),
    Herd.layer(Second, { process, size: 2, maxSize: 100 })
  )
})

export const second = `/herds/${encodeURIComponent("second/2 ü")}`

const nameOf = (state: unknown) => (state as { readonly name: string }).name

/** The methods of every path of the contract. */
export const paths = [
  ["/herd", "GET, HEAD, PATCH"],
  ["/herds", "GET, HEAD"],
  ["/herds/first", "GET, HEAD, PATCH"],
  [second, "GET, HEAD, PATCH"],
  ["/herds/nobody", "GET, HEAD, PATCH"],
  ["/herds/first/events", "GET, HEAD"],
  [`${second}/events`, "GET, HEAD"],
  ["/metrics", "GET, HEAD"],
  ["/openapi.json", "GET, HEAD"],
  ["/", "GET, HEAD"]
] as const

/** Asks every route that serves `herds`, as they are at first, in every way that it answers. */
export const probeAll = (ask: Ask, prefix: string = "") =>
  Effect.gen(function*() {
    const patch = (path: string, body: string) => ask(path, { method: "PATCH", body })
    const json = (path: string) => Effect.map(ask(path), ({ json }) => json)

    assert.deepStrictEqual(yield* json("/herd"), { num: 7, msg: "success" })
    assert.deepStrictEqual((yield* patch("/herd", "{\"num\":8}")).json, { num: 8, msg: "success" })
    assert.deepStrictEqual((yield* patch("/herd", "{\"num\":8}")).json, { num: 8, msg: "Herd size already 8" })
    const negative = yield* patch("/herd", "{\"num\":-1}")
    assert.strictEqual(negative.status, 400)
    assert.deepStrictEqual(negative.json, { num: 8, msg: "Herd size cannot be negative", _tag: "InvalidSize" })
    assert.strictEqual((yield* patch("/herd", "no")).status, 400)
    assert.strictEqual((yield* patch("/herd", " ".repeat(5_000))).status, 413)

    assert.deepStrictEqual((yield* (json("/herds") as Effect.Effect<Array<unknown>>)).map(nameOf), [
      "first",
      "second/2 ü"
    ])
    assert.include(yield* json("/herds/first"), { name: "first", size: 8, maxSize: 100, paused: false })
    const updated = yield* patch(second, "{\"num\":3,\"mode\":\"interrupt\",\"paused\":true}")
    assert.include(updated.json, { name: "second/2 ü", size: 3, paused: true })
    assert.include(yield* json(second), { name: "second/2 ü", size: 3, paused: true })
    assert.strictEqual((yield* patch(second, "{\"num\":101}")).status, 400)
    assert.strictEqual((yield* patch(second, "{}")).status, 400)
    assert.strictEqual((yield* patch(second, " ".repeat(5_000))).status, 413)
    assert.strictEqual((yield* ask("/herds/nobody")).status, 404)
    assert.strictEqual((yield* patch("/herds/nobody", "{\"num\":1}")).status, 404)

    const stream = yield* ask(`${second}/events?history=true`, { until: events(2) })
    assert.strictEqual(stream.headers["content-type"], "text/event-stream")
    const [past, state] = eventsIn(stream.text)
    assert.strictEqual(past?.name, "history")
    assert.include(state?.data, { name: "second/2 ü", size: 3 })
    assert.strictEqual((yield* ask("/herds/first/events?history=maybe")).status, 400)
    assert.strictEqual((yield* ask("/herds/nobody/events")).status, 404)

    // Metrics are up to one turn old.
    yield* turns
    const metrics = yield* ask("/metrics")
    assert.strictEqual(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
    assert.include(metrics.text, "gofherd_size{herd=\"first\"} 8\n")
    assert.include(metrics.text, "gofherd_size{herd=\"second/2 ü\"} 3\n")
    const description = yield* (json("/openapi.json") as Effect.Effect<{ readonly paths: object }>)
    assert.containsAllKeys(description.paths, [`${prefix}/herd`, `${prefix}/herds/{name}/events`, prefix || "/"])
    assert.match((yield* ask("/")).text, /^<!doctype html>/i)

    for (const [path, allow] of paths) {
      const head = yield* ask(path, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.text], [path.includes("nobody") ? 404 : 200, ""])
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS", ...(allow.includes("PATCH") ? [] : ["PATCH"])]) {
        const answer = yield* ask(path, { method })
        assert.strictEqual(answer.status, 405, `${method} ${path}`)
        assert.strictEqual(answer.headers["allow"], allow)
        assert.deepStrictEqual(answer.json, {
          msg: `expected one of ${allow}, got ${method}`,
          _tag: "MethodNotAllowed"
        })
      }
    }
    assert.strictEqual((yield* ask("/nope")).status, 404)
  })
