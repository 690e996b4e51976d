import { firstIdAt } from '@writ/domain/id'
import type { IdentityState } from '@writ/domain/identity'
import type { EpochMs } from '@writ/domain/time'
import { sql, type Kysely, type SqlBool } from 'kysely'
import { countApproved } from './approved-decisions.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

const count = sql<number>`count(*)`.as('count')

export type IdentityCounts = { readonly states: Readonly<Record<IdentityState, number>>; readonly atWork: number; readonly keys: number }

export async function countIdentities(db: Db): Promise<IdentityCounts> {
  const states = await db.selectFrom('identity').select(['state', count]).groupBy('state').execute()
  const atWork = await db.selectFrom('task').select(sql<number>`count(distinct identity_id)`.as('count')).where(sql<SqlBool>`state = 'open'`).executeTakeFirstOrThrow()
  const keys = await db.selectFrom('credential').select(count).where('state', '=', 'live').executeTakeFirstOrThrow()
  const inState = (state: IdentityState): number => Number(states.find((row) => row.state === state)?.count ?? 0)
  return {
    states: { active: inState('active'), suspended: inState('suspended'), retired: inState('retired') }, atWork: Number(atWork.count), keys: Number(keys.count),
  }
}

export type DecisionCounts = { readonly allowed: number; readonly approved: number; readonly denied: number; readonly observed: number; readonly more: boolean }

/** How decisions came out from one instant up to another, of `most` of them at most; advice is none. */
export async function countDecisions(db: Db, { from, until, most }: { readonly from: EpochMs; readonly until: EpochMs; readonly most: number }): Promise<DecisionCounts> {
  const some = db.selectFrom('decision').select(['answer', 'would_deny']).where('id', '>=', firstIdAt('decision', from)).where('id', '<', firstIdAt('decision', until))
    .where('advisory', '=', 'no').limit(most + 1).as('some')
  const rows = await db.selectFrom(some).select(['answer', 'would_deny', count]).groupBy(['answer', 'would_deny']).execute()
  const sumOf = (of: (row: { readonly answer: string; readonly would_deny: string }) => boolean): number => rows.filter(of).reduce((sum, row) => sum + Number(row.count), 0)
  const [allowed, used] = [sumOf((row) => row.answer === 'allow' && row.would_deny === 'no'), await countApproved(db, { from, until })]
  // Where there were more than are counted, all of those may have been approved.
  const approved = Math.min(used, allowed)
  return {
    allowed: allowed - approved, approved, denied: sumOf((row) => row.answer === 'deny'), observed: sumOf((row) => row.would_deny === 'yes'),
    more: sumOf(() => true) > most,
  }
}
