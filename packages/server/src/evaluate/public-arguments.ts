import type { PublicValue } from '@writ/domain/event'
import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import type { Engine } from '@writ/policy/engine'
import type { EntityRef } from '@writ/policy/question'
import { TOOL } from './use.ts'

export type PublicArguments = { readonly [name: string]: PublicValue }

type CallOfTool = { readonly uid: EntityRef; readonly action: string; readonly arguments: ExactRecord }

/** A longer text is left out whole: its beginning may be what nobody thought of when it was said to be public. */
const LONGEST = 200
const MOST = BigInt(Number.MAX_SAFE_INTEGER)

/**
 * Of what a tool is called with, those arguments of which a person said that they are public, as they stand in the record; undefined where
 * there are none. INVARIANT (law 8): whatever nobody spoke of is a secret.
 */
export function publicArguments(engine: Engine, { uid, action, arguments: given }: CallOfTool): PublicArguments | undefined {
  if (uid.type !== TOOL || action !== 'call') return undefined
  const names = engine.bundle.tools.find(({ id }) => id === uid.id)?.public.filter((name) => Object.hasOwn(given, name)) ?? []
  return names.length === 0 ? undefined : Object.fromEntries(names.map((name) => [name, shownOf(given[name]!)]))
}

/** What is withheld is an object, which no value that is shown is. */
function shownOf(value: ExactValue): PublicValue {
  if (typeof value === 'string') return value.length > LONGEST ? { withheld: 'too_long' } : value
  if (typeof value === 'boolean') return value
  if (typeof value === 'bigint') return value > MOST || value < -MOST ? { withheld: 'too_long' } : Number(value)
  return { withheld: 'type' }
}
