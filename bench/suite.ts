/** What a suite measured of one contender or of one case: a number a column. */
export interface Row {
  readonly name: string
  readonly values: ReadonlyArray<number>
}

/** One table of the benchmark. */
export interface Suite {
  /** One word, for `--only`. */
  readonly name: string
  /** What is measured, with its figures: "200,000 synchronous units, size 16". */
  readonly title: (options: Options) => string
  /** What the numbers are, with their unit: "k units/s", "p99 µs". */
  readonly columns: ReadonlyArray<string>
  readonly run: (options: Options) => Promise<ReadonlyArray<Row>>
}

export interface Options {
  /** A tenth of the work and fewer repetitions: for a glance, not for a claim. */
  readonly quick: boolean
}
