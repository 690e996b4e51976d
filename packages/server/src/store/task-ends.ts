import type { TaskId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
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

/** When the last of its open requests for approval comes to its time; undefined where none is open. */
export async function lastRequestEndsAt(db: Kysely<Tables>, task: TaskId): Promise<EpochMs | undefined> {
  const { at } = await db.selectFrom('approval').select((eb) => eb.fn.max('due_at').as('at')).where('task_id', '=', task).where('state', 'in', ['waiting', 'approved']).executeTakeFirstOrThrow()
  return at === null ? undefined : epochMs(Number(at))
}
