import type { Expr } from '@cedar-policy/cedar-wasm/nodejs'
import { evaluate, type CedarRequest, type Evaluation } from './cedar.ts'
import { keyOf } from './entity-key.ts'
import { operandsOf, operatorOf, partsOf } from './expression.ts'
import type { Policy } from './policies.ts'
import type { EntityRef } from './question.ts'
import type { ActionOf } from './schema-types.ts'
import { refOf } from './scope.ts'
import { openSlices, type Asked, type Slice, type Slices } from './slices.ts'
import { outlookOf, takeApart, type Apart, type Outlook } from './unknown-arguments.ts'

/** Whether there are arguments with which it would be allowed, and whether only with an approval. */
export type CouldAllow = 'yes' | 'with_approval' | 'no'

/** What comes of the policies for the arguments that suit best. `error`: they can't be evaluated, whatever the arguments. */
export type Prospect = 'allow' | 'deny' | 'error'

/** A bundle's policies, to be asked about calls of which the arguments are not known. */
export type OpenPolicies = {
  slicesFor(asked: Asked): readonly Slice[]
  /** `requestOf` answers why it can't be asked, where it can't. */
  ask(slices: readonly Slice[], action: ActionOf, requestOf: (slice: Slice) => CedarRequest | string): Prospect
  close(): void
}

/** Parts that are kept parsed; a list of tools needs those of few slices. */
const MOST_KEPT = 10_000
/** Answers of Cedar that are kept of a slice: the tools of a list are alike in nearly all that policies look at. */
const MOST_ANSWERS = 64

export function openPolicies(policies: readonly Policy[], isKnown: (ref: EntityRef) => boolean): OpenPolicies {
  const apart = policies.map(takeApart)
  const places = new Map(apart.flatMap((one) => one.parts.map((part, i) => [part, { of: one, part: i }] as const)))
  const slices: Slices = openSlices(apart.flatMap((one) => one.parts), isKnown, MOST_KEPT)
  /** They go with their slice: another one may be parsed under its name. */
  const before = new WeakMap<Slice, { readonly about: AskedAbout; readonly answers: Map<string, Evaluation> }>()

  const answerOf = (slice: Slice, request: CedarRequest): Evaluation => {
    const { about, answers } = before.get(slice) ?? { about: askedAbout(slice), answers: new Map<string, Evaluation>() }
    before.set(slice, { about, answers })
    const likeIt = likeness(request, about)
    const found = likeIt === undefined ? undefined : answers.get(likeIt)
    if (found) return found
    const answer = evaluate(slice.kept, request)
    if (answers.size >= MOST_ANSWERS) answers.clear()
    if (likeIt !== undefined) answers.set(likeIt, answer)
    return answer
  }

  return {
    slicesFor: (asked) => slices.for(asked),
    ask: (asked, action, requestOf) => {
      const said = new Map<Apart, Map<number, Outlook>>()
      for (const slice of asked) {
        const request = requestOf(slice)
        if (typeof request === 'string') return 'error'
        const { reasons, errors } = answerOf(slice, request)
        if (errors.some(({ policy }) => policy === undefined)) return 'error'
        const holding = new Set(reasons)
        const wrong = new Set(errors.map(({ policy }) => policy))
        for (const [index, policy] of slice.policies.entries()) {
          const { of, part } = places.get(policy)!
          const outlooks = said.get(of) ?? new Map<number, Outlook>()
          said.set(of, outlooks.set(part, { mayHold: holding.has(index), mayFail: !holding.has(index) && !wrong.has(index) }))
        }
      }
      return prospectOf([...said].map(([{ policy, condition }, outlooks]) => ({
        policy, outlook: outlookOf(condition, action.context, (part) => outlooks.get(part)!),
      })))
    },
    close: () => slices.close(),
  }
}

/** As a decision is made: an error denies, then a forbid, then that nothing permits. */
function prospectOf(found: readonly { readonly policy: Policy; readonly outlook: Outlook }[]): Prospect {
  if (found.some(({ outlook }) => !outlook.mayHold && !outlook.mayFail)) return 'error'
  if (found.some(({ policy, outlook }) => policy.effect === 'forbid' && !outlook.mayFail)) return 'deny'
  return found.some(({ policy, outlook }) => policy.effect === 'permit' && outlook.mayHold) ? 'allow' : 'deny'
}

/** What of the resource and the action the policies of a slice look at. */
type AskedAbout = {
  /** Nothing but attributes of the resource: all those with the same ones get the same answer. */
  readonly isByAttributes: boolean
  /** The keys of the actions that heads name, and not the groups of actions. */
  readonly actions: ReadonlySet<string>
}

function askedAbout({ policies }: Slice): AskedAbout {
  const said = policies.map(({ json }) => json)
  return {
    isByAttributes: said.every(({ resource, conditions }) =>
      (resource.op === 'All' || (resource.op === 'is' && !resource.in)) && !conditions.some(({ body }) => namesWhat(body))),
    actions: new Set(said.flatMap(({ action }) => (action.op === '==' && 'entity' in action ? [keyOf(refOf(action.entity))] : []))),
  }
}

/** Whether it looks at which resource or action it is, or at what that is in. */
function namesWhat(expression: Expr): boolean {
  const operator = operatorOf(expression)
  if ('Var' in expression) return expression.Var === 'resource' || expression.Var === 'action'
  const { left, in: within } = partsOf(expression) as { readonly left?: Expr; readonly in?: Expr }
  const isPlain = operator === '.' || operator === 'has' || (operator === 'is' && within === undefined)
  return isPlain && left && 'Var' in left ? left.Var === 'action' : operandsOf(expression).some(namesWhat)
}

/** The same for two requests that differ only in what the resource and the action are called; undefined where that can't be told apart. */
function likeness({ principal, action, resource, context, entities }: CedarRequest, { isByAttributes, actions }: AskedAbout): string | undefined {
  const [own, acting] = [keyOf(resource), keyOf(action)]
  if (!isByAttributes || keyOf(principal) === own) return undefined
  return JSON.stringify([
    principal, actions.has(acting) ? acting : '', resource.type, context,
    entities.map(({ uid, attrs, parents }) => {
      const key = keyOf(refOf(uid))
      return [key === own ? 'resource' : key === acting ? 'action' : uid, attrs, parents]
    }),
  ])
}
