import type { EpochMs } from '@writ/domain/time'
import { sql, type RawBuilder, type Selectable, type SelectQueryBuilder, type SqlBool } from 'kysely'
import type { TxOf } from './change.ts'

/**
 * Reads rows that this change will write: `await forUpdate(tx, tx.db.selectFrom('task').selectAll().where(...)).executeTakeFirst()`.
 * Without it, two servers on PostgreSQL may both read `open` and both act. SQLite has one writer and needs no lock.
 */
export function forUpdate<DB, TB extends keyof DB, O>(tx: TxOf<DB, unknown>, query: SelectQueryBuilder<DB, TB, O>): SelectQueryBuilder<DB, TB, O> {
  return tx.dialect.forUpdate === '' ? query : query.modifyEnd(sql.raw(tx.dialect.forUpdate))
}

/** The same, without the rows that another change has locked: nobody waits. */
export function forUpdateOfFree<DB, TB extends keyof DB, O>(tx: TxOf<DB, unknown>, query: SelectQueryBuilder<DB, TB, O>): SelectQueryBuilder<DB, TB, O> {
  return tx.dialect.skipLocked === '' ? query : query.modifyEnd(sql.raw(tx.dialect.skipLocked))
}

export type DueClaim<DB, Table extends keyof DB & string> = {
  readonly table: Table
  readonly key: keyof DB[Table] & string
  /** The indexed column with the instant at which the row is due. */
  readonly dueAt: keyof DB[Table] & string
  /** The column that keeps other claimers away until its instant; may be `dueAt` itself. */
  readonly claimedUntil: keyof DB[Table] & string
  readonly now: EpochMs
  /** Until when the rows are the caller's: should it die, others take them after that. */
  readonly until: EpochMs
  readonly limit: number
  /** Narrows what may be claimed. */
  readonly where?: RawBuilder<SqlBool>
}

/** Takes due rows, oldest first, for this caller alone: others take other rows, and nobody waits. Returns them as they are now. */
export async function claimDue<DB, Table extends keyof DB & string>(
  tx: TxOf<DB, unknown>, claim: DueClaim<DB, Table>,
): Promise<readonly Selectable<DB[Table]>[]> {
  const [table, key, dueAt, claimedUntil] = [sql.table(claim.table), sql.ref(claim.key), sql.ref(claim.dueAt), sql.ref(claim.claimedUntil)]
  // PostgreSQL evaluates a `with` that locks rows exactly once; a plain sub-select it may evaluate again, and then claim past the limit.
  const taken = await sql<Selectable<DB[Table]>>`
      with due as (select ${key}
                     from ${table}
                    where ${dueAt} <= ${claim.now}
                      and ${claimedUntil} <= ${claim.now}
                      and ${claim.where ?? sql<SqlBool>`1 = 1`}
                    order by ${dueAt}
                    limit ${claim.limit}
                    ${sql.raw(tx.dialect.skipLocked)})
       update ${table}
          set ${claimedUntil} = ${claim.until}
        where ${key} in (select ${key} from due)
    returning *`.execute(tx.db)
  return taken.rows
}
