import type { EventActor } from '@writ/domain/event'
import type { IdentityId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { endTasksOpenedBy } from './end-task.ts'
import { listBindings, revokeBinding, type ShownBinding } from '../store/bindings.ts'
import { listCredentials, revokeCredential } from '../store/identities.ts'

export type Revocation = { readonly by: EventActor; readonly now: EpochMs; readonly because: 'revoked' | 'replaced' | 'identity_retired' | 'issuer_removed'; readonly reason?: string }

/** Everything by which somebody may still come as this identity: its keys and its bindings. */
export async function revokeEvidence(tx: Tx, identity: IdentityId, revocation: Revocation): Promise<void> {
  const { by, now, because } = revocation
  for (const credential of await listCredentials(tx.db, [identity])) {
    if (credential.state !== 'live') continue
    await revokeCredential(tx.db, credential.id, now)
    await append(tx, now, { type: 'credential.revoked', actor: by, identity, facts: { credential: credential.id, thumbprint: credential.thumbprint, because } })
  }
  for (const binding of await listBindings(tx.db, [identity])) if (binding.state !== 'revoked') await revokeOneBinding(tx, binding, revocation)
}

export async function revokeOneBinding(tx: Tx, binding: Pick<ShownBinding, 'id' | 'identity' | 'issuer'>, { by, now, because, reason }: Revocation): Promise<void> {
  if (!(await revokeBinding(tx.db, binding.id, now))) return
  await append(tx, now, {
    type: 'binding.revoked', actor: by, identity: binding.identity, facts: { binding: binding.id, issuer: binding.issuer, because }, ...(reason === undefined ? {} : { said: { reason } }),
  })
  if (because === 'revoked') await endTasksOpenedBy(tx, binding.identity, binding.id, by, now)
}
