import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../../src/platform/clock.ts'

export type FixedClock = Clock & { advance(ms: number): void; set(at: number): void }

/** A clock that moves only when told. It starts at 2026-11-22T06:00:00Z unless told otherwise. */
export function fixedClock(start: EpochMs = epochMs(1_795_327_200_000)): FixedClock {
  let at: number = start
  return {
    now: () => epochMs(at),
    advance: (ms) => {
      at += ms
    },
    set: (to) => {
      at = to
    },
  }
}
