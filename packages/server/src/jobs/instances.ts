import type { EventActor } from '@writ/domain/event'
import type { ServerInstanceId } from '@writ/domain/id'
import type { Bell } from '../platform/bell.ts'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { stopLease } from '../revoke/lease-changes.ts'
import { listLeftLeases } from '../store/lent-leases.ts'
import { hasLostCall } from '../store/tool-calls.ts'
import { keepInstance } from '../tools/instances.ts'
import { loseCalls } from '../tools/unknown-calls.ts'

/** This run of the server; `address` is where others of its installation find it. */
export type OwnInstance = { readonly id: ServerInstanceId; readonly address: string | null }

export type InstanceJobNeeds = { readonly store: Pick<Store, 'read' | 'change'>; readonly clock: Clock; readonly due: Pick<Bell, 'ring'>; /** Undefined before it listens. */ readonly instance: () => OwnInstance | undefined }

const WRIT: EventActor = { kind: 'writ', id: 'writ' }
const MOST_AT_ONCE = 100

/** What MCP servers were lent by a run that is gone: nobody else has the secret, and nobody will give it back. */
async function endLeftLeases({ store, clock, due }: Omit<InstanceJobNeeds, 'instance'>): Promise<boolean> {
  const left = await store.read((db) => listLeftLeases(db, MOST_AT_ONCE))
  for (const lease of left) await store.change(stopLease, { lease, by: WRIT, reason: 'the server of Writ that lent it to an MCP server is gone', now: clock.now() })
  if (left.length > 0) due.ring()
  return left.length === MOST_AT_ONCE
}

/** This one is there; and of those that are not any more, nobody will tell what became of their calls. */
export const instanceRound = ({ store, clock, due, instance }: InstanceJobNeeds) => async (): Promise<boolean> => {
  const own = instance()
  if (own !== undefined) await store.change(keepInstance, { instance: own.id, address: own.address, now: clock.now() })
  const isMore = await endLeftLeases({ store, clock, due })
  if (!(await store.read(hasLostCall))) return isMore
  const lost = await store.change(loseCalls, { limit: MOST_AT_ONCE, now: clock.now() })
  return isMore || (lost.ok && lost.value)
}
