import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Client } from 'pg'
import { StorageUnavailable } from './faults.ts'

const PATIENCE_MS = 5000

/** In the data directory. */
export const SQLITE_FILE = 'writ.db'

/** Whether a SQLite store was begun in this directory. Writes nothing. */
export const sqliteExists = (directory: string): boolean => existsSync(join(directory, SQLITE_FILE))

/** Whether Writ has begun its tables in this database. Writes nothing. */
export async function postgresExists(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: PATIENCE_MS, query_timeout: PATIENCE_MS })
  try {
    await client.connect()
    const found = await client.query<{ found: boolean }>("select to_regclass('installation') is not null as found")
    return found.rows[0]?.found === true
  } catch (cause) {
    throw new StorageUnavailable((cause as { code?: string }).code ?? 'unknown', 'nothing', { cause })
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** Whether a store stands in this directory, with an installation in it. Writes nothing. */
export function sqliteIsTaken(directory: string): boolean {
  // Only a restore has a rollback journal, until it commits: what is committed is still empty, and only who writes may bring it back.
  if (!sqliteExists(directory) || existsSync(join(directory, `${SQLITE_FILE}-journal`))) return false
  const db = new DatabaseSync(join(directory, SQLITE_FILE), { readOnly: true, timeout: 1000 })
  try {
    const table = db.prepare('select count(*) as count from sqlite_schema where name = \'installation\'').get()
    return table?.['count'] !== 0 && db.prepare('select count(*) as count from installation').get()?.['count'] !== 0
  } finally {
    db.close()
  }
}

/** Whether Writ's tables stand in this database, with an installation in them. Writes nothing. */
export async function postgresIsTaken(url: string): Promise<boolean> {
  if (!(await postgresExists(url))) return false
  const client = new Client({ connectionString: url, connectionTimeoutMillis: PATIENCE_MS, query_timeout: PATIENCE_MS })
  try {
    await client.connect()
    return (await client.query('select from installation')).rowCount !== 0
  } finally {
    await client.end().catch(() => undefined)
  }
}
