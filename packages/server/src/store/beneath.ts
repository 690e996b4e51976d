import type { LeaseId, TaskId } from '@writ/domain/id'
import type { TaskOutcome } from '@writ/ledger/lease-closure'
import { sql, type Kysely } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** Whether a lease, an access token or a child of the task has no recorded end yet. */
export async function hasUnended(db: Db, task: TaskId): Promise<boolean> {
  const found = await sql`
    select 1 as one
     where exists (select 1 from lease where task_id = ${task} and state not in ('ended', 'stuck'))
        or exists (select 1 from access_token where task_id = ${task} and state <> 'ended' and incident_id is null)
        or exists (select 1 from task where parent_id = ${task} and state <> 'closed')`.execute(db)
  return found.rows.length > 0
}

/** How something beneath a task ended: with which outcome, and in which leaf. */
export type EndBeneath<Id> = { readonly id: Id; readonly outcome: TaskOutcome; readonly leaf: Uint8Array }

/** The ends of all that hangs from a task, access tokens among its leases; each list by id. All of them are there. */
export type EndsBeneath = { readonly leases: readonly EndBeneath<LeaseId>[]; readonly children: readonly EndBeneath<TaskId>[] }

export async function listEndsBeneath(db: Db, task: TaskId): Promise<EndsBeneath> {
  const { rows } = await sql<{ id: string; is_task: number; outcome: string | null; incident_id: string | null; leaf: Uint8Array | null }>`
       select id, 0 as is_task, outcome, incident_id, end_leaf as leaf from lease where task_id = ${task}
    union all
       select id, 0 as is_task, outcome, incident_id, end_leaf as leaf from access_token where task_id = ${task}
    union all
       select id, 1 as is_task, closed_outcome as outcome, null as incident_id, closed_leaf as leaf from task where parent_id = ${task}
     order by id`.execute(db)
  const of = <Id>(isTask: 0 | 1): readonly EndBeneath<Id>[] => rows.filter((row) => Number(row.is_task) === isTask).map(({ id, outcome, incident_id: incident, leaf }) => {
    if (leaf === null) throw new Error(`${id} has ended and has no leaf`)
    return { id: id as Id, outcome: outcomeOf(outcome, incident), leaf }
  })
  return { leases: of(0), children: of(1) }
}

function outcomeOf(outcome: string | null, incident: string | null): TaskOutcome {
  if (incident !== null) return 'incident'
  return outcome === null || outcome === 'never_issued' ? 'nothing_issued' : outcome as TaskOutcome
}
