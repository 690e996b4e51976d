import type { EventActor } from '@writ/domain/event'
import type { OperatorId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { countOperators, insertBootstrap, insertOperator, takeBootstrap } from '../store/installation.ts'
import { isAnyAdmin } from '../store/people.ts'
import { findOperator, lockActiveOperators, markOperatorRemoved } from '../store/operators.ts'

/** The first sign-in: a one-time code, worth one operator key or the first person, whichever comes first. */
export const BOOTSTRAP_LIVES_MS = 15 * 60_000

type OfferInput = {
  readonly codeHash: Uint8Array
  readonly now: EpochMs
  readonly expiresAt: EpochMs
  /** For one more operator, since whoever started the server asked for it. */
  readonly beside?: { readonly operators: number; readonly reason: string }
  /** Where it was asked for by somebody who is known here. */
  readonly by?: EventActor
}

export const offerBootstrap = change('operator.offer_bootstrap', async (tx: Tx, { codeHash, expiresAt, now, beside, by }: OfferInput) => {
  await insertBootstrap(tx.db, { codeHash, expiresAt, reason: beside?.reason ?? null, offeredBy: by?.id ?? null }, now)
  await append(tx, now, {
    type: 'operator.bootstrap_offered', actor: by ?? { kind: 'writ', id: 'writ' }, facts: { expires_at: expiresAt, ...(beside === undefined ? {} : { operators: beside.operators }) },
    ...(beside === undefined ? {} : { said: { reason: beside.reason } }),
  })
  return ok(null)
})

type RedeemInput = { readonly codeHash: Uint8Array; readonly operator: OperatorId; readonly name: string; readonly keyHash: Uint8Array; readonly now: EpochMs }

/** Unknown, used and expired codes are one refusal: a guesser learns nothing. Where there is an operator or an administrator, a link for the first one is worth nothing any more. */
export const redeemBootstrap = change('operator.redeem_bootstrap', async (tx: Tx, input: RedeemInput) => {
  const beside = (await countOperators(tx.db)) > 0 || (await isAnyAdmin(tx.db))
  const taken = await takeBootstrap(tx.db, { codeHash: input.codeHash, beside }, input.now)
  if (taken === undefined) return refuse({ kind: 'bad_code' } as const)
  await insertOperator(tx.db, { id: input.operator, name: input.name, keyHash: input.keyHash, cameBy: 'link', madeBy: taken.offeredBy }, input.now)
  await append(tx, input.now, { type: 'operator.key_issued', actor: { kind: 'operator', id: input.operator }, facts: { operator: input.operator }, said: { name: input.name } })
  return ok(input.operator)
})

export type OperatorRefusal =
  | { readonly kind: 'no_such_operator' }
  | { readonly kind: 'already_removed' }
  | { readonly kind: 'last_operator' }
  /** Whoever asks was removed in this moment. */
  | { readonly kind: 'removed_meanwhile' }

/** An operator may have been removed in this moment; a person was asked at the door. */
const isThere = (active: readonly OperatorId[], by: EventActor): boolean => by.kind !== 'operator' || active.includes(by.id as OperatorId)

type AddInput = { readonly operator: OperatorId; readonly name: string; readonly keyHash: Uint8Array; readonly by: EventActor; readonly now: EpochMs }

export const addOperator = change('operator.add', async (tx: Tx, { operator, name, keyHash, by, now }: AddInput) => {
  if (!isThere(await lockActiveOperators(tx), by)) return refuse<OperatorRefusal>({ kind: 'removed_meanwhile' })
  await insertOperator(tx.db, { id: operator, name, keyHash, cameBy: 'operator', madeBy: by.id }, now)
  await append(tx, now, { type: 'operator.key_issued', actor: by, facts: { operator }, said: { name } })
  return ok(operator)
})

type RemoveInput = { readonly reference: string; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

/** From the commit on its key opens nothing, on any server: each looks it up whenever it is shown. */
export const removeOperator = change('operator.remove', async (tx: Tx, { reference, reason, by, now }: RemoveInput) => {
  const active = await lockActiveOperators(tx)
  if (!isThere(active, by)) return refuse<OperatorRefusal>({ kind: 'removed_meanwhile' })
  const operator = await findOperator(tx.db, reference)
  if (operator === undefined) return refuse<OperatorRefusal>({ kind: 'no_such_operator' })
  if (operator.state === 'removed') return refuse<OperatorRefusal>({ kind: 'already_removed' })
  if (active.length === 1 && by.kind === 'operator') return refuse<OperatorRefusal>({ kind: 'last_operator' })
  await markOperatorRemoved(tx.db, operator.id, now)
  await append(tx, now, { type: 'operator.removed', actor: by, facts: { operator: operator.id }, said: { reason } })
  return ok(operator.id)
})
