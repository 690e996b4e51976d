import type { Stream } from '@writ/domain/event'
import type { BackupId, RestoreId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { LogHead } from './logs.ts'
import type { PastLogRow, RestoreRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** A log that ended with a restore. `known`: the newest checkpoint of it that was known outside, where one was given. */
export type PastLog = LogHead & { readonly restore: RestoreId; readonly known: { readonly note: string; readonly size: number } | null }

function parsePastLogRow(row: PastLogRow): PastLog {
  return {
    stream: row.stream as Stream, origin: row.origin, vkey: row.vkey, size: row.size, note: row.note, signedAt: epochMs(row.signed_at),
    firstLeaf: row.first_leaf, restore: row.restore_id as RestoreId,
    known: row.known_note === null || row.known_size === null ? null : { note: row.known_note, size: row.known_size },
  }
}

/** Oldest first. */
export async function listPastLogs(db: Db, stream: Stream): Promise<readonly PastLog[]> {
  const rows = await db.selectFrom('past_log').selectAll().where('stream', '=', stream).orderBy('first_leaf').orderBy('signed_at').execute()
  return rows.map(parsePastLogRow)
}

export async function insertPastLog(db: Db, log: PastLog): Promise<void> {
  await db.insertInto('past_log').values({
    stream: log.stream, origin: log.origin, vkey: log.vkey, size: log.size, note: log.note, signed_at: log.signedAt, first_leaf: log.firstLeaf,
    restore_id: log.restore, known_note: log.known?.note ?? null, known_size: log.known?.size ?? null,
  }).execute()
}

export async function readPastTile(db: Db, origin: string, level: number, index: number): Promise<Uint8Array | undefined> {
  const row = await db.selectFrom('past_tile').select('hashes').where('origin', '=', origin).where('level', '=', level).where('tile_index', '=', index).executeTakeFirst()
  return row?.hashes
}

/** `begun` and not `done`: what the store holds is half of a backup. */
export type StoredRestore = {
  readonly id: RestoreId
  readonly state: 'begun' | 'done'
  readonly backup: BackupId
  readonly backupAt: EpochMs
  readonly doneAt: EpochMs | null
  readonly trustsIdentities: boolean
}

function parseRestoreRow(row: RestoreRow): StoredRestore {
  return {
    id: row.id as RestoreId, state: row.state as StoredRestore['state'], backup: row.backup_id as BackupId, backupAt: epochMs(row.backup_at),
    doneAt: row.done_at === null ? null : epochMs(row.done_at), trustsIdentities: row.trusts_identities === 'yes',
  }
}

/** Oldest first. */
export async function listRestores(db: Db): Promise<readonly StoredRestore[]> {
  return (await db.selectFrom('restore').selectAll().orderBy('begun_at').orderBy('id').execute()).map(parseRestoreRow)
}

type Begun = Pick<StoredRestore, 'id' | 'backup' | 'backupAt' | 'trustsIdentities'>

/** In place of one that was begun here and never done. */
export async function beginRestore(db: Db, of: Begun, now: EpochMs): Promise<void> {
  await forgetBegun(db)
  await db.insertInto('restore').values({
    id: of.id, state: 'begun', backup_id: of.backup, backup_at: of.backupAt, begun_at: now, done_at: null, trusts_identities: of.trustsIdentities ? 'yes' : 'no',
  }).execute()
}

export async function forgetBegun(db: Db): Promise<void> {
  await db.deleteFrom('restore').where('state', '=', 'begun').execute()
}

/** False when another restore took its place. */
export async function finishRestore(db: Db, id: RestoreId, now: EpochMs): Promise<boolean> {
  const done = await db.updateTable('restore').set({ state: 'done', done_at: now }).where('id', '=', id).where('state', '=', 'begun').executeTakeFirst()
  return done.numUpdatedRows === 1n
}
