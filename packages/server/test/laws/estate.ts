import assert from 'node:assert/strict'
import { toAuthority, type Authority } from '@writ/domain/authority'
import type { EventActor } from '@writ/domain/event'
import type { BackendId, IdentityId, LeaseId, TaskId } from '@writ/domain/id'
import type { Outcome } from '@writ/domain/outcome'
import type { Owner } from '@writ/domain/owner'
import type { IdentityClass } from '@writ/domain/profile'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import type { AskedTerms, Task } from '@writ/domain/task'
import { epochMs, milliseconds, plus, seconds } from '@writ/domain/time'
import { activateLease, intendLease } from '../../src/issue/issue-lease.ts'
import type { IdentityDraft } from '../../src/registry/draft.ts'
import { registerIdentity } from '../../src/registry/register.ts'
import { addBackend } from '../../src/registry/watched.ts'
import { claimLeases, endLease, failWithdrawal, stopLease } from '../../src/revoke/lease-changes.ts'
import { openTask, type OpenTaskRefusal } from '../../src/tasks/open-task.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

export const OPERATOR: EventActor = { kind: 'operator', id: 'opr_of_the_test' }
export const WRIT: EventActor = { kind: 'writ', id: 'writ' }

export const permits = (...actions: readonly string[]): Authority =>
  toAuthority(actions.map((action) => ({ type: 'postgres', resource: 'shop', action, limits: {} })))

/** A change that is part of the stage and not of the play. */
export async function done<Value>(outcome: Promise<Outcome<Value, unknown>>): Promise<Value> {
  const got = await outcome
  if (!got.ok) throw new Error(`refused: ${JSON.stringify(got.refusal)}`)
  return got.value
}

export async function addIdentity(of: StoreOfWrit, more: Partial<IdentityDraft> & { readonly class?: IdentityClass } = {}): Promise<IdentityId> {
  const ids = { admission: of.newId('admission'), identity: of.newId('identity'), credential: of.newId('credential') }
  const draft: IdentityDraft = {
    spiffeId: `spiffe://acme.example/${ids.identity}` as SpiffeId, admission: { answer: 'identity', reason: 'it runs alone' }, kind: 'agent', class: 'autonomous',
    purpose: 'keeps the shop tidy', technicalOwner: 'team:platform' as Owner, businessOwner: 'person:maya@acme.example' as Owner, systemScope: ['shop'],
    environment: 'test', authority: permits('read', 'write', 'ddl'), tasksPerHour: 1_000_000, endsAt: plus(of.now(), seconds(86_400 * 365)), trigger: { kind: 'unused', days: 30 }, key: null, bindings: null, ...more,
  }
  await done(of.store.change(registerIdentity, { draft, ids, sealedHook: null, by: OPERATOR, now: of.now() }))
  return ids.identity
}

export async function addShop(of: StoreOfWrit): Promise<BackendId> {
  return done(of.store.change(addBackend, {
    backend: {
      id: of.newId('backend'), name: 'shop', kind: 'postgres', settings: { host: '127.0.0.1', port: 1, database: 'shop', user: 'writ', tls: 'disable' }, templates: [],
      sealedSecret: 'sealed', nextSealedSecret: null, version: '18', state: 'active', addedAt: of.now(), secretRotatedAt: null,
    },
    by: OPERATOR, cycleMs: 1,
  }))
}

export type TaskOrder = { readonly identity: IdentityId; readonly parent?: TaskId | null } & Partial<AskedTerms>

export function tryOpen(of: StoreOfWrit, { identity, parent = null, ...asked }: TaskOrder): Promise<Outcome<Task, OpenTaskRefusal>> {
  return of.store.change(openTask, {
    id: of.newId('task'), identity, parent, purpose: 'tidy up', now: of.now(),
    asked: { authority: permits('read'), length: seconds(300), budgetCalls: 10, idleTimeout: seconds(300), heartbeat: seconds(300), onBehalfOf: null, ...asked },
  })
}

export const openOne = (of: StoreOfWrit, order: TaskOrder): Promise<Task> => done(tryOpen(of, order))

export const tryIntend = (of: StoreOfWrit, task: Pick<Task, 'id' | 'identity'>, backend: BackendId) => {
  const id = of.newId('lease')
  return of.store.change(intendLease, {
    task: task.id, identity: task.identity, permit: permits('read')[0]!, id, backend, template: 'read', handle: `writ_${id.slice(4)}`, sealedSecret: 'sealed', now: of.now(),
    decision: of.newId('decision'), workload: null, traceId: 'a test',
  })
}

/** A lease that must be intended. */
export async function intendedOne(of: StoreOfWrit, task: Pick<Task, 'id' | 'identity'>, backend: BackendId): Promise<LeaseId> {
  const value = await done(tryIntend(of, task, backend))
  return value.kind === 'intended' ? value.lease : assert.fail(`denied: ${value.decided.cause} ${value.decided.errors.join()}`)
}

export const LEASE_STATES = ['intended', 'live', 'withdrawing', 'stuck', 'ended'] as const
export type LeaseStage = (typeof LEASE_STATES)[number]

/** A lease of the task, taken as far as this state by the changes that take it there. */
export async function leaseIn(of: StoreOfWrit, task: Pick<Task, 'id' | 'identity'>, backend: BackendId, state: LeaseStage): Promise<LeaseId> {
  const lease = await intendedOne(of, task, backend)
  if (state === 'intended') return lease
  await done(of.store.change(activateLease, { lease, control: { ok: true, tookMs: 2 }, now: of.now() }))
  if (state === 'live') return lease
  await done(of.store.change(stopLease, { lease, by: OPERATOR, reason: 'the test says so', now: of.now() }))
  if (state === 'stuck') await failOnce(of, lease, 'still_accepted')
  if (state === 'ended') await endOne(of, lease)
  return lease
}

export const endOne = (of: StoreOfWrit, lease: LeaseId) => done(of.store.change(endLease, {
  lease, outcome: 'proved', withdrawal: { existed: true, sessionsEnded: 0, reassigned: [] }, residualUntil: null, now: of.now(),
  probe: { kind: 'refused', by: '127.0.0.1:1', code: '28P01', message: 'password authentication failed', absentFromCatalogue: true, tookMs: 1 },
}))

export const failOnce = (of: StoreOfWrit, lease: LeaseId, kind: 'withdrawal_failed' | 'still_accepted') => done(of.store.change(failWithdrawal, {
  lease, kind, code: 'accepted', incident: of.newId('incident'), retryAt: plus(of.now(), seconds(600)), now: of.now(),
}))

/** Takes everything that is due, as one server would. */
export const claimAll = (of: StoreOfWrit, limit: number, more: { readonly now?: number; readonly forMs?: number } = {}) => {
  const now = epochMs(more.now ?? of.now())
  return done(of.store.change(claimLeases, { now, until: plus(now, milliseconds(more.forMs ?? 60_000)), limit }))
}

export const taskRows = async (of: StoreOfWrit) => (await of.store.read((db) => db.selectFrom('task').selectAll().orderBy('id').execute()))
export const leaseRows = async (of: StoreOfWrit) => (await of.store.read((db) => db.selectFrom('lease').selectAll().orderBy('id').execute()))

/** The events of these types, in the order of writing. */
export const eventsOf = async (of: StoreOfWrit, ...types: readonly string[]) =>
  (await of.store.read((db) => db.selectFrom('event').select(['seq', 'type', 'task_id', 'leaf']).where('type', 'in', types).orderBy('seq').execute()))

export const countEvents = async (of: StoreOfWrit): Promise<number> =>
  Number((await of.store.read((db) => db.selectFrom('event').select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirstOrThrow())).count)
