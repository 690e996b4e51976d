import { sql, type Kysely } from 'kysely'
import type { Dialect } from './dialect.ts'
import type { RestoreTarget } from './restore-target.ts'
import type { Tables } from './tables.ts'

/**
 * The first thing that a restore writes, before the tables are there in which it could say so: a store that was left like this looks like
 * that of a first start, and would begin an installation of its own. Gone as soon as a row of `restore` says it.
 */
const MARK = 'restore_under_way'

export async function markRestore({ ask, dialect }: RestoreTarget): Promise<void> {
  await ask(`create table if not exists ${MARK} (begun ${dialect.types.bigint})`)
}

export async function unmarkRestore({ ask }: RestoreTarget): Promise<void> {
  await ask(`drop table if exists ${MARK}`)
}

/** Whether what is in this store is less than a whole backup. A mark on a store that has an installation is one that came too late. */
export async function isHalfRestored(db: Kysely<Tables>, { name }: Dialect): Promise<boolean> {
  if ((await db.selectFrom('restore').select('id').where('state', '=', 'begun').executeTakeFirst()) !== undefined) return true
  const marked = name === 'sqlite'
    ? sql<object>`select name from sqlite_schema where name = ${MARK}`
    : sql<object>`select relname from pg_class where oid = to_regclass(${MARK})`
  const isMarked = (await marked.execute(db)).rows.length > 0
  return isMarked && (await db.selectFrom('installation').select('id').executeTakeFirst()) === undefined
}
