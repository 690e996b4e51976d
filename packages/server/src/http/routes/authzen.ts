import * as contract from '@writ/contract/authzen'
import { PROBLEMS } from '@writ/contract/problem'
import { exactText, type ExactRecord } from '@writ/domain/exact'
import { mintId, parseId, type TaskId } from '@writ/domain/id'
import { ok, refuse, unreachable, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { shownBefore } from '../../authenticate/authenticate.ts'
import type { AuthenticateRefusal } from '../../authenticate/authenticator.ts'
import { holderOf } from '../../authenticate/holder.ts'
import { useOnce } from '../../authenticate/one-time.ts'
import type { Decided } from '../../decide/record-decision.ts'
import type { Allowance, TooOften } from '../../evaluate/allowance.ts'
import type { Asked, EvaluateRefusal, StopAt } from '../../evaluate/evaluate.ts'
import { evaluateWithin } from '../../evaluate/evaluate-within.ts'
import { search, type Search } from '../../evaluate/search.ts'
import type { Asker, ExactText, Said } from '../../evaluate/supposed.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Engines, Store } from '../../record/tx.ts'
import { route, type AnyCaller, type Call, type Route } from '../call.ts'
import { NO_TASK, problem, type ProblemAnswer } from '../problem.ts'
import { checked, unauthenticated } from '../serve.ts'
import { requestableDenial } from './access-request-profile.ts'

export type AuthzenRoutesNeeds = {
  readonly store: Store
  /** How often an identity may ask. */
  readonly allowance: Allowance
  /** Of this thread. */
  readonly engines: Engines
  readonly clock: Clock
  readonly entropy: Entropy
  /** What clients call this server. */
  readonly origin: () => string
  /** Wakes whoever ends what is due. */
  readonly wake: () => void
  /** Evidence was found wanting after the door had let it in. */
  readonly tellRefused: (refusal: AuthenticateRefusal, traceId: string) => void
}

/** OpenID AuthZEN Authorization API 1.0, in our own words inside: an attempt in a task, or advice. */
export function authzenRoutes(needs: AuthzenRoutesNeeds): readonly Route[] {
  return [
    route(contract.evaluateAccess, (call) => answerOne(needs, call, call.body), { takesUses: true }),
    route(contract.evaluateAccesses, async (call) => {
      const { evaluations, options, ...common } = call.body
      if (evaluations !== undefined && evaluations.length > 0) return answerAll(needs, call, { questions: evaluations.map((one) => withCommon(one, common)), stopAt: STOP_AT[options?.evaluations_semantic ?? 'execute_all'] })
      const question = checked(contract.authzenQuestion, common, 'body')
      return question.ok ? answerOne(needs, call, question.value) : refused(needs, call, question.refusal)
    }, { takesUses: true }),
    route(contract.searchSubjects, async ({ caller, body }) => {
      const { subject, ...more } = body
      return results(needs, caller, { ...more, sought: 'subject', subject: { ...subject, id: '' } }, (id) => ({ type: subject.type, id }))
    }),
    route(contract.searchResources, async ({ caller, body }) => {
      const { resource, ...more } = body
      return results(needs, caller, { ...more, sought: 'resource', resource: { ...resource, id: '' } }, (id) => ({ type: resource.type, id }))
    }),
    route(contract.searchActions, async ({ caller, body }) => results(needs, caller, { ...body, sought: 'action', action: { name: '' } }, (name) => ({ name }))),
    route(contract.authzenConfiguration, async () => {
      const of = (endpoint: { readonly path: string }): string => `${needs.origin()}${endpoint.path}`
      return {
        reply: {
          policy_decision_point: needs.origin(), access_evaluation_endpoint: of(contract.evaluateAccess), access_evaluations_endpoint: of(contract.evaluateAccesses),
          search_subject_endpoint: of(contract.searchSubjects), search_resource_endpoint: of(contract.searchResources), search_action_endpoint: of(contract.searchActions),
        },
        headers: { 'cache-control': 'public, max-age=300' },
      }
    }),
  ]
}

const STOP_AT: Readonly<Record<contract.EvaluationsSemantic, StopAt>> = { execute_all: 'never', deny_on_first_deny: 'deny', permit_on_first_permit: 'allow' }

type AskedCall = Pick<Call<typeof contract.evaluateAccess>, 'caller' | 'uses' | 'traceId' | 'headers'>

async function answerOne(needs: AuthzenRoutesNeeds, call: AskedCall, question: contract.AuthzenQuestion) {
  const now = needs.clock.now()
  const asked = askedIn(question, { needs, caller: call.caller, now })
  if (!asked.ok) return refused(needs, call, asked.refusal)
  const answered = await ask(needs, call, { asked: [asked.value], stopAt: 'never', now })
  return answered.ok ? { reply: answerOf(answered.value[0]!, { asked: asked.value, now, traceId: call.traceId }) } : answered.refusal
}

type Batch = { readonly questions: readonly unknown[]; readonly stopAt: StopAt }

/** What is wrong with one question is said in its place; the others are answered. */
async function answerAll(needs: AuthzenRoutesNeeds, call: AskedCall, { questions, stopAt }: Batch) {
  const now = needs.clock.now()
  const read = questions.map((one): Outcome<Asked, ProblemAnswer> => {
    const question = checked(contract.authzenQuestion, one, 'evaluation')
    return question.ok ? askedIn(question.value, { needs, caller: call.caller, now }) : question
  })
  // A question that can not be asked is denied, and with `deny_on_first_deny` whatever stands behind it is moot.
  const end = stopAt === 'deny' ? read.findIndex((one) => !one.ok) : -1
  const reached = end < 0 ? read : read.slice(0, end + 1)
  const asked = reached.flatMap((one) => (one.ok ? [one.value] : []))
  const answered = await ask(needs, call, { asked, stopAt, now })
  if (!answered.ok) return answered.refusal
  const answers = new Map(answered.value.map((one) => [one.id, one]))
  const evaluations: contract.AuthzenAnswer[] = []
  for (const one of reached) {
    const decided = one.ok ? answers.get(one.value.id) : undefined
    // Whoever was denied too often meanwhile is answered nothing more.
    const answer = one.ok ? decided && answerOf(decided, { asked: one.value, now, traceId: call.traceId }) : unreadable(one.refusal, call.traceId)
    evaluations.push(answer ?? unreadable(problem('too-many-requests', TOO_OFTEN.denied), call.traceId))
    if (decided !== undefined && decided.answer === stopAt) break
  }
  return { reply: { evaluations } }
}

/** AuthZEN 1.0, default values: what the question has itself stands in place of the common one, as a whole. */
const withCommon = (question: unknown, common: object): unknown =>
  (typeof question === 'object' && question !== null && !Array.isArray(question) ? { ...common, ...question } : question)

type Order = { readonly asked: readonly Asked[]; readonly stopAt: StopAt; readonly now: EpochMs }

async function ask(needs: AuthzenRoutesNeeds, call: AskedCall, order: Order): Promise<Outcome<readonly Decided[], ProblemAnswer>> {
  const { caller, uses, traceId } = call
  const answered = await evaluateWithin(needs, { ...order, by: askerOf(caller), uses, traceId })
  if (!answered.ok) return refuse(await refused(needs, answered.refusal.kind === 'replayed' ? { ...call, uses: [] } : call, problemOf(answered.refusal, call, needs)))
  if (answered.value.some(({ cause }) => cause === 'budget' || cause === 'state')) needs.wake()
  return answered
}

/** Nothing of a refused change is left, and what works once has been shown all the same. */
async function refused({ store }: AuthzenRoutesNeeds, { uses }: Pick<AskedCall, 'uses'>, answer: ProblemAnswer): Promise<ProblemAnswer> {
  if (uses.length > 0) await store.change(useOnce, { uses })
  return answer
}

function problemOf(refusal: EvaluateRefusal | TooOften, { headers, traceId }: AskedCall, { tellRefused }: AuthzenRoutesNeeds): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'replayed':
    case 'token_not_live': {
      tellRefused(refusal.kind === 'replayed' ? shownBefore(refusal.of) : { kind: 'token_not_live', why: 'stopped' }, traceId)
      return unauthenticated(/^dpop /i.test(headers.authorization ?? '') ? 'DPoP' : 'Bearer')
    }
    case 'no_such_task': return NO_TASK
    case 'asks_too_often': return askedTooOften(refusal)
    case 'not_the_holder': return badQuestion(code, 'subject', 'must be the identity that holds the task')
    case 'properties_not_yours': return badQuestion(code, 'properties', 'in a task, what is known of subject and resource counts, not what is said of them')
    default: return unreachable(refusal)
  }
}

const TOO_OFTEN = {
  advice: { code: 'too_much_advice', detail: 'this identity has asked for as much advice as it may in a minute; nothing was decided' },
  denied: { code: 'too_many_denied', detail: 'this identity was denied as often as it may in a minute; nothing was decided' },
} as const

/** RFC 9110 §10.2.3 says when to come again. */
const askedTooOften = ({ of, most, seconds }: TooOften): ProblemAnswer =>
  ({ ...problem('too-many-requests', { ...TOO_OFTEN[of], hint: `it may ${most} times: wait ${seconds} s` }), headers: { 'retry-after': String(seconds) } })

const badQuestion = (code: string, field: string, message: string): ProblemAnswer =>
  problem('invalid-fields', { code, detail: 'the question can not be asked like this; nothing was decided', errors: [{ field, message }] })

function askerOf(caller: AnyCaller): Asker {
  if (caller.kind === 'operator') return { kind: 'operator', id: caller.operator }
  if (caller.kind === 'person') return { kind: 'person', id: caller.person }
  // A token does not say which workload shows it; its task does.
  return { kind: 'identity', id: caller.identity, lease: caller.lease, workload: caller.lease === null ? holderOf(caller.evidence).workload : null }
}

/** What Writ knows itself, and takes from nobody: a policy that asks for it asks Writ. */
const WRITS_OWN: ReadonlySet<string> = new Set([
  'purpose', 'class', 'environment', 'on_behalf_of', 'change', 'depth', 'budget_left', 'labels', 'approved', 'at', 'template', 'arguments', 'claimed',
])

type Circumstances = { readonly needs: Pick<AuthzenRoutesNeeds, 'entropy'>; readonly caller: AnyCaller; readonly now: EpochMs }

function askedIn({ subject, action, resource, context = {} }: contract.AuthzenQuestion, { needs, caller, now }: Circumstances): Outcome<Asked, ProblemAnswer> {
  // The profile lets a requester name its approval: which one it is, Writ finds by what is asked.
  const { task: named, approval: _, ...claimed } = context
  const fault = contextFault(claimed)
  if (fault !== undefined) return refuse(fault)
  const task = taskOf(named, caller)
  if (!task.ok) return task
  return ok({
    id: mintId('decision', now, needs.entropy.bytes(10)), task: task.value, subject: saidOf(subject), action: action.name, resource: saidOf(resource),
    arguments: textOf(action.properties), claimed: textOf(claimed),
  })
}

function contextFault(claimed: Readonly<Record<string, unknown>>): ProblemAnswer | undefined {
  const own = Object.keys(claimed).find((name) => WRITS_OWN.has(name))
  return own === undefined ? undefined : badQuestion('context_not_yours', `context.${own}`, 'is known by Writ, and taken from nobody')
}

function taskOf(named: unknown, caller: AnyCaller): Outcome<TaskId | null, ProblemAnswer> {
  const own = caller.kind === 'identity' ? caller.task : null
  if (named === undefined) return ok(own)
  // Law 11: a person answers for what is done, and does not do it.
  if (caller.kind === 'person') return refuse(badQuestion('advice_only', 'context.task', 'is for whoever acts in the task: a person asks for advice'))
  const task = typeof named === 'string' ? parseId('task', named) : undefined
  if (task === undefined) return refuse(badQuestion('bad_task', 'context.task', 'must be the id of a task, such as `tsk_...`'))
  return own === null || own === task ? ok(task) : refuse(NO_TASK)
}

const textOf = (properties: Readonly<Record<string, unknown>> | undefined): ExactText => exactText((properties ?? {}) as ExactRecord)

const saidOf = ({ type, id, properties }: { readonly type: string; readonly id: string; readonly properties?: Readonly<Record<string, unknown>> | undefined }): Said =>
  ({ type, id, properties: properties === undefined || Object.keys(properties).length === 0 ? null : textOf(properties) })

type Told = { readonly asked: Asked; readonly now: EpochMs; readonly traceId: string }

function answerOf(decided: Decided, { asked, now, traceId }: Told): contract.AuthzenAnswer {
  const { id, answer, cause, errors, wouldDeny } = decided
  const isAdvice = asked.task === null
  return {
    decision: answer === 'allow',
    context: {
      id, reason: reasonOf(decided), answer, cause, policies: decided.by.map(({ policy }) => policy), policy_version: decided.policyVersion, advisory: isAdvice,
      ...(wouldDeny ? { would_deny: true } : {}), explanation: `/v1/decisions/${id}/explanation`, trace_id: traceId,
      ...(errors.length === 0 ? {} : { error: { status: cause === 'error' ? 422 : 403, code: reasonOf(decided), message: errors.join('; ') } }),
      ...(decided.approval === undefined ? {} : { approval: approvalOf(decided.approval) }), ...(isAdvice ? {} : requestableDenial(decided, now)),
    },
  }
}

function approvalOf(of: NonNullable<Decided['approval']>): NonNullable<contract.AuthzenAnswerContext['approval']> {
  return { id: of.id, is: of.kind, ...(of.kind === 'ran' || of.kind === 'lowered' ? { arguments: of.arguments } : {}) }
}

function reasonOf({ answer, cause, approvable, wouldDeny, by }: Decided): string {
  if (answer === 'allow') return wouldDeny ? 'would_deny' : 'permitted'
  if (approvable) return 'approval_required'
  switch (cause) {
    case 'grant': return 'not_granted'
    case 'budget': return 'budget_exhausted'
    case 'state': return 'not_in_order'
    case 'error': return 'not_evaluated'
    case 'policy': return by.length > 0 ? 'forbidden' : 'not_permitted'
    default: return unreachable(cause)
  }
}

/** AuthZEN 1.0, errors: of one question among several. */
function unreadable({ problem: type, details }: ProblemAnswer, traceId: string): contract.AuthzenAnswer {
  const message = details.errors?.map(({ field, message }) => `${field}: ${message}`).join('; ') ?? details.detail ?? type
  return { decision: false, context: { reason: 'not_evaluated', error: { status: PROBLEMS[type].status, code: details.code ?? 'invalid_fields', message }, trace_id: traceId } }
}

type SearchBody = Pick<contract.AuthzenQuestion, 'subject' | 'action' | 'resource' | 'context'> & {
  readonly sought: Search['sought']
  readonly page?: { readonly limit?: number | undefined; readonly token?: string | undefined } | undefined
}

const MOST_RESULTS = 1000
const USUAL_RESULTS = 100

async function results<Result>(needs: AuthzenRoutesNeeds, caller: AnyCaller, body: SearchBody, show: (id: string) => Result) {
  const { context: claimed = {}, page = {} } = body
  const fault = 'task' in claimed ? badQuestion('bad_task', 'context.task', 'a search is advice, and in no task') : contextFault(claimed)
  if (fault !== undefined) return fault
  const after = page.token === undefined ? '' : idIn(page.token)
  if (after === undefined) return badQuestion('bad_token', 'page.token', 'is not one of ours')
  const by = askerOf(caller)
  const advised = by.kind !== 'identity' ? ok(null) : await needs.allowance.advice(by.id, 1)
  if (!advised.ok) return askedTooOften(advised.refusal)
  const { found, next } = await search(needs, {
    sought: body.sought, subject: saidOf(body.subject), resource: saidOf(body.resource), action: { name: body.action.name, arguments: textOf(body.action.properties) },
    claimed: textOf(claimed), by, now: needs.clock.now(), page: { limit: Math.min(page.limit ?? USUAL_RESULTS, MOST_RESULTS), after },
  })
  return { reply: { results: found.map(show), page: { next_token: next === null ? '' : tokenOf(next), count: found.length } } }
}

/** A token says behind which id to go on, and nothing else: whoever makes one up asks for no more than he could ask for anyway. */
const tokenOf = (id: string): string => Buffer.from(id).toString('base64url')

function idIn(token: string): string | undefined {
  const id = Buffer.from(token, 'base64url').toString()
  return tokenOf(id) === token && id.isWellFormed() && !id.includes('\0') ? id : undefined
}
