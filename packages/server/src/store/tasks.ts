import type { Authority } from '@writ/domain/authority'
import type { BindingId, CredentialId, IdentityId, TaskId } from '@writ/domain/id'
import { nextDueAt, type EndReason, type OnBehalfOf, type Task, type TaskState } from '@writ/domain/task'
import { epochMs, milliseconds, type EpochMs } from '@writ/domain/time'
import type { TaskOutcome } from '@writ/ledger/lease-closure'
import { sql, type Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { BY_KEY, insertRows, prepared, preparedLock, preparedWrite } from './prepared.ts'
import { forUpdate, forUpdateOfFree } from './row-locks.ts'
import type { Tables, TaskRow } from './tables.ts'

type Db = Kysely<Tables>

const instant = (value: number | null): EpochMs | null => (value === null ? null : epochMs(value))

export function parseTaskRow(row: TaskRow): Task {
  return {
    id: row.id as TaskId,
    identity: row.identity_id as IdentityId,
    parent: row.parent_id as TaskId | null,
    root: row.root_id as TaskId,
    depth: row.depth,
    depthLeft: row.depth_left,
    purpose: row.purpose,
    authority: fromJsonText<Authority>(row.authority),
    onBehalfOf: row.on_behalf_of === null ? null : fromJsonText<OnBehalfOf>(row.on_behalf_of),
    purposeId: row.purpose_id,
    changeReference: row.change_reference,
    openedAt: epochMs(row.opened_at),
    deadline: epochMs(row.deadline),
    budgetCalls: row.budget_calls,
    callsUsed: row.calls_used,
    widenings: row.widenings,
    idleTimeout: milliseconds(row.idle_timeout),
    heartbeat: milliseconds(row.heartbeat),
    lastHeardAt: epochMs(row.last_heard_at),
    lastCallAt: epochMs(row.last_call_at),
    state: row.state as TaskState,
    endReason: row.end_reason as EndReason | null,
    endedAt: instant(row.ended_at),
    closedAt: instant(row.closed_at),
  }
}

/** `holder`: the mark of whoever opened it, and what let it in; undefined where that is not known. */
export async function insertTask(db: Db, task: Task, holder: { readonly workload: string; readonly openedBy: string | null } | undefined): Promise<void> {
  await insertRows(db, 'task', [{
    id: task.id,
    identity_id: task.identity,
    parent_id: task.parent,
    root_id: task.root,
    depth: task.depth,
    depth_left: task.depthLeft,
    purpose: task.purpose,
    authority: toJsonText(task.authority),
    on_behalf_of: task.onBehalfOf === null ? null : toJsonText(task.onBehalfOf),
    opened_at: task.openedAt,
    deadline: task.deadline,
    budget_calls: task.budgetCalls,
    calls_used: task.callsUsed,
    widenings: task.widenings,
    workload: holder?.workload ?? null,
    opened_by: holder?.openedBy ?? null,
    idle_timeout: task.idleTimeout,
    heartbeat: task.heartbeat,
    last_heard_at: task.lastHeardAt,
    last_call_at: task.lastCallAt,
    state: task.state,
    end_reason: null,
    ended_at: null,
    closed_at: null,
    closed_leaf: null,
    closed_outcome: null,
    due_at: nextDueAt(task),
    purpose_id: task.purposeId,
    change_reference: task.changeReference,
    denied_calls: 0,
  }])
}

export async function findTask(db: Db, id: string): Promise<Task | undefined> {
  const row = await db.selectFrom('task').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseTaskRow(row)
}

/** In one statement; a database takes no more values at once. */
const AT_ONCE = 500

async function inParts<T>(ids: readonly string[], ask: (some: readonly string[]) => Promise<readonly T[]>): Promise<readonly T[]> {
  const all: T[] = []
  for (let from = 0; from < ids.length; from += AT_ONCE) all.push(...await ask(ids.slice(from, from + AT_ONCE)))
  return all
}

export const listTasksById = (db: Db, ids: readonly TaskId[]): Promise<readonly Task[]> =>
  inParts(ids, async (some) => (await db.selectFrom('task').selectAll().where('id', 'in', some).orderBy('id').execute()).map(parseTaskRow))

/** The tops of their trees, each once. */
export async function listRootIds(db: Db, ids: readonly TaskId[]): Promise<readonly TaskId[]> {
  const roots = await inParts(ids, async (some) => (await db.selectFrom('task').select('root_id').distinct().where('id', 'in', some).execute()).map((row) => row.root_id as TaskId))
  return [...new Set(roots)]
}

/**
 * The task, locked until the end of the change, and before it the root of its tree.
 * INVARIANT: no other change of the tree runs meanwhile, and none that goes up it waits for one that goes down. Lock an identity before a
 * task, and a lease after its task.
 */
export async function lockTask<Context>(tx: TxOf<Tables, Context>, id: string): Promise<Task | undefined> {
  return (await lockHeldTask(tx, id))?.task
}

/** The same, with the mark of the workload that holds it; null where that is not known. */
export async function lockHeldTask<Context>(tx: TxOf<Tables, Context>, id: string): Promise<{ readonly task: Task; readonly workload: string | null } | undefined> {
  const row = ownRow(await lockWithRoot(tx, { id }), id)
  return row && { task: parseTaskRow(row), workload: row.workload }
}

/** The tops of trees, and with them the trees. In one order, so that two who lock the same ones never wait for each other. */
export async function lockRoots<Context>(tx: TxOf<Tables, Context>, roots: readonly TaskId[]): Promise<void> {
  await inParts(roots.toSorted(), (some) => forUpdate(tx, tx.db.selectFrom('task').select('id').where('id', 'in', some).orderBy('id')).execute())
}

/** Several. INVARIANT: this change holds their roots. */
export const lockTasks = <Context>(tx: TxOf<Tables, Context>, ids: readonly TaskId[]): Promise<readonly Task[]> =>
  inParts(ids.toSorted(), async (some) => (await forUpdate(tx, tx.db.selectFrom('task').selectAll().where('id', 'in', some).orderBy('id')).execute()).map(parseTaskRow))

const lockWithRoot = preparedLock((tx, of: { readonly id: string }) => forUpdate({ ...tx, context: undefined }, withRoot(tx.db, of.id)), BY_KEY)

/** The same, or undefined when another change holds the tree. */
export async function lockFreeTask<Context>(tx: TxOf<Tables, Context>, id: string): Promise<Task | undefined> {
  const row = ownRow(await forUpdateOfFree(tx, withRoot(tx.db, id)).execute(), id)
  return row && parseTaskRow(row)
}

/** A task that is to be locked, and the top of its tree. */
export type RootedTask = { readonly id: TaskId; readonly root: TaskId }

/** The same of several: those whose trees no other change holds. */
export async function lockFreeTasks<Context>(tx: TxOf<Tables, Context>, tasks: readonly RootedTask[]): Promise<ReadonlySet<TaskId>> {
  const lockFree = async (ids: readonly TaskId[]): Promise<readonly TaskId[]> => {
    if (ids.length === 0) return []
    const rows = await forUpdateOfFree(tx, tx.db.selectFrom('task').select('id').where('id', 'in', [...new Set(ids)])).execute()
    return rows.map((row) => row.id as TaskId)
  }
  // INVARIANT: the roots first. Who held a task without its root would hold up whoever holds the root, and could be held up by them.
  const roots = new Set(await lockFree(tasks.map((task) => task.root)))
  const below = new Set(await lockFree(tasks.filter((task) => task.id !== task.root && roots.has(task.root)).map((task) => task.id)))
  return new Set(tasks.filter((task) => (task.id === task.root ? roots : below).has(task.id)).map((task) => task.id))
}

/**
 * By its key alone, twice: with an `or` PostgreSQL would read all tasks that there are. INVARIANT: no join. A row that another transaction has
 * changed while this one waited for its lock is looked at again, and would then be left out as if it were not there.
 */
const withRoot = (db: Db, id: string) => db.selectFrom('task').selectAll()
  .where((eb) => eb('id', 'in', [eb.val(id), eb.selectFrom('task as own').select('own.root_id').where('own.id', '=', id)]))
  .orderBy('depth')

function ownRow(rows: readonly TaskRow[], id: string): TaskRow | undefined {
  const own = rows.find((row) => row.id === id)
  return own !== undefined && rows.some((row) => row.id === own.root_id) ? own : undefined
}

/** Open tasks whose time is over, longest over first. */
export async function listDueTaskIds(db: Db, now: EpochMs, limit: number): Promise<readonly TaskId[]> {
  const rows = await db.selectFrom('task').select('id').where('due_at', '<=', now).orderBy('due_at').limit(limit).execute()
  return rows.map((row) => row.id as TaskId)
}

export type TaskPage = { readonly limit: number; readonly before?: string; readonly state?: TaskState; readonly identity?: IdentityId; /** Of whose identities. */ readonly owners?: readonly string[] }

/** Newest first. */
export async function listTasks(db: Db, page: TaskPage): Promise<readonly Task[]> {
  let query = db.selectFrom('task').selectAll().orderBy('id', 'desc').limit(page.limit)
  if (page.before !== undefined) query = query.where('id', '<', page.before)
  if (page.state !== undefined) query = query.where('state', '=', page.state)
  if (page.identity !== undefined) query = query.where('identity_id', '=', page.identity)
  const { owners } = page
  if (owners?.length === 0) return []
  if (owners !== undefined) {
    query = query.where('identity_id', 'in', db.selectFrom('identity').select('identity.id').where((eb) => eb.or([eb('technical_owner', 'in', owners), eb('business_owner', 'in', owners)])))
  }
  return (await query.execute()).map(parseTaskRow)
}

/** The mark of the workload that opened the task; null where that is not known. */
export async function findWorkload(db: Db, task: TaskId): Promise<string | null> {
  return (await db.selectFrom('task').select('workload').where('id', '=', task).executeTakeFirst())?.workload ?? null
}

/** An open task of the identity that another workload opened: one look at each end of an index, however many are open. */
export async function findOtherWorkload(db: Db, identity: IdentityId, workload: string): Promise<{ readonly task: TaskId; readonly workload: string } | undefined> {
  const [row] = (await otherWorkload(db, { identity, workload })).rows
  return row && { task: row.id as TaskId, workload: row.workload }
}

const otherWorkload = prepared((db, of: { readonly identity: IdentityId; readonly workload: string }) => {
  const query = sql<{ id: string; workload: string }>`
    select id, workload from (select id, workload from task where identity_id = ${of.identity} and state = 'open' and workload < ${of.workload} order by workload limit 1) as below
     union all
    select id, workload from (select id, workload from task where identity_id = ${of.identity} and state = 'open' and workload > ${of.workload} order by workload limit 1) as above
     limit 1`
  return { compile: () => query.compile(db) }
})

/** Of an identity's open tasks those that this credential or binding let in, and those of which nobody knows what did. */
export async function listTasksOpenedBy(db: Db, identity: IdentityId, evidence: CredentialId | BindingId): Promise<readonly TaskId[]> {
  const rows = await db.selectFrom('task').select('id').where('identity_id', '=', identity).where('state', '=', 'open')
    .where((eb) => eb.or([eb('opened_by', '=', evidence), eb('opened_by', 'is', null)])).orderBy('id').execute()
  return rows.map((row) => row.id as TaskId)
}

export async function listOpenTaskIds(db: Db, identity: IdentityId): Promise<readonly TaskId[]> {
  const rows = await db.selectFrom('task').select('id').where('identity_id', '=', identity).where('state', '=', 'open').orderBy('root_id').orderBy('id').execute()
  return rows.map((row) => row.id as TaskId)
}

export const listOpenChildren = (db: Db, parents: readonly TaskId[]): Promise<readonly Task[]> =>
  inParts(parents, async (some) => (await db.selectFrom('task').selectAll().where('parent_id', 'in', some).where('state', '=', 'open').orderBy('id').execute()).map(parseTaskRow))

export type Child = { readonly id: TaskId; readonly state: TaskState; readonly closedLeaf: Uint8Array | null; readonly closedOutcome: TaskOutcome | null }

export async function listChildren(db: Db, parent: TaskId): Promise<readonly Child[]> {
  const rows = await db.selectFrom('task').select(['id', 'state', 'closed_leaf', 'closed_outcome']).where('parent_id', '=', parent).orderBy('id').execute()
  return rows.map((row) => ({ id: row.id as TaskId, state: row.state as TaskState, closedLeaf: row.closed_leaf, closedOutcome: row.closed_outcome as TaskOutcome | null }))
}

/** How many leases, access tokens and children hang from the task, ended ones included. */
export async function countBeneath(db: Db, task: TaskId): Promise<number> {
  const row = await db.selectNoFrom((eb) => [
    eb.selectFrom('lease').select((of) => of.fn.countAll<number>().as('count')).where('task_id', '=', task).as('leases'),
    eb.selectFrom('access_token').select((of) => of.fn.countAll<number>().as('count')).where('task_id', '=', task).as('tokens'),
    eb.selectFrom('task').select((of) => of.fn.countAll<number>().as('count')).where('parent_id', '=', task).as('children'),
  ]).executeTakeFirstOrThrow()
  return Number(row.leases) + Number(row.tokens) + Number(row.children)
}

/** Moves the task's clocks and its used budget; the caller has checked both. */
export async function touchTask(db: Db, task: Task): Promise<void> {
  await touchOpen(db, { id: task.id, callsUsed: task.callsUsed, heardAt: task.lastHeardAt, callAt: task.lastCallAt, dueAt: nextDueAt(task) })
}

type Touched = { readonly id: TaskId; readonly callsUsed: number; readonly heardAt: EpochMs; readonly callAt: EpochMs; readonly dueAt: EpochMs | null }

const touchOpen = preparedWrite((db, to: Touched) => db.updateTable('task')
  .set({ calls_used: to.callsUsed, last_heard_at: to.heardAt, last_call_at: to.callAt, due_at: to.dueAt })
  .where('id', '=', to.id).where('state', '=', 'open'), BY_KEY)

/** Who holds a task that was delegated: the first running workload that comes for it. */
export async function takeUpTask(db: Db, task: TaskId, workload: string): Promise<void> {
  await db.updateTable('task').set({ workload }).where('id', '=', task).where('workload', 'is', null).execute()
}

export async function setCallsUsed(db: Db, task: TaskId, callsUsed: number): Promise<void> {
  await db.updateTable('task').set({ calls_used: callsUsed }).where('id', '=', task).execute()
}

/** The caller has checked that the authority covers the one before, and that the task is open. */
export async function setAuthority(db: Db, task: TaskId, authority: Authority, widenings: number): Promise<void> {
  await db.updateTable('task').set({ authority: toJsonText(authority), widenings }).where('id', '=', task).execute()
}

export async function markTasksEnding(db: Db, ids: readonly TaskId[], because: EndReason, now: EpochMs): Promise<void> {
  await db.updateTable('task').set({ state: 'ending', end_reason: because, ended_at: now, due_at: null }).where('id', 'in', ids).execute()
}

/** `leaf` and `outcome` are those of `task.closed`. */
export type TaskClosed = { readonly id: TaskId; readonly leaf: Uint8Array; readonly outcome: TaskOutcome }

export async function markTasksClosed<Context>({ db, dialect }: TxOf<Tables, Context>, closed: readonly TaskClosed[], now: EpochMs): Promise<void> {
  const bytes = sql.raw(dialect.types.bytes)
  const rows = closed.map(({ id, leaf, outcome }) => sql`(cast(${id} as text), cast(${leaf} as ${bytes}), cast(${outcome} as text))`)
  await sql`
      with closing (id, leaf, outcome) as (values ${sql.join(rows)})
    update task
       set state = 'closed', closed_at = ${now}, closed_leaf = closing.leaf, closed_outcome = closing.outcome
      from closing
     where task.id = closing.id`.execute(db)
}
