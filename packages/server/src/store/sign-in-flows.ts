import type { SignInId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import type { DeviceSignInRow } from './people-tables.ts'
import { forUpdate } from './row-locks.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** A browser that was sent to the provider. Of what names the attempt, and of what its browser alone holds, the store has hashes. */
export type ProviderSignIn = { readonly stateHash: Uint8Array; readonly browserHash: Uint8Array; readonly returnTo: string; readonly begunAt: EpochMs; readonly endsAt: EpochMs }

export async function insertProviderSignIn(db: Db, { stateHash, browserHash, returnTo, begunAt, endsAt }: ProviderSignIn): Promise<void> {
  await db.insertInto('provider_sign_in').values({ state_hash: stateHash, browser_hash: browserHash, return_to: returnTo, begun_at: begunAt, ends_at: endsAt }).execute()
}

/** Uses it up: by its own browser and in time, and by one of many that come at once. Where it was to lead; undefined when it can not be used. */
export async function takeProviderSignIn(db: Db, { stateHash, browserHash }: Pick<ProviderSignIn, 'stateHash' | 'browserHash'>, now: EpochMs): Promise<string | undefined> {
  const row = await db.deleteFrom('provider_sign_in').where('state_hash', '=', stateHash).where('browser_hash', '=', browserHash).where('ends_at', '>', now).returning('return_to').executeTakeFirst()
  return row?.return_to
}

/** `taken`: it has become a sign-in. */
export type DeviceState = 'waiting' | 'allowed' | 'denied' | 'taken'

/** A command line that waits to be let in. */
export type DeviceSignIn = {
  readonly deviceHash: Uint8Array
  readonly userCode: string
  readonly askedFrom: string
  readonly claimedDevice: string | null
  readonly begunAt: EpochMs
  readonly endsAt: EpochMs
  /** How long it has to wait before it asks again. */
  readonly paceMs: number
  readonly askedAgainAt: EpochMs | null
  readonly state: DeviceState
  /** The sign-in of whoever answered. */
  readonly answeredBy: SignInId | null
}

const parseRow = (row: DeviceSignInRow): DeviceSignIn => ({
  deviceHash: row.device_hash, userCode: row.user_code, askedFrom: row.asked_from, claimedDevice: row.claimed_device, begunAt: epochMs(row.begun_at), endsAt: epochMs(row.ends_at),
  paceMs: row.pace_ms, askedAgainAt: row.asked_again_at === null ? null : epochMs(row.asked_again_at), state: row.state as DeviceState, answeredBy: row.answered_by as SignInId | null,
})

export type NewDeviceSignIn = Omit<DeviceSignIn, 'askedAgainAt' | 'state' | 'answeredBy'>

/** False where somebody else waits with this code. */
export async function insertDeviceSignIn(db: Db, { deviceHash, userCode, askedFrom, claimedDevice, begunAt, endsAt, paceMs }: NewDeviceSignIn): Promise<boolean> {
  const inserted = await db.insertInto('device_sign_in').values({
    device_hash: deviceHash, user_code: userCode, asked_from: askedFrom, claimed_device: claimedDevice, begun_at: begunAt, ends_at: endsAt, pace_ms: paceMs, asked_again_at: null,
    state: 'waiting', answered_by: null, answered_at: null,
  }).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

/** By the code that stands on the terminal. */
export async function findDeviceByCode(db: Db, userCode: string): Promise<DeviceSignIn | undefined> {
  const row = await db.selectFrom('device_sign_in').selectAll().where('user_code', '=', userCode).executeTakeFirst()
  return row && parseRow(row)
}

export async function lockDeviceByCode<Context>(tx: TxOf<Tables, Context>, userCode: string): Promise<DeviceSignIn | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('device_sign_in').selectAll().where('user_code', '=', userCode)).executeTakeFirst()
  return row && parseRow(row)
}

/** By the code that the command line keeps to itself. */
export async function lockDevice<Context>(tx: TxOf<Tables, Context>, deviceHash: Uint8Array): Promise<DeviceSignIn | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('device_sign_in').selectAll().where('device_hash', '=', deviceHash)).executeTakeFirst()
  return row && parseRow(row)
}

export async function markDeviceAnswered(db: Db, deviceHash: Uint8Array, answer: { readonly state: 'allowed' | 'denied'; readonly by: SignInId; readonly now: EpochMs }): Promise<void> {
  await db.updateTable('device_sign_in').set({ state: answer.state, answered_by: answer.by, answered_at: answer.now }).where('device_hash', '=', deviceHash).execute()
}

export async function markDeviceAsked(db: Db, deviceHash: Uint8Array, asked: { readonly paceMs: number; readonly now: EpochMs }): Promise<void> {
  await db.updateTable('device_sign_in').set({ pace_ms: asked.paceMs, asked_again_at: asked.now }).where('device_hash', '=', deviceHash).execute()
}

export async function markDeviceTaken(db: Db, deviceHash: Uint8Array): Promise<void> {
  await db.updateTable('device_sign_in').set({ state: 'taken' }).where('device_hash', '=', deviceHash).execute()
}

/** Those that ended before this; answers whether there are more. */
export async function forgetSignInFlows(db: Db, before: EpochMs, most: number): Promise<boolean> {
  const counts = []
  for (const { table, key } of [{ table: 'provider_sign_in', key: 'state_hash' }, { table: 'device_sign_in', key: 'device_hash' }] as const) {
    const over = db.selectFrom(table).select(key as never).where('ends_at', '<', before).orderBy('ends_at').limit(most)
    counts.push((await db.deleteFrom(table).where(key as never, 'in', over).executeTakeFirst()).numDeletedRows)
  }
  return counts.some((count) => count >= BigInt(most))
}
