import * as contract from '@writ/contract/tasks'
import { fromAuthorizationDetails, parseGrantText, type Permit } from '@writ/domain/authority'
import { parseId, type IdentityId, type TaskId } from '@writ/domain/id'
import { unreachable } from '@writ/domain/outcome'
import type { Task } from '@writ/domain/task'
import { seconds } from '@writ/domain/time'
import { issueLease, type IssueNeeds, type IssueRefusal } from '../../issue/issue-lease.ts'
import type { Bell } from '../../platform/bell.ts'
import { certificateOf } from '../../prove/certificate.ts'
import type { Db, Store } from '../../record/tx.ts'
import { endTask } from '../../revoke/end-task.ts'
import { stopLease } from '../../revoke/lease-changes.ts'
import { listBackends } from '../../store/backends.ts'
import { findIdentity } from '../../store/identities.ts'
import { findLease, listLeasesOf, type StoredLease } from '../../store/leases.ts'
import { findTask, listTasks } from '../../store/tasks.ts'
import { heartbeat } from '../../tasks/keep-task.ts'
import { newTaskId, openTask, type OpenTaskRefusal } from '../../tasks/open-task.ts'
import { actorOf, route, type AnyCaller, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'
import { leaseReply, taskReply } from '../replies.ts'

export type TaskRoutesNeeds = IssueNeeds & { readonly store: Store; readonly closed: Bell }

const NO_TASK = problem('not-found', { code: 'task_not_found', detail: 'there is no such task, or it is not yours' })
const KEY_REUSED = problem('idempotency-key-reused', { hint: 'use a new Idempotency-Key for a new request' })
const LONGEST_WAIT_STEP_MS = 500

export function taskRoutes(needs: TaskRoutesNeeds): readonly Route[] {
  const { store, clock, entropy } = needs
  return [
    route(contract.openTask, async ({ caller, body, once }) => {
      const authority = fromAuthorizationDetails(body.authorization_details)
      if (!authority.ok) return problem('grant-refused', { code: authority.refusal.kind, detail: 'the grant could not be read' })
      const length = seconds(body.ttl_seconds)
      const now = clock.now()
      const opened = await store.changeOnce(openTask, {
        id: newTaskId(now, entropy.bytes(10)), identity: caller.identity, parent: null, purpose: body.purpose, now,
        asked: {
          authority: authority.value, length, budgetCalls: body.budget.calls, onBehalfOf: null,
          idleTimeout: body.idle_timeout_seconds === undefined ? length : seconds(body.idle_timeout_seconds), heartbeat: seconds(body.heartbeat_seconds),
        },
      }, once)
      if (!opened.ok) return opened.refusal.kind === 'key_reused' ? KEY_REUSED : openProblem(opened.refusal)
      const { value: task, repeated } = opened.value
      const reply = repeated ? await store.read((db) => describeTask(db, task.id)) : taskReply(task, caller.spiffeId, [])
      return { reply, headers: { location: `/v1/tasks/${task.id}` } }
    }),
    route(contract.listTasks, async ({ caller, query }) => {
      const page = {
        limit: query.limit + 1, ...(query.cursor === undefined ? {} : { before: query.cursor }), ...(query.state === undefined ? {} : { state: query.state }),
        ...(caller.kind === 'identity' ? { identity: caller.identity } : {}),
      }
      return { reply: await store.read((db) => describeTasks(db, page, query.limit)) }
    }),
    route(contract.showTask, async ({ caller, parameters }) => {
      const task = await store.read((db) => taskOf(db, caller, parameters.id!))
      return task === undefined ? NO_TASK : { reply: await store.read((db) => describeTask(db, task.id)) }
    }),
    route(contract.completeTask, async ({ caller, parameters }) => {
      const id = parseId('task', parameters.id!)
      const ended = id && await store.change(endTask, { task: id, by: actorOf(caller), because: 'completed', now: clock.now() })
      if (!ended?.ok) return NO_TASK
      needs.wake()
      return { reply: await store.read((db) => describeTask(db, ended.value.id)) }
    }),
    route(contract.endTask, async ({ caller, parameters, body }) => {
      const id = parseId('task', parameters.id!)
      const ended = id && await store.change(endTask, { task: id, by: actorOf(caller), because: 'ended_by_person', why: body.reason, now: clock.now() })
      if (!ended?.ok) return NO_TASK
      needs.wake()
      return { reply: await store.read((db) => describeTask(db, ended.value.id)) }
    }),
    route(contract.heartbeat, async ({ caller, parameters, body, once }) => {
      const id = parseId('task', parameters.id!)
      const heard = id && await store.changeOnce(heartbeat, { task: id, identity: caller.identity, calls: body.calls, now: clock.now() }, once)
      if (!heard) return NO_TASK
      if (!heard.ok) return heard.refusal.kind === 'key_reused' ? KEY_REUSED : NO_TASK
      if (heard.value.value.kind === 'over') {
        needs.wake()
        const { task } = heard.value.value
        return problem('conflict', { code: 'task_not_open', detail: `the task is ${task.state}: ${task.endReason}`, hint: 'stop, and open a new task' })
      }
      return { reply: await store.read((db) => describeTask(db, id)) }
    }),
    route(contract.issueLease, async ({ caller, parameters, body, once }) => {
      const task = parseId('task', parameters.id!)
      const permit = permitOf(body)
      if (task === undefined) return NO_TASK
      if (permit === undefined) return problem('grant-refused', { code: 'malformed_grant' })
      const issued = await issueLease(needs, { task, identity: caller.identity, permit }, once)
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
      if (lease === undefined) return problem('not-found', { code: 'lease_not_found', detail: 'there is no such lease, or it is not yours' })
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
    if (text !== undefined || left <= 0) return text
    await listener.heard(Math.min(left, LONGEST_WAIT_STEP_MS))
  }
}

/** An identity sees its own tasks; an operator all. */
async function taskOf(db: Db, caller: AnyCaller, id: string): Promise<Task | undefined> {
  const task = await findTask(db, id)
  return task !== undefined && (caller.kind === 'operator' || task.identity === caller.identity) ? task : undefined
}

async function leaseOf(db: Db, caller: AnyCaller, id: string): Promise<StoredLease | undefined> {
  const lease = await findLease(db, id)
  return lease !== undefined && (caller.kind === 'operator' || lease.identity === caller.identity) ? lease : undefined
}

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
  const leases = (await listLeasesOf(db, tasks.map((task) => task.id))).map((lease) => leaseReply(lease, names.get(lease.backend) ?? lease.backend))
  return tasks.map((task) => taskReply(task, spiffeIds.get(task.identity)!, leases))
}

function permitOf(body: { readonly type: string; readonly resource: string; readonly action: string }): Permit | undefined {
  const detail = parseGrantText(`${body.type}:${body.resource}:${body.action}`)
  return detail.ok ? { type: body.type, resource: body.resource, action: body.action, limits: {} } : undefined
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
    case 'no_time_left': return problem('conflict', { code, detail: `the time of its ${refusal.of} is over` })
    case 'too_deep': return problem('grant-refused', { code, detail: `below this parent tasks nest ${refusal.most} deep at most` })
    case 'budget_not_covered': return problem('grant-refused', { code, detail: `the parent has ${refusal.left} calls left` })
    case 'other_user': return problem('grant-refused', { code })
    default: return unreachable(refusal)
  }
}

function issueProblem(refusal: IssueRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_task': return NO_TASK
    case 'task_not_open': return problem('conflict', { code, detail: `the task is over: ${refusal.reason ?? refusal.state}`, hint: 'stop, and open a new task' })
    case 'identity_not_active': return problem('conflict', { code, detail: 'the identity is not active' })
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
