import * as contract from '@writ/contract/tasks'
import { fromAuthorizationDetails, parseGrantText, type Authority, type Permit } from '@writ/domain/authority'
import { mintId, parseId, type IdentityId, type LeaseId, type TaskId } from '@writ/domain/id'
import { unreachable } from '@writ/domain/outcome'
import type { AskedTerms, Task } from '@writ/domain/task'
import { seconds } from '@writ/domain/time'
import type { z } from 'zod'
import type { Caller } from '../../authenticate/authenticator.ts'
import { holderOf } from '../../authenticate/holder.ts'
import type { Decided } from '../../decide/record-decision.ts'
import { issueLease, type IssueNeeds, type IssueRefusal } from '../../issue/issue-lease.ts'
import { revokeToken } from '../../issue/revoke-token.ts'
import type { Bell } from '../../platform/bell.ts'
import { certificateOf } from '../../prove/certificate.ts'
import type { Db, Store } from '../../record/tx.ts'
import { endTask } from '../../revoke/end-task.ts'
import { stopLease } from '../../revoke/lease-changes.ts'
import { listBackends } from '../../store/backends.ts'
import { findIdentity } from '../../store/identities.ts'
import { findLease, listLeasesOf, type StoredLease } from '../../store/leases.ts'
import { findTask, listTasks } from '../../store/tasks.ts'
import { findToken, listTokensOf } from '../../store/tokens.ts'
import { delegateTask, type DelegateTaskRefusal } from '../../tasks/delegate-task.ts'
import { heartbeat } from '../../tasks/keep-task.ts'
import { newTaskId, openTask, type OpenTaskRefusal } from '../../tasks/open-task.ts'
import { widenTask, type WidenTaskRefusal } from '../../tasks/widen-task.ts'
import { actorOf, isOf, ownersOf, route, type AnyCaller, type Route } from '../call.ts'
import { NO_TASK, problem, type ProblemAnswer } from '../problem.ts'
import { leaseReply, taskReply, tokenReply } from '../replies.ts'

export type TaskRoutesNeeds = IssueNeeds & { readonly store: Store; readonly closed: Bell; /** Once it is aborted, nobody waits any longer. */ readonly stopping: AbortSignal }

const KEY_REUSED = problem('idempotency-key-reused', { hint: 'use a new Idempotency-Key for a new request' })
const LONGEST_WAIT_STEP_MS = 500

export function taskRoutes(needs: TaskRoutesNeeds): readonly Route[] {
  const { store, clock, entropy } = needs
  return [
    route(contract.openTask, async ({ caller, body, once }) => {
      const authority = fromAuthorizationDetails(body.authorization_details)
      if (!authority.ok) return problem('grant-refused', { code: authority.refusal.kind, detail: 'the grant could not be read' })
      const now = clock.now()
      const opened = await store.changeOnce(openTask, {
        id: newTaskId(now, entropy.bytes(10)), identity: caller.identity, parent: null, purpose: body.purpose, holder: holderOf(caller.evidence), now,
        asked: termsOf(body, authority.value),
      }, once)
      if (!opened.ok) return opened.refusal.kind === 'key_reused' ? KEY_REUSED : openProblem(opened.refusal)
      const { value: task, repeated } = opened.value
      const reply = repeated ? await store.read((db) => describeTask(db, task.id)) : taskReply(task, caller.spiffeId, [])
      return { reply, headers: { location: `/v1/tasks/${task.id}` } }
    }),
    route(contract.delegateTask, async ({ caller, parameters, body, once, traceId }) => {
      const parent = parseId('task', parameters.id!)
      if (parent === undefined) return NO_TASK
      const authority = fromAuthorizationDetails(body.authorization_details)
      if (!authority.ok) return problem('grant-refused', { code: authority.refusal.kind, detail: 'the grant could not be read' })
      const now = clock.now()
      const delegated = await store.changeOnce(delegateTask, {
        id: newTaskId(now, entropy.bytes(10)), parent, by: caller.identity, to: body.identity, purpose: body.purpose, asked: termsOf(body, authority.value), now,
        decision: mintId('decision', now, entropy.bytes(10)), workload: runningWorkload(caller), traceId, ...tokenOf(caller),
      }, once)
      if (!delegated.ok) return delegated.refusal.kind === 'key_reused' ? KEY_REUSED : delegateProblem(delegated.refusal)
      const { value } = delegated.value
      if (value.kind === 'denied') return deniedProblem(value.decided)
      if (value.kind === 'open') return { reply: await store.read((db) => describeTask(db, value.task.id)), headers: { location: `/v1/tasks/${value.task.id}` } }
      needs.wake()
      return overProblem(value.task)
    }),
    route(contract.listTasks, async ({ caller, query }) => {
      const identity = query.identity === undefined ? undefined : parseId('identity', query.identity)
      if (identity === undefined && query.identity !== undefined) return { reply: { tasks: [], next: null } }
      const page = {
        limit: query.limit + 1, ...(query.cursor === undefined ? {} : { before: query.cursor }), ...(query.state === undefined ? {} : { state: query.state }),
        ...(caller.kind === 'identity' ? { identity: caller.identity } : { ...ownersOf(caller), ...(identity === undefined ? {} : { identity }) }),
      }
      return { reply: await store.read((db) => describeTasks(db, page, query.limit)) }
    }),
    route(contract.showTask, async ({ caller, parameters }) => {
      const task = await store.read((db) => taskOf(db, caller, parameters.id!))
      return task === undefined ? NO_TASK : { reply: await store.read((db) => describeTask(db, task.id)) }
    }),
    route(contract.widenTask, async ({ caller, parameters, body, once }) => {
      const id = parseId('task', parameters.id!)
      if (id === undefined) return NO_TASK
      const asked = fromAuthorizationDetails(body.authorization_details)
      if (!asked.ok) return problem('grant-refused', { code: asked.refusal.kind, detail: 'the grant could not be read' })
      const widened = await store.changeOnce(widenTask, { task: id, identity: caller.identity, asked: asked.value, reason: body.reason, now: clock.now() }, once)
      if (!widened.ok) return widened.refusal.kind === 'key_reused' ? KEY_REUSED : widenProblem(widened.refusal)
      if (widened.value.value.kind === 'open') return { reply: await store.read((db) => describeTask(db, id)) }
      needs.wake()
      return overProblem(widened.value.value.task)
    }),
    route(contract.completeTask, async ({ caller, parameters }) => {
      const id = parseId('task', parameters.id!)
      const ended = id && await store.change(endTask, { task: id, by: actorOf(caller), because: 'completed', now: clock.now() })
      if (!ended?.ok) return NO_TASK
      needs.wake()
      return { reply: await store.read((db) => describeTask(db, ended.value.id)) }
    }),
    route(contract.endTask, async ({ caller, parameters, body }) => {
      const id = (await store.read((db) => taskOf(db, caller, parameters.id!)))?.id
      const ended = id && await store.change(endTask, { task: id, by: actorOf(caller), because: 'ended_by_person', why: body.reason, now: clock.now() })
      if (!ended?.ok) return NO_TASK
      needs.wake()
      return { reply: await store.read((db) => describeTask(db, ended.value.id)) }
    }),
    route(contract.heartbeat, async ({ caller, parameters, body, once }) => {
      const id = parseId('task', parameters.id!)
      const heard = id && await store.changeOnce(heartbeat, { task: id, identity: caller.identity, calls: body.calls, ...(body.waits === undefined ? {} : { waits: body.waits }), now: clock.now() }, once)
      if (!heard) return NO_TASK
      if (!heard.ok) return heard.refusal.kind === 'key_reused' ? KEY_REUSED : NO_TASK
      if (heard.value.value.kind === 'over') {
        needs.wake()
        return overProblem(heard.value.value.task)
      }
      return { reply: await store.read((db) => describeTask(db, id)) }
    }),
    route(contract.issueLease, async ({ caller, parameters, body, once, traceId }) => {
      const task = parseId('task', parameters.id!)
      const permit = permitOf(body)
      if (task === undefined) return NO_TASK
      if (permit === undefined) return problem('grant-refused', { code: 'malformed_grant' })
      const issued = await issueLease(needs, { task, identity: caller.identity, permit, workload: runningWorkload(caller), traceId, ...tokenOf(caller) }, once)
      if (!issued.ok) return issueProblem(issued.refusal)
      const { lease, address, secret } = issued.value
      return {
        reply: {
          ...leaseReply(lease, body.resource), type: 'postgres' as const, host: address.host, port: address.port, database: address.database, user: address.user, tls: address.tls, secret,
        },
      }
    }),
    route(contract.revokeLease, async ({ caller, parameters, body }) => {
      const lease = await store.read((db) => leaseOf(db, caller, parameters.id!))
      if (lease === undefined) return revokeOneToken(needs, caller, { id: parameters.id!, reason: body.reason })
      const stopped = await store.change(stopLease, { lease: lease.id, by: actorOf(caller), reason: body.reason, now: clock.now() })
      needs.wake()
      return { reply: leaseReply(stopped.ok ? stopped.value : lease, await store.read((db) => nameOf(db, lease))) }
    }),
    route(contract.certificate, async ({ caller, parameters, query }) => {
      const task = await store.read((db) => taskOf(db, caller, parameters.id!))
      if (task === undefined) return NO_TASK
      const text = await waitForCertificate(needs, task.id, query.wait_seconds * 1000)
      return text === undefined
        ? problem('not-yet', { code: 'certificate_not_yet', detail: `the task is ${task.state}`, hint: 'it is written once every lease has been withdrawn and refused; ask again with `wait_seconds=30`' })
        : { raw: text, type: 'application/json; charset=utf-8' }
    }),
  ]
}

async function waitForCertificate(needs: TaskRoutesNeeds, id: TaskId, ms: number): Promise<string | undefined> {
  const until = needs.clock.now() + ms
  const listener = needs.closed.listener()
  for (;;) {
    const text = await needs.store.read(async (db) => certificateOf(db, (await findTask(db, id))!))
    const left = until - needs.clock.now()
    if (text !== undefined || left <= 0 || needs.stopping.aborted) return text
    await listener.heard(Math.min(left, LONGEST_WAIT_STEP_MS))
  }
}

/** An identity sees its own tasks; an operator all. */
async function taskOf(db: Db, caller: AnyCaller, id: string): Promise<Task | undefined> {
  const task = await findTask(db, id)
  return task !== undefined && isOf(caller, { identity: task.identity, task: task.id }) ? task : undefined
}

async function leaseOf(db: Db, caller: AnyCaller, id: string): Promise<StoredLease | undefined> {
  const lease = await findLease(db, id)
  return lease !== undefined && isOf(caller, lease) ? lease : undefined
}

/** A lease that is no login may be an access token. */
async function revokeOneToken({ store, clock, wake }: TaskRoutesNeeds, caller: AnyCaller, { id, reason }: { readonly id: string; readonly reason: string }) {
  const token = await store.read((db) => findToken(db, id))
  if (token === undefined || !isOf(caller, token)) return problem('not-found', { code: 'lease_not_found', detail: 'there is no such lease, or it is not yours' })
  await store.change(revokeToken, { token: token.id, by: actorOf(caller), reason, now: clock.now() })
  wake()
  return { reply: tokenReply((await store.read((db) => findToken(db, token.id)))!) }
}

type AskedTask = Pick<z.output<typeof contract.openTaskBody>, 'purpose_id' | 'change_reference' | 'ttl_seconds' | 'budget' | 'idle_timeout_seconds' | 'heartbeat_seconds'>

function termsOf(body: AskedTask, authority: Authority): AskedTerms {
  const length = seconds(body.ttl_seconds)
  return {
    authority, length, budgetCalls: body.budget.calls, onBehalfOf: null, purposeId: body.purpose_id ?? null, changeReference: body.change_reference ?? null,
    idleTimeout: body.idle_timeout_seconds === undefined ? length : seconds(body.idle_timeout_seconds), heartbeat: seconds(body.heartbeat_seconds),
  }
}

/** What the policies said no to; why, its explanation tells. */
function deniedProblem({ id, errors, approvable }: Decided): ProblemAnswer {
  const isError = errors.length > 0
  return problem('denied', {
    code: isError ? 'not_evaluated' : approvable ? 'needs_approval' : 'denied', decision: id, hint: `writ explain ${id}`,
    detail: isError ? `the policies could not be asked: ${errors.join('; ')}` : 'no policy permits it, or one forbids it',
  })
}

const tokenOf = ({ lease }: Caller): { readonly token?: LeaseId } => (lease === null ? {} : { token: lease })

/** Whoever comes with an access token of ours does not say where it runs. */
const runningWorkload = ({ evidence }: Caller): string | null => (evidence.kind === 'access_token' ? null : holderOf(evidence).workload)

async function nameOf(db: Db, lease: StoredLease): Promise<string> {
  return (await listBackends(db)).find((one) => one.id === lease.backend)?.name ?? lease.backend
}

async function describeTask(db: Db, id: TaskId): Promise<contract.TaskReply> {
  return (await describeAll(db, [(await findTask(db, id))!]))[0]!
}

async function describeTasks(db: Db, page: Parameters<typeof listTasks>[1], limit: number): Promise<{ tasks: contract.TaskReply[]; next: string | null }> {
  const found = await listTasks(db, page)
  const tasks = await describeAll(db, found.slice(0, limit))
  return { tasks, next: found.length > limit ? tasks.at(-1)!.id : null }
}

async function describeAll(db: Db, tasks: readonly Task[]): Promise<contract.TaskReply[]> {
  const names = new Map((await listBackends(db)).map((backend) => [backend.id, backend.name]))
  const spiffeIds = new Map<IdentityId, string>()
  for (const { identity } of tasks) if (!spiffeIds.has(identity)) spiffeIds.set(identity, (await findIdentity(db, identity))?.spiffeId ?? identity)
  const ids = tasks.map((task) => task.id)
  const leases = [
    ...(await listLeasesOf(db, ids)).map((lease) => leaseReply(lease, names.get(lease.backend) ?? lease.backend)),
    ...(await listTokensOf(db, ids)).map(tokenReply),
  ]
  return tasks.map((task) => taskReply(task, spiffeIds.get(task.identity)!, leases))
}

function permitOf(body: { readonly type: string; readonly resource: string; readonly action: string }): Permit | undefined {
  const detail = parseGrantText(`${body.type}:${body.resource}:${body.action}`)
  return detail.ok ? { type: body.type, resource: body.resource, action: body.action, limits: {} } : undefined
}

const overProblem = (task: Pick<Task, 'state' | 'endReason'>): ProblemAnswer =>
  problem('conflict', { code: 'task_not_open', detail: `the task is ${task.state}: ${task.endReason}`, hint: 'stop, and open a new task', endReason: task.endReason })

function widenProblem(refusal: WidenTaskRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_task': return NO_TASK
    case 'identity_not_active':
    case 'empty_grant':
    case 'grant_not_covered': return openProblem(refusal)
    case 'too_many_permits': return problem('grant-refused', { code, detail: `one grant has ${refusal.most} permits at most, and this would be ${refusal.count}`, hint: 'ask for less' })
    case 'too_many_widenings': return problem('conflict', { code, detail: `one task is widened ${refusal.most} times at most`, hint: 'open another task' })
    default: return unreachable(refusal)
  }
}

function delegateProblem(refusal: DelegateTaskRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'no_such_task':
    case 'no_such_parent': return NO_TASK
    // Whoever delegates learns no more of another identity than that nothing can be delegated to it.
    case 'no_such_identity':
    case 'identity_not_active': return problem('grant-refused', { code: 'delegate_not_active', detail: 'there is no such identity, or it is not active' })
    case 'too_many_leases': return problem('conflict', { code: refusal.kind, detail: `one task has ${refusal.most} leases and children at most`, hint: 'open another task' })
    case 'empty_grant':
    case 'grant_not_covered':
    case 'too_long':
    case 'bad_number':
    case 'parent_not_open':
    case 'no_time_left':
    case 'too_deep':
    case 'budget_not_covered':
    case 'other_user':
    case 'other_purpose':
    case 'too_many_tasks':
    case 'other_change': return openProblem(refusal)
    default: return unreachable(refusal)
  }
}

function openProblem(refusal: OpenTaskRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_identity': return problem('unauthenticated')
    case 'identity_not_active': return problem('conflict', { code, detail: `the identity is ${refusal.state}: ${refusal.reason}` })
    case 'empty_grant': return problem('grant-refused', { code, detail: 'the grant is empty' })
    case 'grant_not_covered': return problem('grant-refused', { code, detail: `the grant goes beyond what the ${refusal.by} may`, hint: 'ask for less, or let an operator widen the identity\'s `authority`' })
    case 'too_long': return problem('grant-refused', { code, detail: `a task of this class lives ${refusal.most / 1000} s at most`, errors: [{ field: 'ttl_seconds', message: `must be at most ${refusal.most / 1000}` }] })
    case 'bad_number': return problem('invalid-fields', { code, errors: [{ field: refusal.field, message: 'must be a whole number above zero' }] })
    case 'parent_not_open':
    case 'no_such_parent': return problem('conflict', { code })
    case 'too_many_tasks': return { ...problem('too-many-requests', { code, detail: `this identity may open ${refusal.most} tasks in an hour`, hint: 'do the work in fewer tasks, or have its `tasks_per_hour` raised' }), headers: { 'retry-after': '60' } }
    case 'no_time_left': return problem('conflict', { code, detail: `the time of its ${refusal.of} is over` })
    case 'too_deep': return problem('grant-refused', { code, detail: `below this parent tasks nest ${refusal.most} deep at most` })
    case 'budget_not_covered': return problem('grant-refused', { code, detail: `the parent has ${refusal.left} calls left` })
    case 'other_user':
    case 'other_purpose':
    case 'other_change': return problem('grant-refused', { code })
    default: return unreachable(refusal)
  }
}

function issueProblem(refusal: IssueRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_task': return NO_TASK
    case 'task_not_open': return problem('conflict', { code, detail: `the task is over: ${refusal.reason}`, hint: 'stop, and open a new task', endReason: refusal.reason })
    case 'identity_not_active': return problem('conflict', { code, detail: 'the identity is not active' })
    case 'denied': return deniedProblem(refusal.decided)
    // A back end that the task's grant does not name is nobody's business here: the same answer as for one that does not exist.
    case 'no_such_backend':
    case 'no_such_template':
    case 'grant_not_covered': return problem('grant-refused', { code: 'grant_not_covered', detail: 'the task\'s grant has no such permit, or no back end offers it' })
    case 'too_many_leases': return problem('conflict', { code, detail: `one task has ${refusal.most} leases and children at most`, hint: 'open another task' })
    case 'secret_no_longer_shown': return problem('secret-no-longer-shown', { code, detail: `lease ${refusal.lease}`, hint: 'ask for a new lease with a new Idempotency-Key' })
    case 'key_reused': return KEY_REUSED
    case 'stopped_meanwhile': return problem('conflict', { code, detail: `lease ${refusal.lease} was stopped while it was being made` })
    case 'mint_failed': return problem('backend-unavailable', { code, detail: `the back end answered ${refusal.code}; whatever it had made is being withdrawn` })
    default: return unreachable(refusal)
  }
}
