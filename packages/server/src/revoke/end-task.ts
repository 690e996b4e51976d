import type { EventActor } from '@writ/domain/event'
import type { BindingId, CredentialId, IdentityId, TaskId } from '@writ/domain/id'
import { dueReason, type EndReason } from '@writ/domain/task'
import { milliseconds, plus, type EpochMs } from '@writ/domain/time'
import { ok, refuse } from '@writ/domain/outcome'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { listLeasesOf, markLeaseWithdrawing } from '../store/leases.ts'
import { findTask, listChildIds, listOpenTaskIds, listTasksOpenedBy, lockTask, markTaskEnding, setCallsUsed } from '../store/tasks.ts'
import { stopTokensOf } from '../store/tokens.ts'
import { closeTaskIfDone } from './close-task.ts'

/** A mint that has not come back by then never will: its connection has timed out long before. */
export const LONGEST_MINT = milliseconds(15_000)

/** `why`: the words of the person who ended it. */
export type Ending = { readonly because: EndReason; readonly by: EventActor; readonly now: EpochMs; readonly why?: string }

/**
 * Ends an open task: from the commit on it may do nothing, its access tokens are refused, and every lease beneath, listed or not, is due for
 * withdrawal (law 7). Children first, so that no descendant outlives its parent by a crash in between. False when it was not open.
 */
export async function endTaskIn(tx: Tx, id: TaskId, ending: Ending): Promise<boolean> {
  const task = await lockTask(tx, id)
  if (task === undefined || task.state !== 'open') return false
  for (const child of await listChildIds(tx.db, id, 'open')) {
    await endTaskIn(tx, child, { because: 'parent_ended', by: { kind: 'writ', id: 'writ' }, now: ending.now })
  }
  await giveBackBudget(tx, task)
  await markTaskEnding(tx.db, id, ending.because, ending.now)
  await append(tx, ending.now, {
    type: 'task.ended', actor: ending.by, task: id, identity: task.identity,
    facts: { reason: ending.because, calls_used: task.callsUsed, by: ending.by.kind, widened: task.widenings },
    ...(ending.why === undefined ? {} : { said: { why: ending.why } }),
  })
  const [leases] = await Promise.all([listLeasesOf(tx.db, [id]), stopTokensOf(tx.db, id, ending.now)])
  for (const lease of leases) {
    if (lease.state !== 'intended' && lease.state !== 'live') continue
    // While a mint may still be on its way, a withdrawal could come before it and find nothing to withdraw.
    const dueAt = lease.state === 'live' ? ending.now : plus(lease.intendedAt, LONGEST_MINT)
    await markLeaseWithdrawing(tx.db, lease.id, ending.now, dueAt)
  }
  await closeTaskIfDone(tx, id, ending.now)
  failpoint('task.ended.before_commit')
  return true
}

type EndTaskInput = Ending & { readonly task: TaskId }

/** Ends a task. Idempotent: one that is ending or closed answers as it stands. An identity ends only its own. */
export const endTask = change('task.end', async (tx: Tx, input: EndTaskInput) => {
  const before = await findTask(tx.db, input.task)
  const isStranger = input.by.kind === 'identity' && before?.identity !== input.by.id
  if (before === undefined || isStranger) return refuse({ kind: 'no_such_task' } as const)
  // Whoever comes after the deadline comes too late to complete; the sweeper may not have come by yet.
  const overdue = input.because === 'completed' && before.state === 'open' ? dueReason(before, input.now) : undefined
  await endTaskIn(tx, input.task, { ...input, because: overdue ?? input.because })
  return ok((await findTask(tx.db, input.task))!)
})

/** All open tasks of an identity; used when it is suspended, retired or contained. */
export async function endTasksOf(tx: Tx, identity: IdentityId, ending: Ending): Promise<void> {
  for (const id of await listOpenTaskIds(tx.db, identity)) await endTaskIn(tx, id, ending)
}

/**
 * What was opened with evidence that is revoked: its holder could go on by token until the deadline. What was opened with evidence that is
 * replaced by plan may finish.
 */
export async function endTasksOpenedBy(tx: Tx, identity: IdentityId, evidence: CredentialId | BindingId, by: EventActor, now: EpochMs): Promise<void> {
  const ending: Ending = { because: 'ended_by_person', by, now, why: `${evidence} was revoked` }
  for (const id of await listTasksOpenedBy(tx.db, identity, evidence)) await endTaskIn(tx, id, ending)
}

/** A child reserved its whole budget when it opened; what it did not use goes back to its parent. */
async function giveBackBudget(tx: Tx, child: { readonly parent: TaskId | null; readonly budgetCalls: number; readonly callsUsed: number }): Promise<void> {
  if (child.parent === null) return
  const parent = await lockTask(tx, child.parent)
  if (parent?.state === 'open') await setCallsUsed(tx.db, parent.id, parent.callsUsed - (child.budgetCalls - child.callsUsed))
}
