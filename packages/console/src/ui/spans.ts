const UNITS = [['y', 31_536_000_000], ['d', 86_400_000], ['h', 3_600_000], ['min', 60_000], ['s', 1000]] as const

/** From here on one unit is enough. */
const DAYS = 1

/** `2 min`, `3 h 5 min`, `41 d`: two units at most, and one from a day on. */
export function spanText(ms: number): string {
  const length = Math.max(0, ms)
  if (length < 1000) return length === 0 ? '0 s' : `${Math.max(1, Math.round(length))} ms`
  const first = UNITS.findIndex(([, size]) => length >= size)
  const [unit, size] = UNITS[first]!
  const whole = Math.floor(length / size)
  const next = UNITS[first + 1]
  const rest = next === undefined || first <= DAYS ? 0 : Math.floor((length % size) / next[1])
  return rest === 0 || unit === 'min' && whole >= 10 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${next![0]}`
}

/** `2 min ago`, `in 3 h`. */
export function agoText(at: number, now: number): string {
  const ms = now - at
  if (Math.abs(ms) < 2000) return 'now'
  return ms > 0 ? `${spanText(Math.floor(ms / 1000) * 1000)} ago` : `in ${spanText(Math.ceil(-ms / 1000) * 1000)}`
}

/** `2026-11-22 14:02:11 UTC`. */
export const utcText = (at: number): string => `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
