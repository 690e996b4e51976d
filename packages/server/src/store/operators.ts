import type { OperatorId, PersonId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { forUpdate } from './row-locks.ts'
import type { OperatorRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

export type Operator = { readonly id: OperatorId; readonly name: string; readonly state: 'active' | 'removed'; readonly createdAt: EpochMs; readonly removedAt: EpochMs | null }

const parseOperatorRow = (row: OperatorRow): Operator => ({
  id: row.id as OperatorId, name: row.name, state: row.state as Operator['state'], createdAt: epochMs(row.created_at),
  removedAt: row.removed_at === null ? null : epochMs(row.removed_at),
})

/** By the order of their making. */
export async function listOperators(db: Db): Promise<readonly Operator[]> {
  return (await db.selectFrom('operator').selectAll().orderBy('id').execute()).map(parseOperatorRow)
}

export async function findOperator(db: Db, id: string): Promise<Operator | undefined> {
  const row = await db.selectFrom('operator').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseOperatorRow(row)
}

/** All that are active, locked until the end of the change: of two who remove each other one stays. */
export async function lockActiveOperators<Context>(tx: TxOf<Tables, Context>): Promise<readonly OperatorId[]> {
  const rows = await forUpdate(tx, tx.db.selectFrom('operator').select('id').where('state', '=', 'active').orderBy('id')).execute()
  return rows.map((row) => row.id as OperatorId)
}

/** Those of them whose key came from a one-time link, locked too. */
export async function lockOperatorsByLink<Context>(tx: TxOf<Tables, Context>): Promise<readonly OperatorId[]> {
  const rows = await forUpdate(tx, tx.db.selectFrom('operator').select('id').where('state', '=', 'active').where('came_by', '=', 'link').orderBy('id')).execute()
  return rows.map((row) => row.id as OperatorId)
}

/** Those of them whose key this person made, locked too. */
export async function lockOperatorsMadeBy<Context>(tx: TxOf<Tables, Context>, person: PersonId): Promise<readonly OperatorId[]> {
  const rows = await forUpdate(tx, tx.db.selectFrom('operator').select('id').where('state', '=', 'active').where('made_by', '=', person).orderBy('id')).execute()
  return rows.map((row) => row.id as OperatorId)
}

export async function markOperatorRemoved(db: Db, id: OperatorId, now: EpochMs): Promise<void> {
  await db.updateTable('operator').set({ state: 'removed', removed_at: now }).where('id', '=', id).execute()
}
