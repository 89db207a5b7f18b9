/**
 * What `deepStrictEqual` of the tests means: before each test file.
 *
 * Chai's own takes whatever can be iterated for equal when what comes out is, and of errors it
 * looks at the name and the message. Every Effect can be iterated, for `yield*`: `Option.none()` is
 * `Option.some(1)`, and so is a tagged error with any members.
 */
import { isDeepStrictEqual } from "node:util"
import { chai } from "vitest"

chai.config.deepEqual = isDeepStrictEqual
