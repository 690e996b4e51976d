import { ok, type Outcome } from '@writ/domain/outcome'
import type { Decided } from '../decide/record-decision.ts'
import type { Store } from '../record/tx.ts'
import type { Allowance, TooOften } from './allowance.ts'
import { evaluate, type Asked, type EvaluateInput, type EvaluateRefusal } from './evaluate.ts'

export type EvaluateWithinNeeds = { readonly store: Pick<Store, 'change'>; readonly allowance: Allowance }

/** Answers questions within what their asker may ask; an operator may as often as it likes. Whoever has asked too often is answered nothing. */
export async function evaluateWithin(
  { store, allowance }: EvaluateWithinNeeds, input: EvaluateInput,
): Promise<Outcome<readonly Decided[], EvaluateRefusal | TooOften>> {
  const { by, asked } = input
  if (by.kind !== 'identity') return store.change(evaluate, input)
  const attempts = asked.filter(isAttempt).length
  const advised = attempts < asked.length ? await allowance.advice(by.id, asked.length - attempts) : ok(null)
  if (!advised.ok) return advised
  if (attempts === 0) return store.change(evaluate, input)
  const taken = await allowance.attempts(by.id, attempts)
  if (!taken.ok) return taken
  let denied = 0
  try {
    const answered = await store.change(evaluate, { ...input, mostDenied: taken.value.count })
    // They are answered in their order, from the first one on.
    if (answered.ok) denied = answered.value.filter(({ answer }, i) => answer === 'deny' && isAttempt(asked[i]!)).length
    return answered
  } finally {
    taken.value.giveBack(denied)
  }
}

const isAttempt = ({ task }: Asked): boolean => task !== null
