import type { TaskId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import { PROFILES } from '@writ/domain/profile'
import type { EpochMs } from '@writ/domain/time'
import type { Tx } from '../record/tx.ts'
import { workloadOfKey, type Holder } from '../authenticate/holder.ts'
import { listCredentials } from '../store/identities.ts'
import { findOtherWorkload } from '../store/tasks.ts'
import { raiseSecondWorkload } from '../watch/second-workload.ts'

/**
 * WID-2, WID-8: two workloads with tasks open at once under an identity whose class has one alone. Costs one look into an index; the task is
 * opened all the same, for it may be either of the two that is the stranger, and only people can tell.
 */
export async function noticeReuse(tx: Tx, identity: Pick<Identity, 'id' | 'class'>, task: TaskId, holder: Holder, now: EpochMs): Promise<void> {
  if (PROFILES[identity.class].mayBeShared) return
  const other = await findOtherWorkload(tx.db, identity.id, holder.workload)
  if (other === undefined || (await isReplacedKey(tx, identity, other.workload))) return
  await raiseSecondWorkload(tx, identity, { workloads: [other.workload, holder.workload], tasks: [other.task, task] }, now)
}

/** What was opened with a key that has been replaced since goes on beside what is opened with its successor. */
async function isReplacedKey(tx: Tx, identity: Pick<Identity, 'id'>, workload: string): Promise<boolean> {
  return (await listCredentials(tx.db, [identity.id])).some((one) => one.state === 'revoked' && workloadOfKey(one.id) === workload)
}
