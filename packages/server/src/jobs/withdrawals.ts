import type { BackendId } from '@writ/domain/id'
import { milliseconds, plus } from '@writ/domain/time'
import type { Logger } from 'pino'
import type { Bell } from '../platform/bell.ts'
import { claimLeases } from '../revoke/lease-changes.ts'
import { withdrawLease, type WithdrawNeeds } from '../revoke/withdraw.ts'
import type { StoredLease } from '../store/leases.ts'

/** Claimed leases are ours for this long; should this server die, another takes them after it. */
const CLAIM = milliseconds(60_000)
const MOST_CLAIMED = 64

/** R16: a back end that hangs holds up this many withdrawals of its own, and none of another's. */
const MOST_PER_BACKEND = 6

type Needs = WithdrawNeeds & { readonly log: Logger; readonly ended: Bell }

/**
 * Withdraws what is due. Rounds do not wait for the withdrawals that they start: each back end has a queue of its own.
 * `settled` resolves when nothing that was started is still running.
 */
export function withdrawals(needs: Needs): { readonly round: () => Promise<boolean>; readonly settled: () => Promise<void> } {
  const running = new Map<BackendId, Set<Promise<void>>>()
  const waiting: StoredLease[] = []

  const begin = (): void => {
    for (const lease of waiting.splice(0)) {
      const ofBackend = running.get(lease.backend) ?? new Set()
      running.set(lease.backend, ofBackend)
      if (ofBackend.size >= MOST_PER_BACKEND) {
        waiting.push(lease)
        continue
      }
      const one = withdrawLease(needs, lease)
        .catch((error: unknown) => needs.log.error({ lease: lease.id, err: error }, 'a withdrawal failed outside of its back end and will be tried again'))
        .finally(() => {
          ofBackend.delete(one)
          needs.ended.ring()
          begin()
        })
      ofBackend.add(one)
    }
  }

  return {
    async round() {
      const room = MOST_CLAIMED - waiting.length
      if (room <= 0) return false
      const now = needs.clock.now()
      const claimed = await needs.store.change(claimLeases, { now, until: plus(now, CLAIM), limit: room })
      if (!claimed.ok || claimed.value.length === 0) return false
      waiting.push(...claimed.value)
      begin()
      return claimed.value.length === room
    },
    async settled() {
      while ([...running.values()].some((set) => set.size > 0)) await Promise.all([...running.values()].flatMap((set) => [...set]))
    },
  }
}
