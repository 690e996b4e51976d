import type { Expr, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { keyOf } from './entity-key.ts'
import type { EntityRef } from './question.ts'
import { scopeOf } from './scope.ts'

/** The parts of an expression of any kind, by their names in Cedar's JSON. */
type Parts = { readonly [name: string]: unknown }

export const operatorOf = (expression: Expr): string => Object.keys(expression)[0]!
export const partsOf = (expression: Expr): Parts => (expression as Readonly<Record<string, Parts>>)[operatorOf(expression)]!

const OPERANDS = ['left', 'right', 'arg', 'if', 'then', 'else', 'in'] as const

/** The expressions that stand directly in this one. */
export function operandsOf(expression: Expr): readonly Expr[] {
  const operator = operatorOf(expression)
  if (operator === 'Value' || operator === 'Var' || operator === 'Slot') return []
  const parts = partsOf(expression)
  if (Array.isArray(parts)) return parts as readonly Expr[]
  if (operator === 'Record') return Object.values(parts) as readonly Expr[]
  return OPERANDS.flatMap((name) => (Object.hasOwn(parts, name) ? [parts[name] as Expr] : []))
}

/** What a policy's conditions can see beyond its scope. */
export type Sight = {
  /** The most attributes that stand behind each other, as in `principal.team.lead`: so far do references have to be followed. */
  readonly hops: number
  /** The entities that it names itself. */
  readonly named: readonly EntityRef[]
  /** The members of the context that it can see; every one when it looks at the context as a whole. */
  readonly context: ReadonlySet<string> | 'all'
  /** The attributes that it reads or tests for, of whatever entity: only by their names can a policy see them. */
  readonly attributes: ReadonlySet<string>
  /** The keys of all that it asks about whether something is in it; every one where it asks about what only the question tells. */
  readonly groups: ReadonlySet<string> | 'all'
  /** Of what it can tell which one of its type it is. */
  readonly tellsApart: ReadonlySet<Told>
}

export type Told = 'principal' | 'action' | 'resource'

export function sightOf(policy: PolicyJson): Sight {
  const named = new Map<string, EntityRef>()
  let hops = 0
  const context = new Set<string>()
  const attributes = new Set<string>()
  let seesAll = false
  const { principal, resource, actions } = scopeOf(policy)
  const groups = new Set([...actions ?? [], ...[principal.in, resource.in].filter((ref) => ref !== undefined).map(keyOf)])
  let asksAll = false
  const tellsApart = new Set<Told>(actions === undefined ? [] : ['action'])
  if (principal.equals ?? principal.in) tellsApart.add('principal')
  if (resource.equals ?? resource.in) tellsApart.add('resource')
  const visit = (expression: Expr, behind: number, parent: string): void => {
    const operator = operatorOf(expression)
    const parts = partsOf(expression)
    const path = operator === 'has' && Array.isArray(parts['attr']) ? parts['attr'].length : 0
    const steps = behind + (operator === '.' || operator === 'getTag' ? 1 : path)
    hops = Math.max(hops, steps)
    if (operator === 'Value') collectRefs(parts, named)
    if ('Var' in expression && typeof expression.Var === 'string' && expression.Var !== 'context') tellsApart.add(expression.Var)
    if ('Var' in expression && expression.Var === 'context' && parent !== '.' && parent !== 'has') seesAll = true
    const within = operator === 'in' ? parts['right'] : operator === 'is' ? parts['in'] : undefined
    if (within !== undefined) {
      const asked = new Map<string, EntityRef>()
      if (areLiterals(within as Expr)) collectRefs(within, asked)
      else asksAll = true
      for (const key of asked.keys()) groups.add(key)
    }
    const names = namesIn(operator, parts)
    const ofContext = names.length > 0 && isContext(parts['left'] as Expr)
    if (ofContext) context.add(names[0]!)
    for (const name of ofContext ? names.slice(1) : names) attributes.add(name)
    for (const operand of operandsOf(expression)) visit(operand, steps, operator)
  }
  for (const { body } of policy.conditions) visit(body, 0, '')
  return { hops, named: [...named.values()], context: seesAll ? 'all' : context, attributes, groups: asksAll ? 'all' : groups, tellsApart }
}

const areLiterals = (expression: Expr): boolean =>
  operatorOf(expression) === 'Value' || (operatorOf(expression) === 'Set' && operandsOf(expression).every(areLiterals))

const isContext = (expression: Expr): boolean => 'Var' in expression && expression.Var === 'context'

/** What this expression reads or tests for of its left side, one behind the other. */
function namesIn(operator: string, { attr }: Parts): readonly string[] {
  if (operator !== '.' && operator !== 'has') return []
  return typeof attr === 'string' ? [attr] : attr as readonly string[]
}

/** The entities in a literal: one alone, or within a set or a record. */
export function collectRefs(value: unknown, found: Map<string, EntityRef>): void {
  if (typeof value !== 'object' || value === null) return
  if ('__entity' in value) {
    const ref = value.__entity as EntityRef
    found.set(keyOf(ref), ref)
    return
  }
  for (const one of Object.values(value)) collectRefs(one, found)
}
