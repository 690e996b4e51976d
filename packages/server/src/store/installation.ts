import type { OperatorId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { ExpressionBuilder, Kysely } from 'kysely'
import { BY_KEY, prepared } from './prepared.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** `id` marks the logins of this installation at every back end. `keyCheck` tells whether the master key at hand is the right one. */
export type Installation = { readonly id: string; readonly keyCheck: string }

export async function findInstallation(db: Db): Promise<Installation | undefined> {
  const row = await db.selectFrom('installation').selectAll().executeTakeFirst()
  return row && { id: row.id, keyCheck: row.key_check }
}

/** False when another server was first. */
export async function insertInstallation(db: Db, installation: Installation, now: EpochMs): Promise<boolean> {
  const inserted = await db.insertInto('installation')
    .values({ id: installation.id, singleton: 1, created_at: now, key_check: installation.keyCheck, not_before: null })
    .onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

export async function setKeyCheck(db: Db, keyCheck: string): Promise<void> {
  await db.updateTable('installation').set({ key_check: keyCheck }).execute()
}

/** Evidence that was made before this instant is refused: a restored store does not know what of it was used. Null without a restore. */
export async function findNotBefore(db: Db): Promise<EpochMs | null> {
  const row = await db.selectFrom('installation').select('not_before').executeTakeFirst()
  return row === undefined || row.not_before === null ? null : epochMs(row.not_before)
}

export async function setNotBefore(db: Db, notBefore: EpochMs): Promise<void> {
  await db.updateTable('installation').set({ not_before: notBefore }).execute()
}

export async function insertOperator(db: Db, operator: { readonly id: OperatorId; readonly name: string; readonly keyHash: Uint8Array; readonly cameBy: 'link' | 'operator'; readonly madeBy: string | null }, now: EpochMs): Promise<void> {
  await db.insertInto('operator').values({ id: operator.id, name: operator.name, key_hash: operator.keyHash, state: 'active', created_at: now, removed_at: null, came_by: operator.cameBy, made_by: operator.madeBy }).execute()
}

export async function findOperatorByKey(db: Db, keyHash: Uint8Array): Promise<{ readonly id: OperatorId; readonly name: string } | undefined> {
  const [row] = (await operatorWith(db, { keyHash })).rows
  return row && { id: row.id as OperatorId, name: row.name }
}

const operatorWith = prepared((db, of: { readonly keyHash: Uint8Array }) =>
  db.selectFrom('operator').select(['id', 'name']).where('key_hash', '=', of.keyHash).where('state', '=', 'active'))

/** Also those that were removed: of all that ever were, the last is never removed. */
export async function countOperators(db: Db): Promise<number> {
  const row = await db.selectFrom('operator').select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
  return Number(row.count)
}

export async function insertBootstrap(db: Db, bootstrap: { readonly codeHash: Uint8Array; readonly expiresAt: EpochMs; readonly reason: string | null; readonly offeredBy: string | null }, now: EpochMs): Promise<void> {
  await db.insertInto('bootstrap').values({ code_hash: bootstrap.codeHash, created_at: now, expires_at: bootstrap.expiresAt, used_at: null, reason: bootstrap.reason, offered_by: bootstrap.offeredBy }).execute()
}

type BootstrapCode = { readonly codeHash: Uint8Array; readonly beside: boolean }

const isOfferedByNobodyBlocked = (eb: ExpressionBuilder<Tables, 'bootstrap'>) =>
  eb.not(eb.exists(eb.selectFrom('person').select('person.id').whereRef('person.id', '=', 'bootstrap.offered_by').where('blocked_at', 'is not', null)))

/** Whether the code could be taken. */
export async function findBootstrap(db: Db, { codeHash, beside }: BootstrapCode, now: EpochMs): Promise<boolean> {
  const open = db.selectFrom('bootstrap').select('code_hash').where('code_hash', '=', codeHash).where('used_at', 'is', null).where('expires_at', '>', now).where(isOfferedByNobodyBlocked)
  return (await (beside ? open.where('reason', 'is not', null) : open).executeTakeFirst()) !== undefined
}

/** Takes the code: once, and only before it expires. Every other code that was offered is dead with it. `beside`: there are operators or people already. */
export async function takeBootstrap(db: Db, { codeHash, beside }: BootstrapCode, now: EpochMs): Promise<{ readonly offeredBy: string | null } | undefined> {
  const open = db.updateTable('bootstrap').set({ used_at: now }).where('code_hash', '=', codeHash).where('used_at', 'is', null).where('expires_at', '>', now).where(isOfferedByNobodyBlocked)
  const taken = await (beside ? open.where('reason', 'is not', null) : open).returning('offered_by').executeTakeFirst()
  if (taken === undefined) return undefined
  await db.updateTable('bootstrap').set({ used_at: now }).where('used_at', 'is', null).execute()
  return { offeredBy: taken.offered_by }
}

/** Remembers a proof's id until it would have expired anyway; false when it has been seen before. */
export async function takeProof(db: Db, hash: Uint8Array, expiresAt: EpochMs): Promise<boolean> {
  return (await insertProof(db, { hash, expiresAt })).written === 1n
}

const insertProof = prepared((db, of: { readonly hash: Uint8Array; readonly expiresAt: EpochMs }) =>
  db.insertInto('proof_used').values({ hash: of.hash, expires_at: of.expiresAt }).onConflict((conflict) => conflict.column('hash').doNothing()), BY_KEY)

/** How many are remembered, counted no further than one beyond `most`. */
export async function countProofs(db: Db, most: number): Promise<number> {
  const row = await db.selectFrom(db.selectFrom('proof_used').select('hash').limit(most + 1).as('some'))
    .select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
  return Number(row.count)
}

/** One row that only a trial of the store writes, in place of the one before. */
export async function keepTrial(db: Db, filling: string, now: EpochMs): Promise<void> {
  await db.insertInto('idempotency').values({ caller: 'writ', key: 'trial', request_hash: '', change: 'store.try', result: filling, created_at: now })
    .onConflict((conflict) => conflict.columns(['caller', 'key']).doUpdateSet({ result: filling, created_at: now })).execute()
}

/** At most so many proofs at once, so that nobody waits long behind it; answers whether there are more. */
export async function forgetExpired(db: Db, now: EpochMs, replyAge: EpochMs, most: number): Promise<boolean> {
  const expired = db.selectFrom('proof_used').select('hash').where('expires_at', '<', now).orderBy('expires_at').limit(most)
  const forgotten = await db.deleteFrom('proof_used').where('hash', 'in', expired).executeTakeFirst()
  await db.deleteFrom('idempotency').where('created_at', '<', replyAge).execute()
  return forgotten.numDeletedRows >= BigInt(most)
}

export async function insertTriggerHook(db: Db, identity: string, sealedSecret: string, now: EpochMs): Promise<void> {
  await db.insertInto('trigger_hook').values({ identity_id: identity, sealed_secret: sealedSecret, created_at: now }).execute()
}

export async function findTriggerHook(db: Db, identity: string): Promise<{ readonly sealedSecret: string; readonly createdAt: EpochMs } | undefined> {
  const row = await db.selectFrom('trigger_hook').select(['sealed_secret', 'created_at']).where('identity_id', '=', identity).executeTakeFirst()
  return row && { sealedSecret: row.sealed_secret, createdAt: epochMs(row.created_at) }
}
