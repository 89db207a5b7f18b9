/**
 * All that the package exports: each function has its table of hostile values in a suite of its
 * own, and each schema is tried here.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Either, Metric, ParseResult, Predicate, Schema } from "effect"
import * as gofherd from "gofherd"
import * as HerdProgress from "gofherd/HerdProgress"
import * as HerdServer from "gofherd/HerdServer"
import * as HerdThread from "gofherd/HerdThread"
import { readFileSync } from "node:fs"
import { blank, forEachKind, type Kind } from "./utils/hostile.ts"

/** A module may have only types. */
const modules: Readonly<Record<string, object>> = { ...gofherd, HerdProgress, HerdServer, HerdThread }

const exported = Object.entries(modules).flatMap(([module, members]) =>
  Object.entries(members).map(([name, value]): readonly [string, unknown] => [`${module}.${name}`, value])
)

const schemas = exported.flatMap(([name, value]) => Schema.isSchema(value) ? [[name, value] as const] : [])

/** What is no function to call: the parts of the HTTP API and the tags. */
const isDescription = (name: string, value: unknown) =>
  Predicate.hasProperty(value, Metric.MetricTypeId) || Context.isTag(value) ||
  /^HerdApi\.(?:HerdApi|\w+Group)$/.test(name)

describe("the table of exports", () => {
  it("has a suite for each function", () => {
    const tried: Readonly<Record<string, string>> = {
      "Herd.make": "hostile.options",
      "Herd.layer": "hostile.options",
      "HerdClient.make": "hostile.http",
      "HerdProgress.layer": "hostile.http",
      "HerdRouter.layer": "hostile.http",
      "HerdServer.layer": "hostile.http",
      "HerdServer.layerConfig": "hostile.http",
      "HerdThread.gopher": "hostile.threads",
      "HerdThread.serve": "hostile.threads",
      // It takes nothing.
      "HerdServer.gracefulServer": "gracefulServer"
    }
    const functions = exported.filter(([name, value]) => !Schema.isSchema(value) && !isDescription(name, value))
    assert.sameMembers(functions.map(([name]) => name), Object.keys(tried))
    for (const [name, suite] of Object.entries(tried)) {
      assert.include(readFileSync(new URL(`${suite}.test.ts`, import.meta.url), "utf8"), name, suite)
    }
  })
})

/** What these throw when they are looked at is what comes out of a Schema, too. */
const throwing: ReadonlySet<Kind> = new Set([
  "an object whose properties throw",
  "a Proxy that throws",
  "a Proxy that was revoked",
  "an Error whose message throws"
])

/** Of these each member may be missing. */
const partial: ReadonlySet<string> = new Set(["HerdApi.HerdUpdate", "HerdApi.DeadPage"])

describe("every schema", () => {
  for (const [name, schema] of schemas) {
    it.effect(`${name} says what it expected of hostile values`, () =>
      forEachKind((value, kind) =>
        Effect.sync(() => {
          if (throwing.has(kind) || partial.has(name) && blank.includes(kind)) return
          const decoded = Schema.decodeUnknownEither(schema as Schema.Schema<unknown>)(value)
          if (!Either.isLeft(decoded)) return assert.fail(`${name} took ${kind}`)
          assert.isTrue(ParseResult.isParseError(decoded.left))
          assert.match(decoded.left.message, /Expected .*, actual .|is missing/s, kind)
        })
      ))
  }
})
