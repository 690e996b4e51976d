import { epochMs } from '@writ/domain/time'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Migrations } from '../src/store/migrate.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { openSqlite } from '../src/store/sqlite.ts'
import type { Store } from '../src/store/store.ts'
import { postgres } from './postgres.ts'

/** What a program puts on the store's engine. `given` is plain data, of which `makeContext` makes the context. */
export type World<Context> = {
  readonly migrations: Migrations
  /** The file that runs SQLite's writer with all changes. */
  readonly writer: URL
  readonly given: unknown
  readonly makeContext: (given: unknown) => Context
}

/** Opens an empty store of its own, which ends with the test. */
export type OpenStore<DB, Context> = (t: TestContext) => Promise<Store<DB, Context>>

/** Runs one suite of tests on every database that Writ keeps its records in. */
export function onBothStores<DB, Context>(world: World<Context>, suite: (name: 'sqlite' | 'postgres', open: OpenStore<DB, Context>) => void): void {
  suite('sqlite', async (t) => {
    const directory = temporaryDirectory()
    const store = await openSqlite<DB, Context>({ ...sqliteOrder(world, directory), onFault: (error) => { throw error } })
    t.after(async () => {
      await store.close()
      rmSync(directory, { recursive: true })
    })
    return store
  })
  suite('postgres', async (t) => {
    const database = await (await postgres(18)).createDatabase()
    const store = await openPostgres<DB, Context>({
      url: database.url, context: world.makeContext(world.given), migrations: world.migrations, now: epochMs(1), mostConnections: 4,
    })
    t.after(async () => {
      await store.close()
      await database.drop()
    })
    return store
  })
}

export const sqliteOrder = <Context>(world: World<Context>, directory: string) =>
  ({ directory, writer: world.writer, context: world.given, migrations: world.migrations, now: epochMs(1) })

export const temporaryDirectory = (): string => mkdtempSync(join(tmpdir(), 'writ-store-'))
