import type { ServerInstanceId } from '@writ/domain/id'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { hasLostCall } from '../store/tool-calls.ts'
import { keepInstance } from '../tools/instances.ts'
import { loseCalls } from '../tools/unknown-calls.ts'

/** This run of the server; `address` is where others of its installation find it. */
export type OwnInstance = { readonly id: ServerInstanceId; readonly address: string | null }

export type InstanceJobNeeds = { readonly store: Pick<Store, 'read' | 'change'>; readonly clock: Clock; /** Undefined before it listens. */ readonly instance: () => OwnInstance | undefined }

const MOST_AT_ONCE = 100

/** This one is there; and of those that are not any more, nobody will tell what became of their calls. */
export const instanceRound = ({ store, clock, instance }: InstanceJobNeeds) => async (): Promise<boolean> => {
  const own = instance()
  if (own !== undefined) await store.change(keepInstance, { instance: own.id, address: own.address, now: clock.now() })
  if (!(await store.read(hasLostCall))) return false
  const lost = await store.change(loseCalls, { limit: MOST_AT_ONCE, now: clock.now() })
  return lost.ok && lost.value
}
