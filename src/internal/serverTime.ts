/** A difference in milliseconds that is no inaccuracy: the server's clock was set. */
const SET = 1_000

/**
 * The time of a server, in epoch milliseconds: what it said last, and the time since then by this
 * machine's monotonic clock. Setting the clock of this machine does not change it. It does not go
 * back, unless the server's clock is set back.
 *
 * @internal
 */
export class ServerTime {
  /** How far the server's time is ahead of `performance.now()`, at most. */
  private ahead = Number.NaN
  private latest = -Infinity
  private heardAt = -Infinity

  /** A whole number that has come: what is compared with others. */
  get now(): number {
    return Math.floor(this.read())
  }

  /**
   * A whole number that has yet to come: what is written down. So what is due some time after that
   * is not early.
   */
  get next(): number {
    return Math.ceil(this.read())
  }

  /** Milliseconds since a time, exactly. */
  since(time: number): number {
    return this.read() - time
  }

  /** Milliseconds since the server said what time it is. */
  get age(): number {
    return performance.now() - this.heardAt
  }

  /**
   * The server has said what time it is, in answer to a question that was asked at that time of
   * `performance.now()`.
   */
  heard(time: number, asked: number): void {
    this.heardAt = performance.now()
    const [least, most] = [time - this.heardAt, time - asked]
    // The quickest answer counts, as long as no other one contradicts it.
    if (!(this.ahead >= least && this.ahead <= most)) this.ahead = most
  }

  private read(): number {
    const now = performance.now() + this.ahead
    if (!(now < this.latest && this.latest - now < SET)) this.latest = now
    return this.latest
  }
}
