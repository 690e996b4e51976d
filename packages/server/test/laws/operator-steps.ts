import type { EventType } from '@writ/domain/event'
import { epochMs } from '@writ/domain/time'
import { addOperator, offerBootstrap, redeemBootstrap, removeOperator } from '../../src/registry/operators.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

type Expected = { readonly tells: readonly EventType[] } | { readonly refuses: string }
type MakeStep<Step> = (of: { readonly name: string }, input: () => object, expect: Expected) => Step

/** The first operator, one more, and those who are removed. One stays, whose key was made by another operator. */
export function* operatorSteps<Step>(writ: StoreOfWrit, step: MakeStep<Step>): Generator<Step> {
  const tells = (...types: readonly EventType[]): Expected => ({ tells: types })
  const refuses = (kind: string): Expected => ({ refuses: kind })
  const now = () => writ.now()
  const codeHash = new Uint8Array(32).fill(1)
  const keyOf = (id: string) => ({ kind: 'operator', id }) as const
  yield step(offerBootstrap, () => ({ codeHash, now: now(), expiresAt: epochMs(now() + 1000) }), tells('operator.bootstrap_offered'))
  const redeem = { operator: writ.newId('operator'), name: 'Maya', keyHash: new Uint8Array(32).fill(2), now: now() }
  yield step(redeemBootstrap, () => ({ ...redeem, codeHash: new Uint8Array(32) }), refuses('bad_code'))
  yield step(redeemBootstrap, () => ({ ...redeem, codeHash }), tells('operator.key_issued'))
  yield step(redeemBootstrap, () => ({ ...redeem, codeHash }), refuses('bad_code'))
  const offering = (n: number) => ({ codeHash: new Uint8Array(32).fill(n), now: now(), expiresAt: epochMs(now() + 1000) })
  yield step(offerBootstrap, () => offering(3), tells('operator.bootstrap_offered'))
  const another = { ...redeem, operator: writ.newId('operator'), keyHash: new Uint8Array(32).fill(3) }
  yield step(redeemBootstrap, () => ({ ...another, codeHash: offering(3).codeHash }), refuses('bad_code'))
  yield step(offerBootstrap, () => ({ ...offering(4), beside: { operators: 1, reason: 'the key is lost' } }), tells('operator.bootstrap_offered'))
  yield step(redeemBootstrap, () => ({ ...another, codeHash: offering(4).codeHash }), tells('operator.key_issued'))
  const added = { operator: writ.newId('operator'), name: 'Noor', keyHash: new Uint8Array(32).fill(5), by: keyOf(another.operator), now: now() }
  yield step(addOperator, () => added, tells('operator.key_issued'))
  const removing = (reference: string, by: string) => ({ reference, reason: 'the test says so', by: keyOf(by), now: now() })
  yield step(removeOperator, () => removing(redeem.operator, added.operator), tells('operator.removed'))
  yield step(removeOperator, () => removing(redeem.operator, added.operator), refuses('already_removed'))
  yield step(removeOperator, () => removing('opr_nobody', added.operator), refuses('no_such_operator'))
  yield step(removeOperator, () => removing(added.operator, redeem.operator), refuses('removed_meanwhile'))
  yield step(addOperator, () => ({ ...added, operator: writ.newId('operator'), keyHash: new Uint8Array(32).fill(6), by: keyOf(redeem.operator) }), refuses('removed_meanwhile'))
  yield step(removeOperator, () => removing(another.operator, added.operator), tells('operator.removed'))
  yield step(removeOperator, () => removing(added.operator, added.operator), refuses('last_operator'))
}
