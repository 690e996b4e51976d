import { textOf, type Authority } from '@writ/domain/authority'
import type { IdentityId, TaskId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import { widenAuthority, type WidenRefusal } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockIdentity } from '../store/identities.ts'
import { findTask, lockTask, setAuthority } from '../store/tasks.ts'
import { takeCalls, type Heard } from './keep-task.ts'

export type WidenTaskInput = {
  readonly task: TaskId
  readonly identity: IdentityId
  readonly asked: Authority
  /** The caller's words: evidence for people, never evaluated (decision 12). */
  readonly reason: string
  readonly now: EpochMs
}

export type WidenTaskRefusal =
  | WidenRefusal
  | { readonly kind: 'no_such_task' }
  | { readonly kind: 'identity_not_active'; readonly state: string; readonly reason: string }

/**
 * Gives an open task more, within what its identity and the task above it may (JIT-9); deadline, budget and purpose stay. The holder is
 * heard of, so that a task whose time is over ends here as at a heartbeat.
 */
export const widenTask = change('task.widen', async (tx: Tx, input: WidenTaskInput) => {
  // INVARIANT: the identity before the task, as in every change that locks both.
  const identity = await lockIdentity(tx, input.identity)
  const task = await lockTask(tx, input.task)
  if (identity === undefined || task === undefined || task.identity !== identity.id) return refuse<WidenTaskRefusal>({ kind: 'no_such_task' })
  const heard = await takeCalls(tx, task, 0, input.now)
  if (heard.kind === 'over') return ok(heard)
  if (identity.state !== 'active') return refuse<WidenTaskRefusal>({ kind: 'identity_not_active', state: identity.state, reason: identity.stateReason })
  if (input.now >= identity.endsAt) return refuse<WidenTaskRefusal>({ kind: 'identity_not_active', state: 'ended', reason: 'its end date has passed' })

  // The root of the tree is locked: what is above changes no more than the task itself.
  const parent = task.parent === null ? null : (await findTask(tx.db, task.parent))!
  const widened = widenAuthority(task, input.asked, identity.authority, parent?.authority ?? null)
  if (!widened.ok) return refuse<WidenTaskRefusal>(widened.refusal)
  const { authority, added } = widened.value
  if (added.length === 0) return ok(heard)
  const nth = task.widenings + 1
  await setAuthority(tx.db, task.id, authority, nth)
  await append(tx, input.now, {
    type: 'task.widened', actor: { kind: 'identity', id: identity.id }, task: task.id, identity: identity.id,
    facts: { added: added.map(textOf), authority: authority.map(textOf), nth },
    said: { reason: input.reason },
  })
  return ok<Heard>({ kind: 'open', task: { ...heard.task, authority, widenings: nth } })
})
