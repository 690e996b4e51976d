import type { EventDraft } from '@writ/domain/event'
import type { TaskId } from '@writ/domain/id'
import type { Task } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import { overallOutcome, type TaskOutcome } from '@writ/ledger/lease-closure'
import { failpoint } from '../platform/failpoint.ts'
import { appendAll } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { listEndsBeneath, listWithUnended, type EndsBeneath } from '../store/beneath.ts'
import { listTasksById, lockTask, markTasksClosed } from '../store/tasks.ts'

/** The closing of a task names each lease, each access token and each child in some 100 bytes of one entry of the log, which has 65,535 at most. */
export const MOST_BENEATH = 600

/**
 * Closes an ending task once every lease, access tokens among them, and every child has its end, and then its parent. `task.closed` commits
 * to the hash of each of these ends, so that none can be left out of a certificate later (decision 13).
 */
export async function closeTaskIfDone(tx: Tx, id: TaskId, now: EpochMs): Promise<void> {
  const task = await lockTask(tx, id)
  if (task?.state === 'ending') await closeDone(tx, [task], now)
}

/** The same of several, which this change has locked. */
export async function closeTasksIfDone(tx: Tx, locked: readonly TaskId[], now: EpochMs): Promise<void> {
  const ending = (await listTasksById(tx.db, locked)).filter((task) => task.state === 'ending')
  if (ending.length > 0) await closeDone(tx, ending, now)
}

/** The same of those that are ending, as whoever has locked them knows. */
export async function closeDone(tx: Tx, ending: readonly Task[], now: EpochMs): Promise<void> {
  // Asked at the end of each lease: all of them are read once, by the last.
  const waiting = await listWithUnended(tx.db, ending.map((task) => task.id))
  const done = ending.filter((task) => !waiting.has(task.id))
  if (done.length === 0) return
  const ends = await listEndsBeneath(tx.db, done.map((task) => task.id))
  const closings = done.map((task) => closingOf(task, ends.get(task.id) ?? { leases: [], children: [] }))
  const closed = await appendAll(tx, now, closings.map((closing) => closing.event))
  await markTasksClosed(tx, closings.map(({ task, outcome }, i) => ({ id: task.id, outcome, leaf: closed[i]!.leafHash })), now)
  failpoint('task.closed.before_commit')
  for (const parent of new Set(done.map((task) => task.parent))) if (parent !== null) await closeTaskIfDone(tx, parent, now)
}

function closingOf(task: Task, { leases, children }: EndsBeneath): { readonly task: Task; readonly outcome: TaskOutcome; readonly event: EventDraft } {
  const outcome = overallOutcome([...leases, ...children].map((end) => end.outcome))
  return {
    task, outcome,
    event: {
      type: 'task.closed',
      actor: { kind: 'writ', id: 'writ' },
      task: task.id,
      identity: task.identity,
      facts: {
        outcome,
        leases: leases.map((lease) => ({ lease: lease.id, leaf: base64(lease.leaf) })),
        descendants: children.map((child) => ({ task: child.id, leaf: base64(child.leaf) })),
      },
    },
  }
}

const base64 = (hash: Uint8Array): string => Buffer.from(hash).toString('base64')
