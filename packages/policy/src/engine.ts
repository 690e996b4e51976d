import type { Bundle } from './bundle.ts'
import { evaluate, type CedarRequest } from './cedar.ts'
import { keyOf } from './entity-key.ts'
import { openEntities, type KnownEntities } from './known-entities.ts'
import type { Policy } from './policies.ts'
import type { Entity, EntityRef, PolicyPlace, Question, PolicyAnswer } from './question.ts'
import type { ActionOf, SchemaTypes } from './schema-types.ts'
import { pascalCase } from './schema.ts'
import { openSlices, type Slice, type Slices } from './slices.ts'
import { mapRecord, startMapping, type CedarMembers, type Known, type Mapping } from './values.ts'

export type Engine = {
  readonly bundle: Bundle
  decide(question: Question): PolicyAnswer
  /** The names of the actions that these types have, as a question says them. */
  actionsFor(principalType: string | undefined, resourceType: string): readonly string[]
  /** The schema's name for a type of AuthZEN: `agent` is `Writ::Agent`. */
  typeNamed(authzenType: string): string | undefined
  /** What the bundle knows of an entity. */
  entity(ref: EntityRef): Entity | undefined
  entitiesOf(type: string): readonly Entity[]
  /** Gives its memory back; it decides nothing afterwards. */
  close(): void
}

type Inside = {
  readonly types: SchemaTypes
  readonly entities: KnownEntities
  readonly slices: Slices
  /** The ids of tools that have an action of their own. */
  readonly tools: ReadonlySet<string>
  /** The actions that may be asked for by name, by their ids: a tool's own is asked for as `call`. */
  readonly actions: ReadonlyMap<string, readonly ActionOf[]>
}

/** Compiles a bundle, once per thread and version. */
export function openEngine(bundle: Bundle): Engine {
  const entities = openEntities(bundle.entities, bundle.types)
  const tools = new Set(bundle.tools.map((tool) => tool.id))
  const inside: Inside = {
    types: bundle.types, entities, slices: openSlices(bundle.policies, (ref) => entities.isKnown(ref)),
    tools, actions: Map.groupBy(
      [...bundle.types.actions.values()].filter(({ uid }) => !(uid.type === 'Writ::Action' && tools.has(uid.id))), ({ uid }) => uid.id,
    ),
  }
  let isOpen = true
  return {
    bundle,
    decide: (question) => {
      if (!isOpen) throw new Error('the engine is closed')
      return decideWith(inside, question)
    },
    actionsFor: (principalType, resourceType) =>
      [...inside.actions.values()].flat().filter((one) => isFor(one, principalType, resourceType)).map(({ uid }) => uid.id),
    typeNamed: (authzenType) =>
      [authzenType, `Writ::${authzenType}`, `Writ::${pascalCase(authzenType)}`].find((name) => bundle.types.entityTypes.has(name)),
    entity: (ref) => inside.entities.get(ref),
    entitiesOf: (type) => inside.entities.ofType(type),
    close: () => {
      if (!isOpen) return
      isOpen = false
      inside.slices.close()
    },
  }
}

const isFor = ({ principalTypes, resourceTypes }: ActionOf, principalType: string | undefined, resourceType: string): boolean =>
  resourceTypes.has(resourceType) && (principalType === undefined || principalTypes.has(principalType))

/** INVARIANT: a tool's own action is taken for that tool alone, for its policies and the types of its arguments are for no other. */
function actionNamed(inside: Inside, { action, principal, resource }: Question): ActionOf | string {
  if (resource.uid.type === 'Writ::Tool' && inside.tools.has(resource.uid.id) && (action === 'call' || action === resource.uid.id)) {
    const own = inside.types.actions.get(keyOf({ type: 'Writ::Action', id: resource.uid.id }))
    if (own?.principalTypes.has(principal.uid.type)) return own
  }
  const found = (inside.actions.get(action) ?? []).filter((one) => isFor(one, principal.uid.type, resource.uid.type))
  const [first, ...more] = found.toSorted((a, b) => rank(a) - rank(b))
  const types = `\`${shorten(principal.uid.type)}\` and \`${shorten(resource.uid.type)}\``
  if (!first) return `no action \`${shorten(action)}\` applies to ${types}`
  return more[0] && rank(more[0]) === rank(first) ? `more than one action \`${shorten(action)}\` applies to ${types}` : first
}

/** Writ's own first, then those without a namespace. */
const rank = ({ uid }: ActionOf): number => (uid.type === 'Writ::Action' ? 0 : uid.type === 'Action' ? 1 : 2)

function decideWith(inside: Inside, question: Question): PolicyAnswer {
  const mapping = startMapping()
  const action = actionNamed(inside, question)
  if (typeof action === 'string') return denied([action])
  const principal = inside.entities.meet(question.principal, 'principal', mapping)
  const resource = inside.entities.meet(question.resource, 'resource', mapping)
  const context = contextOf(question, action, mapping)
  if (mapping.errors.length > 0) return denied(mapping.errors)
  const slices = inside.slices.for({
    principalType: question.principal.uid.type, principalGroups: principal.groups, actionGroups: action.groups,
    resourceType: question.resource.uid.type, resourceGroups: resource.groups,
  })
  const ask = (known: CedarMembers): PolicyAnswer => combine(slices.map((slice) => {
    const entities = inside.entities.reach([principal, resource], [...mapping.refs, action.uid], slice)
    if (typeof entities === 'string') return { decided: [], answer: 'deny', errors: [entities] }
    return answerOf(slice, {
      principal: question.principal.uid, action: action.uid, resource: question.resource.uid, context: seenBy(slice, known), entities,
    })
  }))
  const answer = ask(context)
  if (answer.answer === 'allow' || answer.errors.length > 0 || context['approved'] !== false) return answer
  if (!slices.some(({ context: seen }) => seen === 'all' || seen.has('approved'))) return answer
  const approved = ask({ ...context, approved: true })
  return { ...answer, approvable: approved.answer === 'allow' }
}

/** What Writ knows and the action declares; what the caller says, all of it, or an error. */
function contextOf({ arguments: args, claimed, known }: Question, action: ActionOf, mapping: Mapping): CedarMembers {
  const said = { arguments: args, claimed }
  const found: Record<string, Known> = {}
  for (const name of Object.keys(known)) {
    // A policy can't see what the schema does not declare, so that leaving it out hides nothing from a `forbid`.
    if (action.context.has(name) && !Object.hasOwn(said, name)) found[name] = known[name]!
  }
  for (const [name, record] of Object.entries(said)) {
    const declared = action.context.get(name)
    const isEmpty = Object.keys(record).length === 0
    if (declared && (declared.required || !isEmpty)) found[name] = record
    else if (!isEmpty) mapping.errors.push(`${name}: the action \`${shorten(action.uid.id)}\` takes none`)
  }
  return mapRecord(found, action.context, '', mapping)
}

/** What no policy of the slice looks at is not worth its way to Cedar. */
function seenBy({ context: seen }: Slice, context: CedarMembers): CedarMembers {
  return seen === 'all' ? context : Object.fromEntries(Object.entries(context).filter(([name]) => seen.has(name)))
}

type Answer = { readonly answer: 'allow' | 'deny'; readonly decided: readonly Policy[]; readonly errors: readonly string[] }

function answerOf(slice: Slice, request: CedarRequest): Answer {
  const { answer, reasons, errors } = evaluate(slice.kept, request)
  return {
    answer, decided: reasons.map((index) => slice.policies[index]!),
    errors: errors.map(({ policy, message }) => (policy === undefined ? message : `policy ${nameOf(slice.policies[policy]!)}: ${message}`)),
  }
}

const nameOf = ({ id, file, line }: Policy): string => `\`${id}\` (${file}:${line})`

/** What all the policies say, from what each slice of them says: a forbid wins, and an error denies (law 5). */
export function combine(answers: readonly Answer[]): PolicyAnswer {
  const errors = answers.flatMap((one) => one.errors)
  const forbids = answers.flatMap((one) => one.decided).filter((policy) => policy.effect === 'forbid')
  const permits = answers.flatMap((one) => (one.answer === 'allow' ? one.decided : []))
  if (errors.length > 0 || forbids.length > 0 || permits.length === 0) return { answer: 'deny', by: forbids.map(placeOf), errors, approvable: false }
  return { answer: 'allow', by: permits.map(placeOf), errors: [], approvable: false }
}

const placeOf = ({ id, file, line }: Policy): PolicyPlace => ({ policy: id, file, line })

const denied = (errors: readonly string[]): PolicyAnswer => ({ answer: 'deny', by: [], errors, approvable: false })

const MOST_SHOWN = 100

/** What a caller has named, as an error repeats it. */
const shorten = (text: string): string =>
  text.slice(0, MOST_SHOWN).toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?') + (text.length > MOST_SHOWN ? '...' : '')
