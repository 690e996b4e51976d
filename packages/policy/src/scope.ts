import type { EntityUidJson, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { keyOf } from './entity-key.ts'
import type { EntityRef } from './question.ts'

/** What the head of a policy says of the one who asks, or of the resource; what it does not say is left out. */
export type Place = { readonly is?: string; readonly equals?: EntityRef; readonly in?: EntityRef }

/** The head of a policy: to what it can apply. */
export type Scope = {
  readonly principal: Place
  readonly resource: Place
  /** The keys of actions and groups of actions; every action when left out. */
  readonly actions?: ReadonlySet<string>
}

export const refOf = (uid: EntityUidJson): EntityRef => ('__entity' in uid ? uid.__entity : uid)

export function scopeOf({ principal, action, resource }: PolicyJson): Scope {
  const actions = action.op === 'All' ? undefined :
    'entities' in action ? action.entities.map(refOf) : 'entity' in action ? [refOf(action.entity)] : []
  return { principal: placeOf(principal), resource: placeOf(resource), ...(actions ? { actions: new Set(actions.map(keyOf)) } : {}) }
}

function placeOf(said: PolicyJson['principal']): Place {
  switch (said.op) {
    case 'All': return {}
    case '==': return 'entity' in said ? { equals: refOf(said.entity) } : {}
    case 'in': return 'entity' in said ? { in: refOf(said.entity) } : {}
    case 'is': return { is: said.entity_type, ...(said.in && 'entity' in said.in ? { in: refOf(said.in.entity) } : {}) }
  }
}
