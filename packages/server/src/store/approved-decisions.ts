import type { EventLeaf } from '@writ/domain/event'
import { firstIdAt, type ApprovalId, type DecisionId, type TaskId } from '@writ/domain/id'
import { milliseconds, plus, type EpochMs } from '@writ/domain/time'
import { sql, type Kysely, type SqlBool } from 'kysely'
import type { Decision } from './decisions.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** A use stands in the ledger, and only there with its decision. */
const USED = 'approval.used'
const isNotRefused = sql<SqlBool>`(leaf_index is null or leaf_index >= 0)`

/** Which approval let each of these decisions through; those that none did are left out. */
export async function findApprovalsOf(db: Db, decisions: readonly { readonly id: DecisionId; readonly task: TaskId | null }[]): Promise<ReadonlyMap<DecisionId, ApprovalId>> {
  const named = [...new Set(decisions.flatMap(({ task }) => (task === null ? [] : [task])))]
  if (named.length === 0) return new Map()
  const asked = await db.selectFrom('approval').select('task_id').distinct().where('task_id', 'in', named).where('calls_used', '>', 0).execute()
  if (asked.length === 0) return new Map()
  const rows = await db.selectFrom('event').select('leaf').where('task_id', 'in', asked.map((row) => row.task_id)).where('type', '=', USED).where(isNotRefused).execute()
  const wanted = new Set<string>(decisions.map(({ id }) => id))
  const uses = rows.map((row) => (JSON.parse(row.leaf) as EventLeaf).facts as { readonly decision: DecisionId; readonly approval: ApprovalId })
  return new Map(uses.filter(({ decision }) => wanted.has(decision)).map(({ decision, approval }) => [decision, approval]))
}

/** How often the call that this decision began has gone on under its approval. */
export async function countGoneOn(db: Db, { id, task, event }: Pick<Decision, 'id' | 'task' | 'event'>): Promise<number> {
  const { count } = await db.selectFrom('event').select(sql<number>`count(*)`.as('count')).where('task_id', '=', task).where('type', '=', 'decision.made')
    .where('seq', '>', (eb) => eb.selectFrom('event as first').select('first.seq').where('first.id', '=', event)).where('leaf', 'like', `%"approval":{"first":"${id}",%`).executeTakeFirstOrThrow()
  return Number(count)
}

/** No approval is used longer after it was asked for: a task and a request both have their end before. */
const LONGEST_LIFE_MS = milliseconds(-32 * 86_400_000)

/** How often something was let through by an approval, from one instant up to another. */
export async function countApproved(db: Db, { from, until }: { readonly from: EpochMs; readonly until: EpochMs }): Promise<number> {
  const tasks = db.selectFrom('approval').select('task_id').where('id', '>=', firstIdAt('approval', plus(from, LONGEST_LIFE_MS))).where('used_at', '>=', from)
  const { count } = await db.selectFrom('event').select(sql<number>`count(*)`.as('count')).where('task_id', 'in', tasks).where('type', '=', USED)
    .where('id', '>=', firstIdAt('event', from)).where('id', '<', firstIdAt('event', until)).where(isNotRefused).executeTakeFirstOrThrow()
  return Number(count)
}
