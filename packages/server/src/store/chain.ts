import type { ChainLink } from '@writ/domain/approval'
import type { IdentityId, TaskId } from '@writ/domain/id'
import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** The tasks from the top of the tree down to this one, and whose they are. What it reads never changes. */
export async function listChain(db: Db, task: TaskId): Promise<readonly ChainLink[]> {
  const chain: ChainLink[] = []
  for (let at: string | null = task; at !== null;) {
    const row: { id: string; identity_id: string; parent_id: string | null } = await db.selectFrom('task').select(['id', 'identity_id', 'parent_id']).where('id', '=', at).executeTakeFirstOrThrow()
    chain.unshift({ task: row.id as TaskId, identity: row.identity_id as IdentityId })
    at = row.parent_id
  }
  return chain
}
