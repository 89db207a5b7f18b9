/** Throws unless it holds. */
export const holds = (condition: boolean, what: string): void => {
  if (!condition) throw new Error(what)
}

/** Throws unless both are the same. */
export const same = <A>(what: string, got: A, expected: A): void =>
  holds(Object.is(got, expected), `${what}: expected ${String(expected)}, got ${String(got)}`)

/** Throws unless two lists hold the same. */
export const sameList = <A>(what: string, got: ReadonlyArray<A>, expected: ReadonlyArray<A>): void =>
  same(what, got.join("; "), expected.join("; "))

/** Throws unless an object has the expected fields, and says which are different. */
export const sameFields = <A extends object>(what: string, got: A, expected: Partial<A>): void => {
  const different = (Object.keys(expected) as Array<keyof A>).filter((key) => got[key] !== expected[key])
  const list = different.map((key) => `${String(key)} ${String(expected[key])}, got ${String(got[key])}`)
  holds(list.length === 0, `${what}: expected ${list.join("; ")}`)
}
