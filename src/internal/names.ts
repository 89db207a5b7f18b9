import { globalValue } from "effect/GlobalValue"

/** The names of the herds that live in this process, also if this module is loaded twice. */
const taken = globalValue("gofherd/names", () => new Set<string>())

/**
 * Takes the name, or the first of `name-2`, `name-3`, … that is free: metrics of two herds must
 * never mix.
 *
 * @internal
 */
export const takeName = (name: string): string => {
  let unique = name
  for (let n = 2; taken.has(unique); n++) unique = `${name}-${n}`
  taken.add(unique)
  return unique
}

/**
 * @internal
 */
export const freeName = (name: string): void => {
  taken.delete(name)
}
