import { KEPT_TABLES } from './backup-tables.ts'
import type { RestoreTarget } from './restore-target.ts'

/** The statements that put back what was taken away. */
export type TakenAway = readonly string[]

/**
 * Takes away what is kept up row by row, and is made of all rows at once in a fraction of the time: indexes, and on PostgreSQL references.
 * INVARIANT: `dress` belongs in the same transaction. Making them checks every row, as if they had been there all along.
 */
export const bare = (target: RestoreTarget): Promise<TakenAway> => (target.dialect.name === 'sqlite' ? bareSqlite(target) : barePostgres(target))

export async function dress({ ask, dialect }: RestoreTarget, taken: TakenAway): Promise<void> {
  for (const statement of taken) await ask(statement)
  // Nothing is known yet of rows that came a moment ago, and each server's first questions would be answered by reading all of them.
  if (dialect.name === 'postgres') await ask(`analyze ${KEPT_TABLES.map(({ name }) => name).join(', ')}`)
}

/** Not those that stand in a table's own definition: they have no text of their own. A reference is checked row by row all the same. */
async function bareSqlite({ ask }: RestoreTarget): Promise<TakenAway> {
  const places = KEPT_TABLES.map(() => '?').join(', ')
  const { rows } = await ask(`select name, sql from sqlite_schema where type = 'index' and sql is not null and tbl_name in (${places})`, KEPT_TABLES.map(({ name }) => name))
  const indexes = rows as readonly { readonly name: string; readonly sql: string }[]
  for (const { name } of indexes) await ask(`drop index ${name}`)
  return indexes.map(({ sql }) => sql)
}

async function barePostgres({ ask }: RestoreTarget): Promise<TakenAway> {
  const tables = KEPT_TABLES.map(({ name }) => name)
  const { rows } = await ask(`
    select format('alter table %s drop constraint %I', conrelid::regclass, conname) as away,
           format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as back,
           2 as turn
      from pg_constraint
     where contype = 'f'
       and conrelid = any ($1::regclass[])
 union all
    select format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid), 1
      from pg_index
     where indrelid = any ($1::regclass[])
       and not exists (select from pg_constraint where conindid = indexrelid)
  order by turn, back`, [tables])
  const taken = rows as readonly { readonly away: string; readonly back: string }[]
  for (const { away } of taken) await ask(away)
  return taken.map(({ back }) => back)
}
