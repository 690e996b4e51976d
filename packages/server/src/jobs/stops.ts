import type { ServerInstanceId, TaskId } from '@writ/domain/id'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { answerStop, settleStop } from '../stops/settle.ts'
import { listOpenAnswers, listSettled, listStopTasks } from '../store/stops.ts'

export type StopJobNeeds = {
  readonly store: Pick<Store, 'read' | 'change'>
  readonly clock: Clock
  /** Undefined before it listens. */
  readonly instance: () => { readonly id: ServerInstanceId } | undefined
  /** The tasks that have a way to an MCP server, or a session, on this server. */
  readonly heldTasks: () => ReadonlySet<TaskId>
}

/** This server says what it knows of what was stopped, once nothing of it is in flight here; what everybody has answered is settled. */
export const stopRound = ({ store, clock, instance, heldTasks }: StopJobNeeds) => async (): Promise<boolean> => {
  const own = instance()
  if (own === undefined) return false
  for (const { stop, instance: asked } of await store.read((db) => listOpenAnswers(db, own.id))) {
    if (asked === own.id) {
      const held = heldTasks()
      if (held.size > 0 && (await store.read((db) => listStopTasks(db, stop))).some((task) => held.has(task))) continue
    }
    // Refused while a call of it is in flight: it is asked again.
    await store.change(answerStop, { stop, instance: asked, own: own.id, now: clock.now() })
  }
  for (const stop of await store.read(listSettled)) await store.change(settleStop, { stop, now: clock.now() })
  return false
}
