import { ok } from '@writ/domain/outcome'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { change, type Tx } from '../record/tx.ts'
import { forgetExpired } from '../store/installation.ts'

/** A repeat of a request is recognised for a day. */
const REPLIES_KEPT_MS = 86_400_000

/** Proofs that would be refused by their age anyway, and old idempotency keys. */
export const forget = change('store.forget', async (tx: Tx, input: { readonly now: EpochMs }) => {
  await forgetExpired(tx.db, input.now, epochMs(input.now - REPLIES_KEPT_MS))
  return ok(null)
})
