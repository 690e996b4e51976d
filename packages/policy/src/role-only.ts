import type { Expr, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { keyOf } from './entity-key.ts'
import { collectRefs, operandsOf, operatorOf, partsOf } from './expression.ts'
import type { EntityRef } from './question.ts'
import type { SchemaTypes } from './schema-types.ts'
import { KIND_TYPES } from './schema.ts'
import { scopeOf, type Place } from './scope.ts'

const CLASS = 'Writ::Class'
const AUTONOMOUS = 'autonomous'
const KINDS: readonly string[] = KIND_TYPES.map((kind) => `Writ::${kind}`)
/** What of the context says only who asks, or is always there: a policy that tests for it has looked at nothing. */
const SAYS_NOTHING: ReadonlySet<unknown> =
  new Set(['class', 'task', 'purpose', 'environment', 'depth', 'budget_left', 'labels', 'approved', 'at', 'template'])

/**
 * POL-6: whether a permit lets identities of class `autonomous` in for nothing but who they are: its conditions look neither at the task
 * nor at the arguments nor at what the resource is.
 */
export function isRoleOnly(policy: PolicyJson, types: SchemaTypes): boolean {
  if (policy.effect !== 'permit' || !canBeAutonomous(policy, types)) return false
  const found = all(policy.conditions.map(({ kind, body }) => (kind === 'when' ? judge(body) : not(judge(body)))))
  return found.value === true || (found.value === undefined && !found.looks)
}

function canBeAutonomous(policy: PolicyJson, types: SchemaTypes): boolean {
  const { principal, actions } = scopeOf(policy)
  const kinds = KINDS.filter((kind) => canBe(principal, kind))
  return [...types.actions.values()].some((action) =>
    (!actions || !actions.isDisjointFrom(action.groups)) && kinds.some((kind) => action.principalTypes.has(kind)))
}

function canBe({ is, equals, in: within }: Place, kind: string): boolean {
  if ((is ?? kind) !== kind || (equals?.type ?? kind) !== kind) return false
  if (!within) return true
  return within.type === CLASS ? within.id === AUTONOMOUS : within.type === 'Writ::Group' || within.type === kind
}

/** What a condition comes to for an autonomous identity; where that is open, whether it looks at more than who asks. */
type Judged = { readonly value: boolean | undefined; readonly looks: boolean }

const known = (value: boolean): Judged => ({ value, looks: false })
const not = ({ value, looks }: Judged): Judged => ({ value: value === undefined ? undefined : !value, looks })

function all(parts: readonly Judged[]): Judged {
  if (parts.some((one) => one.value === false)) return known(false)
  const open = parts.filter((one) => one.value === undefined)
  return open.length === 0 ? known(true) : { value: undefined, looks: open.some((one) => one.looks) }
}

function judge(expression: Expr): Judged {
  const operator = operatorOf(expression)
  const parts = partsOf(expression) as Readonly<Record<string, Expr>>
  const open: Judged = { value: undefined, looks: looks(expression) }
  switch (operator) {
    case 'Value': return typeof parts === 'boolean' ? known(parts) : open
    case '&&': return all([judge(parts['left']!), judge(parts['right']!)])
    // De Morgan: one of them is what not none of them is.
    case '||': return not(all([not(judge(parts['left']!)), not(judge(parts['right']!))]))
    case '!': return not(judge(parts['arg']!))
    case '==': return judgeEqual(parts['left']!, parts['right']!) ?? open
    case '!=': return not(judgeEqual(parts['left']!, parts['right']!) ?? open)
    case 'contains': return isClass(parts['right']!) ? judgeOneOf(textsOf(parts['left']!)) ?? open : open
    case 'in': return isAsking(parts['left']!) ? judgeIn(refsOf(parts['right']!)) ?? open : open
    case 'is': return parts['in'] && isAsking(parts['left']!) && judgeIn(refsOf(parts['in']))?.value === false ? known(false) : open
    case 'if-then-else': return judgeBranches(parts, open)
    default: return open
  }
}

function judgeBranches(parts: Readonly<Record<string, Expr>>, open: Judged): Judged {
  const condition = judge(parts['if']!)
  return condition.value === undefined ? open : judge(parts[condition.value ? 'then' : 'else']!)
}

function judgeEqual(left: Expr, right: Expr): Judged | undefined {
  const other = isClass(left) ? right : isClass(right) ? left : undefined
  return other && judgeOneOf(textsOf(other))
}

const judgeOneOf = (texts: readonly string[] | undefined): Judged | undefined => texts && known(texts.includes(AUTONOMOUS))

/** In one of these: certain only of classes. */
function judgeIn(refs: readonly EntityRef[] | undefined): Judged | undefined {
  if (!refs) return undefined
  if (refs.some((ref) => ref.type === CLASS && ref.id === AUTONOMOUS)) return known(true)
  return refs.every((ref) => ref.type === CLASS) ? known(false) : undefined
}

/** The texts of a literal, or of a set of them. */
function textsOf(expression: Expr): readonly string[] | undefined {
  const operands = operatorOf(expression) === 'Set' ? operandsOf(expression) : [expression]
  const found = operands.map((one): unknown => ('Value' in one ? one.Value : undefined)).flat()
  return found.every((one): one is string => typeof one === 'string') ? found : undefined
}

function refsOf(expression: Expr): readonly EntityRef[] | undefined {
  const operands = operatorOf(expression) === 'Set' ? operandsOf(expression) : [expression]
  if (!operands.every((one) => operatorOf(one) === 'Value')) return undefined
  const found = new Map<string, EntityRef>()
  for (const one of operands) collectRefs(partsOf(one), found)
  return [...found.values()].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

const isAsking = (expression: Expr): boolean => 'Var' in expression && expression.Var === 'principal'

function isClass(expression: Expr): boolean {
  if (operatorOf(expression) !== '.') return false
  const { left, attr } = partsOf(expression) as { readonly left: Expr; readonly attr: string }
  return attr === 'class' && 'Var' in left && (left.Var === 'principal' || left.Var === 'context')
}

/** Whether it looks at the task, the arguments, or what is known of the resource. */
function looks(expression: Expr): boolean {
  const operator = operatorOf(expression)
  if (operator === '.' || operator === 'has' || operator === 'getTag' || operator === 'hasTag') {
    const { left, attr } = partsOf(expression) as { readonly left: Expr; readonly attr?: string | readonly string[] }
    const name = Array.isArray(attr) ? attr[0] : attr
    if ('Var' in left && left.Var === 'resource') return operator !== 'has' || !ALWAYS_THERE.has(name)
    if ('Var' in left && left.Var === 'context') return operator === 'has' ? !SAYS_NOTHING.has(name) : name !== 'class'
  }
  return ('Var' in expression && expression.Var === 'context') || operandsOf(expression).some(looks)
}

/** What every resource of Writ's own of some type has: its presence says only the type. */
const ALWAYS_THERE: ReadonlySet<unknown> = new Set(['effect', 'reversible', 'labels', 'kind', 'class', 'environment', 'system_scope'])
