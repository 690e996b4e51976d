import type { IssuerKind } from '@writ/domain/binding'
import type { EventActor, PublicValue } from '@writ/domain/event'
import type { IssuerId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { endTasksOpenedBy } from '../revoke/end-task.ts'
import { revokeOneBinding } from '../revoke/revoke-evidence.ts'
import { listBindingsOf } from '../store/bindings.ts'
import { lockIdentity } from '../store/identities.ts'
import { insertIssuer, lockIssuer, markIssuerRemoved, setKeySource, trustIssuerAgain, type KeySource } from '../store/issuers.ts'
import { fireTriggers, type Removal, type WatchedRefusal } from './watched.ts'

export type TrustIssuerInput = {
  readonly id: IssuerId
  readonly url: string
  readonly kind: IssuerKind
  readonly source: KeySource
  readonly ca: string | null
  readonly by: EventActor
  readonly now: EpochMs
}

/** `bindingsRevoked`: of one that had been removed, how many bindings of then stay dead; null of one that was never known. */
export type TrustedIssuer = { readonly issuer: IssuerId; readonly bindingsRevoked: number | null }

export const trustIssuer = change('issuer.trust', async (tx: Tx, input: TrustIssuerInput) => {
  const { id, url, kind, source, ca, now } = input
  const isNew = await insertIssuer(tx.db, { id, url, kind, source, ca, state: 'trusted', trustedAt: now, changedAt: null, keysBy: input.by.id })
  const known = isNew ? undefined : await lockIssuer(tx, url)
  if (!isNew && known?.state !== 'removed') return refuse<WatchedRefusal>({ kind: 'already_exists' })
  const bindingsRevoked = known === undefined ? null : await trustAgain(tx, known.id, input)
  const issuer = known?.id ?? id
  await append(tx, now, {
    type: 'issuer.trusted', actor: input.by, facts: { issuer, url, kind, ...factsOf(source, ca), ...(bindingsRevoked === null ? {} : { bindings_revoked: bindingsRevoked }) },
  })
  return ok<TrustedIssuer>({ issuer, bindingsRevoked })
})

/** INVARIANT: nobody comes in by what was bound before the removal. Whoever trusts an issuer says anew what it may vouch for. */
async function trustAgain(tx: Tx, issuer: IssuerId, input: TrustIssuerInput): Promise<number> {
  const bindings = await listBindingsOf(tx.db, issuer)
  for (const binding of bindings) {
    await lockIdentity(tx, binding.identity)
    await revokeOneBinding(tx, { ...binding, issuer }, { by: input.by, now: input.now, because: 'issuer_removed' })
  }
  await trustIssuerAgain(tx.db, issuer, { ...input, keysBy: input.by.id }, input.now)
  return bindings.length
}

export type ChangeIssuerInput = Pick<TrustIssuerInput, 'source' | 'ca' | 'by' | 'now'> & { readonly reference: string; readonly reason: string }
export type ChangeIssuerRefusal = WatchedRefusal | { readonly kind: 'source_of_another_kind'; readonly of: IssuerKind }

/** Where its keys come from, from now on; who it is never changes. */
export const changeIssuer = change('issuer.change', async (tx: Tx, input: ChangeIssuerInput) => {
  const issuer = await lockIssuer(tx, input.reference)
  if (issuer === undefined) return refuse<ChangeIssuerRefusal>({ kind: 'no_such_thing' })
  if (issuer.state === 'removed') return refuse<ChangeIssuerRefusal>({ kind: 'already_removed' })
  if (issuer.kind === 'spiffe' && input.source.kind === 'discovery') {
    return refuse<ChangeIssuerRefusal>({ kind: 'source_of_another_kind', of: issuer.kind })
  }
  await setKeySource(tx.db, issuer.id, { source: input.source, ca: input.ca, keysBy: input.by.id }, input.now)
  await append(tx, input.now, {
    type: 'issuer.changed', actor: input.by,
    facts: { issuer: issuer.id, url: issuer.url, ...factsOf(input.source, input.ca) }, said: { reason: input.reason },
  })
  return ok(issuer.id)
})

/** No token of it is taken from here on, on any server; identities whose trigger it is are retired. */
export const removeIssuer = change('issuer.remove', async (tx: Tx, input: Removal) => {
  const issuer = await lockIssuer(tx, input.reference)
  if (issuer === undefined) return refuse<WatchedRefusal>({ kind: 'no_such_thing' })
  if (issuer.state === 'removed') return refuse<WatchedRefusal>({ kind: 'already_removed' })
  await markIssuerRemoved(tx.db, issuer.id, input.now)
  await append(tx, input.now, {
    type: 'issuer.removed', actor: input.by, facts: { issuer: issuer.id, url: issuer.url }, said: { reason: input.reason },
  })
  for (const binding of await listBindingsOf(tx.db, issuer.id)) {
    await lockIdentity(tx, binding.identity)
    await endTasksOpenedBy(tx, binding.identity, binding.id, input.by, input.now)
  }
  await fireTriggers(tx, 'issuer_removed', issuer.url, input.now)
  return ok(issuer.id)
})

function factsOf(source: KeySource, ca: string | null): Readonly<Record<string, PublicValue>> {
  return {
    key_source: source.kind, own_ca: ca === null ? 'no' : 'yes',
    ...(source.kind === 'url' ? { keys_url: source.url } : {}),
    ...(source.kind === 'inline' ? { keys: source.keys.map((key) => key.thumbprint) } : {}),
  }
}
