import { OpenApi } from "@effect/platform"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect } from "effect"
import { HerdApi } from "gofherd"
import assert from "node:assert"
import type { Answer, Ask, Question } from "./http.ts"

/** What is looked at of the contract's OpenAPI document. */
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}

interface Operation {
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: string }>
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
  readonly security: ReadonlyArray<object>
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: object }>> }>
  >
}

export const document = OpenApi.fromApi(HerdApi.HerdApi) as unknown as Document

const ajv = new Ajv2020({ strict: false, validateFormats: false })

/** The path of the document that a request was for. */
const templateOf = (path: string): string => {
  const plain = path.replace(/[?#].*$/, "").replace(/(?<=.)\/$/, "")
  return plain.replace(/^\/herds\/[^/]+/, "/herds/{name}") || "/"
}

/**
 * Fails unless the document has this answer to that request: its path, method, status, content
 * type, and the schema of its body. What is of no path or method of the document can't be there:
 * 405, and the 404 of other paths.
 */
export const conforms = (path: string, method: string, answer: Answer): void => {
  const seen = `${method} ${path}: ${answer.status} ${answer.text.slice(0, 200)}`
  const operations = document.paths[templateOf(path)]
  if (operations === undefined) return assert.strictEqual(answer.status, 404, seen)
  const operation = operations[method === "HEAD" ? "get" : method.toLowerCase()]
  if (operation === undefined) return assert.strictEqual(answer.status, 405, seen)
  const response = operation.responses[answer.status]
  assert.ok(response, `expected the document to have the answer, got none: ${seen}`)
  const type = String(answer.headers["content-type"])
  const found = Object.entries(response.content).find(([documented]) => documented === type)
  assert.ok(found, `expected ${Object.keys(response.content).join(" or ")}, got ${type}: ${seen}`)
  if (answer.json === undefined) return
  const validate = ajv.compile({ ...found[1].schema, components: document.components })
  assert.ok(validate(answer.json), `${seen}: ${ajv.errorsText(validate.errors)}`)
}

/** Holds each answer against the contract. */
export const checked = (ask: Ask): Ask => (path: string, question: Question = {}) =>
  Effect.tap(ask(path, question), (answer) => conforms(path, question.method ?? "GET", answer))
