import type { LeaseId, TaskId } from '@writ/domain/id'
import type { TaskOutcome } from '@writ/ledger/lease-closure'
import { sql, type Kysely } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** Those of the tasks beneath which a lease, an access token or a child has no recorded end yet. */
export async function listWithUnended(db: Db, tasks: readonly TaskId[]): Promise<ReadonlySet<TaskId>> {
  const { rows } = await sql<{ id: TaskId }>`
    select id
      from task
     where id in (${sql.join(tasks)})
       and (exists (select 1 from lease where lease.task_id = task.id and lease.state not in ('ended', 'stuck'))
         or exists (select 1 from access_token where access_token.task_id = task.id and access_token.state <> 'ended' and access_token.incident_id is null)
         or exists (select 1 from task as child where child.parent_id = task.id and child.state <> 'closed'))`.execute(db)
  return new Set(rows.map((row) => row.id))
}

/** How something beneath a task ended: with which outcome, and in which leaf. */
export type EndBeneath<Id> = { readonly id: Id; readonly outcome: TaskOutcome; readonly leaf: Uint8Array }

/** The ends of all that hangs from a task, access tokens among its leases; each list by id. */
export type EndsBeneath = { readonly leases: readonly EndBeneath<LeaseId>[]; readonly children: readonly EndBeneath<TaskId>[] }

type EndRow = {
  readonly task_id: string; readonly id: string; readonly is_task: number; readonly outcome: string | null; readonly incident_id: string | null
  readonly leaf: Uint8Array | null
}

/** Of tasks beneath which all has ended; what is not named here has nothing beneath it. */
export async function listEndsBeneath(db: Db, tasks: readonly TaskId[]): Promise<ReadonlyMap<TaskId, EndsBeneath>> {
  const among = sql.join(tasks)
  const { rows } = await sql<EndRow>`
       select task_id, id, 0 as is_task, outcome, incident_id, end_leaf as leaf from lease where task_id in (${among})
    union all
       select task_id, id, 0 as is_task, outcome, incident_id, end_leaf as leaf from access_token where task_id in (${among})
    union all
       select parent_id as task_id, id, 1 as is_task, closed_outcome as outcome, null as incident_id, closed_leaf as leaf from task where parent_id in (${among})
     order by id`.execute(db)
  return new Map([...Map.groupBy(rows, (row) => row.task_id as TaskId)].map(([task, beneath]) => [task, {
    leases: beneath.filter((row) => Number(row.is_task) === 0).map(endOf<LeaseId>), children: beneath.filter((row) => Number(row.is_task) === 1).map(endOf<TaskId>),
  }]))
}

function endOf<Id>({ id, outcome, incident_id: incident, leaf }: EndRow): EndBeneath<Id> {
  if (leaf === null) throw new Error(`${id} has ended and has no leaf`)
  return { id: id as Id, outcome: outcomeOf(outcome, incident), leaf }
}

function outcomeOf(outcome: string | null, incident: string | null): TaskOutcome {
  if (incident !== null) return 'incident'
  return outcome === null || outcome === 'never_issued' ? 'nothing_issued' : outcome as TaskOutcome
}
