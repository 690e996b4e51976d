import type { ApprovalRoute } from '@writ/domain/approval'
import type { EventActor } from '@writ/domain/event'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { routesFacts } from '../decide/recorded-approval.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { findRoutes, insertRoutes, type ApprovalRoutes } from '../store/approval-votes.ts'

export type SetRoutesInput = { readonly routes: readonly ApprovalRoute[]; /** That this is a change of. */ readonly version: number; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }
export type SetRoutesRefusal = { readonly kind: 'other_version'; readonly version: number }

/** Who is asked about what from now on; a request that waits keeps the route that it was made by. */
export const setApprovalRoutes = change('approval.set_routes', async (tx: Tx, { routes, version, reason, by, now }: SetRoutesInput): Promise<Outcome<ApprovalRoutes, SetRoutesRefusal>> => {
  const before = await findRoutes(tx.db)
  if (before.version !== version) return refuse({ kind: 'other_version', version: before.version })
  const next = { version: version + 1, routes, reason, setBy: by.id, setAt: now }
  if (!(await insertRoutes(tx.db, next))) return refuse({ kind: 'other_version', version: version + 1 })
  await append(tx, now, { type: 'approval_routes.set', actor: by, facts: routesFacts(next.version, routes), said: { reason } })
  return ok(next)
})
