import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { change, type Tx } from '../record/tx.ts'
import { lockLostCalls } from '../store/tool-calls.ts'
import { finishAllIn } from './finish-call.ts'

type LoseInput = { readonly limit: number; readonly now: EpochMs }

/** Calls whose server did not live to tell what became of them; answers whether there may be more. */
export const loseCalls = change('call.lose', async (tx: Tx, { limit, now }: LoseInput) => {
  const lost = await lockLostCalls(tx, limit)
  await finishAllIn(tx, lost.map((call) => ({ call, end: { outcome: 'unknown', result: null, durationMs: null, labels: [], at: now } })), now)
  return ok(lost.length === limit)
})
