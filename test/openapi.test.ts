/**
 * The description of the API. That it has every answer which a test sees is held by
 * test/utils/contract.ts.
 */
import { OpenApi } from "@effect/platform"
import { assert, describe, expect, it } from "@effect/vitest"
import { compileErrors, validate } from "@readme/openapi-parser"
import { Effect } from "effect"
import { HerdApi } from "gofherd"
import { readFileSync } from "node:fs"
import { conforms, document } from "./utils/contract.ts"
import { type Answer, answerOf } from "./utils/http.ts"
import { ask, test, url } from "./utils/served.ts"

const answer = (status: number, text: string, type = "application/json") =>
  answerOf(status, { "content-type": type }, text)

describe("/openapi.json", () => {
  test(
    "is the contract's OpenAPI document",
    Effect.gen(function*() {
      const { json } = yield* ask(`${yield* url}/openapi.json`)
      assert.deepStrictEqual(json, JSON.parse(JSON.stringify(document)))
    })
  )

  // Who changes the contract on purpose writes it anew: npx vitest run test/openapi.test.ts
  // --update
  it("is docs/openapi.json, but for the version, so that no word of the contract changes by accident", async () => {
    const { info: { version, ...info }, ...rest } = OpenApi.fromApi(HerdApi.HerdApi)
    const text = `${JSON.stringify({ info, ...rest }, undefined, 2)}\n`
    assert.isString(version)
    await expect(text).toMatchFileSnapshot("../docs/openapi.json")
  })

  for (const prefix of ["", "/ops"] as const) {
    it(`is valid, as OpenAPI 3.1${prefix === "" ? "" : ", also with a prefix"}`, async () => {
      const api = prefix === "" ? HerdApi.HerdApi : HerdApi.HerdApi.prefix(prefix)
      const given = JSON.parse(JSON.stringify(OpenApi.fromApi(api)))
      assert.match(given.openapi, /^3\.1\./)
      assert.deepStrictEqual(
        Object.keys(given.paths),
        Object.keys(document.paths).map((path) => path === "/" && prefix !== "" ? prefix : prefix + path)
      )
      const result = await validate(given)
      assert.isTrue(result.valid, result.valid ? "" : compileErrors(result))
      assert.deepStrictEqual(result.warnings, [])
    })
  }

  it("says of each path what it takes, what it answers when all is well, and who may ask", () => {
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { parameters, requestBody, responses, security }]) =>
        [
          `${method.toUpperCase()} ${path}`,
          ...parameters.map(({ in: where, name }) => `${name} in ${where}`),
          ...(requestBody === undefined ? [] : [JSON.stringify(requestBody.content["application/json"]?.schema)]),
          Object.keys(responses).join(" "),
          security.length === 0 ? "for all" : "with the token"
        ].join(", ")
      )
    )
    assert.deepStrictEqual(operations, [
      "GET /herd, 200 400 401 403, with the token",
      "PATCH /herd, {\"$ref\":\"#/components/schemas/HerdPatch\"}, 200 400 401 403 413, with the token",
      "GET /herds, 200 400 401 403, with the token",
      "GET /herds/{name}, name in path, 200 400 401 403 404, with the token",
      "PATCH /herds/{name}, name in path, {\"$ref\":\"#/components/schemas/HerdUpdate\"}, 200 400 401 403 404 413 503, with the token",
      "GET /herds/{name}/events, name in path, history in query, 200 400 401 403 404 503, with the token",
      "GET /herds/{name}/dead, name in path, limit in query, offset in query, 200 400 401 403 404 503, with the token",
      "POST /herds/{name}/dead/redrive, name in path, {\"$ref\":\"#/components/schemas/DeadSelection\"}, 200 400 401 403 404 413 503, with the token",
      "POST /herds/{name}/dead/discard, name in path, {\"$ref\":\"#/components/schemas/DeadSelection\"}, 200 400 401 403 404 413 503, with the token",
      "GET /metrics, 200 400 401 403, with the token",
      "GET /, 200 400 403 404, for all",
      "GET /openapi.json, 200 400 403, for all"
    ])
  })

  it("says in words what no operation can: 405, HEAD, and the answers of Node itself", () => {
    const { info } = OpenApi.fromApi(HerdApi.HerdApi)
    for (const word of ["405", "`Allow`", "HEAD", "400", "408", "431"]) assert.include(info.description, word)
  })

  it("has the version of the package", () => {
    const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
    assert.strictEqual(OpenApi.fromApi(HerdApi.HerdApi).info.version, version)
  })
})

describe("the check of answers against the document", () => {
  const wrong: ReadonlyArray<readonly [name: string, path: string, method: string, given: Answer]> = [
    ["a status that is not there", "/herd", "GET", answer(404, "{\"msg\":\"\",\"_tag\":\"NotFound\"}")],
    ["another content type", "/herd", "GET", answer(200, "7", "text/plain")],
    ["a body that lacks a field", "/herd", "GET", answer(200, "{\"num\":7}")],
    ["a body with one field more", "/herd", "GET", answer(200, "{\"num\":7,\"msg\":\"success\",\"more\":1}")],
    ["the error of another status", "/herds/x", "GET", answer(404, "{\"msg\":\"\",\"_tag\":\"Unauthorized\"}")],
    ["a list where one is expected", "/herds/x", "GET", answer(200, "[]")],
    ["an answer to a method that is not there", "/metrics", "PATCH", answer(200, "")],
    ["an answer at a path that is not there", "/nope", "GET", answer(200, "{}")]
  ]
  for (const [name, path, method, given] of wrong) {
    it(`fails for ${name}`, () => assert.throws(() => conforms(path, method, given)))
  }
})
