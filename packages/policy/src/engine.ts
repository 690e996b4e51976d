import type { Bundle } from './bundle.ts'
import { evaluate, type CedarRequest } from './cedar.ts'
import { openPolicies, type CouldAllow, type OpenPolicies, type Prospect } from './could-allow.ts'
import { keyOf } from './entity-key.ts'
import type { Sight, Told } from './expression.ts'
import { openEntities, type KnownEntities } from './known-entities.ts'
import type { Policy } from './policies.ts'
import type { Entity, EntityRef, PolicyPlace, Question, PolicyAnswer } from './question.ts'
import type { ActionOf, SchemaTypes } from './schema-types.ts'
import { pascalCase } from './schema.ts'
import { remembered, type Remembered } from './remembered.ts'
import { openSlices, type Asked, type Slice, type Slices } from './slices.ts'
import { mapRecord, startMapping, type CedarMembers, type Known, type Mapping } from './values.ts'

export type Engine = {
  readonly bundle: Bundle
  decide(question: Question): PolicyAnswer
  /**
   * Whether the same question could be allowed with other arguments, whatever its own are: never `no` where some would be. What is said of
   * them alone is taken for possible, so that it may be `yes` where none would be.
   */
  couldAllow(question: Question): CouldAllow
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

/** Of Cedar's answers, each up to 2 kB. */
const MOST_REMEMBERED = 5_000
/** Law 5: what could not be evaluated is tried anew. */
const isCertain = ({ errors }: Answer): boolean => errors.length === 0

type Inside = {
  readonly types: SchemaTypes
  readonly entities: KnownEntities
  readonly slices: Slices
  readonly answers: Readonly<Record<'mostly' | 'often', Remembered<Answer>>>
  /** Made when they are first asked for: not every thread is asked what could be. */
  readonly openPolicies: () => OpenPolicies
  /** The ids of tools that have an action of their own. */
  readonly tools: ReadonlySet<string>
  /** The actions that may be asked for by name, by their ids: a tool's own is asked for as `call`. */
  readonly actions: ReadonlyMap<string, readonly ActionOf[]>
}

/** Compiles a bundle, once per thread and version. */
export function openEngine(bundle: Bundle): Engine {
  const entities = openEntities(bundle.entities, bundle.types)
  const tools = new Set(bundle.tools.map((tool) => tool.id))
  let open: OpenPolicies | undefined
  const inside: Inside = {
    types: bundle.types, entities, slices: openSlices(bundle.policies, (ref) => entities.isKnown(ref)),
    answers: { mostly: remembered<Answer>(MOST_REMEMBERED, isCertain), often: remembered<Answer>(MOST_REMEMBERED, isCertain) },
    openPolicies: () => (open ??= openPolicies(bundle.policies, (ref) => entities.isKnown(ref))),
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
    couldAllow: (question) => {
      if (!isOpen) throw new Error('the engine is closed')
      return couldAllowWith(inside, question)
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
      open?.close()
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
  const action = actionNamed(inside, question)
  if (typeof action === 'string') return denied([action])
  const prepared = prepare(inside, question, action)
  if (prepared.errors.length > 0) return denied(prepared.errors)
  const { asked, context, requestOf } = prepared
  const slices = inside.slices.for(asked)
  const ask = (slice: Slice, known: CedarMembers): Answer => {
    const request = requestOf(slice, known)
    return typeof request === 'string' ? { decided: [], answer: 'deny', errors: [request] } : answerOf(inside, slice, request)
  }
  const answers = slices.map((slice) => ask(slice, context))
  const answer = combine(answers)
  if (answer.answer === 'allow' || answer.errors.length > 0 || context['approved'] !== false || !mayGain(slices, answers)) return answer
  const known = { ...context, approved: true }
  const approved = combine(slices.map((slice, i) => (seesApproval(slice) ? ask(slice, known) : answers[i]!)))
  return { ...answer, approvable: approved.answer === 'allow' }
}

const seesApproval = ({ context: seen }: Sight): boolean => seen === 'all' || seen.has('approved')

/** Whether an approval could change a denial: a forbid that does not look at it holds with it too, and a permit that does not look at it does not. */
function mayGain(slices: readonly Slice[], answers: readonly Answer[]): boolean {
  const forbids = answers.flatMap(({ decided }) => decided).filter(({ effect }) => effect === 'forbid')
  const looking = new Set(slices.flatMap(({ approvals }) => approvals))
  return forbids.length > 0 ? forbids.every((policy) => looking.has(policy)) : [...looking].some(({ effect }) => effect === 'permit')
}

/** As a question is decided, but for its arguments: whatever looks at them may come out either way. */
function couldAllowWith(inside: Inside, question: Question): CouldAllow {
  const action = actionNamed(inside, question)
  if (typeof action === 'string') return 'no'
  const any = { ...question, arguments: {} }
  if (takesNone(action)) {
    const { answer, approvable } = decideWith(inside, any)
    return answer === 'allow' ? 'yes' : approvable ? 'with_approval' : 'no'
  }
  const { errors, asked, context, requestOf } = prepare(inside, any, withoutArguments(action))
  if (errors.length > 0) return 'no'
  const policies = inside.openPolicies()
  const slices = policies.slicesFor(asked)
  const ask = (known: CedarMembers): Prospect => policies.ask(slices, action, (slice) => requestOf(slice, known))
  const prospect = ask(context)
  if (prospect === 'allow') return 'yes'
  if (prospect === 'error' || context['approved'] !== false || !slices.some(seesApproval)) return 'no'
  return ask({ ...context, approved: true }) === 'allow' ? 'with_approval' : 'no'
}

/** With nothing to choose, the one question that can be asked is decided. */
function takesNone({ context }: ActionOf): boolean {
  const type = context.get('arguments')?.type
  return type === undefined || (type.kind === 'Record' && type.members.size === 0)
}

const withoutArguments = (action: ActionOf): ActionOf =>
  ({ ...action, context: new Map([...action.context].filter(([name]) => name !== 'arguments')) })

/** A question as policies are asked it, and why it can't be. */
type Prepared = {
  readonly errors: readonly string[]
  readonly asked: Asked
  readonly context: CedarMembers
  /** What these policies can see of it, or why that can't be told. */
  readonly requestOf: (slice: Slice, context: CedarMembers) => CedarRequest | string
}

function prepare(inside: Inside, question: Question, action: ActionOf): Prepared {
  const mapping = startMapping()
  const principal = inside.entities.meet(question.principal, 'principal', mapping)
  const resource = inside.entities.meet(question.resource, 'resource', mapping)
  const context = contextOf(question, action, mapping)
  return {
    errors: mapping.errors, context,
    asked: {
      principalType: question.principal.uid.type, principalGroups: principal.groups, actionGroups: action.groups,
      resourceType: question.resource.uid.type, resourceGroups: resource.groups,
    },
    requestOf: (slice, known) => {
      const entities = inside.entities.reach([principal, resource], [...mapping.refs, action.uid], slice)
      if (typeof entities === 'string') return entities
      return {
        principal: toldBy(slice, 'principal', question.principal.uid), action: toldBy(slice, 'action', action.uid), resource: toldBy(slice, 'resource', question.resource.uid),
        context: seenBy(slice, known), entities,
      }
    },
  }
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

/** What no policy of the slice can tell from others of its type has no name for them: what is answered of one, is of all. */
const toldBy = ({ tellsApart }: Slice, told: Told, uid: EntityRef): EntityRef => (tellsApart.has(told) ? uid : { type: uid.type, id: '' })

/** What no policy of the slice looks at is not worth its way to Cedar. */
function seenBy({ context: seen }: Slice, context: CedarMembers): CedarMembers {
  return seen === 'all' ? context : Object.fromEntries(Object.entries(context).filter(([name]) => seen.has(name)))
}

type Answer = { readonly answer: 'allow' | 'deny'; readonly decided: readonly Policy[]; readonly errors: readonly string[] }

function answerOf({ answers }: Inside, slice: Slice, request: CedarRequest): Answer {
  if (slice.repeats === 'hardly') return evaluated(slice, request)
  // INVARIANT: the key is the whole question as Cedar gets it, and the one slice that it is put to.
  return answers[slice.repeats].of(`${slice.number} ${JSON.stringify(request)}`, () => evaluated(slice, request))
}

function evaluated(slice: Slice, request: CedarRequest): Answer {
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
