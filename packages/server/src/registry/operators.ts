import type { OperatorId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { countOperators, insertBootstrap, insertOperator, takeBootstrap } from '../store/installation.ts'

/** The first sign-in, until people have a door of their own: a one-time code, worth one operator key. */
export const BOOTSTRAP_LIVES_MS = 15 * 60_000

export const offerBootstrap = change('operator.offer_bootstrap', async (tx: Tx, input: { readonly codeHash: Uint8Array; readonly now: EpochMs; readonly expiresAt: EpochMs }) => {
  await insertBootstrap(tx.db, input, input.now)
  await append(tx, input.now, { type: 'operator.bootstrap_offered', actor: { kind: 'writ', id: 'writ' }, facts: { expires_at: input.expiresAt } })
  return ok(null)
})

type RedeemInput = { readonly codeHash: Uint8Array; readonly operator: OperatorId; readonly name: string; readonly keyHash: Uint8Array; readonly now: EpochMs }

/** Unknown, used and expired codes are one refusal: a guesser learns nothing. Where there is an operator, nobody is the first any more. */
export const redeemBootstrap = change('operator.redeem_bootstrap', async (tx: Tx, input: RedeemInput) => {
  if ((await countOperators(tx.db)) > 0) return refuse({ kind: 'bad_code' } as const)
  if (!(await takeBootstrap(tx.db, input.codeHash, input.now))) return refuse({ kind: 'bad_code' } as const)
  await insertOperator(tx.db, { id: input.operator, name: input.name, keyHash: input.keyHash }, input.now)
  await append(tx, input.now, { type: 'operator.key_issued', actor: { kind: 'operator', id: input.operator }, facts: { operator: input.operator }, said: { name: input.name } })
  return ok(input.operator)
})
