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
import { parserOf, type Column } from './snapshot.ts'
import { openWriting } from './sqlite-connection.ts'
import type { Tables } from './tables.ts'

/** The one connection that a restore writes on: nobody else uses the store meanwhile. */
export type RestoreTarget = {
  readonly dialect: Dialect
  /** `kept`: the name under which PostgreSQL keeps the statement for the next time. */
  readonly ask: (text: string, values?: readonly unknown[], kept?: string) => Promise<QueryResult<unknown>>
  readonly db: Kysely<Tables>
  columnsOf(table: string): Promise<readonly Column[]>
  /** How many servers have this store open; each would go on with what it remembers of the one before. */
  others(): Promise<number>
  close(): Promise<void>
}

type Place = { readonly kind: 'sqlite'; readonly directory: string } | { readonly kind: 'postgres'; readonly url: string }

export async function openRestoreTarget(place: Place): Promise<RestoreTarget> {
  return place.kind === 'sqlite' ? inDirectory(place.directory) : inDatabase(place.url)
}

/** Makes what is not there yet, for its owner alone. */
function inDirectory(directory: string): RestoreTarget {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const lock = lockDirectory(directory)
  try {
    makeFile(join(directory, SQLITE_FILE))
    const connection = openWriting(join(directory, SQLITE_FILE))
    const ask: RestoreTarget['ask'] = async (text, values = []) => connection.execute(text, values)
    return {
      dialect: sqliteDialect, ask, db: bind<Tables>('sqlite', (text, values) => ask(text, values)).db,
      columnsOf: async (table) => ((await ask('select name, type from pragma_table_info(?) order by cid', [table])).rows as { name: string; type: string }[])
        .map(({ name, type }) => ({ name, isBytes: type.toLowerCase() === 'blob' })),
      others: async () => 0,
      close: async () => {
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
  const ask: RestoreTarget['ask'] = async (text, values = [], kept) => {
    const { rows, rowCount } = await client.query({ text, values: [...values], ...(kept === undefined ? {} : { name: kept }) })
    return { rows, numAffectedRows: BigInt(rowCount ?? 0) }
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
    dialect: postgresDialect, ask, db: bind<Tables>('postgres', (text, values) => ask(text, values)).db,
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
