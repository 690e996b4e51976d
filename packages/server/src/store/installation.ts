import type { OperatorId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** `id` marks the logins of this installation at every back end. `keyCheck` tells whether the master key at hand is the right one. */
export type Installation = { readonly id: string; readonly keyCheck: string }

export async function findInstallation(db: Db): Promise<Installation | undefined> {
  const row = await db.selectFrom('installation').selectAll().executeTakeFirst()
  return row && { id: row.id, keyCheck: row.key_check }
}

export async function insertInstallation(db: Db, installation: Installation, now: EpochMs): Promise<void> {
  await db.insertInto('installation').values({ id: installation.id, singleton: 1, created_at: now, key_check: installation.keyCheck }).execute()
}

export async function setKeyCheck(db: Db, keyCheck: string): Promise<void> {
  await db.updateTable('installation').set({ key_check: keyCheck }).execute()
}

export async function insertOperator(db: Db, operator: { readonly id: OperatorId; readonly name: string; readonly keyHash: Uint8Array }, now: EpochMs): Promise<void> {
  await db.insertInto('operator').values({ id: operator.id, name: operator.name, key_hash: operator.keyHash, state: 'active', created_at: now }).execute()
}

export async function findOperatorByKey(db: Db, keyHash: Uint8Array): Promise<{ readonly id: OperatorId; readonly name: string } | undefined> {
  const row = await db.selectFrom('operator').select(['id', 'name']).where('key_hash', '=', keyHash).where('state', '=', 'active').executeTakeFirst()
  return row && { id: row.id as OperatorId, name: row.name }
}

export async function countOperators(db: Db): Promise<number> {
  const row = await db.selectFrom('operator').select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
  return Number(row.count)
}

export async function insertBootstrap(db: Db, bootstrap: { readonly codeHash: Uint8Array; readonly expiresAt: EpochMs }, now: EpochMs): Promise<void> {
  await db.insertInto('bootstrap').values({ code_hash: bootstrap.codeHash, created_at: now, expires_at: bootstrap.expiresAt, used_at: null }).execute()
}

/** Takes the code: true once, and only before it expires. Every other code that was offered is dead with it. */
export async function takeBootstrap(db: Db, codeHash: Uint8Array, now: EpochMs): Promise<boolean> {
  const taken = await db.updateTable('bootstrap').set({ used_at: now })
    .where('code_hash', '=', codeHash).where('used_at', 'is', null).where('expires_at', '>', now).executeTakeFirst()
  if (taken.numUpdatedRows !== 1n) return false
  await db.updateTable('bootstrap').set({ used_at: now }).where('used_at', 'is', null).execute()
  return true
}

/** Remembers a proof's id until it would have expired anyway; false when it has been seen before. */
export async function takeProof(db: Db, hash: Uint8Array, expiresAt: EpochMs): Promise<boolean> {
  const taken = await db.insertInto('proof_used').values({ hash, expires_at: expiresAt }).onConflict((conflict) => conflict.column('hash').doNothing()).executeTakeFirst()
  return taken.numInsertedOrUpdatedRows === 1n
}

/** One row that only a trial of the store writes, in place of the one before. */
export async function keepTrial(db: Db, filling: string, now: EpochMs): Promise<void> {
  await db.insertInto('idempotency').values({ caller: 'writ', key: 'trial', request_hash: '', change: 'store.try', result: filling, created_at: now })
    .onConflict((conflict) => conflict.columns(['caller', 'key']).doUpdateSet({ result: filling, created_at: now })).execute()
}

export async function forgetExpired(db: Db, now: EpochMs, replyAge: EpochMs): Promise<void> {
  await db.deleteFrom('proof_used').where('expires_at', '<', now).execute()
  await db.deleteFrom('idempotency').where('created_at', '<', replyAge).execute()
}

export async function insertTriggerHook(db: Db, identity: string, sealedSecret: string, now: EpochMs): Promise<void> {
  await db.insertInto('trigger_hook').values({ identity_id: identity, sealed_secret: sealedSecret, created_at: now }).execute()
}

export async function findTriggerHook(db: Db, identity: string): Promise<{ readonly sealedSecret: string; readonly createdAt: EpochMs } | undefined> {
  const row = await db.selectFrom('trigger_hook').select(['sealed_secret', 'created_at']).where('identity_id', '=', identity).executeTakeFirst()
  return row && { sealedSecret: row.sealed_secret, createdAt: epochMs(row.created_at) }
}
