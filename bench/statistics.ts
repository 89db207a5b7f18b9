/** The value below which that share of the numbers is. */
export const quantile = (numbers: ReadonlyArray<number>, share: number): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const median = (numbers: ReadonlyArray<number>): number => quantile(numbers, 0.5)

export const shuffled = <A>(items: Iterable<A>): Array<A> =>
  Array.from(items, (item) => ({ item, key: Math.random() })).toSorted((a, b) => a.key - b.key).map(({ item }) => item)
