import { ok, refuse } from '@writ/domain/outcome'
import { seconds } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import { change, type Db, type Store, type Tx } from '../record/tx.ts'
import { StorageUnavailable } from '../store/faults.ts'
import { countProofs, takeProof } from '../store/installation.ts'
import type { OneTimeUse } from './authenticator.ts'

/** R32: more are not remembered. Then nobody gets in until some have expired: a forgotten proof would work twice. */
export const MOST_REMEMBERED = 1_000_000

/** How far the count may be behind what other servers add. */
const RECOUNT_EVERY = seconds(10)

/** Uses them up together, inside a change; answers which of them had been used before. Refuse then, and none of it is left. */
export async function takeUses(db: Db, uses: readonly OneTimeUse[]): Promise<OneTimeUse['of'] | undefined> {
  const taken = await Promise.all(uses.map(({ hash, until }) => takeProof(db, hash, until)))
  return uses.find((_, i) => taken[i] === false)?.of
}

/** The same as a change of its own, for a request that does nothing else in the same transaction. */
export const useOnce = change('proof.use', async (tx: Tx, input: { readonly uses: readonly OneTimeUse[] }) => {
  const seen = await takeUses(tx.db, input.uses)
  return seen === undefined ? ok(null) : refuse({ kind: 'replayed' as const, of: seen })
})

/** Answers when there is room for so many more, and throws `StorageUnavailable` when there is none. */
export type ProofRoom = (more: number) => Promise<void>

export type ProofRoomNeeds = { readonly store: Pick<Store, 'read'>; readonly clock: Clock }

/** Counts what the store holds now and then, and what goes in here in between. */
export function proofRoom({ store, clock }: ProofRoomNeeds, most: number = MOST_REMEMBERED): ProofRoom {
  let held = 0
  let recountAt = 0
  return async (more) => {
    const now = clock.now()
    if (now >= recountAt) {
      recountAt = now + RECOUNT_EVERY
      held = await store.read((db) => countProofs(db, most))
    }
    if (held + more > most) throw new StorageUnavailable('too_many_proofs', 'nothing')
    held += more
  }
}
