import { covers, textOf } from '@writ/domain/authority'
import type { DecisionId, IdentityId, LeaseId, TaskId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import type { AskedTerms, Task } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import { decideIn } from '../decide/decide.ts'
import { identityEntity } from '../decide/question.ts'
import type { Decided } from '../decide/record-decision.ts'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { MOST_BENEATH } from '../revoke/close-task.ts'
import { findIdentity, lockIdentity } from '../store/identities.ts'
import { countBeneath, lockTask } from '../store/tasks.ts'
import { takeCalls } from './keep-task.ts'
import { liveAuthority } from '../store/tokens.ts'
import { openTaskIn, type OpenTaskRefusal } from './open-task.ts'

export type DelegateTaskInput = {
  readonly id: TaskId
  /** The task of whoever delegates. */
  readonly parent: TaskId
  readonly by: IdentityId
  /** The identity that is to hold the new task: its id or its SPIFFE ID. */
  readonly to: string
  readonly purpose: string
  readonly asked: AskedTerms
  readonly decision: DecisionId
  /** The access token that it is asked with: it may hold less than its task, and hands on no more than it holds. */
  readonly token?: LeaseId
  /** The running workload that delegates, where it is known. */
  readonly workload: string | null
  readonly traceId: string
  readonly now: EpochMs
}

export type DelegateTaskRefusal =
  | OpenTaskRefusal
  | { readonly kind: 'no_such_task' }
  | { readonly kind: 'too_many_leases'; readonly most: number }

/** The new task, or the one above it, which was over, or the recorded denial. */
export type Delegated =
  | { readonly kind: 'open'; readonly task: Task }
  | { readonly kind: 'over'; readonly task: Task }
  | { readonly kind: 'denied'; readonly decided: Decided }

/**
 * Opens a task for another identity below one of the caller's own, within what both may (DEL-4): the holder of the one above is heard of, as
 * at a heartbeat, and the record says in an event of its own who handed on what to whom (DEL-7).
 */
export const delegateTask = change('task.delegate', async (tx: Tx, { id, by, to, purpose, asked, now, ...input }: DelegateTaskInput) => {
  // INVARIANT: the identity before the task, as in every change that locks both.
  const identity = await lockIdentity(tx, to)
  const parent = await lockTask(tx, input.parent)
  if (parent === undefined || parent.identity !== by) return refuse<DelegateTaskRefusal>({ kind: 'no_such_task' })
  const heard = await takeCalls(tx, parent, 0, now)
  if (heard.kind === 'over') return ok<Delegated>(heard)
  if (identity === undefined) return refuse<DelegateTaskRefusal>({ kind: 'no_such_identity' })
  if ((await countBeneath(tx.db, parent.id)) >= MOST_BENEATH) return refuse<DelegateTaskRefusal>({ kind: 'too_many_leases', most: MOST_BENEATH })
  if (input.token !== undefined && !covers(await liveAuthority(tx.db, input.token), asked.authority)) return refuse<DelegateTaskRefusal>({ kind: 'grant_not_covered', by: 'parent' })
  const holder = (await findIdentity(tx.db, by))!
  const known = identityEntity(identity)
  const decided = await decideIn(tx, {
    id: input.decision, task: heard.task, identity: holder, authority: parent.authority, permit: null, calls: 0, action: 'delegate', resource: known.uid, known,
    server: '', arguments: {}, claimed: {}, workload: input.workload, by: { kind: 'identity', id: by }, traceId: input.traceId, now,
  })
  if (decided.answer === 'deny') return ok<Delegated>({ kind: 'denied', decided })
  const opened = await openTaskIn(tx, { id, identity: identity.id, parent: parent.id, purpose, asked, delegatedBy: by, now }, identity)
  if (!opened.ok) return refuse<DelegateTaskRefusal>(opened.refusal)
  const { task } = opened.value
  await append(tx, now, {
    type: 'task.delegated', actor: { kind: 'identity', id: by }, task: parent.id, identity: by,
    facts: {
      to: task.id, to_identity: identity.id, spiffe_id: identity.spiffeId, depth: task.depth, authority: task.authority.map(textOf),
      deadline: task.deadline, budget_calls: task.budgetCalls,
    },
  })
  failpoint('task.delegated.before_commit')
  return ok<Delegated>({ kind: 'open', task })
})
