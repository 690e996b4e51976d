import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Kysely, QueryResult } from 'kysely'
import { Client } from 'pg'
import { bind } from './bound.ts'
import type { Dialect } from './dialect.ts'
import { postgresDialect } from './dialect-postgres.ts'
import { sqliteDialect } from './dialect-sqlite.ts'
import { StorageUnavailable, UnusableStore } from './faults.ts'
import { lockDirectory, makeFile } from './lock.ts'
import { SQLITE_FILE } from './peek.ts'
import { CopyIn } from './postgres-copy.ts'
import { parserOf, type Column, type RowValues } from './snapshot.ts'
import { openWriting } from './sqlite-connection.ts'
import type { Tables } from './tables.ts'

/** The one connection that a restore writes on: nobody else uses the store meanwhile. */
export type RestoreTarget = {
  readonly dialect: Dialect
  readonly ask: (text: string, values?: readonly unknown[]) => Promise<QueryResult<unknown>>
  readonly db: Kysely<Tables>
  /** The rows are in the table when the next `ask` is answered; what is wrong with them may only be told then. */
  fill(table: string, columns: readonly string[], rows: readonly RowValues[]): Promise<void>
  columnsOf(table: string): Promise<readonly Column[]>
  /** How many servers have this store open; each would go on with what it remembers of the one before. */
  others(): Promise<number>
  close(): Promise<void>
}

type Place = { readonly kind: 'sqlite'; readonly directory: string } | { readonly kind: 'postgres'; readonly url: string }

export async function openRestoreTarget(place: Place): Promise<RestoreTarget> {
  return place.kind === 'sqlite' ? inDirectory(place.directory) : inDatabase(place.url)
}

/**
 * One transaction writes the whole store. In a log it would be written twice, and pages that come back from it be looked for among all others;
 * a rollback journal holds only what was there before: nearly nothing. The cache, in KiB, keeps the inner pages of large tables.
 */
const LOADING = ['journal_mode = delete', 'cache_size = -65536']

/** Makes what is not there yet, for its owner alone. */
function inDirectory(directory: string): RestoreTarget {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const lock = lockDirectory(directory)
  try {
    makeFile(join(directory, SQLITE_FILE))
    const connection = openWriting(join(directory, SQLITE_FILE))
    for (const pragma of LOADING) connection.run(`pragma ${pragma}`)
    const ask: RestoreTarget['ask'] = async (text, values = []) => connection.execute(text, values)
    return {
      dialect: sqliteDialect, ask, db: bind<Tables>('sqlite', (text, values) => ask(text, values)).db,
      fill: async (table, columns, rows) => {
        const row = `(${columns.map(() => '?').join(', ')})`
        connection.execute(`insert into ${table} (${columns.join(', ')}) values ${rows.map(() => row).join(', ')}`, rows.flat())
      },
      columnsOf: async (table) => ((await ask('select name, type from pragma_table_info(?) order by cid', [table])).rows as { name: string; type: string }[])
        .map(({ name, type }) => ({ name, isBytes: type.toLowerCase() === 'blob' })),
      others: async () => 0,
      close: async () => {
        if (!connection.inTransaction) connection.run('pragma journal_mode = wal')
        connection.close()
        lock.release()
      },
    }
  } catch (cause) {
    lock.release()
    throw cause
  }
}

/** Any number of ours: only one restore works in a database at a time. */
const RESTORE_LOCK = 0x77726573

async function inDatabase(url: string): Promise<RestoreTarget> {
  const client = new Client({ connectionString: url, application_name: 'writ restore', types: { getTypeParser: parserOf as never } })
  client.on('error', () => { /* the next statement tells */ })
  let filling: { readonly copy: CopyIn; readonly into: string } | undefined
  const filled = async (): Promise<void> => {
    const last = filling
    filling = undefined
    await last?.copy.end()
  }
  const ask: RestoreTarget['ask'] = async (text, values = []) => {
    await filled()
    const { rows, rowCount } = await client.query({ text, values: [...values] })
    return { rows, numAffectedRows: BigInt(rowCount ?? 0) }
  }
  const fill: RestoreTarget['fill'] = async (table, columns, rows) => {
    const into = JSON.stringify([table, columns])
    if (filling?.into !== into) {
      await filled()
      filling = { copy: client.query(new CopyIn(table, columns)), into }
    }
    await filling.copy.take(rows)
  }
  try {
    await client.connect()
    const [taken] = (await ask('select pg_try_advisory_lock($1)::text as taken', [RESTORE_LOCK])).rows as { taken: string }[]
    if (taken?.taken !== 'true') throw new UnusableStore('locked', 'another restore works in this database: wait for it')
  } catch (cause) {
    await client.end().catch(() => undefined)
    if (cause instanceof UnusableStore) throw cause
    throw new StorageUnavailable((cause as { code?: string }).code ?? 'connection failed', 'nothing', { cause })
  }
  return {
    dialect: postgresDialect, ask, fill, db: bind<Tables>('postgres', (text, values) => ask(text, values)).db,
    columnsOf: async (table) => ((await ask(`
      select attname as name, atttypid::regtype::text as type
        from pg_attribute
       where attrelid = $1::regclass
         and attnum > 0
         and not attisdropped
    order by attnum`, [table])).rows as { name: string; type: string }[]).map(({ name, type }) => ({ name, isBytes: type === 'bytea' })),
    others: async () => {
      const [row] = (await ask('select count(*) as count from pg_stat_activity where datname = current_database() and application_name = \'writ\'')).rows as { count: number }[]
      return row!.count
    },
    close: () => client.end(),
  }
}
