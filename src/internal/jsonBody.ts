import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { cut } from "./show.ts"

/** Why a body has no text: what it is instead of a body that comes back. */
interface Refusal {
  readonly message: string
}

/**
 * Writes bodies as JSON texts, and refuses those that would not come back. JSON writes `NaN` and
 * `undefined` as `null`, a Map as `{}` and a Date as a text.
 *
 * The schema is looked at once. Where JSON keeps everything that it encodes to, and nothing is
 * transformed, only texts with `null` in them are read again. Other bodies are compared with what
 * JSON gives back. Where the schema transforms, it also decodes that.
 *
 * @internal
 */
export const encoderOf = <A, I>(schema: Schema.Schema<A, I>): (body: A) => Effect.Effect<string, Refusal> => {
  const [encode, decode] = [Schema.encode(schema), Schema.decodeUnknown(schema)]
  const transforms = isTransforming(schema.ast, new Set())
  const plain = !transforms && isPlain(Schema.encodedSchema(schema).ast)
  const write = (encoded: unknown): Effect.Effect<string, Refusal> => {
    const written = textOf(encoded, plain)
    if (!transforms || Either.isLeft(written)) return written
    return ParseResult.map(decode(JSON.parse(written.right)), () => written.right)
  }
  // Those of ParseResult start no fiber for what is known at once.
  return (body) => {
    try {
      return ParseResult.flatMap(encode(body), write)
    } catch (error) {
      // A body too deep for the schema. Any other error is a defect of the schema.
      if (error instanceof RangeError) return Either.left({ message: String(error) })
      throw error
    }
  }
}

const textOf = (encoded: unknown, plain: boolean): Either.Either<string, Refusal> => {
  try {
    const text: string | undefined = JSON.stringify(encoded)
    if (text === undefined) return Either.left({ message: "nothing that JSON has a text for" })
    if (plain && !text.includes("null") || isSame(encoded, JSON.parse(text))) return Either.right(text)
    return Either.left({ message: `${cut(text, 80, "...")}, which is not the same` })
  } catch (error) {
    // It is too deep, or cyclic, or throws.
    return Either.left({ message: String(error) })
  }
}

/** Does JSON give the value back? Properties that are undefined may be missing, and -0 is 0. */
const isSame = (given: unknown, read: unknown): boolean => {
  if (typeof given !== "object" || typeof read !== "object" || given === null || read === null) return given === read
  if (Array.isArray(read)) {
    return Array.isArray(given) && given.length === read.length && read.every((item, i) => isSame(given[i], item))
  }
  // Maps, Errors, Dates and the like are more than their properties.
  if (Object.prototype.toString.call(given) !== "[object Object]") return false
  const [properties, others] = [new Map(Object.entries(given)), new Map(Object.entries(read))]
  for (const [key, value] of properties) if (value === undefined) properties.delete(key)
  return properties.size === others.size && Object.getOwnPropertySymbols(given).length === 0
    && Array.from(others).every(([key, value]) => properties.has(key) && isSame(properties.get(key), value))
}

const isTransforming = (ast: SchemaAST.AST, seen: Set<SchemaAST.AST>): boolean => {
  const isIn = (ast: SchemaAST.AST) => isTransforming(ast, seen)
  switch (ast._tag) {
    case "Transformation":
      return true
    case "Refinement":
      return isIn(ast.from)
    case "Suspend":
      return !seen.has(ast) && isIn(seen.add(ast) && ast.f())
    case "Union":
      return ast.types.some(isIn)
    case "Declaration":
      return ast.typeParameters.some(isIn)
    case "TupleType":
      return [...ast.elements, ...ast.rest].some(({ type }) => isIn(type))
    case "TypeLiteral":
      return [...ast.propertySignatures, ...ast.indexSignatures].some(({ type }) => isIn(type))
    default:
      return false
  }
}

/** Is each value of it the same in JSON, but for what becomes `null`? */
const isPlain = (ast: SchemaAST.AST): boolean => {
  switch (ast._tag) {
    case "Literal":
      return typeof ast.literal !== "bigint"
    case "StringKeyword":
    case "NumberKeyword":
    case "BooleanKeyword":
    case "UndefinedKeyword":
    case "Enums":
    case "TemplateLiteral":
      return true
    case "Union":
      return ast.types.every(isPlain)
    case "TupleType":
      return [...ast.elements, ...ast.rest].every(({ type }) => isPlain(type))
    case "TypeLiteral":
      // A literal without properties, `{}`, may be anything.
      return ast.propertySignatures.length + ast.indexSignatures.length > 0
        && ast.propertySignatures.every(({ name, type }) => typeof name === "string" && isPlain(type))
        && ast.indexSignatures.every(({ parameter, type }) => SchemaAST.isStringKeyword(parameter) && isPlain(type))
    default:
      return false
  }
}
