import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

/**
 * Whether the text of an encoded body is one that the schema's encoded side takes back. JSON writes `NaN` and `undefined` as
 * `null`, a Map as `{}` and a Date as a text, which the schema would refuse when the unit is claimed.
 *
 * The schema is looked at once. No transformation of the user's runs here.
 *
 * @internal
 */
export const comesBack = <A, I, R>(schema: Schema.Schema<A, I, R>): (text: string) => boolean => {
  const encoded = Schema.encodedSchema(schema)
  const is = ParseResult.is(encoded, { exact: false })
  // What has no `null` in its text holds no number and no element that was lost.
  if (isPlain(encoded.ast)) return (text) => !text.includes("null") || is(JSON.parse(text))
  return (text) => is(JSON.parse(text))
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
    case "UnknownKeyword":
    case "AnyKeyword":
    case "Enums":
    case "TemplateLiteral":
      return true
    case "Union":
      return ast.types.every(isPlain)
    case "TupleType":
      return [...ast.elements, ...ast.rest].every(({ type }) => isPlain(type))
    case "TypeLiteral":
      return ast.propertySignatures.every(({ name, type }) => typeof name === "string" && isPlain(type))
        && ast.indexSignatures.every(({ parameter, type }) => SchemaAST.isStringKeyword(parameter) && isPlain(type))
    default:
      return false
  }
}
