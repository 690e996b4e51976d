import { policyToJson, policyToText, type Expr, type PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { codeOf } from './code-text.ts'
import { operandsOf, operatorOf, partsOf } from './expression.ts'
import type { Policy } from './policies.ts'
import type { CedarType, Members } from './schema-types.ts'

/** What may come of a condition while nobody knows the arguments. Neither: it can't be evaluated, whatever they are. */
export type Outlook = { readonly mayHold: boolean; readonly mayFail: boolean }

/** What has to hold for a policy to apply, its head included. The parts that look at no argument are left for Cedar. */
export type Condition =
  | { readonly kind: 'part'; readonly part: number }
  /** Asks only whether an argument is there, which the types of the arguments may tell. */
  | { readonly kind: 'has'; readonly path: readonly string[] }
  | { readonly kind: 'open' }
  | { readonly kind: 'value'; readonly value: boolean }
  | { readonly kind: 'not'; readonly of: Condition }
  /** `a && b` is `if a then b else false`, `a || b` is `if a then true else b`: errors of what is not reached are none. */
  | { readonly kind: 'if'; readonly test: Condition; readonly holds: Condition; readonly fails: Condition }

/** A policy taken apart: a permit for each of its parts, so that one evaluation tells of all of them, and what they come to together. */
export type Apart = { readonly policy: Policy; readonly parts: readonly Policy[]; readonly condition: Condition }

const ARGUMENTS = 'arguments'
const OPEN: Outlook = { mayHold: true, mayFail: true }

/** A policy that looks at no argument is one part: the policy itself, as a permit. */
export function takeApart(policy: Policy): Apart {
  if (!policy.json.conditions.some(({ body }) => looksAtArguments(body))) {
    return { policy, parts: [{ ...policy, effect: 'permit', text: asPermit(policy.text) }], condition: { kind: 'part', part: 0 } }
  }
  const { json, original } = exactly(policy)
  const parts: Policy[] = []
  const add = (conditions: PolicyJson['conditions']): Condition => {
    parts.push(partOf(policy, { ...json, effect: 'permit', annotations: {}, conditions }, original))
    return { kind: 'part', part: parts.length - 1 }
  }
  const head = add([])
  const conditions = json.conditions.map(({ kind, body }) => {
    const found = conditionOf(body, (part) => add([{ kind: 'when', body: part }]))
    return kind === 'when' ? found : { kind: 'not', of: found } as const
  })
  return { policy, parts, condition: [head, ...conditions].reduceRight((rest, one) => both(one, rest)) }
}

function conditionOf(expression: Expr, add: (part: Expr) => Condition): Condition {
  if (!looksAtArguments(expression)) return add(expression)
  const parts = partsOf(expression) as Readonly<Record<string, Expr>>
  const within = (name: string): Condition => conditionOf(parts[name]!, add)
  switch (operatorOf(expression)) {
    case '&&': return both(within('left'), within('right'))
    case '||': return { kind: 'if', test: within('left'), holds: { kind: 'value', value: true }, fails: within('right') }
    case '!': return { kind: 'not', of: within('arg') }
    case 'if-then-else': return { kind: 'if', test: within('if'), holds: within('then'), fails: within('else') }
    case 'has': {
      const path = pathOf(expression)
      return path === undefined ? { kind: 'open' } : { kind: 'has', path }
    }
    default: return { kind: 'open' }
  }
}

const both = (test: Condition, holds: Condition): Condition => ({ kind: 'if', test, holds, fails: { kind: 'value', value: false } })

/** Also what takes the context as a whole, or passes it on, looks at the arguments. */
function looksAtArguments(expression: Expr): boolean {
  const operator = operatorOf(expression)
  if (operator === 'Var') return (expression as { readonly Var: string }).Var === 'context'
  if (operator !== '.' && operator !== 'has') return operandsOf(expression).some(looksAtArguments)
  const { left, attr } = partsOf(expression) as { readonly left: Expr; readonly attr: string | readonly string[] }
  if ('Var' in left && left.Var === 'context') return (typeof attr === 'string' ? attr : attr[0]) === ARGUMENTS
  return looksAtArguments(left)
}

/** `context.arguments.a has b.c` is `arguments`, `a`, `b`, `c`; undefined when what it asks of is made otherwise than by names. */
function pathOf(expression: Expr): readonly string[] | undefined {
  const { left, attr } = partsOf(expression) as { readonly left: Expr; readonly attr: string | readonly string[] }
  const names = typeof attr === 'string' ? [attr] : attr
  if ('Var' in left) return left.Var === 'context' ? names : undefined
  const before = operatorOf(left) === '.' ? pathOf(left) : undefined
  return before && [...before, ...names]
}

/** What may come of it: `outlookOf` says what Cedar said of a part, and `members` is what the context can hold. */
export function outlookOf(condition: Condition, members: Members, outlookOfPart: (part: number) => Outlook): Outlook {
  switch (condition.kind) {
    case 'part': return outlookOfPart(condition.part)
    case 'has': return outlookOfHas(condition.path, members)
    case 'open': return OPEN
    case 'value': return { mayHold: condition.value, mayFail: !condition.value }
    case 'not': {
      const { mayHold, mayFail } = outlookOf(condition.of, members, outlookOfPart)
      return { mayHold: mayFail, mayFail: mayHold }
    }
    case 'if': {
      const test = outlookOf(condition.test, members, outlookOfPart)
      const holds = outlookOf(condition.holds, members, outlookOfPart)
      const fails = outlookOf(condition.fails, members, outlookOfPart)
      return {
        mayHold: (test.mayHold && holds.mayHold) || (test.mayFail && fails.mayHold),
        mayFail: (test.mayHold && holds.mayFail) || (test.mayFail && fails.mayFail),
      }
    }
  }
}

/** No question is decided whose arguments lack what their type requires, or have what it does not know. */
function outlookOfHas(path: readonly string[], members: Members): Outlook {
  let type: CedarType = { kind: 'Record', members }
  let isSure = true
  for (const name of path) {
    if (type.kind !== 'Record') return OPEN
    const member = type.members.get(name)
    if (!member) return { mayHold: false, mayFail: true }
    isSure &&= member.required
    type = member.type
  }
  return { mayHold: true, mayFail: !isSure }
}

const EFFECT = /(?<!@\s*)\b(?:permit|forbid)\b/

/** Without its annotations, which may have any name. */
function asPermit(text: string): string {
  const { 0: effect, index } = EFFECT.exec(codeOf(text))!
  return `permit${text.slice(index + effect.length)}`
}

/** Cedar writes its text when it is first evaluated: of a thousand policies most are asked about few. */
function partOf(policy: Policy, json: PolicyJson, original: (text: string) => string): Policy {
  return {
    ...policy, effect: 'permit', json,
    get text() {
      const written = policyToText(json)
      if (written.type === 'failure') throw new Error(`a part of \`${policy.id}\` can't be written: ${written.errors[0]?.message}`)
      return original(written.text)
    },
  }
}

const LEXEME = /\/\/[^\n]*|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\d+/gs
const isInteger = (lexeme: string): boolean => /^\d/.test(lexeme)
const isSafe = (lexeme: string): boolean => Number.isSafeInteger(Number(lexeme))

type Exactly = { readonly json: PolicyJson; /** The text of a part with the policy's own integers. */ readonly original: (text: string) => string }

/** JavaScript rounds an integer past 2^53: while a policy is JSON, another one stands for it. */
function exactly(policy: Policy): Exactly {
  const integers = (policy.text.match(LEXEME) ?? []).filter(isInteger)
  const unsafe = [...new Set(integers.filter((one) => !isSafe(one)))]
  if (unsafe.length === 0) return { json: policy.json, original: (text) => text }
  const taken = new Set(integers.map(Number))
  const free = Array.from({ length: integers.length + unsafe.length }, (_, i) => Number.MAX_SAFE_INTEGER - i).filter((one) => !taken.has(one))
  const standIns = new Map(unsafe.map((one, i) => [one, String(free[i])]))
  const originals = new Map([...standIns].map(([one, standIn]) => [standIn, one]))
  const exchanged = (text: string, by: ReadonlyMap<string, string>): string => text.replaceAll(LEXEME, (one) => by.get(one) ?? one)
  const read = policyToJson(exchanged(policy.text, standIns))
  if (read.type === 'failure') throw new Error(`the checked policy \`${policy.id}\` can't be read again: ${read.errors[0]?.message}`)
  return { json: read.json, original: (text) => exchanged(text, originals) }
}
