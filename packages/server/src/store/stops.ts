import type { EventActor } from '@writ/domain/event'
import type { IdentityId, LeaseId, ServerInstanceId, StopId, TaskId } from '@writ/domain/id'
import type { ServerAnswer, StopState, StopTarget, Touched } from '@writ/domain/stop'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { sql, type Kysely } from 'kysely'
import { parseApprovalRow, type Approval } from './approvals.ts'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { insertRows } from './prepared.ts'
import { forUpdate } from './row-locks.ts'
import type { StopRow, StopServerRow } from './stop-tables.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

export type NewStop = {
  readonly id: StopId
  readonly target: StopTarget
  /** A task's id, or an identity's. */
  readonly targetId: TaskId | IdentityId
  /** The identity itself, or whose task it is. */
  readonly identity: IdentityId
  readonly reason: string
  readonly by: EventActor
  readonly at: EpochMs
  readonly touched: Touched
}

export type Stop = NewStop & { readonly state: StopState; readonly settledAt: EpochMs | null }

const instant = (value: number | null): EpochMs | null => (value === null ? null : epochMs(value))

const parseStopRow = (row: StopRow): Stop => ({
  id: row.id as StopId, target: row.target as StopTarget, targetId: row.target_id as TaskId | IdentityId, identity: row.identity_id as IdentityId, reason: row.reason,
  by: { kind: row.made_by_kind, id: row.made_by } as EventActor, at: epochMs(row.made_at), touched: fromJsonText<Touched>(row.touched), state: row.state as StopState,
  settledAt: instant(row.settled_at),
})

/** In one statement; a database takes no more values at once. */
const AT_ONCE = 500

function inChunks<T>(all: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / AT_ONCE) }, (_, i) => all.slice(i * AT_ONCE, (i + 1) * AT_ONCE))
}

/** A task that is not closed, and whose it is. */
export type RunningTask = { readonly id: TaskId; readonly identity: IdentityId; readonly root: TaskId; readonly state: 'open' | 'ending' }
type RunningRow = { readonly id: string; readonly identity_id: string; readonly root_id: string; readonly state: string }

const runningOf = (rows: readonly RunningRow[]): readonly RunningTask[] => rows.map((row) => ({ id: row.id as TaskId, identity: row.identity_id as IdentityId, root: row.root_id as TaskId, state: row.state as RunningTask['state'] }))

/** This task and all beneath it that are not closed. */
export async function listRunningBeneath(db: Db, task: TaskId): Promise<readonly RunningTask[]> {
  const { rows } = await sql<RunningRow>`
    with recursive beneath (id, identity_id, root_id, state) as (
      select id, identity_id, root_id, state from task where id = ${task} and state <> 'closed'
      union all
      select child.id, child.identity_id, child.root_id, child.state from task as child join beneath on child.parent_id = beneath.id where child.state <> 'closed'
    )
    select id, identity_id, root_id, state from beneath order by root_id, id`.execute(db)
  return runningOf(rows)
}

/** All tasks of these identities that are not closed, and all beneath those. By two partial indexes: of an identity a million tasks may be closed. */
export async function listRunningOf(db: Db, identities: readonly IdentityId[]): Promise<readonly RunningTask[]> {
  const found = new Map<TaskId, RunningTask>()
  for (const some of inChunks(identities)) {
    const among = sql.join(some)
    const { rows } = await sql<RunningRow>`
      with recursive reached (id, identity_id, root_id, state) as (
        select id, identity_id, root_id, state
          from (select id, identity_id, root_id, state from task where identity_id in (${among}) and state = 'open'
                union all
                select id, identity_id, root_id, state from task where identity_id in (${among}) and state = 'ending') as own
        union
        select child.id, child.identity_id, child.root_id, child.state from task as child join reached on child.parent_id = reached.id where child.state <> 'closed'
      )
      select id, identity_id, root_id, state from reached order by root_id, id`.execute(db)
    for (const one of runningOf(rows)) found.set(one.id, one)
  }
  return [...found.values()]
}

export type TouchedByTasks = Omit<Touched, 'identities' | 'tasks'>

/** What these tasks hold now. */
export async function countTouched(db: Db, tasks: readonly TaskId[]): Promise<TouchedByTasks> {
  let counted: TouchedByTasks = { logins: 0, tokens: 0, callsInFlight: 0, approvals: 0 }
  for (const some of inChunks(tasks)) {
    const among = sql.join(some)
    const { rows: [row] } = await sql<{ readonly logins: number; readonly tokens: number; readonly calls: number; readonly approvals: number }>`
      select (select count(*) from lease where task_id in (${among}) and state <> 'ended') as logins,
             (select count(*) from access_token where task_id in (${among}) and state <> 'ended') as tokens,
             (select count(*) from tool_call where task_id in (${among}) and status = 'in_flight') as calls,
             (select count(*) from approval where task_id in (${among}) and state in ('waiting', 'approved')) as approvals`.execute(db)
    counted = {
      logins: counted.logins + Number(row!.logins), tokens: counted.tokens + Number(row!.tokens), callsInFlight: counted.callsInFlight + Number(row!.calls),
      approvals: counted.approvals + Number(row!.approvals),
    }
  }
  return counted
}

/** Requests for approval, and approvals that are not used up, of these tasks; locked until the end of the change, which holds the tasks. */
export async function lockLiveApprovals<Context>(tx: TxOf<Tables, Context>, tasks: readonly TaskId[]): Promise<readonly Approval[]> {
  const found: Approval[] = []
  for (const some of inChunks(tasks)) {
    const rows = await forUpdate(tx, tx.db.selectFrom('approval').selectAll().where('task_id', 'in', some).where('state', 'in', ['waiting', 'approved']).orderBy('id')).execute()
    found.push(...rows.map(parseApprovalRow))
  }
  return found
}

/**
 * With all whose end it waits for: its tasks, each credential that has no recorded end, and each server that runs. Written before anything
 * ends, in the same change.
 */
export async function insertStop(db: Db, stop: NewStop, tasks: readonly TaskId[]): Promise<void> {
  await insertRows(db, 'stop', [{
    id: stop.id, target: stop.target, target_id: stop.targetId, identity_id: stop.identity, reason: stop.reason, made_by_kind: stop.by.kind, made_by: stop.by.id, made_at: stop.at,
    touched: toJsonText(stop.touched), state: 'containing', settled_at: null,
  }])
  await insertRows(db, 'stop_task', tasks.map((task) => ({ stop_id: stop.id, task_id: task })))
  await sql`
    insert into stop_lease (stop_id, lease_id, kind)
    select ${stop.id}, lease.id, 'login' from lease join stop_task on stop_task.task_id = lease.task_id where stop_task.stop_id = ${stop.id} and lease.state <> 'ended'
    union all
    select ${stop.id}, access_token.id, 'token' from access_token join stop_task on stop_task.task_id = access_token.task_id
     where stop_task.stop_id = ${stop.id} and access_token.state <> 'ended'`.execute(db)
  await sql`
    insert into stop_server (stop_id, instance_id, address, calls)
    select ${stop.id}, server_instance.id, server_instance.address,
           (select count(*) from tool_call join stop_task on stop_task.task_id = tool_call.task_id
             where stop_task.stop_id = ${stop.id} and tool_call.instance_id = server_instance.id and tool_call.status = 'in_flight')
      from server_instance
     where server_instance.gone_at is null`.execute(db)
}

export async function findStop(db: Db, id: string): Promise<Stop | undefined> {
  const row = await db.selectFrom('stop').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseStopRow(row)
}

export async function lockStop<Context>(tx: TxOf<Tables, Context>, id: string): Promise<Stop | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('stop').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseStopRow(row)
}

export type StopPage = { readonly limit: number; readonly before?: string; readonly identities?: readonly string[] }

/** Newest first. */
export async function listStops(db: Db, { limit, before, identities }: StopPage): Promise<readonly Stop[]> {
  let query = db.selectFrom('stop').selectAll().orderBy('id', 'desc').limit(limit)
  if (before !== undefined) query = query.where('id', '<', before)
  if (identities !== undefined) query = query.where('identity_id', 'in', identities.length === 0 ? [''] : identities)
  return (await query.execute()).map(parseStopRow)
}

export async function listStopTasks(db: Db, id: string): Promise<readonly TaskId[]> {
  return (await db.selectFrom('stop_task').select('task_id').where('stop_id', '=', id).orderBy('task_id').execute()).map((row) => row.task_id as TaskId)
}

export type StopServer = {
  readonly instance: ServerInstanceId
  readonly address: string | null
  /** In flight there when it was stopped. */
  readonly calls: number
  readonly answer: ServerAnswer | null
  readonly answeredAt: EpochMs | null
  readonly callsLost: number
}

const parseStopServerRow = (row: StopServerRow): StopServer => ({
  instance: row.instance_id as ServerInstanceId, address: row.address, calls: row.calls, answer: row.answer as ServerAnswer | null, answeredAt: instant(row.answered_at), callsLost: row.calls_lost,
})

export async function listStopServers(db: Db, id: string): Promise<readonly StopServer[]> {
  return (await db.selectFrom('stop_server').selectAll().where('stop_id', '=', id).orderBy('instance_id').execute()).map(parseStopServerRow)
}

export type OpenAnswer = { readonly stop: StopId; readonly instance: ServerInstanceId }

/** What this server has not answered yet, and what nobody else will answer any more. Most looks find nothing. */
export async function listOpenAnswers(db: Db, own: ServerInstanceId): Promise<readonly OpenAnswer[]> {
  const rows = await db.selectFrom('stop_server').select(['stop_id', 'instance_id']).where('answer', 'is', null)
    .where((eb) => eb.or([
      eb('instance_id', '=', own),
      eb.not(eb.exists(eb.selectFrom('server_instance').select('server_instance.id').whereRef('server_instance.id', '=', 'stop_server.instance_id').where('server_instance.gone_at', 'is', null))),
    ])).orderBy('stop_id').limit(AT_ONCE).execute()
  return rows.map((row) => ({ stop: row.stop_id as StopId, instance: row.instance_id as ServerInstanceId }))
}

export async function lockStopServer<Context>(tx: TxOf<Tables, Context>, { stop, instance }: OpenAnswer): Promise<StopServer | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('stop_server').selectAll().where('stop_id', '=', stop).where('instance_id', '=', instance)).executeTakeFirst()
  return row && parseStopServerRow(row)
}

export async function setAnswer(db: Db, { stop, instance }: OpenAnswer, { answer, callsLost, now }: { readonly answer: ServerAnswer; readonly callsLost: number; readonly now: EpochMs }): Promise<void> {
  await db.updateTable('stop_server').set({ answer, answered_at: now, calls_lost: callsLost }).where('stop_id', '=', stop).where('instance_id', '=', instance).execute()
}

/** Of the stop's tasks, through this server: still in flight, or lost since then. */
export async function countCallsThrough(db: Db, { stop, instance }: OpenAnswer, since: EpochMs): Promise<{ readonly inFlight: number; readonly lost: number }> {
  const row = await db.selectFrom('tool_call').innerJoin('stop_task', 'stop_task.task_id', 'tool_call.task_id').where('stop_task.stop_id', '=', stop).where('tool_call.instance_id', '=', instance)
    .select((eb) => [
      eb.fn.sum<number | null>(eb.case().when('tool_call.status', '=', 'in_flight').then(1).else(0).end()).as('in_flight'),
      eb.fn.sum<number | null>(eb.case().when(eb.and([eb('tool_call.status', '=', 'unknown'), eb('tool_call.finished_at', '>=', since)])).then(1).else(0).end()).as('lost'),
    ]).executeTakeFirstOrThrow()
  return { inFlight: Number(row.in_flight ?? 0), lost: Number(row.lost ?? 0) }
}

/** Stops of which nobody's answer and no credential's end is awaited any more. */
export async function listSettled(db: Db): Promise<readonly StopId[]> {
  const { rows } = await sql<{ readonly id: StopId }>`
    select stop.id
      from stop
     where stop.state = 'containing'
       and not exists (select 1 from stop_server where stop_server.stop_id = stop.id and stop_server.answer is null)
       and not exists (select 1 from stop_lease join lease on lease.id = stop_lease.lease_id where stop_lease.stop_id = stop.id and lease.state <> 'ended')
       and not exists (select 1 from stop_lease join access_token on access_token.id = stop_lease.lease_id where stop_lease.stop_id = stop.id and access_token.state <> 'ended')
     order by stop.id
     limit 100`.execute(db)
  return rows.map((row) => row.id)
}

export async function markStopSettled(db: Db, id: StopId, state: Exclude<StopState, 'containing'>, now: EpochMs): Promise<void> {
  await db.updateTable('stop').set({ state, settled_at: now }).where('id', '=', id).execute()
}

/** A credential whose end a stop waits for. */
export type StopLease = { readonly id: LeaseId; readonly kind: 'login' | 'token'; readonly backend: string | null; readonly state: string; readonly outcome: string | null; readonly incident: string | null }

type StopLeaseRow = { readonly id: string; readonly kind: string; readonly backend: string | null; readonly state: string; readonly outcome: string | null; readonly incident_id: string | null }

const leasesIn = (stop: string) => sql`
  select l.lease_id as id, l.kind, backend.name as backend, lease.state, lease.outcome, lease.incident_id
    from stop_lease as l join lease on lease.id = l.lease_id join backend on backend.id = lease.backend_id where l.stop_id = ${stop}
   union all
  select l.lease_id as id, l.kind, null as backend, t.state, t.outcome, t.incident_id
    from stop_lease as l join access_token as t on t.id = l.lease_id where l.stop_id = ${stop}`

/** Those that have no proved end first. */
export async function listStopLeases(db: Db, stop: string, limit: number): Promise<readonly StopLease[]> {
  const { rows } = await sql<StopLeaseRow>`
    select * from (${leasesIn(stop)}) as held
     order by case when outcome is null then 0 when outcome = 'not_evaluated' then 1 else 2 end, id limit ${limit}`.execute(db)
  return rows.map((row) => ({ id: row.id as LeaseId, kind: row.kind as StopLease['kind'], backend: row.backend, state: row.state, outcome: row.outcome, incident: row.incident_id }))
}

export type LeaseEnds = { readonly pending: number; readonly incident: number; readonly notEvaluated: number; readonly proved: number }

export async function countLeaseEnds(db: Db, stop: string): Promise<LeaseEnds> {
  const { rows: [row] } = await sql<Record<keyof LeaseEnds, number | null>>`
    select sum(case when outcome is null and incident_id is null then 1 else 0 end) as pending,
           sum(case when outcome is null and incident_id is not null then 1 else 0 end) as incident,
           sum(case when outcome = 'not_evaluated' then 1 else 0 end) as "notEvaluated",
           sum(case when outcome in ('proved', 'never_issued') then 1 else 0 end) as proved
      from (${leasesIn(stop)}) as held`.execute(db)
  return { pending: Number(row?.pending ?? 0), incident: Number(row?.incident ?? 0), notEvaluated: Number(row?.notEvaluated ?? 0), proved: Number(row?.proved ?? 0) }
}
