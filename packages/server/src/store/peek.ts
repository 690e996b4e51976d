import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { StorageUnavailable } from './faults.ts'

const PATIENCE_MS = 5000

/** Whether a SQLite store was begun in this directory. Writes nothing. */
export const sqliteExists = (directory: string): boolean => existsSync(join(directory, 'writ.db'))

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
