import { ok } from '@writ/domain/outcome'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { change, type Tx } from '../record/tx.ts'
import { forgetEvidenceKeys } from '../store/evidence-keys.ts'
import { forgetExpired } from '../store/installation.ts'
import { forgetSignInFlows } from '../store/sign-in-flows.ts'
import { forgetLentLeases } from '../store/lent-leases.ts'

/** A repeat of a request is recognised for a day. */
const REPLIES_KEPT_MS = 86_400_000

/** Whoever comes late is told that it was too late. */
const FLOWS_KEPT_MS = 600_000

/** A busy server uses up thousands of proofs a second, and all of them expire within minutes (R32). */
const MOST_AT_ONCE = 2000

/** Proofs that would be refused by their age anyway, old idempotency keys, and sign-ins that nobody finished; answers whether there are more. */
export const forget = change('store.forget', async (tx: Tx, input: { readonly now: EpochMs }) => {
  const isMore = await forgetExpired(tx.db, input.now, epochMs(input.now - REPLIES_KEPT_MS), MOST_AT_ONCE)
  await forgetEvidenceKeys(tx.db, input.now)
  await forgetLentLeases(tx.db)
  const isMoreOfFlows = await forgetSignInFlows(tx.db, epochMs(input.now - FLOWS_KEPT_MS), MOST_AT_ONCE)
  return ok(isMore || isMoreOfFlows)
})
