/** Figures as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })

/** 1,234 as it is, and 1.2M of what is longer. */
export const count = (n: number): string => Math.abs(n) < 100_000 ? whole.format(n) : short.format(n)

export const rate = (perSecond: number): string =>
  perSecond === 0 || perSecond >= 100 ? count(perSecond) : perSecond.toFixed(perSecond >= 10 ? 1 : 2)

/** On an axis, where figures are round. */
export const tick = (text: string): string => text.replace(/\.0+(?!\d)/, "")

export const percent = (ratio: number): string => `${Math.round(ratio * 100)}%`

/** A span of time in its two largest units. */
export const duration = (seconds: number): string => {
  if (seconds === 0) return "0"
  if (!Number.isFinite(seconds)) return "∞"
  if (seconds < 0.000_95) return `${Math.round(seconds * 1e6)} µs`
  if (seconds < 0.095) return `${trim(seconds * 1_000, 1)} ms`
  if (seconds < 0.95) return `${Math.round(seconds * 1_000)} ms`
  if (seconds < 59.5) return `${trim(seconds, seconds < 9.5 ? 1 : 0)} s`
  const minutes = Math.round(seconds / 60)
  if (seconds < 599.5) return `${Math.floor(Math.round(seconds) / 60)} min ${Math.round(seconds) % 60} s`
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

const trim = (n: number, digits: number) => n.toFixed(digits).replace(/\.0$/, "")

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" })

export const time = (at: string | number): string => clock.format(new Date(at))

const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" })

/** To the second, with the day and the time zone. */
export const instant = (at: string): string => exact.format(new Date(at))

/** How long ago that was. */
export const ago = (seconds: number): string => seconds < 1 ? "just now" : `${duration(seconds)} ago`
