import { createHash } from 'node:crypto'
import type { OperatorId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { isSecret, SECRET_PREFIX } from '@writ/domain/secret'

export type OperatorCaller = { readonly kind: 'operator'; readonly operator: OperatorId; readonly name: string }

export type OperatorRefusal = { readonly kind: 'not_an_operator_key' } | { readonly kind: 'unknown_operator_key' }

export type OperatorKeyNeeds = {
  /** Whose live key has this SHA-256; undefined when nobody's has. */
  operatorOf(keyHash: Uint8Array): Promise<{ readonly id: OperatorId; readonly name: string } | undefined>
}

/** Whether this is meant to be one: every secret that we mint begins like this, and no token does. */
export const isOperatorKey = (bearer: string): boolean => bearer.startsWith('writ_')

/**
 * Reads the operator key that the command line presents. The store knows its hash alone, and looks that up by equality: what a look-up
 * gives away through its timing is about the hash of a guess of 256 bits (R39).
 */
export async function authenticateOperator(bearer: string, needs: OperatorKeyNeeds): Promise<Outcome<OperatorCaller, OperatorRefusal>> {
  if (!isSecret(bearer) || !bearer.startsWith(`${SECRET_PREFIX.operator}_`)) return refuse({ kind: 'not_an_operator_key' })
  const operator = await needs.operatorOf(operatorKeyHash(bearer))
  return operator === undefined ? refuse({ kind: 'unknown_operator_key' }) : ok({ kind: 'operator', operator: operator.id, name: operator.name })
}

/** What the store keeps of an operator key. */
export const operatorKeyHash = (key: string): Uint8Array => new Uint8Array(createHash('sha256').update(key).digest())
