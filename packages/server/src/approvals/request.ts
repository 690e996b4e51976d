import { parseExactJson } from '@writ/contract/strict-json'
import { expiryOf, foldedEmail, isLive, routeFor, type ApprovalRoute, type Requesters } from '@writ/domain/approval'
import type { Effect } from '@writ/domain/decision'
import type { ExactRecord } from '@writ/domain/exact'
import type { ApprovalId, DecisionId, IdentityId, LeaseId, TaskId } from '@writ/domain/id'
import type { Owner } from '@writ/domain/owner'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { dueReason, type Task } from '@writ/domain/task'
import { plus, seconds, type EpochMs } from '@writ/domain/time'
import type { Question } from '@writ/policy/question'
import { readQuestion } from '@writ/policy/recorded-question'
import { factsOf, riskIn, type UseFacts } from '../decide/approved.ts'
import { policiesIn } from '../decide/decide.ts'
import { argumentsPlace, argumentText, intentPlace, sha256Hex } from '../decide/envelope.ts'
import { questionPlace } from '../decide/record-decision.ts'
import { requestFacts, routesInForce } from '../decide/recorded-approval.ts'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { countWaiting, insertApproval, insertExcluded, lockApprovalsFor, type Approval, type Excluded, type NewApproval } from '../store/approvals.ts'
import { findDecision, type Decision } from '../store/decisions.ts'
import { listEvidenceMakers } from '../store/evidence-makers.ts'
import { findIdentity } from '../store/identities.ts'
import { lockHeldTask } from '../store/tasks.ts'
import { cancelIn } from './end.ts'

/** For so long a denial may be asked about: AuthZEN's profile gives it an end. */
export const REQUESTABLE_FOR = seconds(600)

/** More than these is no question to a person any more. */
export const MOST_WAITING = { task: 20, identity: 100 } as const

/** Whoever reads it has to read all of it. */
const LONGEST_ARGUMENTS = 200_000

export type RequestInput = {
  readonly id: ApprovalId
  /** The denial. */
  readonly decision: DecisionId
  readonly by: IdentityId
  /** The task of the access token that it is asked with; null where the identity came with its own evidence. */
  readonly within: TaskId | null
  readonly lease: LeaseId | null
  readonly workload: string | null
  /** The agent's words, for people alone (decision 12). */
  readonly intent: string | null
  /** Whether it is asked for in so many words: then an end that was no `no` does not stand in the way. */
  readonly isExplicit: boolean
  readonly now: EpochMs
}

export type RequestRefusal =
  | { readonly kind: 'no_such_denial' }
  | { readonly kind: 'not_requestable'; readonly why: 'allowed' | 'no_person_could' | 'advice' | 'too_old' | 'erased' | 'policies_changed' }
  | { readonly kind: 'task_over' }
  | { readonly kind: 'too_many_waiting'; readonly of: 'task' | 'identity'; readonly most: number }
  | { readonly kind: 'too_large'; readonly most: number }
  /** Who is asked about what is not as it was recorded. */
  | { readonly kind: 'routes_damaged' }

/** The request, as it was found or as it was made. */
export type Requested = { readonly approval: Pick<Approval, 'id' | 'state' | 'expiresAt' | 'route' | 'why' | 'requestedAt' | 'decidedAt'>; readonly isNew: boolean }

/**
 * Asks people about a denial. The same asked again is the same request, for as long as nothing that they see has changed. INVARIANT: everything it
 * holds is read from the denial itself, so that nothing is asked about that was not decided on.
 */
export const requestApproval = change('approval.request', async (tx: Tx, input: RequestInput): Promise<Outcome<Requested, RequestRefusal>> => {
  const { now } = input
  const decision = await findDecision(tx.db, input.decision)
  const held = decision === undefined || decision.task === null || (input.within !== null && decision.task !== input.within) ? undefined : await lockHeldTask(tx, decision.task)
  if (decision === undefined || held === undefined || held.task.identity !== input.by) return refuse({ kind: 'no_such_denial' })
  const { task } = held
  const policies = await policiesIn(tx)
  const question = questionOf(tx, decision)
  const why = whyNot(decision, { version: policies.version, isErased: question === undefined, now })
  if (why !== undefined || question === undefined) return refuse({ kind: 'not_requestable', why: why ?? 'erased' })
  if (task.state !== 'open' || dueReason(task, now) !== undefined) return refuse({ kind: 'task_over' })
  const text = textOf(question)
  if (text.length > LONGEST_ARGUMENTS) return refuse({ kind: 'too_large', most: LONGEST_ARGUMENTS })

  const identity = (await findIdentity(tx.db, task.identity))!
  const facts = await factsOf(tx, { task, identity, workload: input.workload ?? held.workload, resource: decision.resource }, policies)
  const same = { task: task.id, action: decision.action, resource: decision.resource, argumentsSha256: sha256Hex(text), claimedSha256: sha256Hex(argumentText(question.claimed, undefined)) }
  const earlier = await lockApprovalsFor(tx, same)
  const stands = await standing(tx, { earlier: earlier.filter((one) => one.argumentsSha256 === same.argumentsSha256), facts, input })
  if (stands !== undefined) return ok({ approval: stands, isNew: false })

  const waiting = await countWaiting(tx.db, { task: task.id, identity: identity.id })
  if (waiting.task >= MOST_WAITING.task) return refuse({ kind: 'too_many_waiting', of: 'task', most: MOST_WAITING.task })
  if (waiting.identity >= MOST_WAITING.identity) return refuse({ kind: 'too_many_waiting', of: 'identity', most: MOST_WAITING.identity })
  const routes = await routesInForce(tx)
  if (!routes.ok) return routes
  const made = await madeOf(tx, { input, decision, question, text, task, facts, identityClass: identity.class, routes: routes.value, same })
  await record(tx, made, now)
  failpoint('approval.requested.before_commit')
  return ok({ approval: { ...made, state: 'waiting', why: null, decidedAt: null }, isNew: true })
})

function questionOf(tx: Tx, { id, evaluated }: Decision): Question | undefined {
  const read = evaluated === null ? undefined : parseExactJson(tx.context.questions.unseal(evaluated, questionPlace(id)))
  return read?.ok === true ? readQuestion(read.value) : undefined
}

function whyNot({ answer, approvable, advisory, at, policyVersion }: Decision, { version, isErased, now }: { readonly version: number; readonly isErased: boolean; readonly now: EpochMs }) {
  if (advisory) return 'advice'
  if (answer === 'allow') return 'allowed'
  if (!approvable) return 'no_person_could'
  if (isErased) return 'erased'
  if (now >= plus(at, REQUESTABLE_FOR)) return 'too_old'
  return version === policyVersion ? undefined : 'policies_changed'
}

const textOf = ({ arguments: args, known }: Question): string => argumentText(args, typeof known['template'] === 'string' ? known['template'] : undefined)

type Earlier = { readonly earlier: readonly Approval[]; readonly facts: UseFacts; readonly input: RequestInput }

/** What was asked before and still answers for it. One that is of something else by now is taken back. */
async function standing(tx: Tx, { earlier, facts, input }: Earlier): Promise<Approval | undefined> {
  const live = earlier.find(({ state }) => isLive(state))
  if (live !== undefined) {
    const isStale = live.policyVersion !== facts.policyVersion || live.toolPin !== facts.toolPin || live.workload !== facts.workload || input.now >= live.expiresAt
    if (!isStale) return live
    await cancelIn(tx, live, { why: 'changed', by: { kind: 'writ', id: 'writ' }, now: input.now })
    return undefined
  }
  const [newest] = earlier
  if (newest === undefined || newest.state === 'cancelled') return undefined
  // A person has said no to the very same: to ask until somebody says yes is no way to a yes.
  return newest.state === 'denied' || !input.isExplicit ? newest : undefined
}

type Making = {
  readonly input: RequestInput; readonly decision: Decision; readonly question: Question; readonly text: string; readonly task: Task; readonly facts: UseFacts
  readonly identityClass: Parameters<typeof routeFor>[1]['class']; readonly routes: readonly ApprovalRoute[]; readonly same: { readonly argumentsSha256: string; readonly claimedSha256: string }
}

async function madeOf(tx: Tx, { input, decision, question, text, task, facts, identityClass, routes, same }: Making): Promise<NewApproval> {
  const { questions, entropy } = tx.context
  const { effect, reversible, labels } = question.resource.attributes
  const risk = riskIn(effect, reversible)
  const named = Array.isArray(labels) ? labels.filter((one) => typeof one === 'string') : []
  const route = routeFor(routes, { class: identityClass, labels: named, arguments: allArguments(question), risk })
  const intent = input.intent ?? intentIn(question.claimed)
  return {
    ...facts, id: input.id, kind: decision.resource.type === 'Writ::Tool' && decision.action === 'call' ? 'call' : 'use', task: task.id, action: decision.action, resource: decision.resource,
    arguments: questions.seal(text, argumentsPlace(input.id)), argumentsSha256: same.argumentsSha256, claimedSha256: same.claimedSha256,
    intent: intent === null ? null : questions.seal(intent, intentPlace(input.id)), decision: decision.id,
    effect: typeof effect === 'string' ? effect as Effect : null, reversible: typeof reversible === 'boolean' ? reversible : null, labels: named, risk, route,
    requesters: await requestersOf(tx, facts), requestedAt: input.now, expiresAt: expiryOf(route, input.now, task.deadline), nonce: Buffer.from(entropy.bytes(16)).toString('base64url'),
  }
}

const allArguments = ({ arguments: args, known }: Question): ExactRecord => (typeof known['template'] === 'string' ? { ...args, template: known['template'] } : args)

const LONGEST_INTENT = 2000
const intentIn = ({ intent }: ExactRecord): string | null => (typeof intent === 'string' && intent.isWellFormed() ? intent.slice(0, LONGEST_INTENT).toWellFormed() : null)

/** The technical owners of every identity in the chain, the one for whom all of it is done, and who could act as one of them. */
export async function requestersOf(tx: Pick<Tx, 'db'>, { chain, onBehalfOf }: Pick<UseFacts, 'chain' | 'onBehalfOf'>): Promise<Requesters> {
  const owners = new Set<Owner>()
  for (const identity of new Set(chain.map((one) => one.identity))) owners.add((await findIdentity(tx.db, identity))!.technicalOwner)
  return { owners: [...owners], onBehalfOf, persons: await listEvidenceMakers(tx.db, chain.map((one) => one.task)) }
}

/** The same for the guard of the database. */
function excludedOf({ owners, onBehalfOf, persons }: Requesters): readonly Excluded[] {
  return [
    ...owners.map((owner): Excluded => (owner.startsWith('team:')
      ? { kind: 'team', issuer: '', value: JSON.stringify(owner.slice('team:'.length)) } : { kind: 'email', issuer: '', value: foldedEmail(owner.slice('person:'.length)) })),
    ...(onBehalfOf === null ? [] : [{ kind: 'subject', issuer: onBehalfOf.issuer, value: onBehalfOf.subject } as const, { kind: 'email', issuer: '', value: foldedEmail(onBehalfOf.subject) } as const]),
    ...persons.flatMap(({ person, email, issuer, subject }): readonly Excluded[] => [
      { kind: 'person', issuer: '', value: person }, ...(email === null ? [] : [{ kind: 'email', issuer: '', value: foldedEmail(email) } as const]),
      ...(issuer === null || subject === null ? [] : [{ kind: 'subject', issuer, value: subject } as const]),
    ]),
  ]
}

async function record(tx: Tx, made: NewApproval, now: EpochMs): Promise<void> {
  const event = await append(tx, now, {
    type: 'approval.requested', actor: { kind: 'identity', id: made.identity }, task: made.task, identity: made.identity, facts: requestFacts(made),
    // Of arguments that are short anybody could guess the hash.
    said: { arguments_sha256: made.argumentsSha256 },
  })
  await insertApproval(tx.db, made, event.id)
  await insertExcluded(tx.db, made.id, excludedOf(made.requesters))
}
