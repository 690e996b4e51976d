import { exactSubject, type ClaimMatchers } from '@writ/domain/binding'
import type { BindingId, IdentityId, IssuerId } from '@writ/domain/id'
import type { IdentityState } from '@writ/domain/identity'
import type { IdentityClass } from '@writ/domain/profile'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import { fromJsonText, toJsonText } from './json.ts'
import type { BindingRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

export type Binding = {
  readonly id: BindingId
  readonly identity: IdentityId
  readonly issuer: IssuerId
  readonly audience: string
  readonly claims: ClaimMatchers
  readonly state: 'live' | 'revoked'
  readonly registeredAt: EpochMs
}

const parseBindingRow = (row: BindingRow): Binding => ({
  id: row.id as BindingId, identity: row.identity_id as IdentityId, issuer: row.issuer_id as IssuerId, audience: row.audience,
  claims: fromJsonText<ClaimMatchers>(row.claims), state: row.state as 'live' | 'revoked', registeredAt: epochMs(row.registered_at),
})

/** A database's index holds no long text: what is longer is found as one of those that name several. */
const INDEXED_SUBJECT = /^[\x20-\x7e]{1,255}$/

export async function insertBinding(db: Db, binding: Omit<Binding, 'state'> & { readonly registeredBy: string }): Promise<void> {
  const subject = exactSubject(binding.claims)
  await db.insertInto('binding').values({
    id: binding.id, identity_id: binding.identity, issuer_id: binding.issuer, audience: binding.audience, claims: toJsonText(binding.claims),
    subject: subject !== undefined && INDEXED_SUBJECT.test(subject) ? subject : null,
    state: 'live', registered_at: binding.registeredAt, revoked_at: null, registered_by: binding.registeredBy,
  }).execute()
}

/** With the URL of its issuer, as people know it. A binding to an issuer that was removed lets nobody in. */
export type ShownBinding = Omit<Binding, 'state'> & { readonly issuerUrl: string; readonly state: 'live' | 'revoked' | 'issuer_removed' }

export async function listBindings(db: Db, identities: readonly IdentityId[]): Promise<readonly ShownBinding[]> {
  if (identities.length === 0) return []
  const rows = await db.selectFrom('binding').innerJoin('issuer', 'issuer.id', 'binding.issuer_id')
    .selectAll('binding').select(['issuer.url as issuer_url', 'issuer.state as issuer_state'])
    .where('identity_id', 'in', identities).orderBy('binding.id').execute()
  return rows.map((row) => {
    const binding = parseBindingRow(row)
    const isDead = binding.state === 'live' && row.issuer_state === 'removed'
    return { ...binding, issuerUrl: row.issuer_url, state: isDead ? 'issuer_removed' : binding.state }
  })
}

export async function countBindings(db: Db, issuer: IssuerId): Promise<number> {
  const row = await db.selectFrom('binding').select((eb) => eb.fn.countAll<number>().as('count'))
    .where('issuer_id', '=', issuer).where('state', '=', 'live').executeTakeFirstOrThrow()
  return Number(row.count)
}

/** The live bindings on an issuer, by identity: in the order in which identities are locked. */
export async function listBindingsOf(db: Db, issuer: IssuerId): Promise<readonly Pick<Binding, 'id' | 'identity'>[]> {
  const rows = await db.selectFrom('binding').select(['id', 'identity_id']).where('issuer_id', '=', issuer).where('state', '=', 'live').orderBy('identity_id').orderBy('id').execute()
  return rows.map((row) => ({ id: row.id as BindingId, identity: row.identity_id as IdentityId }))
}

/** False when it was revoked already. */
export async function revokeBinding(db: Db, id: BindingId, now: EpochMs): Promise<boolean> {
  const revoked = await db.updateTable('binding').set({ state: 'revoked', revoked_at: now }).where('id', '=', id).where('state', '=', 'live').executeTakeFirst()
  return revoked.numUpdatedRows === 1n
}

/** An identity that a token may claim, if the claims match. */
export type Claimable = {
  readonly binding: BindingId
  readonly claims: ClaimMatchers
  readonly identity: IdentityId
  readonly spiffeId: SpiffeId
  readonly class: IdentityClass
  readonly state: IdentityState
}

type ShownToken = { readonly issuer: IssuerId; readonly audience: string; readonly subject: string }

/** The live bindings to which a token of this issuer, audience and subject could fit; removed issuers have none. */
export async function findClaimable(db: Db, of: ShownToken): Promise<readonly Claimable[]> {
  const rows = await db.selectFrom('binding')
    .innerJoin('identity', 'identity.id', 'binding.identity_id').innerJoin('issuer', 'issuer.id', 'binding.issuer_id')
    .select(['binding.id', 'binding.claims', 'identity.id as identity_id', 'identity.spiffe_id', 'identity.class', 'identity.state'])
    .where('binding.issuer_id', '=', of.issuer).where('binding.audience', '=', of.audience).where('binding.state', '=', 'live')
    .where('issuer.state', '=', 'trusted')
    .where((eb) => eb.or([eb('binding.subject', '=', of.subject), eb('binding.subject', 'is', null)])).orderBy('binding.id').execute()
  return rows.map((row) => ({
    binding: row.id as BindingId, claims: fromJsonText<ClaimMatchers>(row.claims), identity: row.identity_id as IdentityId,
    spiffeId: row.spiffe_id as SpiffeId, class: row.class as IdentityClass, state: row.state as IdentityState,
  }))
}
