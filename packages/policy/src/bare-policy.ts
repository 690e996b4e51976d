import { policyToJson, type PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { Policy } from './policies.ts'
import { withAnyAction } from './terms.ts'

/** A policy as it is evaluated: for the actions alone that it applies to. */
export type BarePolicy = { readonly text: string; readonly json: PolicyJson }

const known = new WeakMap<Policy, BarePolicy>()

/**
 * Without the groups of actions in its head: whoever puts it to an action has seen that they hold the action, and Cedar need not be told
 * once more what the action is in.
 */
export function bareOf(policy: Policy): BarePolicy {
  const found = known.get(policy)
  if (found !== undefined) return found
  const { text, json } = policy
  const bare = (json.action.op === 'in' ? bared(policy) : undefined) ?? { text, json }
  known.set(policy, bare)
  return bare
}

/** INVARIANT: Cedar itself says that nothing but the actions is gone; else the policy stays as it is. */
function bared({ text, json }: Policy): BarePolicy | undefined {
  const bare = withAnyAction(text)
  const read = bare === undefined ? undefined : policyToJson(bare)
  if (bare === undefined || read?.type !== 'success') return undefined
  return JSON.stringify(read.json) === JSON.stringify({ ...json, action: { op: 'All' } }) ? { text: bare, json: read.json } : undefined
}
