import type { EventActor } from '@writ/domain/event'
import type { TaskId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import { appendAll } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { markApprovalEnded } from '../store/approvals.ts'
import { lockLiveApprovals } from '../store/stops.ts'

/** What these tasks, which this change holds, were waiting for or had been allowed: nobody is asked any more, and nothing of it can be used. */
export async function cancelApprovalsOf(tx: Tx, tasks: readonly TaskId[], by: EventActor, now: EpochMs): Promise<void> {
  const live = await lockLiveApprovals(tx, tasks)
  for (const { id } of live) await markApprovalEnded(tx.db, id, { state: 'cancelled', why: 'stopped', now })
  await appendAll(tx, now, live.map((one) => ({
    type: 'approval.cancelled', actor: by, task: one.task, identity: one.identity, facts: { approval: one.id, was: one.state, why: 'stopped', calls_used: one.callsUsed },
  })))
}
