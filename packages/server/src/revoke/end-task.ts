import type { EventActor, EventDraft } from '@writ/domain/event'
import type { BindingId, CredentialId, IdentityId, TaskId } from '@writ/domain/id'
import { dueReason, type EndReason, type Task } from '@writ/domain/task'
import { milliseconds, plus, type EpochMs } from '@writ/domain/time'
import { ok, refuse } from '@writ/domain/outcome'
import { failpoint } from '../platform/failpoint.ts'
import { appendAll } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { listIntendedLeases, markLeaseWithdrawing, withdrawLeasesOf } from '../store/leases.ts'
import { findTask, listOpenChildren, listOpenTaskIds, listRootIds, listTasksById, listTasksOpenedBy, lockRoots, lockTask, lockTasks, markTasksEnding, setCallsUsed } from '../store/tasks.ts'
import { stopTokensOf } from '../store/tokens.ts'
import { closeDone } from './close-task.ts'

/** A mint that has not come back by then never will: its connection has timed out long before. */
export const LONGEST_MINT = milliseconds(15_000)

/** `why`: the words of the person who ended it. */
export type Ending = { readonly because: EndReason; readonly by: EventActor; readonly now: EpochMs; readonly why?: string }

/**
 * Ends an open task: from the commit on it may do nothing, its access tokens are refused, and every lease beneath, listed or not, is due for
 * withdrawal (law 7). False when it was not open.
 */
export async function endTaskIn(tx: Tx, id: TaskId, ending: Ending): Promise<boolean> {
  const task = await lockTask(tx, id)
  if (task === undefined || task.state !== 'open') return false
  await endWithBeneath(tx, [task], ending)
  return true
}

/** The same of several: whoever stops thousands waits for some statements for each hundreds of them, and not for ten for each. */
async function endTasksIn(tx: Tx, ids: readonly TaskId[], ending: Ending): Promise<void> {
  await lockRoots(tx, await listRootIds(tx.db, ids))
  await endWithBeneath(tx, (await lockTasks(tx, ids)).filter(({ state }) => state === 'open'), ending)
}

/** Those beneath first, so that no descendant outlives its parent by a crash in between. The trees are locked. */
async function endWithBeneath(tx: Tx, asked: readonly Task[], ending: Ending): Promise<void> {
  const open = new Map(asked.map((task) => [task.id, task]))
  for (let above = asked; above.length > 0;) {
    above = (await listOpenChildren(tx.db, above.map(({ id }) => id))).filter(({ id }) => !open.has(id))
    for (const task of above) open.set(task.id, task)
  }
  const levels = Map.groupBy(open.values(), ({ depth }) => depth)
  for (const depth of [...levels.keys()].toSorted((a, b) => b - a)) {
    const level = levels.get(depth)!.map(({ id }) => open.get(id)!)
    await giveBackBudgets(tx, level, open)
    for (const some of inHundreds(level)) await endSome(tx, some, { ending, open })
  }
  if (open.size > 0) failpoint('task.ended.before_commit')
}

/** Of each, everything beneath may be read: see MOST_BENEATH. */
const TOGETHER = 100
const inHundreds = <T>(all: readonly T[]): readonly (readonly T[])[] => Array.from({ length: Math.ceil(all.length / TOGETHER) }, (_, i) => all.slice(i * TOGETHER, (i + 1) * TOGETHER))

/** `open`: all that end by this. */
type EndingOf = { readonly ending: Ending; readonly open: ReadonlyMap<TaskId, Task> }

async function endSome(tx: Tx, tasks: readonly Task[], { ending: { now, ...ending }, open }: EndingOf): Promise<void> {
  const endingOf = ({ parent }: Task): Omit<Ending, 'now'> => (parent !== null && open.has(parent) ? { because: 'parent_ended', by: { kind: 'writ', id: 'writ' } } : ending)
  for (const [because, of] of Map.groupBy(tasks, (task) => endingOf(task).because)) await markTasksEnding(tx.db, of.map(({ id }) => id), because, now)
  await appendAll(tx, now, tasks.map((task): EventDraft => {
    const { because, by, why } = endingOf(task)
    return {
      type: 'task.ended', actor: by, task: task.id, identity: task.identity, facts: { reason: because, calls_used: task.callsUsed, by: by.kind, widened: task.widenings },
      ...(why === undefined ? {} : { said: { why } }),
    }
  }))
  const ids = tasks.map(({ id }) => id)
  const [intended] = await Promise.all([listIntendedLeases(tx.db, ids), withdrawLeasesOf(tx.db, ids, now), stopTokensOf(tx.db, ids, now)])
  // While a mint may still be on its way, a withdrawal could come before it and find nothing to withdraw.
  for (const { id, intendedAt } of intended) await markLeaseWithdrawing(tx.db, id, now, plus(intendedAt, LONGEST_MINT))
  await closeDone(tx, tasks, now)
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
  await endTasksIn(tx, await listOpenTaskIds(tx.db, identity), ending)
}

/**
 * What was opened with evidence that is revoked: its holder could go on by token until the deadline. What was opened with evidence that is
 * replaced by plan may finish.
 */
export async function endTasksOpenedBy(tx: Tx, identity: IdentityId, evidence: CredentialId | BindingId, by: EventActor, now: EpochMs): Promise<void> {
  const ending: Ending = { because: 'ended_by_person', by, now, why: `${evidence} was revoked` }
  await endTasksIn(tx, await listTasksOpenedBy(tx.db, identity, evidence), ending)
}

/** A child reserved its whole budget when it opened; what it did not use goes back to its parent. `open` holds what ends after these. */
async function giveBackBudgets(tx: Tx, children: readonly Task[], open: Map<TaskId, Task>): Promise<void> {
  const families = Map.groupBy(children.filter(({ parent }) => parent !== null), ({ parent }) => parent!)
  const elsewhere = await listTasksById(tx.db, [...families.keys()].filter((id) => !open.has(id)))
  const parents = new Map([...open, ...elsewhere.map((task) => [task.id, task] as const)])
  for (const [id, of] of families) {
    const parent = parents.get(id)
    if (parent?.state !== 'open') continue
    const callsUsed = of.reduce((used, child) => used - (child.budgetCalls - child.callsUsed), parent.callsUsed)
    await setCallsUsed(tx.db, id, callsUsed)
    if (open.has(id)) open.set(id, { ...parent, callsUsed })
  }
}
