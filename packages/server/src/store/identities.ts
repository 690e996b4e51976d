import type { Authority } from '@writ/domain/authority'
import type { AdmissionId, CredentialId, IdentityId, TaskId } from '@writ/domain/id'
import type { Environment, Identity, IdentityKind, IdentityState, Trigger } from '@writ/domain/identity'
import type { Owner } from '@writ/domain/owner'
import type { IdentityClass } from '@writ/domain/profile'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { ExpressionBuilder, Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { BY_KEY, prepared } from './prepared.ts'
import { forUpdate } from './row-locks.ts'
import type { IdentityRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

const HOUR = 3_600_000
const DAY = 24 * HOUR

export function parseIdentityRow(row: IdentityRow): Identity {
  return {
    id: row.id as IdentityId,
    spiffeId: row.spiffe_id as SpiffeId,
    kind: row.kind as IdentityKind,
    class: row.class as IdentityClass,
    purpose: row.purpose,
    technicalOwner: row.technical_owner as Owner,
    businessOwner: row.business_owner as Owner,
    systemScope: fromJsonText<readonly string[]>(row.system_scope),
    environment: row.environment as Environment,
    authority: fromJsonText<Authority>(row.authority),
    tasksPerHour: row.tasks_per_hour,
    endsAt: epochMs(row.ends_at),
    trigger: fromJsonText<Trigger>(row.trigger),
    admission: row.admission_id as AdmissionId,
    state: row.state as IdentityState,
    stateReason: row.state_reason,
    registeredAt: epochMs(row.registered_at),
    lastUsedAt: row.last_used_at === null ? null : epochMs(row.last_used_at),
  }
}

/** The instant at which the sweeper has to look at an identity that is not retired. */
export function identityDueAt(identity: Pick<Identity, 'endsAt' | 'trigger' | 'lastUsedAt' | 'registeredAt'>): EpochMs {
  if (identity.trigger.kind !== 'unused') return identity.endsAt
  return epochMs(Math.min(identity.endsAt, (identity.lastUsedAt ?? identity.registeredAt) + identity.trigger.days * DAY))
}

/** How many tasks it opens is counted beside it. */
function rowOf(identity: Identity): Omit<IdentityRow, 'opens_window' | 'opens_count'> {
  return {
    id: identity.id,
    spiffe_id: identity.spiffeId,
    kind: identity.kind,
    class: identity.class,
    purpose: identity.purpose,
    technical_owner: identity.technicalOwner,
    business_owner: identity.businessOwner,
    system_scope: toJsonText(identity.systemScope),
    environment: identity.environment,
    authority: toJsonText(identity.authority),
    tasks_per_hour: identity.tasksPerHour,
    ends_at: identity.endsAt,
    trigger: toJsonText(identity.trigger),
    trigger_kind: identity.trigger.kind,
    trigger_on: triggerOn(identity.trigger),
    admission_id: identity.admission,
    state: identity.state,
    state_reason: identity.stateReason,
    registered_at: identity.registeredAt,
    last_used_at: identity.lastUsedAt,
    due_at: identity.state === 'retired' ? null : identityDueAt(identity),
  }
}

function triggerOn(trigger: Trigger): string {
  switch (trigger.kind) {
    case 'backend_removed': return trigger.backend
    case 'issuer_removed': return trigger.issuer
    case 'webhook':
    case 'unused': return ''
  }
}

/** False when the name is taken, also by somebody who took it since we looked. */
export async function insertIdentity(db: Db, identity: Identity): Promise<boolean> {
  const inserted = await db.insertInto('identity').values({ ...rowOf(identity), opens_window: 0, opens_count: 0 }).onConflict((conflict) => conflict.column('spiffe_id').doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

export async function updateIdentity(db: Db, identity: Identity): Promise<void> {
  const { id, spiffe_id: _spiffe, admission_id: _admission, registered_at: _registered, ...rest } = rowOf(identity)
  await db.updateTable('identity').set(rest).where('id', '=', id).execute()
}

/** By id or by SPIFFE ID. */
export async function findIdentity(db: Db, reference: string): Promise<Identity | undefined> {
  const [row] = (await (reference.startsWith('spiffe://') ? identityNamed : identityOf)(db, { reference })).rows
  return row && parseIdentityRow(row)
}

const identityNamed = prepared((db, of: { readonly reference: string }) => db.selectFrom('identity').selectAll().where('spiffe_id', '=', of.reference), BY_KEY)
const identityOf = prepared((db, of: { readonly reference: string }) => db.selectFrom('identity').selectAll().where('id', '=', of.reference), BY_KEY)

/** The one that holds a task. */
export async function findIdentityOfTask(db: Db, task: TaskId): Promise<Identity | undefined> {
  const [row] = (await identityOfTask(db, { task })).rows
  return row && parseIdentityRow(row)
}

const identityOfTask = prepared((db, of: { readonly task: TaskId }) =>
  db.selectFrom('identity').selectAll().where('id', '=', (eb) => eb.selectFrom('task').select('task.identity_id').where('task.id', '=', of.task)), BY_KEY)

/** The identity, locked until the end of the change: nobody changes its state or its row meanwhile. */
export async function lockIdentity<Context>(tx: TxOf<Tables, Context>, reference: string): Promise<Identity | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('identity').selectAll()
    .where(reference.startsWith('spiffe://') ? 'spiffe_id' : 'id', '=', reference)).executeTakeFirst()
  return row && parseIdentityRow(row)
}

/** SPIFFE ID -> id, of those that are registered. */
export async function findIdentityIds(db: Db, spiffeIds: readonly SpiffeId[]): Promise<ReadonlyMap<SpiffeId, IdentityId>> {
  if (spiffeIds.length === 0) return new Map()
  const rows = await db.selectFrom('identity').select(['id', 'spiffe_id']).where('spiffe_id', 'in', spiffeIds).execute()
  return new Map(rows.map((row) => [row.spiffe_id as SpiffeId, row.id as IdentityId]))
}

export async function listIdentities(db: Db, page: { readonly limit: number; readonly after?: string; readonly state?: IdentityState; readonly owners?: readonly string[] }): Promise<readonly Identity[]> {
  if (page.owners?.length === 0) return []
  let query = db.selectFrom('identity').selectAll().orderBy('id').limit(page.limit)
  if (page.after !== undefined) query = query.where('id', '>', page.after)
  if (page.state !== undefined) query = query.where('state', '=', page.state)
  if (page.owners !== undefined) query = query.where(isOwnedBy(page.owners))
  return (await query.execute()).map(parseIdentityRow)
}

const isOwnedBy = (owners: readonly string[]) => (eb: ExpressionBuilder<Tables, 'identity'>) => eb.or([eb('technical_owner', 'in', owners), eb('business_owner', 'in', owners)])

/** Those of which one of these is an owner, by id and by SPIFFE ID. */
export async function findOwned(db: Db, owners: readonly string[]): Promise<ReadonlySet<string>> {
  if (owners.length === 0) return new Set()
  const rows = await db.selectFrom('identity').select(['id', 'spiffe_id']).where(isOwnedBy(owners)).execute()
  return new Set(rows.flatMap((row) => [row.id, row.spiffe_id]))
}

/** Active ones of a kind, in the order of their SPIFFE IDs. */
export async function listActiveOfKind(db: Db, kind: IdentityKind, page: { readonly limit: number; readonly after: string }): Promise<readonly Identity[]> {
  const rows = await db.selectFrom('identity').selectAll()
    .where('kind', '=', kind).where('state', '=', 'active').where('spiffe_id', '>', page.after).orderBy('spiffe_id').limit(page.limit).execute()
  return rows.map(parseIdentityRow)
}

/** Identities that are not retired and whose trigger watches this thing. */
export async function listTriggeredBy(db: Db, kind: 'backend_removed' | 'issuer_removed', on: string): Promise<readonly Identity[]> {
  const rows = await db.selectFrom('identity').selectAll()
    .where('trigger_kind', '=', kind).where('trigger_on', '=', on).where('state', '<>', 'retired').execute()
  return rows.map(parseIdentityRow)
}

/** Days count for the trigger; to the minute spares a busy identity's row a write with every task. */
const USE_COUNTS_AFTER_MS = 60_000

export async function markIdentityUsed(db: Db, identity: Identity, now: EpochMs): Promise<void> {
  if (identity.lastUsedAt !== null && now < identity.lastUsedAt + USE_COUNTS_AFTER_MS) return
  const dueAt = identityDueAt({ ...identity, lastUsedAt: now })
  await db.updateTable('identity').set({ last_used_at: now, due_at: dueAt }).where('id', '=', identity.id).where('state', '<>', 'retired').execute()
}

/** Counts one more tree of tasks that the identity begins in this hour; answers how many those are. The identity is locked. */
export async function countOpening(db: Db, id: IdentityId, now: EpochMs): Promise<number> {
  const hour = Math.floor(now / HOUR) * HOUR
  return (await countOne(db, { id, hour })).rows[0]!.opens_count
}

const countOne = prepared((db, of: { readonly id: IdentityId; readonly hour: number }) => db.updateTable('identity')
  .set((eb) => ({ opens_count: eb.case().when('opens_window', '=', of.hour).then(eb('opens_count', '+', 1)).else(1).end(), opens_window: of.hour }))
  .where('id', '=', of.id).returning('opens_count'), BY_KEY)

export type Credential = {
  readonly id: CredentialId
  readonly identity: IdentityId
  readonly thumbprint: string
  readonly alg: string
  readonly jwk: Readonly<Record<string, unknown>>
  readonly state: 'live' | 'revoked'
  readonly registeredAt: EpochMs
}

export async function listCredentials(db: Db, identities: readonly IdentityId[]): Promise<readonly Credential[]> {
  if (identities.length === 0) return []
  const rows = await db.selectFrom('credential').selectAll().where('identity_id', 'in', identities).orderBy('id').execute()
  return rows.map((row) => ({
    id: row.id as CredentialId,
    identity: row.identity_id as IdentityId,
    thumbprint: row.thumbprint,
    alg: row.alg,
    jwk: fromJsonText<Record<string, unknown>>(row.jwk),
    state: row.state as 'live' | 'revoked',
    registeredAt: epochMs(row.registered_at),
  }))
}

export type LiveKey = Pick<Credential, 'id' | 'identity' | 'thumbprint' | 'alg' | 'jwk'> & Pick<Identity, 'class' | 'state'>

/** The keys of this name that are not revoked, with what is asked of their identity at every request: in one question. */
export async function listLiveKeys(db: Db, spiffeId: SpiffeId): Promise<readonly LiveKey[]> {
  const { rows } = await liveKeys(db, { spiffeId })
  return rows.map((row) => ({
    id: row.id as CredentialId, identity: row.identity_id as IdentityId, thumbprint: row.thumbprint, alg: row.alg,
    jwk: fromJsonText<Record<string, unknown>>(row.jwk), class: row.class as Identity['class'], state: row.state as IdentityState,
  }))
}

const liveKeys = prepared((db, of: { readonly spiffeId: SpiffeId }) =>
  db.selectFrom('credential').innerJoin('identity', 'identity.id', 'credential.identity_id')
    .select(['credential.id', 'credential.identity_id', 'credential.thumbprint', 'credential.alg', 'credential.jwk', 'identity.class', 'identity.state'])
    .where('identity.spiffe_id', '=', of.spiffeId).where('credential.state', '=', 'live').orderBy('credential.id'))

export async function findCredentialByThumbprint(db: Db, thumbprint: string): Promise<{ readonly identity: string } | undefined> {
  return db.selectFrom('credential').select('identity_id as identity').where('thumbprint', '=', thumbprint).executeTakeFirst()
}

/** False when the key is registered, for whomever and whether or not it is live. */
export async function insertCredential(db: Db, credential: Credential & { readonly registeredBy: string }): Promise<boolean> {
  const inserted = await db.insertInto('credential').values({
    id: credential.id,
    identity_id: credential.identity,
    thumbprint: credential.thumbprint,
    alg: credential.alg,
    jwk: toJsonText(credential.jwk),
    state: credential.state,
    registered_at: credential.registeredAt,
    revoked_at: null,
    registered_by: credential.registeredBy,
  }).onConflict((conflict) => conflict.column('thumbprint').doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

export async function revokeCredential(db: Db, id: CredentialId, now: EpochMs): Promise<void> {
  await db.updateTable('credential').set({ state: 'revoked', revoked_at: now }).where('id', '=', id).where('state', '=', 'live').execute()
}
