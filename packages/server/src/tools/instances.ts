import type { ServerInstanceId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { change, type Tx } from '../record/tx.ts'
import { forgetServerInstances, insertServerInstance, markInstancesGoneAt, markServerInstanceGone, markUnseenInstancesGone, touchServerInstance } from '../store/server-instances.ts'

/** How often a server says that it is there; who was silent ten times as long is gone. */
export const INSTANCE_PACE_MS = 3000
const SILENT_MS = 10 * INSTANCE_PACE_MS
const KEPT_MS = 86_400_000

type Begin = { readonly instance: ServerInstanceId; readonly address: string | null; readonly now: EpochMs }

/** One run of a server begins: whatever is in flight through it names it. The run before it at the same address has ended, however it did. */
export const beginInstance = change('instance.begin', async (tx: Tx, { instance, address, now }: Begin) => {
  if (address !== null) await markInstancesGoneAt(tx.db, address, now)
  // Its job may have told of it before.
  if (!(await touchServerInstance(tx.db, instance, now))) await insertServerInstance(tx.db, { id: instance, address, startedAt: now })
  return ok(null)
})

/** This one lives, also where others took it for gone; and those that were not seen for long are gone. */
export const keepInstance = change('instance.keep', async (tx: Tx, { instance, address, now }: Begin) => {
  if (!(await touchServerInstance(tx.db, instance, now))) await insertServerInstance(tx.db, { id: instance, address, startedAt: now })
  await markUnseenInstancesGone(tx.db, epochMs(now - SILENT_MS), now)
  await forgetServerInstances(tx.db, epochMs(now - KEPT_MS))
  return ok(null)
})

/** It stops, and has told what became of its calls. */
export const leaveInstance = change('instance.leave', async (tx: Tx, { instance, now }: Omit<Begin, 'address'>) => {
  await markServerInstanceGone(tx.db, instance, now)
  return ok(null)
})
