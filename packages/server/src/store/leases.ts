import type { BackendId, IdentityId, IncidentId, LeaseId, TaskId } from '@writ/domain/id'
import type { ControlLogin, Lease, LeaseOutcome, LeaseState, Reassigned } from '@writ/domain/lease'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { sql, type Kysely, type SqlBool } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { forUpdate } from './row-locks.ts'
import type { LeaseRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** A lease with what only its withdrawal needs. */
export type StoredLease = Lease & { readonly sealedSecret: string | null; readonly mintedAt: EpochMs | null; readonly stopAt: EpochMs | null; readonly endLeaf: Uint8Array | null; readonly survey: Survey | null }

/** What a withdrawal found and is about to hand over. */
export type Survey = { readonly reassigned: readonly Reassigned[]; readonly sessionsEnded: number }

export function parseLeaseRow(row: LeaseRow): StoredLease {
  return {
    id: row.id as LeaseId,
    task: row.task_id as TaskId,
    identity: row.identity_id as IdentityId,
    backend: row.backend_id as BackendId,
    template: row.template,
    handle: row.handle,
    state: row.state as LeaseState,
    outcome: row.outcome as LeaseOutcome | null,
    intendedAt: epochMs(row.intended_at),
    expiresAt: epochMs(row.expires_at),
    control: row.control === null ? null : fromJsonText<ControlLogin>(row.control),
    attempts: row.attempts,
    incident: row.incident_id as IncidentId | null,
    sealedSecret: row.sealed_secret,
    mintedAt: row.minted_at === null ? null : epochMs(row.minted_at),
    stopAt: row.stop_at === null ? null : epochMs(row.stop_at),
    endLeaf: row.end_leaf,
    survey: row.survey === null ? null : fromJsonText<Survey>(row.survey),
  }
}

/** `dueAt`: when the sweeper looks, should nothing more be heard of the intention. */
export async function insertIntendedLease(db: Db, lease: Lease & { readonly sealedSecret: string; readonly dueAt: EpochMs }): Promise<void> {
  await db.insertInto('lease').values({
    id: lease.id,
    task_id: lease.task,
    identity_id: lease.identity,
    backend_id: lease.backend,
    template: lease.template,
    handle: lease.handle,
    sealed_secret: lease.sealedSecret,
    state: 'intended',
    outcome: null,
    intended_at: lease.intendedAt,
    minted_at: null,
    expires_at: lease.expiresAt,
    control: null,
    stop_at: null,
    attempts: 0,
    due_at: lease.dueAt,
    incident_id: null,
    end_leaf: null,
    survey: null,
  }).execute()
}

export async function findLease(db: Db, id: string): Promise<StoredLease | undefined> {
  const row = await db.selectFrom('lease').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseLeaseRow(row)
}

/** The lease, locked until the end of the change. Lock its task before it, never after. */
export async function lockLease<Context>(tx: TxOf<Tables, Context>, id: string): Promise<StoredLease | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('lease').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseLeaseRow(row)
}

export async function listLeasesOf(db: Db, tasks: readonly TaskId[]): Promise<readonly StoredLease[]> {
  if (tasks.length === 0) return []
  const rows = await db.selectFrom('lease').selectAll().where('task_id', 'in', tasks).orderBy('id').execute()
  return rows.map(parseLeaseRow)
}

export async function markLeaseLive(db: Db, id: LeaseId, control: ControlLogin, now: EpochMs): Promise<void> {
  await db.updateTable('lease')
    .set((eb) => ({ state: 'live', minted_at: now, control: toJsonText(control), due_at: eb.ref('expires_at') })).where('id', '=', id).execute()
}

/** From now on the lease is being stopped; `stop_at` keeps the first time that it was said. */
export async function markLeaseWithdrawing(db: Db, id: LeaseId, now: EpochMs, dueAt: EpochMs): Promise<void> {
  await db.updateTable('lease')
    .set((eb) => ({ state: 'withdrawing', stop_at: eb.fn.coalesce('stop_at', eb.val(now)), due_at: dueAt }))
    .where('id', '=', id).where('state', 'in', ['intended', 'live']).execute()
}

/** The same of all that are live of these tasks, at once. */
export async function withdrawLeasesOf(db: Db, tasks: readonly TaskId[], now: EpochMs): Promise<void> {
  await db.updateTable('lease').set((eb) => ({ state: 'withdrawing', stop_at: eb.fn.coalesce('stop_at', eb.val(now)), due_at: now }))
    .where('task_id', 'in', tasks).where('state', '=', 'live').execute()
}

/** Of these tasks, those that may still be being made. */
export async function listIntendedLeases(db: Db, tasks: readonly TaskId[]): Promise<readonly Pick<StoredLease, 'id' | 'intendedAt'>[]> {
  const rows = await db.selectFrom('lease').select(['id', 'intended_at']).where('task_id', 'in', tasks).where('state', '=', 'intended').orderBy('id').execute()
  return rows.map((row) => ({ id: row.id as LeaseId, intendedAt: epochMs(row.intended_at) }))
}

export async function setLeaseDue(db: Db, id: LeaseId, dueAt: EpochMs): Promise<void> {
  await db.updateTable('lease').set({ due_at: dueAt }).where('id', '=', id).where('state', '<>', 'ended').execute()
}

/** Only of those that are still claimed until `held`: a later claim, and the time of the next attempt, are left alone. */
export async function moveClaims(db: Db, ids: readonly LeaseId[], held: EpochMs, until: EpochMs): Promise<void> {
  await db.updateTable('lease').set({ due_at: until }).where('id', 'in', ids).where('due_at', '=', held).execute()
}

export async function markWithdrawalFailed(db: Db, id: LeaseId, failed: { readonly attempts: number; readonly dueAt: EpochMs }): Promise<void> {
  await db.updateTable('lease').set({ attempts: failed.attempts, due_at: failed.dueAt }).where('id', '=', id).execute()
}

export async function markLeaseStuck(db: Db, id: LeaseId, stuck: { readonly incident: IncidentId; readonly leaf: Uint8Array }): Promise<void> {
  await db.updateTable('lease').set({ state: 'stuck', incident_id: stuck.incident, end_leaf: stuck.leaf }).where('id', '=', id).execute()
}

/** Over: the secret is destroyed with the same statement. A stuck lease keeps the leaf that its task's closing has committed to. */
export async function markLeaseEnded(db: Db, id: LeaseId, outcome: LeaseOutcome, leaf: Uint8Array): Promise<void> {
  await db.updateTable('lease')
    .set((eb) => ({ state: 'ended', outcome, sealed_secret: null, due_at: null, end_leaf: eb.fn.coalesce('end_leaf', eb.val(leaf)) })).where('id', '=', id).execute()
}

/** Handles that this store believes to exist at the back end. */
export async function listOpenHandles(db: Db, backend: BackendId): Promise<ReadonlySet<string>> {
  const rows = await db.selectFrom('lease').select('handle').where('backend_id', '=', backend).where('state', '<>', 'ended').execute()
  return new Set(rows.map((row) => row.handle))
}

/** Whether any lease, live or ended, has had this handle. */
export async function isHandleKnown(db: Db, handle: string): Promise<boolean> {
  return (await db.selectFrom('lease').select('id').where('handle', '=', handle).executeTakeFirst()) !== undefined
}

export async function keepSurvey(db: Db, id: LeaseId, survey: Survey): Promise<void> {
  await db.updateTable('lease').set({ survey: toJsonText(survey) }).where('id', '=', id).execute()
}

/** Leases that some server was making or withdrawing are due at once. */
export async function dropClaims(db: Db, now: EpochMs): Promise<void> {
  // Literals, so that the partial index `lease_in_hand` serves: without it a start would look at every live lease.
  await db.updateTable('lease').set({ due_at: now }).where(sql<SqlBool>`state in ('intended', 'withdrawing')`).execute()
}
