import type { TaskId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import { overallOutcome } from '@writ/ledger/lease-closure'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { hasUnended, listEndsBeneath } from '../store/beneath.ts'
import { lockTask, markTaskClosed } from '../store/tasks.ts'

/** The closing of a task names each lease, each access token and each child in some 100 bytes of one entry of the log, which has 65,535 at most. */
export const MOST_BENEATH = 600

/**
 * Closes an ending task once every lease, access tokens among them, and every child has its end, and then its parent. `task.closed` commits
 * to the hash of each of these ends, so that none can be left out of a certificate later (decision 13).
 */
export async function closeTaskIfDone(tx: Tx, id: TaskId, now: EpochMs): Promise<void> {
  const task = await lockTask(tx, id)
  if (task === undefined || task.state !== 'ending') return
  // Asked at the end of each lease: all of them are read once, by the last.
  if (await hasUnended(tx.db, id)) return
  const { leases, children } = await listEndsBeneath(tx.db, id)
  const outcome = overallOutcome([...leases, ...children].map((end) => end.outcome))
  const closed = await append(tx, now, {
    type: 'task.closed',
    actor: { kind: 'writ', id: 'writ' },
    task: id,
    identity: task.identity,
    facts: {
      outcome,
      leases: leases.map((lease) => ({ lease: lease.id, leaf: base64(lease.leaf) })),
      descendants: children.map((child) => ({ task: child.id, leaf: base64(child.leaf) })),
    },
  })
  await markTaskClosed(tx.db, id, { leaf: closed.leafHash, outcome }, now)
  failpoint('task.closed.before_commit')
  if (task.parent !== null) await closeTaskIfDone(tx, task.parent, now)
}

const base64 = (hash: Uint8Array): string => Buffer.from(hash).toString('base64')
