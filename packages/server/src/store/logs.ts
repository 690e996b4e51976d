import type { Stream } from '@writ/domain/event'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { sql, type Kysely } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** Where a log stands: its newest checkpoint as a C2SP signed note. Its leaf i is the stream's event at `firstLeaf + i`. */
export type LogHead = {
  readonly stream: Stream
  readonly origin: string
  readonly vkey: string
  readonly size: number
  readonly note: string
  readonly signedAt: EpochMs
  readonly firstLeaf: number
}

export async function findLog(db: Db, stream: Stream): Promise<LogHead | undefined> {
  const row = await db.selectFrom('log').selectAll().where('stream', '=', stream).executeTakeFirst()
  return row && { stream, origin: row.origin, vkey: row.vkey, size: row.size, note: row.note, signedAt: epochMs(row.signed_at), firstLeaf: row.first_leaf }
}

/** False when the stream has its log already, also from a server that opened it this moment. */
export async function insertLog(db: Db, log: LogHead): Promise<boolean> {
  const inserted = await db.insertInto('log').values({
    stream: log.stream, origin: log.origin, vkey: log.vkey, size: log.size, note: log.note, signed_at: log.signedAt, first_leaf: log.firstLeaf,
  }).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

/** Compare and swap: false when another sealer has moved the head since it was read. */
export async function moveLog(db: Db, from: LogHead, to: Pick<LogHead, 'size' | 'note' | 'signedAt'>): Promise<boolean> {
  const moved = await db.updateTable('log').set({ size: to.size, note: to.note, signed_at: to.signedAt })
    .where('stream', '=', from.stream).where('size', '=', from.size).where('note', '=', from.note).executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

export async function insertCheckpoint(db: Db, stream: Stream, to: Pick<LogHead, 'size' | 'note' | 'signedAt'>): Promise<void> {
  await db.insertInto('checkpoint').values({ stream, size: to.size, note: to.note, signed_at: to.signedAt }).execute()
}

/** Gives events their places, `firstIndex` and up, in the order of `seqs`. Returns how many had none before. */
export async function placeEvents(db: Db, stream: Stream, firstIndex: number, seqs: readonly number[]): Promise<number> {
  const cases = seqs.map((seq, i) => sql`when ${seq} then ${firstIndex + i}`)
  const placed = await sql`
    update event
       set leaf_index = cast(case seq ${sql.join(cases, sql` `)} end as bigint)
     where seq in (${sql.join(seqs)})
       and stream = ${stream}
       and leaf_index is null`.execute(db)
  return Number(placed.numAffectedRows ?? 0n)
}

/** A row that the sealer refused: it keeps no place and is never looked at again. False when it was refused, or placed, before. */
export async function rejectEvent(db: Db, seq: number): Promise<boolean> {
  const rejected = await db.updateTable('event').set({ leaf_index: -1 }).where('seq', '=', seq).where('leaf_index', 'is', null).executeTakeFirst()
  return rejected.numUpdatedRows === 1n
}

export type StoredTile = { readonly level: number; readonly index: number; readonly hashes: Uint8Array }

export async function readTile(db: Db, stream: Stream, level: number, index: number): Promise<Uint8Array | undefined> {
  const row = await db.selectFrom('tile').select('hashes').where('stream', '=', stream).where('level', '=', level).where('tile_index', '=', index).executeTakeFirst()
  return row?.hashes
}

export async function writeTiles(db: Db, stream: Stream, tiles: readonly StoredTile[]): Promise<void> {
  for (const tile of tiles) {
    await db.insertInto('tile').values({ stream, level: tile.level, tile_index: tile.index, hashes: tile.hashes })
      .onConflict((conflict) => conflict.columns(['stream', 'level', 'tile_index']).doUpdateSet({ hashes: tile.hashes })).execute()
  }
}
