import { milliseconds, plus } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import type { Store } from '../record/tx.ts'
import { endDueTokens, recordAcceptedToken } from '../revoke/end-tokens.ts'
import { newIncidentId } from '../revoke/lease-changes.ts'
import { hasDueToken } from '../store/tokens.ts'

export type TokenJobNeeds = {
  readonly store: Pick<Store, 'change' | 'read'>
  readonly clock: Clock
  readonly entropy: Entropy
}

/** One change: a transaction that is short for whoever waits behind it, and long enough for 1,500 tokens a second. */
const MOST_ENDED = 200

/** A token that is let in after its end is asked about again at this pace, until it is refused. */
const ACCEPTED_PACE = milliseconds(600_000)

/** Proves the end of every access token that has stopped or expired. */
export function tokenRound({ store, clock, entropy }: TokenJobNeeds): () => Promise<boolean> {
  return async () => {
    const now = clock.now()
    // Most looks find nothing, and a look holds up no writer.
    if (!(await store.read((db) => hasDueToken(db, now)))) return false
    const round = await store.change(endDueTokens, { now, limit: MOST_ENDED })
    if (!round.ok) return false
    for (const token of round.value.accepted) {
      await store.change(recordAcceptedToken, { token, incident: newIncidentId(now, entropy.bytes(10)), retryAt: plus(now, ACCEPTED_PACE), now })
    }
    return round.value.hasMore || round.value.accepted.length > 0
  }
}
