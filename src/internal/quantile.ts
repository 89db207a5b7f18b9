/**
 * How often each bucket of a histogram was hit: not cumulative, the last one has no upper bound.
 */
export interface Buckets {
  readonly bounds: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
}

/**
 * A quantile of what was observed between two readings of a histogram, `null` if nothing was. By
 * linear interpolation inside the bucket, as Prometheus' `histogram_quantile` does it:
 * https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
 *
 * @internal
 */
export const quantile = (q: number, before: Buckets, after: Buckets): number | null => {
  const counts = after.counts.map((count, i) => count - (before.counts[i] ?? 0))
  const rank = q * counts.reduce((sum, count) => sum + count, 0)
  if (rank === 0) return null
  let below = 0
  for (const [i, count] of counts.entries()) {
    const from = after.bounds[i - 1] ?? 0
    const to = after.bounds[i]
    // Nothing is known of the last bucket but where it begins.
    if (to === undefined || !Number.isFinite(to)) return from
    if (below + count >= rank) return from + (to - from) * (rank - below) / count
    below += count
  }
  return null
}
