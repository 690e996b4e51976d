import { epochMs, milliseconds, seconds, type EpochMs, type Milliseconds } from '@writ/domain/time'

/** Tells the time. `now` never goes backwards, so whatever has expired stays expired. */
export type Clock = { now(): EpochMs }

/** A clock that is compared, from time to time, with an authority: the database's time, or the host's. */
export type ResyncedClock = Clock & {
  /** Compares with `reference` (the host's wall clock when left out); returns reference minus ours, as found. */
  resync(reference?: EpochMs): Milliseconds
}

/** What the host knows about time, in milliseconds: one reading that only grows, and one that people set. */
export type HostTime = { monotonicMs(): number; wallMs(): number }

const hostTime: HostTime = { monotonicMs: () => performance.now(), wallMs: () => Date.now() }

/** R33: a difference beyond this is a finding; a smaller one is the drift of two honest clocks. */
export const MOST_DRIFT = seconds(2)

/**
 * A clock that starts at the host's wall time and then runs on the monotonic reading, so that setting the host's clock moves nothing.
 * A reference ahead of us is adopted. One that lies behind by no more than `MOST_DRIFT` is adopted by standing still until it is reached.
 * One that lies further behind is not followed: it would bring back to life what has expired, or revoke en masse once it is put right.
 */
export function monotonicClock(onSkew: (skew: Milliseconds) => void, host: HostTime = hostTime): ResyncedClock {
  let zero = host.wallMs() - host.monotonicMs()
  let latest = 0

  function now(): EpochMs {
    latest = Math.max(latest, Math.floor(zero + host.monotonicMs()))
    return epochMs(latest)
  }

  function resync(reference: EpochMs = epochMs(Math.floor(host.wallMs()))): Milliseconds {
    const skew = milliseconds(reference - now())
    if (skew + MOST_DRIFT >= 0) zero = reference - host.monotonicMs()
    if (Math.abs(skew) > MOST_DRIFT) onSkew(skew)
    return skew
  }

  return { now, resync }
}
