import type { Effect, Label } from './decision.ts'
import { exactText, type ExactRecord, type ExactValue } from './exact.ts'
import type { ApprovalId, DecisionId, IdentityId, PersonId, TaskId } from './id.ts'
import { ok, refuse, type Outcome } from './outcome.ts'
import type { Owner } from './owner.ts'
import type { Role } from './person.ts'
import type { IdentityClass } from './profile.ts'
import type { OnBehalfOf } from './task.ts'
import { earliest, plus, seconds, type EpochMs } from './time.ts'

/** waiting: nobody has said yes or no. approved: it may be used. The others are ends. */
export const APPROVAL_STATES = ['waiting', 'approved', 'used', 'denied', 'lapsed', 'cancelled'] as const
export type ApprovalState = (typeof APPROVAL_STATES)[number]

/** The states that can still come to a use. */
export const LIVE_APPROVALS = ['waiting', 'approved'] as const satisfies readonly ApprovalState[]
export const isLive = (state: ApprovalState): boolean => state === 'waiting' || state === 'approved'

export const APPROVAL_MOVES: readonly (readonly [ApprovalState, ApprovalState])[] = [
  ['waiting', 'approved'], ['waiting', 'denied'], ['waiting', 'lapsed'], ['waiting', 'cancelled'],
  ['approved', 'used'], ['approved', 'lapsed'], ['approved', 'cancelled'],
]

/** `call`: of a tool, which the gateway makes. `use`: of anything else, which whoever asked carries out. */
export const APPROVAL_KINDS = ['call', 'use'] as const
export type ApprovalKind = (typeof APPROVAL_KINDS)[number]

export const RISKS = ['low', 'medium', 'high'] as const
export type Risk = (typeof RISKS)[number]

/** How bad it could be; what nobody has described may be bad. What can not be taken back, or leaves the house, is of high risk. */
export function riskOf(effect: Effect | null, reversible: boolean | null): Risk {
  if (effect === 'read') return 'low'
  return effect === 'external' || reversible === false ? 'high' : 'medium'
}

/** More persons than this do not come together within the time that an agent waits. */
export const MOST_QUORUM = 5

/** Who is asked about what; each part of `when` has to fit. */
export type ApprovalRoute = {
  readonly name: string
  readonly when: {
    readonly class?: IdentityClass | undefined
    readonly label?: Label | undefined
    readonly amount?: { readonly argument: string; readonly from: number } | undefined
  }
  /** Null: every reviewer. */
  readonly group: string | null
  readonly quorum: number
  readonly seconds: number
  readonly signed: boolean
}

/** What is asked where no route fits. */
export const USUAL_ROUTE: ApprovalRoute = { name: 'usual', when: {}, group: null, quorum: 1, seconds: 900, signed: false }

export type Routed = { readonly class: IdentityClass; readonly labels: readonly Label[]; readonly arguments: ExactRecord; readonly risk: Risk }

/** The first that fits. An amount that is there and is no whole number fits: whoever hides how much it is does not choose who is asked. */
export function routeFor(routes: readonly ApprovalRoute[], asked: Routed): ApprovalRoute {
  const route = routes.find((one) => fits(one, asked)) ?? USUAL_ROUTE
  return asked.risk === 'high' ? { ...route, signed: true } : route
}

function fits({ when }: ApprovalRoute, asked: Routed): boolean {
  if (when.class !== undefined && when.class !== asked.class) return false
  if (when.label !== undefined && !asked.labels.includes(when.label)) return false
  if (when.amount === undefined) return true
  const value = Object.hasOwn(asked.arguments, when.amount.argument) ? asked.arguments[when.amount.argument] : undefined
  return value !== undefined && (typeof value !== 'bigint' || value >= BigInt(when.amount.from))
}

/** No answer by then is no. It never outlives its task (law 3). */
export const expiryOf = (route: ApprovalRoute, now: EpochMs, deadline: EpochMs): EpochMs => earliest(plus(now, seconds(route.seconds)), deadline)

/** What a permission for the whole task lets through. An argument that it does not name may not be there. */
export type ArgumentBound = { readonly most: number } | { readonly is: string } | { readonly any: true }
export type ApprovalBound = { readonly arguments: Readonly<Record<string, ArgumentBound>>; readonly calls: number; readonly until: EpochMs }

export type ApprovalChoice =
  | { readonly scope: 'once' }
  /** SHA-256 of the arguments that run in place of those that were asked for. */
  | { readonly scope: 'edited'; readonly argumentsSha256: string }
  | { readonly scope: 'task'; readonly bound: ApprovalBound }

export const callsOf = (choice: ApprovalChoice): number => (choice.scope === 'task' ? choice.bound.calls : 1)

/** Whether a call with these arguments is within the bound: never one that is wider than what was shown. */
export function isWithin(bound: ApprovalBound, given: ExactRecord): boolean {
  return Object.keys(given).every((name) => Object.hasOwn(bound.arguments, name)) && Object.entries(bound.arguments).every(([name, one]) => {
    const value = Object.hasOwn(given, name) ? given[name] : undefined
    if (value === undefined) return 'any' in one
    if ('most' in one) return typeof value === 'bigint' && value >= 0n && value <= BigInt(one.most)
    return 'any' in one || exactText(value) === one.is
  })
}

const MOST_NUMBER = BigInt(Number.MAX_SAFE_INTEGER)

/** What is offered: as much as was asked for, and nothing that was not. */
export function usualBound(given: ExactRecord, until: EpochMs): ApprovalBound {
  return {
    arguments: Object.fromEntries(Object.entries(given).map(([name, value]) => [
      name, typeof value === 'bigint' && value >= 0n && value <= MOST_NUMBER ? { most: Number(value) } : { is: exactText(value) },
    ])),
    calls: 3, until,
  }
}

/**
 * Whether arguments narrow others: each whole number from zero up may be lower, as a grant's limits are upper bounds, and nothing else may
 * differ, for nobody knows of another value which way is less.
 */
export function narrows(edited: ExactValue, asked: ExactValue): boolean {
  if (typeof asked === 'bigint' && typeof edited === 'bigint') return edited === asked || (edited >= 0n && edited < asked)
  if (Array.isArray(asked) && Array.isArray(edited)) return asked.length === edited.length && asked.every((one: ExactValue, i) => narrows(edited[i] as ExactValue, one))
  if (isPlainRecord(asked) && isPlainRecord(edited)) {
    const names = Object.keys(asked)
    return names.length === Object.keys(edited).length && names.every((name) => Object.hasOwn(edited, name) && narrows(edited[name]!, asked[name]!))
  }
  return exactText(edited) === exactText(asked)
}

const isPlainRecord = (value: ExactValue): value is ExactRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.getPrototypeOf(value) === Object.prototype

/** One task on the way from the top of its tree to the one that asks. */
export type ChainLink = { readonly task: TaskId; readonly identity: IdentityId }

/** Everything that an approval is an approval of; what is shown is what this holds. */
export type EnvelopeFields = {
  readonly approval: ApprovalId
  readonly kind: ApprovalKind
  readonly identity: IdentityId
  readonly workload: string | null
  readonly task: TaskId
  readonly rootTask: TaskId
  readonly chain: readonly ChainLink[]
  readonly onBehalfOf: OnBehalfOf | null
  readonly action: string
  readonly resource: { readonly type: string; readonly id: string }
  /** Of exactly the bytes that were asked for, in hexadecimal digits. */
  readonly argumentsSha256: string
  /** Of what the caller said of its surroundings. */
  readonly claimedSha256: string
  /** The definition of the tool, as it was accepted; null of what is no tool. */
  readonly toolPin: string | null
  readonly policyVersion: number
  readonly decision: DecisionId
  readonly route: Pick<ApprovalRoute, 'name' | 'group' | 'quorum' | 'signed'>
  readonly expiresAt: EpochMs
  readonly nonce: string
  readonly choice: ApprovalChoice
}

type Plain = string | number | boolean | null | readonly Plain[] | { readonly [name: string]: Plain }

/** To be written in canonical JSON: whoever signs the hash of that has approved this and nothing else. */
export function envelopeOf(fields: EnvelopeFields): { readonly [name: string]: Plain } {
  const { choice, route, onBehalfOf, resource } = fields
  return {
    v: 1,
    approval: fields.approval,
    kind: fields.kind,
    identity: fields.identity,
    workload: fields.workload,
    task: fields.task,
    root_task: fields.rootTask,
    chain: fields.chain.map(({ task, identity }) => ({ task, identity })),
    on_behalf_of: onBehalfOf === null ? null : { issuer: onBehalfOf.issuer, subject: onBehalfOf.subject },
    action: fields.action,
    resource: { type: resource.type, id: resource.id },
    arguments_sha256: fields.argumentsSha256,
    claimed_sha256: fields.claimedSha256,
    tool_pin: fields.toolPin,
    policy_version: fields.policyVersion,
    decision: fields.decision,
    route: { name: route.name, group: route.group, quorum: route.quorum, signed: route.signed },
    expires_at: fields.expiresAt,
    nonce: fields.nonce,
    choice: choiceOf(choice),
  }
}

function choiceOf(choice: ApprovalChoice): { readonly [name: string]: Plain } {
  switch (choice.scope) {
    case 'once': return { scope: 'once' }
    case 'edited': return { scope: 'edited', arguments_sha256: choice.argumentsSha256 }
    case 'task': {
      const { arguments: args, calls, until } = choice.bound
      return { scope: 'task', bound: { arguments: Object.fromEntries(Object.entries(args).map(([name, one]) => [name, { ...one }])), calls, until } }
    }
  }
}

/** A human, by all that says who that is. */
export type Human = {
  readonly person: PersonId
  readonly email: string | null
  readonly issuer: string | null
  readonly subject: string | null
  readonly groups: readonly string[]
  readonly roles: readonly Role[]
}

/** What tells one human from another. */
export type HumanName = Pick<Human, 'person' | 'email' | 'issuer' | 'subject'>

/** Who asks, and everybody above: none of them answers. */
export type Requesters = {
  /** The technical owners of the identities in the chain. */
  readonly owners: readonly Owner[]
  readonly onBehalfOf: OnBehalfOf | null
  /** Who put in place what an identity of the chain proves itself with, and so may hold it and act as that identity. */
  readonly persons: readonly HumanName[]
}

export const MAY_DECIDE_REASONS = [
  'not_a_person', 'not_a_reviewer', 'not_in_group', 'on_behalf_of_you', 'you_own_the_agent', 'you_could_act_as_it', 'answered_already', 'over', 'no_passkey',
] as const
export type MayDecideReason = (typeof MAY_DECIDE_REASONS)[number]

export type Decider = { readonly human: Human; readonly requesters: Requesters; readonly route: Pick<ApprovalRoute, 'group'>; readonly voted: readonly HumanName[] }

/** Law 11: nobody in the chain answers for it, by whatever name he comes. */
export function mayDecide({ human, requesters, route, voted }: Decider): Outcome<null, MayDecideReason> {
  if (requesters.onBehalfOf !== null && isSubject(human, requesters.onBehalfOf)) return refuse('on_behalf_of_you')
  if (requesters.owners.some((owner) => isOwner(human, owner))) return refuse('you_own_the_agent')
  if (requesters.persons.some((one) => isSameHuman(human, one))) return refuse('you_could_act_as_it')
  if (!human.roles.includes('reviewer')) return refuse('not_a_reviewer')
  if (route.group !== null && !human.groups.includes(route.group)) return refuse('not_in_group')
  return voted.some((other) => isSameHuman(human, other)) ? refuse('answered_already') : ok(null)
}

/** Two people who are one: by the person, by the address that a provider verified, or by the provider's own name for them. */
export function isSameHuman(a: HumanName, b: HumanName): boolean {
  if (a.person === b.person) return true
  if (a.email !== null && b.email !== null && foldedEmail(a.email) === foldedEmail(b.email)) return true
  return a.issuer !== null && a.subject !== null && a.issuer === b.issuer && a.subject === b.subject
}

/** Addresses are compared without regard to case: whoever has one has the other. */
export const foldedEmail = (email: string): string => email.normalize('NFC').toLowerCase()

/** Also where the user is named by address, as some providers do. */
const isSubject = (human: Human, { issuer, subject }: OnBehalfOf): boolean =>
  (human.issuer === issuer && human.subject === subject) || (human.email !== null && foldedEmail(human.email) === foldedEmail(subject))

/** `team:NAME` is the provider's group of that name. */
export function isOwner(human: Pick<Human, 'email' | 'groups'>, owner: Owner): boolean {
  if (owner.startsWith('team:')) return human.groups.includes(owner.slice('team:'.length))
  return human.email !== null && foldedEmail(human.email) === foldedEmail(owner.slice('person:'.length))
}
