import type { TaskId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import { overallOutcome, type TaskOutcome } from '@writ/ledger/lease-closure'
import { append } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { hasUnendedLease, listLeasesOf, type StoredLease } from '../store/leases.ts'
import { listChildren, lockTask, markTaskClosed } from '../store/tasks.ts'

/**
 * Closes an ending task once every lease and every child has its end, and then its parent. `task.closed` commits to the hash of each of
 * these ends, so that none can be left out of a certificate later (decision 13).
 */
export async function closeTaskIfDone(tx: Tx, id: TaskId, now: EpochMs): Promise<void> {
  const task = await lockTask(tx, id)
  if (task === undefined || task.state !== 'ending') return
  // Asked at the end of each lease: all of them are read once, by the last.
  if (await hasUnendedLease(tx.db, id)) return
  const leases = await listLeasesOf(tx.db, [id])
  const children = await listChildren(tx.db, id)
  if (children.some((child) => child.state !== 'closed')) return
  const outcome = overallOutcome([...leases.map(outcomeOf), ...children.flatMap((child) => child.closedOutcome ?? [])])
  const closed = await append(tx, now, {
    type: 'task.closed',
    actor: { kind: 'writ', id: 'writ' },
    task: id,
    identity: task.identity,
    facts: {
      outcome,
      leases: leases.map((lease) => ({ lease: lease.id, leaf: base64(lease.endLeaf) })),
      descendants: children.map((child) => ({ task: child.id, leaf: base64(child.closedLeaf) })),
    },
  })
  await markTaskClosed(tx.db, id, { leaf: closed.leafHash, outcome }, now)
  if (task.parent !== null) await closeTaskIfDone(tx, task.parent, now)
}

function outcomeOf(lease: StoredLease): TaskOutcome {
  if (lease.incident !== null) return 'incident'
  return lease.outcome === null || lease.outcome === 'never_issued' ? 'nothing_issued' : lease.outcome
}

function base64(hash: Uint8Array | null): string {
  if (hash === null) throw new Error('an ended lease or closed task has no leaf')
  return Buffer.from(hash).toString('base64')
}
