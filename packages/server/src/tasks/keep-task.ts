import type { IdentityId, TaskId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import { dueReason, type EndReason, type Task } from '@writ/domain/task'
import { earliest, type EpochMs } from '@writ/domain/time'
import { failpoint } from '../platform/failpoint.ts'
import { change, type Tx } from '../record/tx.ts'
import { endTaskIn } from '../revoke/end-task.ts'
import { lastRequestEndsAt } from '../store/task-ends.ts'
import { findTask, listDueTaskIds, lockFreeTask, lockTask, touchTask } from '../store/tasks.ts'

/** A task of another identity is refused as one that does not exist: a stranger must not learn of it. */
export type KeepTaskRefusal = { readonly kind: 'no_such_task' } | { readonly kind: 'task_not_open'; readonly state: string; readonly reason: EndReason | null }

export type HeartbeatInput = { readonly task: TaskId; readonly identity: IdentityId; readonly calls: number; /** For a person, while one is asked. */ readonly waits?: 'here' | 'away'; readonly now: EpochMs }

/** Still open, or over: a heartbeat that finds its task dead ends it for the reason that has come true, and says so. */
export type Heard = { readonly kind: 'open'; readonly task: Task } | { readonly kind: 'over'; readonly task: Task }

/** The holder is alive and has made so many calls since. A budget that does not suffice ends the task (JIT-10). */
export const heartbeat = change('task.heartbeat', async (tx: Tx, input: HeartbeatInput) => {
  const task = await lockTask(tx, input.task)
  if (task === undefined || task.identity !== input.identity) return refuse<KeepTaskRefusal>({ kind: 'no_such_task' })
  const heard = await takeCalls(tx, task, input.calls, input.now)
  return ok(heard.kind === 'over' || input.waits === undefined ? heard : { kind: 'open', task: await waiting(tx, heard.task, input.waits, input.now) } as const)
})

/**
 * Waiting for a person is neither idle nor, where it was said, silent: its clocks stand at what they would be if it had spoken until then. Without an open
 * request of its own nothing is moved.
 */
async function waiting(tx: Tx, task: Task, how: 'here' | 'away', now: EpochMs): Promise<Task> {
  const until = await lastRequestEndsAt(tx.db, task.id)
  if (until === undefined) return task
  const to = earliest(until, task.deadline)
  const touched: Task = how === 'here' ? { ...task, lastCallAt: now } : { ...task, lastHeardAt: to, lastCallAt: to }
  await touchTask(tx.db, touched)
  return touched
}

/** Takes calls from the budget and moves the task's clocks; ends the task when its time or its budget is over. The task is locked. */
export async function takeCalls(tx: Tx, task: Task, calls: number, now: EpochMs): Promise<Heard> {
  if (task.state !== 'open') return { kind: 'over', task }
  const because = dueReason(task, now) ?? (task.callsUsed + calls > task.budgetCalls ? 'budget_exhausted' : undefined)
  if (because !== undefined) {
    await endTaskIn(tx, task.id, { because, by: { kind: 'writ', id: 'writ' }, now })
    return { kind: 'over', task: (await findTask(tx.db, task.id))! }
  }
  const touched: Task = { ...task, callsUsed: task.callsUsed + calls, lastHeardAt: now, lastCallAt: calls > 0 ? now : task.lastCallAt }
  await touchTask(tx.db, touched)
  failpoint('task.heard.before_commit')
  return { kind: 'open', task: touched }
}

/**
 * Ends tasks whose time is over. Several servers share the work: a task whose tree another change holds is left to that one, or to the
 * next round. Answers how many it ended.
 */
export const endDueTasks = change('task.end_due', async (tx: Tx, input: { readonly now: EpochMs; readonly limit: number }) => {
  let ended = 0
  for (const id of await listDueTaskIds(tx.db, input.now, input.limit)) {
    const task = await lockFreeTask(tx, id)
    const because = task?.state === 'open' ? dueReason(task, input.now) : undefined
    if (task !== undefined && because !== undefined && (await endTaskIn(tx, task.id, { because, by: { kind: 'writ', id: 'writ' }, now: input.now }))) ended++
  }
  return ok(ended)
})
