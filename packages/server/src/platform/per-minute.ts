import type { Clock } from './clock.ts'

/** How much of something each has done in the minute that began when it first did. Kept in this process alone. */
export type PerMinute = {
  readonly countOf: (of: string) => number
  readonly add: (of: string, count: number) => void
  /** When the minute of this one is over: whole seconds from now, at least one. */
  readonly secondsLeft: (of: string) => number
}

const MINUTE_MS = 60_000
const MOST_KEPT = 100_000

/** At most so many are kept: then whoever began first is forgotten. */
export function perMinute(clock: Clock, mostKept: number = MOST_KEPT): PerMinute {
  // INVARIANT: in the order in which their minutes began, so that those which are over stand first.
  const kept = new Map<string, { readonly until: number; count: number }>()
  const current = (of: string, now: number) => {
    const found = kept.get(of)
    return found !== undefined && now < found.until ? found : undefined
  }
  const begin = (of: string, now: number, count: number): void => {
    kept.delete(of)
    for (const [name, { until }] of kept) {
      if (now < until && kept.size < mostKept) break
      kept.delete(name)
    }
    kept.set(of, { until: now + MINUTE_MS, count })
  }
  return {
    countOf: (of) => current(of, clock.now())?.count ?? 0,
    add(of, count) {
      if (count === 0) return
      const now = clock.now()
      const found = current(of, now)
      if (found === undefined) begin(of, now, count)
      else found.count += count
    },
    secondsLeft(of) {
      const now = clock.now()
      return Math.max(1, Math.ceil(((current(of, now)?.until ?? now) - now) / 1000))
    },
  }
}
