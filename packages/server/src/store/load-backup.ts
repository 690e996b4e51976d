import type { Stream } from '@writ/domain/event'
import type { RestoreId } from '@writ/domain/id'
import { epochMs } from '@writ/domain/time'
import { failpoint } from '../platform/failpoint.ts'
import type { BackupVisitor, TableHead } from './backup-file.ts'
import { KEPT_TABLES, type TableName } from './backup-tables.ts'
import { insertPastLog, type PastLog } from './past-logs.ts'
import type { RestoreTarget } from './restore-target.ts'
import type { RowValues } from './snapshot.ts'

/** The backup's tables are not the ones that this program knows, though its migrations are: a bug, or a file made by hand. */
export class ForeignTable extends Error {}

type Loading = { readonly target: RestoreTarget; readonly restore: RestoreId; readonly knownOf: (origin: string) => PastLog['known'] }

/** `event.leaf_index` is null in every new row but here: the guard is away for as long as the transaction lasts that puts it back. */
const PLACES_GUARD = 'event_is_born_without_place'

/** Allows events to come with their places; `guardEvents` forbids it again. Both belong in the transaction that loads. */
export async function openEvents({ ask, dialect }: RestoreTarget): Promise<void> {
  for (const statement of dialect.dropGuard('event', PLACES_GUARD)) await ask(statement)
}

export async function guardEvents({ ask, dialect }: RestoreTarget): Promise<void> {
  for (const statement of dialect.bornNull('event', ['leaf_index'], PLACES_GUARD)) await ask(statement)
  if (dialect.name === 'postgres') await ask('select setval(pg_get_serial_sequence(\'event\', \'seq\'), (select coalesce(max(seq), 0) + 1 from event), false)')
}

/** Loads each table as it comes; the logs, their checkpoints and tiles become past ones. Collects the logs in `logs`. */
export function loader(loading: Loading, logs: Map<Stream, PastLog>): BackupVisitor {
  let open: { readonly name: TableName; readonly columns: readonly string[] } | undefined
  return {
    head: () => undefined,
    async table(head) {
      open = { name: await checkedName(loading.target, head), columns: head.columns }
    },
    async rows(rows) {
      const { name, columns } = open!
      if (name === 'log') for (const row of rows) await takeLog(loading, logs, Object.fromEntries(columns.map((column, i) => [column, row[i]])))
      else if (name === 'checkpoint' || name === 'tile') await loading.target.fill(...pastOf(logs, name, columns, rows))
      else await loading.target.fill(name, columns, rows)
      failpoint('restore.loading', name)
    },
  }
}

/** Names go into statements: only those of our own schema. */
async function checkedName(target: RestoreTarget, head: TableHead): Promise<TableName> {
  const name = KEPT_TABLES.find((one) => one.name === head.table)?.name
  if (name === undefined) throw new ForeignTable(`there is no table \`${head.table}\``)
  const columns = await target.columnsOf(name)
  const ours = columns.map((one) => one.name).toSorted()
  const ourBytes = columns.filter((one) => one.isBytes).map((one) => one.name).toSorted()
  const fits = JSON.stringify([head.columns.toSorted(), head.bytes.toSorted()]) === JSON.stringify([ours, ourBytes])
  if (!fits) throw new ForeignTable(`table \`${name}\` has other columns`)
  return name
}

async function takeLog({ target, restore, knownOf }: Loading, logs: Map<Stream, PastLog>, row: Readonly<Record<string, unknown>>): Promise<void> {
  const log: PastLog = {
    stream: row.stream as Stream, origin: String(row.origin), vkey: String(row.vkey), size: Number(row.size), note: String(row.note),
    signedAt: epochMs(Number(row.signed_at)), firstLeaf: Number(row.first_leaf), restore, known: knownOf(String(row.origin)),
  }
  logs.set(log.stream, log)
  await insertPastLog(target.db, log)
}

/** The column of the stream becomes that of the log's origin. */
function pastOf(logs: ReadonlyMap<Stream, PastLog>, name: 'checkpoint' | 'tile', columns: readonly string[], rows: readonly RowValues[]): Parameters<RestoreTarget['fill']> {
  const stream = columns.indexOf('stream')
  return [
    `past_${name}`, columns.with(stream, 'origin'),
    rows.map((row) => row.with(stream, logs.get(row[stream] as Stream)!.origin)),
  ]
}
