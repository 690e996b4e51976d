import type { BackendId, LeaseId } from '@writ/domain/id'
import { milliseconds, plus, type EpochMs } from '@writ/domain/time'
import type { Logger } from 'pino'
import type { Bell } from '../platform/bell.ts'
import { turns } from '../platform/turns.ts'
import { claimLeases, holdLeases } from '../revoke/lease-changes.ts'
import { withdrawLease, type WithdrawNeeds } from '../revoke/withdraw.ts'
import type { StoredLease } from '../store/leases.ts'

/** Claimed leases are ours for this long; should this server die, another takes them after it. */
const CLAIM = milliseconds(20_000)
const HALF_A_CLAIM = milliseconds(CLAIM / 2)
const MOST_CLAIMED = 256

/**
 * R16: a back end that hangs holds up so many withdrawals of its own, and none of another's: no more of its leases are claimed. The number
 * is large because a connector makes all of them unable to log in before it begins to clear the first away.
 */
const MOST_PER_BACKEND = 256

/**
 * The ends of one task's leases wait for each other at the task's row. All of them at once would hold every connection to the store, and
 * callers as well as most of themselves would be told that it is not available.
 */
const MOST_RECORDED_AT_ONCE = 3

type Needs = WithdrawNeeds & { readonly log: Logger; readonly ended: Bell }

/**
 * Withdraws what is due. Rounds do not wait for the withdrawals that they start. `settled` resolves when nothing that was started is
 * still running.
 */
export function withdrawals(needs: Needs): { readonly round: () => Promise<boolean>; readonly settled: () => Promise<void> } {
  const running = new Map<LeaseId, { readonly backend: BackendId; until: EpochMs; readonly done: Promise<void> }>()
  const inTurn = turns(MOST_RECORDED_AT_ONCE)
  const store: WithdrawNeeds['store'] = { change: (change, input) => inTurn(() => needs.store.change(change, input)) }

  const begin = (lease: StoredLease, until: EpochMs): void => {
    const done = withdrawLease({ ...needs, store }, lease)
      .catch((error: unknown) => needs.log.error({ lease: lease.id, err: error }, 'a withdrawal failed outside of its back end and will be tried again'))
      .finally(() => {
        running.delete(lease.id)
        needs.ended.ring()
      })
    running.set(lease.id, { backend: lease.backend, until, done })
  }

  const fullBackends = (): readonly BackendId[] => {
    const counts = Map.groupBy(running.values(), (one) => one.backend)
    return [...counts].filter(([, held]) => held.length >= MOST_PER_BACKEND).map(([backend]) => backend)
  }

  /** A back end that is slower than a claim lasts keeps its leases here. */
  const holdOn = async (now: EpochMs): Promise<void> => {
    const ending = [...running].filter(([, one]) => one.until <= plus(now, HALF_A_CLAIM))
    for (const [held, leases] of Map.groupBy(ending, ([, one]) => one.until)) {
      const until = plus(now, CLAIM)
      await needs.store.change(holdLeases, { leases: leases.map(([id]) => id), held, until })
      for (const [, one] of leases) one.until = until
    }
  }

  return {
    async round() {
      const now = needs.clock.now()
      const until = plus(now, CLAIM)
      await holdOn(now)
      const claimed = await needs.store.change(claimLeases, { now, until, limit: MOST_CLAIMED, except: fullBackends() })
      if (!claimed.ok) return false
      // A server that stood still for longer than its claims lasted finds its own leases due, and has them in hand.
      for (const lease of claimed.value) if (!running.has(lease.id)) begin(lease, until)
      return claimed.value.length === MOST_CLAIMED
    },
    async settled() {
      await Promise.all([...running.values()].map((one) => one.done))
    },
  }
}
