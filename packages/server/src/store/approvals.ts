import type { ApprovalChoice, ApprovalKind, ApprovalRoute, ApprovalState, ChainLink, Requesters, Risk } from '@writ/domain/approval'
import type { Effect, Label } from '@writ/domain/decision'
import type { ApprovalId, DecisionId, EventId, IdentityId, TaskId } from '@writ/domain/id'
import type { OnBehalfOf } from '@writ/domain/task'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { EntityRef } from '@writ/policy/question'
import type { Kysely } from 'kysely'
import type { ApprovalRow } from './approval-tables.ts'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { insertRows, preparedLock } from './prepared.ts'
import { forUpdate, forUpdateOfFree } from './row-locks.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** What never changes of a request. */
export type NewApproval = {
  readonly id: ApprovalId
  readonly kind: ApprovalKind
  readonly task: TaskId
  readonly identity: IdentityId
  readonly root: TaskId
  readonly workload: string | null
  readonly chain: readonly ChainLink[]
  readonly onBehalfOf: OnBehalfOf | null
  readonly action: string
  readonly resource: EntityRef
  /** Sealed. */
  readonly arguments: string | null
  readonly argumentsSha256: string
  readonly claimedSha256: string
  /** Sealed. */
  readonly intent: string | null
  readonly toolPin: string | null
  readonly policyVersion: number
  readonly decision: DecisionId
  readonly effect: Effect | null
  readonly reversible: boolean | null
  readonly labels: readonly Label[]
  readonly risk: Risk
  readonly route: ApprovalRoute
  readonly requesters: Requesters
  readonly requestedAt: EpochMs
  readonly expiresAt: EpochMs
  readonly nonce: string
}

export type Approval = NewApproval & {
  readonly state: ApprovalState
  readonly choice: ApprovalChoice | null
  /** Sealed. */
  readonly edited: string | null
  readonly envelopeSha256: string | null
  readonly callsMost: number | null
  readonly callsUsed: number
  readonly decidedAt: EpochMs | null
  readonly usedAt: EpochMs | null
  readonly endedAt: EpochMs | null
  readonly why: string | null
  /** That it was asked for; null of what stood here before it was kept. */
  readonly requestedEvent: EventId | null
}

const instant = (value: number | null): EpochMs | null => (value === null ? null : epochMs(value))

export function parseApprovalRow(row: ApprovalRow): Approval {
  return {
    id: row.id as ApprovalId, kind: row.kind as ApprovalKind, state: row.state as ApprovalState, task: row.task_id as TaskId, identity: row.identity_id as IdentityId,
    root: row.root_id as TaskId, workload: row.workload, chain: fromJsonText<readonly ChainLink[]>(row.chain),
    onBehalfOf: row.on_behalf_of === null ? null : fromJsonText<OnBehalfOf>(row.on_behalf_of), action: row.action,
    resource: { type: row.resource_type, id: row.resource_id }, arguments: row.arguments, argumentsSha256: row.arguments_sha256, claimedSha256: row.claimed_sha256,
    intent: row.intent, toolPin: row.tool_pin, policyVersion: row.policy_version, decision: row.decision_id as DecisionId, effect: row.effect as Effect | null,
    reversible: row.reversible === null ? null : row.reversible === 'yes', labels: fromJsonText<readonly Label[]>(row.labels), risk: row.risk as Risk,
    // INVARIANT: what the guards of the database look at is what counts, whatever the JSON beside it says.
    route: { ...fromJsonText<ApprovalRoute>(row.route), group: row.group_name, quorum: row.quorum, signed: row.signed === 'yes' },
    requesters: fromJsonText<Requesters>(row.requesters), requestedAt: epochMs(row.requested_at), expiresAt: epochMs(row.expires_at), nonce: row.nonce,
    choice: row.choice === null ? null : fromJsonText<ApprovalChoice>(row.choice), edited: row.edited, envelopeSha256: row.envelope_sha256,
    callsMost: row.calls_most, callsUsed: row.calls_used, decidedAt: instant(row.decided_at), usedAt: instant(row.used_at), endedAt: instant(row.ended_at), why: row.why,
    requestedEvent: row.requested_event as EventId | null,
  }
}

const yesNo = (claim: boolean): 'yes' | 'no' => (claim ? 'yes' : 'no')

/** `requestedEvent`: that it was asked for. */
export async function insertApproval(db: Db, one: NewApproval, requestedEvent: EventId): Promise<void> {
  await insertRows(db, 'approval', [{
    id: one.id, kind: one.kind, state: 'waiting', task_id: one.task, identity_id: one.identity, root_id: one.root, workload: one.workload, chain: toJsonText(one.chain),
    on_behalf_of: one.onBehalfOf === null ? null : toJsonText(one.onBehalfOf), action: one.action, resource_type: one.resource.type, resource_id: one.resource.id,
    arguments: one.arguments, arguments_sha256: one.argumentsSha256, claimed_sha256: one.claimedSha256, intent: one.intent, tool_pin: one.toolPin, policy_version: one.policyVersion,
    decision_id: one.decision, effect: one.effect, reversible: one.reversible === null ? null : yesNo(one.reversible), labels: toJsonText(one.labels), risk: one.risk,
    route: toJsonText(one.route), group_name: one.route.group, quorum: one.route.quorum, signed: yesNo(one.route.signed), requesters: toJsonText(one.requesters),
    requested_at: one.requestedAt, expires_at: one.expiresAt, nonce: one.nonce, choice: null, edited: null, envelope_sha256: null, calls_most: null, calls_used: 0,
    decided_at: null, used_at: null, ended_at: null, why: null, due_at: one.expiresAt, requested_event: requestedEvent,
  }])
}

export type Excluded = { readonly kind: 'email' | 'team' | 'subject' | 'person'; readonly issuer: string; readonly value: string }

/** Who may not answer, for the guard of the database; the approval is written before, in the same change. */
export async function insertExcluded(db: Db, approval: ApprovalId, excluded: readonly Excluded[]): Promise<void> {
  const rows = new Map(excluded.map((one) => [JSON.stringify(one), { approval_id: approval, kind: one.kind, issuer: one.issuer, value: one.value }]))
  await insertRows(db, 'approval_excluded', [...rows.values()])
}

export async function findApproval(db: Db, id: string): Promise<Approval | undefined> {
  const row = await db.selectFrom('approval').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseApprovalRow(row)
}

/** Locked until the end of the change. Lock its task before it, where that is locked at all. */
export async function lockApproval<Context>(tx: TxOf<Tables, Context>, id: string): Promise<Approval | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('approval').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseApprovalRow(row)
}

export type SameUse = { readonly task: TaskId; readonly action: string; readonly resource: EntityRef; readonly argumentsSha256: string; readonly claimedSha256: string }

const MOST_CONSIDERED = 50

/**
 * What may answer for a use of this task, the newest first: requests for the very same, those that a person lowered, and permissions for the whole task.
 * Locked until the end of the change, which holds the task.
 */
export async function lockApprovalsFor<Context>(tx: TxOf<Tables, Context>, use: SameUse): Promise<readonly Approval[]> {
  const { task, action, resource, argumentsSha256, claimedSha256 } = use
  const rows = await lockSame(tx, { task, action, type: resource.type, id: resource.id, argumentsSha256, claimedSha256 })
  return rows.map(parseApprovalRow)
}

type Same = { readonly task: TaskId; readonly action: string; readonly type: string; readonly id: string; readonly argumentsSha256: string; readonly claimedSha256: string }

const lockSame = preparedLock((tx, of: Same) => forUpdate({ ...tx, context: undefined }, tx.db.selectFrom('approval').selectAll()
  .where('task_id', '=', of.task).where('action', '=', of.action).where('resource_type', '=', of.type).where('resource_id', '=', of.id)
  .where((eb) => eb.or([
    eb.and([eb('claimed_sha256', '=', of.claimedSha256), eb.or([eb('arguments_sha256', '=', of.argumentsSha256), eb.and([eb('state', '=', 'approved'), eb('edited', 'is not', null)])])]),
    eb.and([eb('state', '=', 'approved'), eb('calls_most', '>', 1)]),
  ]))
  .orderBy('id', 'desc').limit(MOST_CONSIDERED)))

/** How many wait, of the task and of the identity. */
export async function countWaiting(db: Db, { task, identity }: { readonly task: TaskId; readonly identity: IdentityId }): Promise<{ readonly task: number; readonly identity: number }> {
  const row = await db.selectFrom('approval').where('identity_id', '=', identity).where('state', '=', 'waiting')
    .select((eb) => [eb.fn.countAll<number>().as('identity'), eb.fn.sum<number | null>(eb.case().when('task_id', '=', task).then(1).else(0).end()).as('task')]).executeTakeFirstOrThrow()
  return { task: Number(row.task ?? 0), identity: Number(row.identity) }
}

export type Chosen = { readonly choice: ApprovalChoice; readonly envelopeSha256: string; readonly callsMost: number; readonly edited: string | null }

/** With the first yes; the guards keep it as it is from then on. */
export async function setChoice(db: Db, id: ApprovalId, { choice, envelopeSha256, callsMost, edited }: Chosen): Promise<void> {
  await db.updateTable('approval').set({ choice: toJsonText(choice), envelope_sha256: envelopeSha256, calls_most: callsMost, edited }).where('id', '=', id).execute()
}

/** `until`: when it can be used no longer. */
export async function markApproved(db: Db, id: ApprovalId, { now, until }: { readonly now: EpochMs; readonly until: EpochMs }): Promise<void> {
  await db.updateTable('approval').set({ state: 'approved', decided_at: now, due_at: until }).where('id', '=', id).execute()
}

/** One call of it is used; with the last one it is, and what it was asked for is erased. */
export async function markCallUsed(db: Db, { id, callsUsed, callsMost }: Pick<Approval, 'id' | 'callsUsed' | 'callsMost'>, now: EpochMs): Promise<void> {
  const isLast = callsUsed + 1 === callsMost
  await db.updateTable('approval')
    .set({ calls_used: callsUsed + 1, used_at: now, ...(isLast ? { state: 'used', ended_at: now, due_at: null, arguments: null, edited: null, intent: null } : {}) })
    .where('id', '=', id).where('state', '=', 'approved').execute()
}

export type UnusedEnd = 'denied' | 'lapsed' | 'cancelled'

/** Its end without a use, or before its last one. */
export async function markApprovalEnded(db: Db, id: ApprovalId, { state, why, now }: { readonly state: UnusedEnd; readonly why: string; readonly now: EpochMs }): Promise<void> {
  await db.updateTable('approval').set({
    state, why, ended_at: now, due_at: null, arguments: null, edited: null, intent: null, ...(state === 'denied' ? { decided_at: now } : {}),
  }).where('id', '=', id).execute()
}

/** Whether one has come to its time. */
export async function hasDueApproval(db: Db, now: EpochMs): Promise<boolean> {
  return (await db.selectFrom('approval').select('id').where('due_at', '<=', now).limit(1).executeTakeFirst()) !== undefined
}

/** Those that have come to their time, locked until the end of the change; those that another change is at are left out. */
export async function lockDueApprovals<Context>(tx: TxOf<Tables, Context>, now: EpochMs, limit: number): Promise<readonly Approval[]> {
  return (await forUpdateOfFree(tx, tx.db.selectFrom('approval').selectAll().where('due_at', '<=', now).orderBy('due_at').limit(limit)).execute()).map(parseApprovalRow)
}

const mootIn = (db: Db) => db.selectFrom('approval').where('due_at', 'is not', null).where((eb) => eb.or([
  eb.exists(eb.selectFrom('task').select('task.id').whereRef('task.id', '=', 'approval.task_id').where('task.state', '<>', 'open')),
  eb('policy_version', '<>', eb.selectFrom('policy_head').select('policy_head.version')),
]))

/** Whether one is there that nothing can come of: its task is over, or other policies are in force. */
export async function hasMootApproval(db: Db): Promise<boolean> {
  return (await mootIn(db).select('approval.id').limit(1).executeTakeFirst()) !== undefined
}

/** Locked until the end of the change; those that another change is at are left out. */
export async function lockMootApprovals<Context>(tx: TxOf<Tables, Context>, limit: number): Promise<readonly { readonly approval: Approval; readonly why: 'task_over' | 'policies_changed' }[]> {
  const rows = await forUpdateOfFree(tx, mootIn(tx.db).selectAll('approval').orderBy('approval.id').limit(limit)).execute()
  const over = new Set((rows.length === 0 ? [] : await tx.db.selectFrom('task').select('id').where('id', 'in', rows.map((row) => row.task_id)).where('state', '<>', 'open').execute()).map((row) => row.id))
  return rows.map((row) => ({ approval: parseApprovalRow(row), why: over.has(row.task_id) ? 'task_over' : 'policies_changed' }))
}

/** Those of them that wait for nobody's answer any more. */
export async function listAnswered(db: Db, ids: readonly ApprovalId[]): Promise<readonly ApprovalId[]> {
  if (ids.length === 0) return []
  return (await db.selectFrom('approval').select('id').where('id', 'in', ids).where('state', '<>', 'waiting').execute()).map((row) => row.id as ApprovalId)
}

export type ApprovalPage = {
  readonly limit: number
  readonly state?: ApprovalState
  readonly identity?: string
  readonly identities?: readonly IdentityId[]
  readonly task?: string
  readonly risk?: Risk
  /** Of the approval that the page before ended with. */
  readonly after?: { readonly id: string; readonly expiresAt: number }
}

/** Newest first; of those that wait, those first that end first. */
export async function listApprovals(db: Db, page: ApprovalPage): Promise<readonly Approval[]> {
  let query = db.selectFrom('approval').selectAll().limit(page.limit)
  const { after } = page
  if (page.state === 'waiting') {
    query = query.where('due_at', 'is not', null).orderBy('due_at').orderBy('id')
    if (after !== undefined) query = query.where((eb) => eb.or([eb('due_at', '>', after.expiresAt), eb.and([eb('due_at', '=', after.expiresAt), eb('id', '>', after.id)])]))
  } else {
    query = query.orderBy('id', 'desc')
    if (after !== undefined) query = query.where('id', '<', after.id)
  }
  if (page.state !== undefined) query = query.where('state', '=', page.state)
  if (page.identity !== undefined) query = query.where('identity_id', '=', page.identity)
  if (page.identities !== undefined) query = query.where('identity_id', 'in', page.identities.length === 0 ? [''] : page.identities)
  if (page.task !== undefined) query = query.where('task_id', '=', page.task)
  if (page.risk !== undefined) query = query.where('risk', '=', page.risk)
  return (await query.execute()).map(parseApprovalRow)
}

export async function countAllWaiting(db: Db): Promise<number> {
  const row = await db.selectFrom('approval').select((eb) => eb.fn.countAll<number>().as('n')).where('due_at', 'is not', null).where('state', '=', 'waiting').executeTakeFirstOrThrow()
  return Number(row.n)
}

export type PastUse = Pick<Approval, 'identity' | 'action' | 'resource'>

/** How earlier requests of the kind came out, from an instant on. */
export async function countPast(db: Db, { identity, action, resource }: PastUse, since: EpochMs): Promise<Readonly<Partial<Record<ApprovalState, number>>>> {
  const rows = await db.selectFrom('approval').select((eb) => ['state', eb.fn.countAll<number>().as('n')])
    .where('identity_id', '=', identity).where('action', '=', action).where('resource_type', '=', resource.type).where('resource_id', '=', resource.id).where('requested_at', '>=', since)
    .groupBy('state').execute()
  return Object.fromEntries(rows.map((row) => [row.state as ApprovalState, Number(row.n)]))
}
