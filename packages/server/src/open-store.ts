import type { EpochMs } from '@writ/domain/time'
import { changeContextOf } from './change-context.ts'
import type { Config } from './config/config.ts'
import type { Keys } from './keys/keys.ts'
import type { Store } from './record/tx.ts'
import { MIGRATIONS } from './store/migrations/all.ts'
import { openPostgres } from './store/postgres.ts'
import { sqliteSnapshot, postgresSnapshot, type Snapshot } from './store/snapshot.ts'
import { openSqlite } from './store/sqlite.ts'
import { SQLITE_FILE } from './store/peek.ts'
import { join } from 'node:path'

/** Counts up with every release that brings migrations. */
export const RELEASE = 2

type StorePlace = Pick<Config, 'store'>

/** The store that the configuration names, with this program's tables. */
export async function openStore({ store }: StorePlace, keys: Keys, more: { readonly now: EpochMs; readonly onFault: (error: Error) => void }): Promise<Store> {
  const migrations = { release: RELEASE, list: MIGRATIONS }
  if (store.kind === 'postgres') {
    return openPostgres({ ...store, migrations, now: more.now, context: changeContextOf(keys.forChanges) })
  }
  return openSqlite({ directory: store.directory, writer: new URL('./writer.ts', import.meta.url), context: keys.forChanges, migrations, now: more.now, onFault: more.onFault })
}

/** All that is in it at this moment, while others go on writing. */
export const snapshotOf = ({ store }: StorePlace): Promise<Snapshot> =>
  store.kind === 'postgres' ? postgresSnapshot(store.url) : sqliteSnapshot(join(store.directory, SQLITE_FILE))
