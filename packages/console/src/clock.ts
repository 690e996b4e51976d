/**
 * The server's time, as far as it can be told from its answers: their `Date` says whole seconds (RFC 9110 §5.6.7), so that less than this is
 * no difference.
 */
const LEAST_DIFFERENCE_MS = 2000

let ahead = 0

/** Learns from an answer that came just now. */
export function heardServerTime(date: string | null): void {
  const said = date === null ? NaN : Date.parse(date)
  if (Number.isNaN(said)) return
  const difference = said + 500 - Date.now()
  ahead = Math.abs(difference) < LEAST_DIFFERENCE_MS ? 0 : difference
}

/** Countdowns and ages go by the server's clock: the one of this computer may be wrong. */
export const serverNow = (): number => Date.now() + ahead
