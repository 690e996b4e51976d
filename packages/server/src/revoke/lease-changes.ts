import type { EventActor, PublicValue } from '@writ/domain/event'
import { mintId, type BackendId, type IncidentId, type LeaseId, type TaskId } from '@writ/domain/id'
import { MOST_ATTEMPTS, type LeaseOutcome, type Probe, type Reassigned } from '@writ/domain/lease'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { sql, type SqlBool } from 'kysely'
import type { Withdrawal } from '../connectors/connector.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { keepSurvey, lockLease, moveClaims, markLeaseEnded, markLeaseStuck, markLeaseWithdrawing, markWithdrawalFailed, parseLeaseRow, type StoredLease } from '../store/leases.ts'
import { lockIdentity } from '../store/identities.ts'
import { claimDue } from '../store/row-locks.ts'
import { lockTask } from '../store/tasks.ts'
import { insertIncident, markIncidentResolved } from '../store/watches.ts'
import { closeTaskIfDone } from './close-task.ts'
import { LONGEST_MINT } from './end-task.ts'
import { containIdentity } from './stop-identity.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

/** Where the facts of a lease's life come from when it is stopped. */
export type StopInput = { readonly lease: LeaseId; readonly by: EventActor; readonly reason: string; readonly now: EpochMs }

/** Withdraws one lease and no other (R21); its task goes on. */
export const stopLease = change('lease.stop', async (tx: Tx, input: StopInput) => {
  const locked = await lockWithTask(tx, input.lease)
  if (locked === undefined) return refuse({ kind: 'no_such_lease' } as const)
  if (locked.state !== 'live' && locked.state !== 'intended') return ok(locked)
  const dueAt = locked.state === 'live' ? input.now : ((locked.intendedAt + LONGEST_MINT) as EpochMs)
  await markLeaseWithdrawing(tx.db, locked.id, input.now, dueAt)
  await append(tx, input.now, { type: 'lease.revoked', actor: input.by, task: locked.task, identity: locked.identity, lease: locked.id, facts: {}, said: { reason: input.reason } })
  return ok<StoredLease>({ ...locked, state: 'withdrawing' })
})

/** `except`: back ends that have enough to do. */
type ClaimInput = { readonly now: EpochMs; readonly until: EpochMs; readonly limit: number; readonly except?: readonly BackendId[] }

/** Takes leases whose time has come, for this server alone; they fall due again should it die. */
export const claimLeases = change('lease.claim', async (tx: Tx, input: ClaimInput) => {
  const { except = [], ...due } = input
  const where = except.length === 0 ? sql<SqlBool>`1 = 1` : sql<SqlBool>`backend_id not in (${sql.join(except)})`
  const rows = await claimDue(tx, { table: 'lease', key: 'id', dueAt: 'due_at', claimedUntil: 'due_at', ...due, where })
  const claimed: StoredLease[] = []
  for (const row of rows) {
    const lease = parseLeaseRow(row)
    if (lease.state === 'intended' || lease.state === 'live') await revokeOnItsOwn(tx, lease, lease.state === 'live' ? 'expired' : 'mint_unfinished', input)
    claimed.push({ ...lease, stopAt: lease.stopAt ?? input.now })
  }
  return ok(claimed)
})

type HoldInput = { readonly leases: readonly LeaseId[]; readonly held: EpochMs; readonly until: EpochMs }

/** Keeps leases, claimed until `held`, that a slow back end still has in hand, from other servers. What was recorded of one meanwhile stands. */
export const holdLeases = change('lease.hold', async (tx: Tx, input: HoldInput) => {
  await moveClaims(tx.db, input.leases, input.held, input.until)
  return ok(null)
})

type OnItsOwn = { readonly now: EpochMs; readonly until: EpochMs }

/** No task has ended and nobody has asked: the lease stops all the same, and the record says why. */
export async function revokeOnItsOwn(tx: Tx, lease: StoredLease, because: 'expired' | 'mint_unfinished' | 'mint_failed' | 'reply_not_shown', { now, until }: OnItsOwn): Promise<void> {
  await markLeaseWithdrawing(tx.db, lease.id, now, until)
  await append(tx, now, { type: 'lease.revoked', actor: WRIT, task: lease.task, identity: lease.identity, lease: lease.id, facts: { because } })
}

/** Keeps what the lease had made before it is handed over: a crash after that would find nothing left to list. */
export const surveyLease = change('lease.survey', async (tx: Tx, input: { readonly lease: LeaseId; readonly reassigned: readonly Reassigned[]; readonly sessionsEnded: number }) => {
  await keepSurvey(tx.db, input.lease, { reassigned: input.reassigned, sessionsEnded: input.sessionsEnded })
  return ok(null)
})

export type EndLeaseInput = {
  readonly lease: LeaseId
  readonly outcome: LeaseOutcome
  readonly withdrawal: Withdrawal
  readonly probe: Probe
  readonly residualUntil: EpochMs | null
  readonly now: EpochMs
}

/** Records the end of a lease, destroys its secret, resolves its incident and closes its task when it was the last one. */
export const endLease = change('lease.end', async (tx: Tx, input: EndLeaseInput) => {
  const lease = await lockWithTask(tx, input.lease)
  if (lease === undefined || lease.state === 'ended') return ok(null)
  const ended = await append(tx, input.now, {
    type: 'lease.ended', actor: WRIT, task: lease.task, identity: lease.identity, lease: lease.id,
    facts: {
      outcome: input.outcome,
      withdrawn_at: input.now,
      sessions_ended: input.withdrawal.sessionsEnded,
      existed: input.withdrawal.existed ? 'yes' : 'no',
      reassigned: reassignedFacts(input.withdrawal.reassigned),
      reassigned_total: input.withdrawal.reassigned.length,
      control_login: lease.control === null ? 'none' : lease.control.ok ? 'ok' : 'failed',
      probe: probeFacts(input.probe),
      refused_after_ms: input.probe.kind === 'refused' ? input.now - (lease.stopAt ?? input.now) : null,
      residual_until: input.residualUntil,
      attempts: lease.attempts + 1,
    },
  })
  await markLeaseEnded(tx.db, lease.id, input.outcome, ended.leafHash)
  if (lease.incident !== null) {
    await markIncidentResolved(tx.db, lease.incident, input.now)
    await append(tx, input.now, { type: 'incident.resolved', actor: WRIT, task: lease.task, identity: lease.identity, lease: lease.id, facts: { incident: lease.incident } })
  }
  await closeTaskIfDone(tx, lease.task, input.now)
  return ok(null)
})

export type FailedInput = {
  readonly lease: LeaseId
  readonly kind: 'withdrawal_failed' | 'still_accepted'
  /** A SQLSTATE or a system error code; never a message, which could say anything. */
  readonly code: string
  readonly incident: IncidentId
  readonly retryAt: EpochMs
  readonly now: EpochMs
}

/** Records a failed attempt; the last one opens an incident and contains the identity (R23). */
export const failWithdrawal = change('lease.fail', async (tx: Tx, input: FailedInput) => {
  const lease = await lockWithIdentity(tx, input.lease)
  if (lease === undefined || lease.state === 'ended') return ok(null)
  const attempts = lease.attempts + 1
  await markWithdrawalFailed(tx.db, lease.id, { attempts, dueAt: input.retryAt })
  const about = { actor: WRIT, task: lease.task, identity: lease.identity, lease: lease.id }
  await append(tx, input.now, { ...about, type: 'lease.withdrawal_failed', facts: { attempt: attempts, code: input.code, kind: input.kind } })
  const isLast = attempts === MOST_ATTEMPTS || (input.kind === 'still_accepted' && lease.incident === null)
  if (!isLast || lease.state !== 'withdrawing') return ok(null)
  const opened = await append(tx, input.now, { ...about, type: 'incident.opened', facts: { incident: input.incident, kind: input.kind, lease: lease.id, attempts, why_code: input.code } })
  await insertIncident(tx.db, {
    id: input.incident, kind: input.kind, lease: lease.id, task: lease.task, identity: lease.identity, why: input.code, state: 'open', openedAt: input.now, resolvedAt: null,
  })
  await markLeaseStuck(tx.db, lease.id, { incident: input.incident, leaf: opened.leafHash })
  await containIdentity(tx, lease.identity, `incident ${input.incident}: a lease could not be withdrawn and refused`, input.now)
  await closeTaskIfDone(tx, lease.task, input.now)
  return ok(null)
})

/** Locks the identity too, which may be about to be contained; identities come before tasks. */
async function lockWithIdentity(tx: Tx, id: LeaseId): Promise<StoredLease | undefined> {
  const row = await tx.db.selectFrom('lease').select('identity_id').where('id', '=', id).executeTakeFirst()
  if (row !== undefined) await lockIdentity(tx, row.identity_id)
  return lockWithTask(tx, id)
}

/** Locks the task before the lease, as every change does, so that two of them never wait for each other. */
async function lockWithTask(tx: Tx, id: LeaseId): Promise<StoredLease | undefined> {
  const row = await tx.db.selectFrom('lease').select('task_id').where('id', '=', id).executeTakeFirst()
  if (row === undefined) return undefined
  await lockTask(tx, row.task_id as TaskId)
  return lockLease(tx, id)
}

/** C2SP tlog-tiles: an entry has at most 65,535 bytes; what goes beyond this many bytes of names is counted and not named. */
const MOST_NAME_BYTES = 48_000

function reassignedFacts(all: readonly Reassigned[]): readonly PublicValue[] {
  const facts: PublicValue[] = []
  let bytes = 0
  for (const { database, kind, name, newOwner, disarmed } of all) {
    const fact = { database, kind, name, new_owner: newOwner, ...(disarmed === undefined ? {} : { disarmed }) }
    bytes += Buffer.byteLength(JSON.stringify(fact))
    if (bytes > MOST_NAME_BYTES) break
    facts.push(fact)
  }
  return facts
}

function probeFacts(probe: Probe): PublicValue {
  switch (probe.kind) {
    case 'refused':
      return { kind: 'refused', by: probe.by, code: probe.code, message: probe.message, absent_from_catalogue: probe.absentFromCatalogue ? 'yes' : 'no', took_ms: probe.tookMs }
    case 'not_evaluated': return { kind: 'not_evaluated', why: probe.why }
    case 'accepted': return { kind: 'accepted', by: probe.by }
  }
}

export const newIncidentId = (now: EpochMs, random: Uint8Array): IncidentId => mintId('incident', now, random)
