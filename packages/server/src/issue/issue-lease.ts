import { setTimeout as pause } from 'node:timers/promises'
import type { Permit } from '@writ/domain/authority'
import { mintId, type BackendId, type DecisionId, type IdentityId, type LeaseId, type ServerInstanceId, type TaskId } from '@writ/domain/id'
import type { ControlLogin, Lease } from '@writ/domain/lease'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { dueReason, type EndReason, type Task } from '@writ/domain/task'
import { epochMs, plus, type EpochMs } from '@writ/domain/time'
import { BackendFault, type Connector, type LeaseAddress, type Template } from '../connectors/connector.ts'
import { decideIn } from '../decide/decide.ts'
import { BACKEND } from '../decide/question.ts'
import type { Decided } from '../decide/record-decision.ts'
import type { Sealer } from '../keys/seal.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { MOST_BENEATH } from '../revoke/close-task.ts'
import { endTask, LONGEST_MINT } from '../revoke/end-task.ts'
import { revokeOnItsOwn } from '../revoke/lease-changes.ts'
import { leaseSecretPlace } from '../revoke/withdraw.ts'
import { findIdentity } from '../store/identities.ts'
import { findLease, insertIntendedLease, lockLease, markLeaseLive, setLeaseDue, type StoredLease } from '../store/leases.ts'
import { insertLentLease } from '../store/lent-leases.ts'
import { liveAuthority } from '../store/tokens.ts'
import { countBeneath, lockTask } from '../store/tasks.ts'
import type { Once } from '../store/store.ts'

/** What was asked for: one permit of the task's grant, at one back end. */
export type AskedLease = {
  readonly task: TaskId
  readonly identity: IdentityId
  readonly permit: Permit
  /** The access token that it is asked with: it may hold less than its task. */
  readonly token?: LeaseId
  /** The running workload that asks, where it is known. */
  readonly workload: string | null
  readonly traceId: string
  /** The run of the server that holds it for an MCP server, and without which it ends. */
  readonly lentBy?: ServerInstanceId
}

export type IssueRefusal =
  | { readonly kind: 'no_such_task' }
  | { readonly kind: 'task_not_open'; readonly reason: EndReason }
  | { readonly kind: 'identity_not_active' }
  | { readonly kind: 'grant_not_covered'; readonly by: 'task'; readonly decided: Decided }
  | { readonly kind: 'denied'; readonly decided: Decided }
  | { readonly kind: 'no_such_backend'; readonly name: string }
  | { readonly kind: 'no_such_template'; readonly backend: string; readonly template: string }
  | { readonly kind: 'too_many_leases'; readonly most: number }
  | { readonly kind: 'secret_no_longer_shown'; readonly lease: LeaseId }
  | { readonly kind: 'key_reused' }
  | { readonly kind: 'stopped_meanwhile'; readonly lease: LeaseId }
  | { readonly kind: 'mint_failed'; readonly code: string }

export type Issued = { readonly lease: StoredLease; readonly address: LeaseAddress; readonly secret: string }

/** A back end that leases are asked from, found by the name in the grant. */
export type IssuingBackend = { readonly id: BackendId; readonly connector: Connector; readonly templates: readonly Template[]; addressOf(handle: string, template: Template): LeaseAddress }

export type IssueNeeds = {
  readonly store: Pick<Store, 'change' | 'changeOnce' | 'read'>
  readonly backendNamed: (name: string) => Promise<IssuingBackend | undefined>
  readonly secrets: Sealer
  readonly clock: Clock
  readonly entropy: Entropy
  /** This installation's mark in the names of its logins. */
  readonly handlePrefix: string
  /** Wakes the withdrawal of what is due. */
  readonly wake: () => void
}

type IntendInput = AskedLease & { readonly id: LeaseId; readonly decision: DecisionId; readonly backend: BackendId; readonly template: string; readonly handle: string; readonly sealedSecret: string; readonly now: EpochMs }

/** A stored reply that holds a secret can be repeated for this long. */
const REPLY_SHOWN_MS = 60_000

/** A login is made in some 20 ms. */
const LOOK_AGAIN_MS = 10

type Intended = { readonly kind: 'intended'; readonly lease: LeaseId; readonly expiresAt: number } | { readonly kind: 'denied'; readonly decided: Decided; readonly because: EndReason | null }

/**
 * The intention stands in the record before the back end is touched (R6), beside the decision that allowed it, which took one call of the
 * budget. A denial is recorded too.
 */
export const intendLease = change('lease.intend', async (tx: Tx, input: IntendInput) => {
  const task = await lockTask(tx, input.task)
  if (task === undefined || task.identity !== input.identity) return refuse<IssueRefusal>({ kind: 'no_such_task' })
  const identity = (await findIdentity(tx.db, task.identity))!
  const decided = await decideIn(tx, {
    id: input.decision, task, identity, authority: input.token === undefined ? task.authority : await liveAuthority(tx.db, input.token), permit: input.permit, calls: 1, action: 'connect', resource: { type: BACKEND, id: input.permit.resource },
    server: input.permit.resource, arguments: {}, claimed: {}, also: { template: input.template }, workload: input.workload, by: { kind: 'identity', id: identity.id },
    traceId: input.traceId, now: input.now,
  })
  if (decided.answer === 'deny') return ok<Intended>({ kind: 'denied', decided, because: overBecause(task, decided, input.now) })
  if ((await countBeneath(tx.db, task.id)) >= MOST_BENEATH) return refuse<IssueRefusal>({ kind: 'too_many_leases', most: MOST_BENEATH })
  const lease: Lease = {
    id: input.id, task: task.id, identity: task.identity, backend: input.backend, template: input.template, handle: input.handle, state: 'intended',
    outcome: null, intendedAt: input.now, expiresAt: task.deadline, control: null, attempts: 0, incident: null,
  }
  await insertIntendedLease(tx.db, { ...lease, sealedSecret: input.sealedSecret, dueAt: plus(input.now, LONGEST_MINT) })
  if (input.lentBy !== undefined) await insertLentLease(tx.db, lease.id, input.lentBy)
  await append(tx, input.now, {
    type: 'lease.intended', actor: { kind: 'identity', id: task.identity }, task: task.id, identity: task.identity, lease: lease.id,
    facts: { backend: input.permit.resource, backend_kind: input.permit.type, template: input.template, handle: input.handle, expires_at: lease.expiresAt },
  })
  failpoint('lease.intended.before_commit')
  return ok<Intended>({ kind: 'intended', lease: lease.id, expiresAt: lease.expiresAt })
})

/** The login works: the lease is live, unless it was stopped while the back end was making it. */
export const activateLease = change('lease.activate', async (tx: Tx, input: { readonly lease: LeaseId; readonly control: ControlLogin; readonly now: EpochMs }) => {
  const found = await findLease(tx.db, input.lease)
  if (found !== undefined) await lockTask(tx, found.task)
  const lease = await lockLease(tx, input.lease)
  if (lease === undefined) return refuse({ kind: 'stopped_meanwhile' } as const)
  if (lease.state !== 'intended') {
    await setLeaseDue(tx.db, lease.id, input.now)
    return ok<StoredLease | null>(null)
  }
  await markLeaseLive(tx.db, lease.id, input.control, input.now)
  const control = input.control.ok ? { ok: 'yes', took_ms: input.control.tookMs } : { ok: 'no', why: input.control.why }
  await append(tx, input.now, { type: 'lease.minted', actor: { kind: 'writ', id: 'writ' }, task: lease.task, identity: lease.identity, lease: lease.id, facts: { control } })
  failpoint('lease.minted.before_commit')
  return ok<StoredLease | null>({ ...lease, state: 'live', control: input.control, mintedAt: input.now })
})

type AbandonInput = { readonly lease: LeaseId; readonly because: 'mint_failed' | 'reply_not_shown'; readonly now: EpochMs }

/** The mint failed, or its reply can't be shown any more: withdraw whatever the back end has made of it, now. */
export const abandonLease = change('lease.abandon', async (tx: Tx, input: AbandonInput) => {
  const found = await findLease(tx.db, input.lease)
  if (found !== undefined) await lockTask(tx, found.task)
  const lease = await lockLease(tx, input.lease)
  if (lease === undefined) return ok(null)
  if (lease.state === 'intended' || lease.state === 'live') await revokeOnItsOwn(tx, lease, input.because, { now: input.now, until: input.now })
  else await setLeaseDue(tx.db, lease.id, input.now)
  return ok(null)
})

/** Issues a lease: intention recorded, login made and tried, lease live. A repeat of the request gets the same reply for 60 s. */
export async function issueLease(needs: IssueNeeds, asked: AskedLease, once: Once): Promise<Outcome<Issued, IssueRefusal>> {
  const backend = await needs.backendNamed(asked.permit.resource)
  if (backend === undefined) return refuse({ kind: 'no_such_backend', name: asked.permit.resource })
  const template = backend.templates.find((one) => one.name === asked.permit.action)
  if (template === undefined) return refuse({ kind: 'no_such_template', backend: asked.permit.resource, template: asked.permit.action })
  const now = needs.clock.now()
  const id = mintId('lease', now, needs.entropy.bytes(10))
  const secret = toSecret(SECRET_PREFIX.database, needs.entropy.bytes(32))
  const handle = `${needs.handlePrefix}${id.slice('lse_'.length)}`
  const sealedSecret = needs.secrets.seal(secret, leaseSecretPlace(id))
  const intended = await needs.store.changeOnce(intendLease, { ...asked, id, backend: backend.id, template: template.name, handle, sealedSecret, decision: mintId('decision', now, needs.entropy.bytes(10)), now }, once)
  if (!intended.ok) return refuse(intended.refusal)
  const { value, repeated } = intended.value
  if (value.kind === 'denied') {
    if (value.because !== null) await endOverdue(needs, asked.task, value.because)
    return refuse(refusalOf(value.decided, value.because))
  }
  if (repeated) return repeat(needs, backend, value.lease)
  failpoint('lease.intended.after_commit')
  return mint(needs, backend, { id, handle, secret, template, expiresAt: epochMs(value.expiresAt) })
}

type MintOrder = { readonly id: LeaseId; readonly handle: string; readonly secret: string; readonly template: Template; readonly expiresAt: EpochMs }

async function mint(needs: IssueNeeds, backend: IssuingBackend, order: MintOrder): Promise<Outcome<Issued, IssueRefusal>> {
  try {
    const minted = await backend.connector.mint({ lease: order.id, ...order })
    failpoint('lease.minted.before_record')
    const active = await needs.store.change(activateLease, { lease: order.id, control: minted.control, now: needs.clock.now() })
    failpoint('lease.minted.after_record')
    if (active.ok && active.value !== null) return ok({ lease: active.value, address: minted.address, secret: order.secret })
    needs.wake()
    return refuse({ kind: 'stopped_meanwhile', lease: order.id })
  } catch (cause) {
    if (!(cause instanceof BackendFault)) throw cause
    await needs.store.change(abandonLease, { lease: order.id, because: 'mint_failed', now: needs.clock.now() })
    needs.wake()
    return refuse({ kind: 'mint_failed', code: cause.code })
  }
}

/** The same request again: its secret is still sealed beside the lease, and is shown while the first reply is young. */
async function repeat(needs: IssueNeeds, backend: IssuingBackend, id: LeaseId): Promise<Outcome<Issued, IssueRefusal>> {
  const lease = await onceMade(needs, id)
  const now = needs.clock.now()
  const template = backend.templates.find((one) => one.name === lease?.template)
  if (lease?.state === 'live' && lease.sealedSecret !== null && template !== undefined && now < lease.intendedAt + REPLY_SHOWN_MS) {
    return ok({ lease, address: backend.addressOf(lease.handle, template), secret: needs.secrets.unseal(lease.sealedSecret, leaseSecretPlace(id)) })
  }
  if (lease?.state === 'live') {
    await needs.store.change(abandonLease, { lease: id, because: 'reply_not_shown', now })
    needs.wake()
  }
  return refuse({ kind: 'secret_no_longer_shown', lease: id })
}

/** The first request of the key may still be having the lease made, on this server or another: it is live soon, or never. */
async function onceMade(needs: IssueNeeds, id: LeaseId): Promise<StoredLease | undefined> {
  for (;;) {
    const lease = await needs.store.read((db) => findLease(db, id))
    if (lease?.state !== 'intended' || needs.clock.now() >= plus(lease.intendedAt, LONGEST_MINT)) return lease
    await pause(LOOK_AGAIN_MS)
  }
}

/** Why the task is over, for a decision that hung on that: it may have ended before, or its own clock or budget has run out by now. */
function overBecause(task: Task, { cause }: Decided, now: EpochMs): EndReason | null {
  if (cause === 'budget') return 'budget_exhausted'
  return cause === 'state' ? task.endReason ?? dueReason(task, now) ?? null : null
}

function refusalOf(decided: Decided, because: EndReason | null): IssueRefusal {
  const { cause } = decided
  if (because !== null) return { kind: 'task_not_open', reason: because }
  if (cause === 'state') return { kind: 'identity_not_active' }
  if (cause === 'grant') return { kind: 'grant_not_covered', by: 'task', decided }
  return { kind: 'denied', decided }
}

/** An attempt beyond the budget or the deadline ends the task, as its own clock would have. One that is over already stays as it ended. */
async function endOverdue(needs: IssueNeeds, task: TaskId, reason: EndReason): Promise<void> {
  await needs.store.change(endTask, { task, because: reason, by: { kind: 'writ', id: 'writ' }, now: needs.clock.now() })
  needs.wake()
}
