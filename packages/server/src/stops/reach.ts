import type { IdentityId, TaskId } from '@writ/domain/id'
import type { StopTarget } from '@writ/domain/stop'
import type { Db } from '../record/tx.ts'
import { listRunningBeneath, listRunningOf, type RunningTask } from '../store/stops.ts'

/** Who is stopped, and all that runs of them; `identities` is empty where a task alone is. */
export type Reach = { readonly identities: readonly IdentityId[]; readonly tasks: readonly RunningTask[] }

export const reachOfTask = async (db: Db, task: TaskId): Promise<Reach> => ({ identities: [], tasks: await listRunningBeneath(db, task) })

/**
 * Of a tree: everybody who works at something that one of them has delegated and that is not closed, and whatever those have delegated, and so on.
 * What was delegated and is over reaches nobody any more.
 */
export async function reachOfIdentity(db: Db, identity: IdentityId, target: Exclude<StopTarget, 'task'>): Promise<Reach> {
  const identities = new Set([identity])
  let tasks = await listRunningOf(db, [identity])
  for (;;) {
    const more = target === 'identity' ? [] : tasks.map((task) => task.identity).filter((one) => !identities.has(one))
    if (more.length === 0) return { identities: [...identities].toSorted(), tasks }
    for (const one of more) identities.add(one)
    tasks = await listRunningOf(db, [...identities])
  }
}
