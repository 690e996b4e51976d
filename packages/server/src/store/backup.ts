import type { KeyObject } from 'node:crypto'
import { BACKUP_FORMAT, BackupPrinter, type BackupEnd, type BackupHead } from './backup-file.ts'
import { KEPT_TABLES } from './backup-tables.ts'
import type { Snapshot } from './snapshot.ts'

export type BackupOrder = {
  readonly backup: string
  readonly release: number
  readonly version: string
  readonly now: number
  readonly keyFor: (keyCheck: string) => KeyObject
}

/** Reads the whole snapshot as a backup's text, and ends it; `done` is told of the end before the last piece. */
export async function* backupPieces(snapshot: Snapshot, order: BackupOrder, done: (head: BackupHead, end: BackupEnd) => Promise<void>): AsyncGenerator<Uint8Array> {
  try {
    yield* piecesOf(snapshot, order, done)
  } finally {
    await snapshot.end()
  }
}

async function* piecesOf(snapshot: Snapshot, order: BackupOrder, done: (head: BackupHead, end: BackupEnd) => Promise<void>): AsyncGenerator<Uint8Array> {
  const head = await headOf(snapshot, order)
  const printer = new BackupPrinter(order.keyFor(head.key_check))
  yield printer.head(head)
  for (const { name, orderBy } of KEPT_TABLES) {
    const columns = await snapshot.columnsOf(name)
    yield printer.table({ table: name, columns: columns.map((one) => one.name), bytes: columns.filter((one) => one.isBytes).map((one) => one.name) })
    for await (const rows of snapshot.rowsOf(name, columns, orderBy)) yield printer.rows(rows)
  }
  const { bytes, end } = printer.end()
  await done(head, end)
  yield bytes
}

async function headOf(snapshot: Snapshot, { backup, release, version, now }: BackupOrder): Promise<BackupHead> {
  const read = async (table: string, names: readonly string[], orderBy?: string): Promise<readonly Readonly<Record<string, unknown>>[]> => {
    const columns = names.map((name) => ({ name, isBytes: false }))
    const found: Record<string, unknown>[] = []
    for await (const rows of snapshot.rowsOf(table, columns, orderBy)) for (const row of rows) found.push(Object.fromEntries(names.map((name, i) => [name, row[i]])))
    return found
  }
  const [installation] = await read('installation', ['id', 'key_check'])
  if (installation === undefined) throw new Error('there is no installation to back up')
  return {
    format: BACKUP_FORMAT, backup, release, version, installation: String(installation.id), key_check: String(installation.key_check), created_at: now,
    migrations: (await read('migration', ['name'], 'name')).map((row) => String(row.name)),
    logs: await read('log', ['stream', 'origin', 'vkey', 'size', 'note'], 'stream') as unknown as BackupHead['logs'],
  }
}
