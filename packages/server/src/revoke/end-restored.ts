import type { EventActor } from '@writ/domain/event'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { findIdentity } from '../store/identities.ts'
import { dropClaims } from '../store/leases.ts'
import { revokeSigningKeys } from '../store/signing-keys.ts'
import { endTaskIn } from './end-task.ts'
import { changeIdentityState } from './stop-identity.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

type Restored = { readonly restore: string; readonly trustsIdentities: boolean; readonly now: EpochMs }

export type EndedByRestore = { readonly tasksEnded: number; readonly identitiesSuspended: number }

/**
 * What was live in the backup is over: nobody knows what became of it since. Every open task ends and with it every lease; what signed
 * access tokens signs nothing more. An identity waits for a person to admit it again, unless somebody knows that no withdrawal was lost.
 */
export async function endRestored(tx: Tx, { restore, trustsIdentities, now }: Restored): Promise<EndedByRestore> {
  await dropClaims(tx.db, now)
  // Children first, so that each task's own end says why.
  const open = await tx.db.selectFrom('task').select('id').where('state', '=', 'open').orderBy('depth', 'desc').orderBy('id').execute()
  for (const { id } of open) await endTaskIn(tx, id as never, { because: 'restored', by: WRIT, now })
  for (const kid of await revokeSigningKeys(tx.db, now)) {
    await append(tx, now, { type: 'signing_key.revoked', actor: WRIT, facts: { kid, because: 'restored' } })
  }
  return { tasksEnded: open.length, identitiesSuspended: trustsIdentities ? 0 : await suspendAll(tx, restore, now) }
}

async function suspendAll(tx: Tx, restore: string, now: EpochMs): Promise<number> {
  const active = await tx.db.selectFrom('identity').select('id').where('state', '=', 'active').orderBy('id').execute()
  for (const { id } of active) {
    await changeIdentityState(tx, (await findIdentity(tx.db, id))!, { change: 'suspend', event: 'identity.suspended', by: WRIT, reason: `restored from a backup (${restore}); to be resumed once it is known that nothing which ended it is lost`, now })
  }
  return active.length
}
