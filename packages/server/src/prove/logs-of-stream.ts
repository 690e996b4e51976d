import type { Stream } from '@writ/domain/event'
import type { RestoreId } from '@writ/domain/id'
import type { Db } from '../record/tx.ts'
import { findLog, readTile, type LogHead } from '../store/logs.ts'
import { listPastLogs, readPastTile } from '../store/past-logs.ts'

/** A log to read from: the current one of its stream, or one that ended with a restore. */
export type ReadableLog = LogHead & { readonly endedBy: RestoreId | null }

/** Oldest first; the last one is the one that grows. None in a store that has not begun its logs. */
export async function logsOf(db: Db, stream: Stream): Promise<readonly ReadableLog[]> {
  const current = await findLog(db, stream)
  if (current === undefined) return []
  return [...(await listPastLogs(db, stream)).map(({ restore, known: _known, ...log }) => ({ ...log, endedBy: restore })), { ...current, endedBy: null }]
}

/** The log that holds a place, which is counted over all of them; undefined where no checkpoint covers it yet. */
export const logHolding = (logs: readonly ReadableLog[], place: number | null): ReadableLog | undefined =>
  logs.find((log) => place !== null && place >= log.firstLeaf && place < log.firstLeaf + log.size)

export const tileOfLog = (db: Db, log: ReadableLog, level: number, index: number): Promise<Uint8Array | undefined> =>
  log.endedBy === null ? readTile(db, log.stream, level, index) : readPastTile(db, log.origin, level, index)
