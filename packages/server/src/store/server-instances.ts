import type { ServerInstanceId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { ServerInstanceRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** One run of a Writ server. */
export type ServerInstance = {
  readonly id: ServerInstanceId
  /** Where other servers of this installation find it; null where it is alone. */
  readonly address: string | null
  readonly startedAt: EpochMs
  readonly seenAt: EpochMs
  /** When it said that it stops, or had not been seen for too long. */
  readonly goneAt: EpochMs | null
}

const parseServerInstanceRow = (row: ServerInstanceRow): ServerInstance => ({
  id: row.id as ServerInstanceId, address: row.address, startedAt: epochMs(row.started_at), seenAt: epochMs(row.seen_at), goneAt: row.gone_at === null ? null : epochMs(row.gone_at),
})

export async function insertServerInstance(db: Db, { id, address, startedAt }: Pick<ServerInstance, 'id' | 'address' | 'startedAt'>): Promise<void> {
  await db.insertInto('server_instance').values({ id, address, started_at: startedAt, seen_at: startedAt, gone_at: null }).execute()
}

/** It lives: also one that was taken for gone. False when it is not known any more. */
export async function touchServerInstance(db: Db, id: ServerInstanceId, now: EpochMs): Promise<boolean> {
  const touched = await db.updateTable('server_instance').set((eb) => ({ seen_at: eb.case().when('seen_at', '<', now).then(now).else(eb.ref('seen_at')).end(), gone_at: null }))
    .where('id', '=', id).executeTakeFirst()
  return touched.numUpdatedRows === 1n
}

export async function markServerInstanceGone(db: Db, id: ServerInstanceId, now: EpochMs): Promise<void> {
  await db.updateTable('server_instance').set({ gone_at: now }).where('id', '=', id).where('gone_at', 'is', null).execute()
}

/** Those that were found there: one server listens at an address, and another one does now. */
export async function markInstancesGoneAt(db: Db, address: string, now: EpochMs): Promise<void> {
  await db.updateTable('server_instance').set({ gone_at: now }).where('address', '=', address).where('gone_at', 'is', null).execute()
}

/** Those that were last seen before this instant; answers how many. */
export async function markUnseenInstancesGone(db: Db, seenBefore: EpochMs, now: EpochMs): Promise<number> {
  const marked = await db.updateTable('server_instance').set({ gone_at: now }).where('seen_at', '<', seenBefore).where('gone_at', 'is', null).executeTakeFirst()
  return Number(marked.numUpdatedRows)
}

export async function findServerInstance(db: Db, id: string): Promise<ServerInstance | undefined> {
  const row = await db.selectFrom('server_instance').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseServerInstanceRow(row)
}

/** Those that are not gone. */
export async function listServerInstances(db: Db): Promise<readonly ServerInstance[]> {
  return (await db.selectFrom('server_instance').selectAll().where('gone_at', 'is', null).orderBy('id').execute()).map(parseServerInstanceRow)
}

/** Those that are gone since before this instant: what they left in flight is known to be lost without them. */
export async function forgetServerInstances(db: Db, goneBefore: EpochMs): Promise<void> {
  await db.deleteFrom('server_instance').where('gone_at', '<', goneBefore).execute()
}
