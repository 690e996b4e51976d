import type { EventActor } from '@writ/domain/event'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { eraseEvaluated, lockDecision } from '../store/decisions.ts'

export type EraseRefusal = { readonly kind: 'no_such_decision' }

type EraseInput = { readonly decision: string; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

/** Erases what a decision was made of, and the salt of its hash in the leaf. The answer stays; to replay it is *not evaluated* from then on. */
export const eraseDecision = change('decision.erase', async (tx: Tx, { decision: id, reason, by, now }: EraseInput) => {
  const decision = await lockDecision(tx, id)
  if (decision === undefined) return refuse<EraseRefusal>({ kind: 'no_such_decision' })
  if (decision.evaluated === null) return ok(decision.id)
  await eraseEvaluated(tx.db, decision.id)
  await append(tx, now, {
    type: 'decision.erased', actor: by, ...(decision.identity === null ? {} : { identity: decision.identity }), facts: { decision: decision.id }, said: { reason },
  })
  return ok(decision.id)
})
