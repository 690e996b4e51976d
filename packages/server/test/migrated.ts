import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { epochMs } from '@writ/domain/time'
import { Client } from 'pg'
import { MIGRATIONS } from '../src/store/migrations/all.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { migrateFile } from '../src/store/sqlite.ts'
import { postgres, type TestDatabase, type TestPostgres } from './postgres.ts'

export const MIGRATED = { release: 2, list: MIGRATIONS }

/** Where this run of the tests has put a SQLite file with all of Writ's tables and nothing in them. */
const FILE = process.env['WRIT_TEST_MIGRATED']

export const writeMigratedFile = (path: string): Promise<void> => migrateFile(path, { migrations: MIGRATED, now: epochMs(1) })

/** Such a file in a data directory of its own; without one of this run's, whoever opens the store migrates. */
export function placeMigratedFile(directory: string): void {
  if (FILE === undefined) return
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  copyFileSync(FILE, join(directory, 'writ.db'))
}

const NAME = 'writ_migrated'
/** Any number of ours: of the test files of one run a single one migrates. */
const LOCK = 0x6d696772

let made: Promise<void> | undefined

/** A database of its own with all of Writ's tables and nothing in them, copied from one that is migrated once: that takes a fifth of the time. */
export async function migratedDatabase(): Promise<TestDatabase> {
  const server = await postgres(18)
  await (made ??= makeOnce(server))
  return server.createDatabase({ like: NAME })
}

async function makeOnce(server: TestPostgres): Promise<void> {
  const client = new Client({ connectionString: server.url() })
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK])
    if ((await client.query('select from pg_database where datname = $1', [NAME])).rowCount === 1) return
    const { name, url } = await server.createDatabase()
    await (await openPostgres({ url, context: undefined, migrations: MIGRATED, now: epochMs(1), mostConnections: 1 })).close()
    await client.query(`alter database ${name} rename to ${NAME}`)
  } finally {
    await client.end()
  }
}
