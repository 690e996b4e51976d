import type { TaskId } from '@writ/domain/id'
import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

/** In one statement; a database takes no more values at once. */
const AT_ONCE = 500

/** Which of these tasks are over, and why. */
export async function listEnded(db: Kysely<Tables>, tasks: readonly TaskId[]): Promise<ReadonlyMap<TaskId, string>> {
  const ended = new Map<TaskId, string>()
  for (let i = 0; i < tasks.length; i += AT_ONCE) {
    const rows = await db.selectFrom('task').select(['id', 'state', 'end_reason']).where('id', 'in', tasks.slice(i, i + AT_ONCE)).where('state', '<>', 'open').execute()
    for (const row of rows) ended.set(row.id as TaskId, row.end_reason ?? row.state)
  }
  return ended
}
