import { textOf } from '@writ/domain/authority'
import type { Engine } from './engine.ts'
import {
  actualOf, answerOf, grantGap, inert, placeOf, withApproval, type Answer, type AppliedForbid, type Cause, type Explanation, type NearestPermit,
} from './explanation.ts'
import { actualValues } from './actual-values.ts'
import type { EntityRef, PolicyPlace, Question, PolicyAnswer } from './question.ts'
import type { Term } from './terms.ts'
import { partsOfPolicy, tryPermits, type TriedPermit } from './tried-permits.ts'

/** What the one who asks for an explanation knows beside the question. */
export type Occasion = {
  /** Left out, it is what the verdict says: the policies, or an error. */
  readonly cause?: Cause
  readonly decision?: string
  readonly traceId?: string
  /** Whether the same question may be answered differently in a moment, with nobody doing anything. */
  readonly retryable?: boolean
}

const MOST_ERRORS = 5

/** Says why the verdict is what it is. It costs more than the verdict did, and belongs off the hot path. */
export function explain(engine: Engine, question: Question, verdict: PolicyAnswer, occasion: Occasion = {}): Explanation {
  const cause = occasion.cause ?? (verdict.errors.length > 0 ? { kind: 'error', errors: verdict.errors } : { kind: 'policy' })
  const answer: Answer = cause.kind === 'policy' ? answerOf(verdict) : 'deny'
  const found = cause.kind === 'policy' ? findingsOf(engine, question, verdict) : NOTHING_FOUND
  const said = { verdict: answer, cause, found, question, decision: occasion.decision ?? null }
  return {
    decision: said.decision,
    verdict: answer,
    cause: cause.kind,
    asked: `${inert(question.principal.uid.id)} ${inert(question.action)} ${shortType(question.resource.uid)} ${inert(question.resource.uid.id)}`,
    rule: found.rule,
    nearest: found.nearest,
    forbidden_by: found.forbidden_by,
    with_approval: found.with_approval,
    grant: cause.kind === 'grant' ? grantGap(cause.authority, cause.asked) : null,
    state: cause.kind === 'state' ? inert(cause.what, 2 * LONG) : null,
    errors: cause.kind === 'error' ? cause.errors.slice(0, MOST_ERRORS).map((error) => inert(error, 2 * LONG)) : [],
    would_allow: wouldAllow(said),
    next: nextOf(said),
    retryable: occasion.retryable ?? false,
    trace_id: occasion.traceId ?? null,
  }
}

const LONG = 120

const shortType = ({ type }: EntityRef): string => inert(type.replace(/^Writ::/, ''))

type Found = Pick<Explanation, 'rule' | 'nearest' | 'forbidden_by' | 'with_approval'> & {
  /** Whether some permit holds; it does not show, for a forbid outweighs it. */
  readonly permitted: boolean
}

const NOTHING_FOUND: Found = { rule: null, nearest: null, forbidden_by: null, with_approval: null, permitted: false }

function findingsOf(engine: Engine, question: Question, verdict: PolicyAnswer): Found {
  const [rule = null] = verdict.by
  if (verdict.answer === 'allow') return { ...NOTHING_FOUND, rule, permitted: true }
  const [approval = null] = verdict.approvable ? engine.decide(withApproval(question)).by : []
  const tries = tryPermits(engine, question)
  const permitted = tries.some(({ failed }) => failed.length === 0)
  return {
    rule,
    nearest: permitted ? null : nearestOf(engine, question, tries.filter(({ failed }) => approval === null || !failed.every(isApproval))),
    forbidden_by: rule === null ? null : forbidOf(engine, question, rule),
    with_approval: approval,
    permitted,
  }
}

const isApproval = ({ paths }: Term): boolean => paths.length > 0 && paths.every((path) => path.join('.') === 'context.approved')

function nearestOf(engine: Engine, question: Question, tries: readonly TriedPermit[]): NearestPermit | null {
  const [nearest] = tries.toSorted((a, b) => a.failed.length - b.failed.length || hardnessOf(a.failed) - hardnessOf(b.failed))
  if (nearest === undefined) return null
  const { policy: { id, file, line }, failed } = nearest
  return {
    policy: id,
    file,
    line: line + (failed[0]?.line ?? 0),
    failed: inert(failed.map(({ text, negated }) => (negated ? `!(${text})` : text)).join(' && '), 2 * LONG),
    actual: actualValues(engine, question, failed),
  }
}

/** Of two permits that fail by as many terms the nearer one is what the caller could sooner do something about. */
function hardnessOf(terms: readonly Term[]): number {
  return Math.max(0, ...terms.flatMap(({ paths }) => paths.map(([root, name]) => {
    if (root === 'resource') return 2
    if (root === 'principal' || name === 'class' || name === 'environment') return 3
    return name === 'arguments' ? 0 : 1
  })))
}

function forbidOf(engine: Engine, question: Question, place: PolicyPlace): AppliedForbid {
  const policy = engine.bundle.policies.find(({ id }) => id === place.policy)
  const terms = policy === undefined ? [] : partsOfPolicy(policy).terms
  const held = terms.filter(({ negated }) => !negated)
  const exceptions = terms.filter(({ negated }) => negated)
  return {
    ...place,
    line: place.line + (terms[0]?.line ?? 0),
    held: held.length === 0 ? null : inert(held.map(({ text }) => text).join(' && '), 2 * LONG),
    actual: actualValues(engine, question, terms),
    unless: exceptions.length === 0 ? null : inert(exceptions.map(({ text }) => text).join(' || '), 2 * LONG),
  }
}

type Said = {
  readonly verdict: Answer
  readonly cause: Cause
  readonly found: Found
  readonly question: Question
  readonly decision: string | null
}

function wouldAllow({ verdict, cause, found, question }: Said): string | null {
  switch (cause.kind) {
    case 'grant': return 'a grant that holds it, within what the identity and the task above may'
    case 'budget': return 'a task with calls left'
    case 'state': return 'an identity, a task and owners that are in order'
    case 'error': return 'a question that can be evaluated'
    case 'policy':
  }
  if (verdict === 'allow') return null
  const { forbidden_by: forbid, nearest, with_approval: approval } = found
  if (approval !== null) return `${placeOf(approval)} permits it once a person has approved it`
  if (forbid !== null) return `${withoutForbid(forbid)}${found.permitted ? '' : `, and ${permitThatIsMissing(nearest, question)}`}`
  return permitThatIsMissing(nearest, question)
}

function withoutForbid({ policy, held, unless }: AppliedForbid): string {
  if (unless !== null) return `${unless} would have to be true`
  return held === null ? `nothing does while ${policy} stands` : `${held} would have to be false`
}

function permitThatIsMissing(nearest: NearestPermit | null, { action, resource }: Question): string {
  if (nearest === null) return `a policy that permits ${inert(action)} on this ${shortType(resource.uid)}`
  return `${nearest.failed} would have to be true${actualOf(nearest.actual)}`
}

function nextOf({ verdict, cause, question, decision }: Said): Explanation['next'] {
  const task = question.known['task']
  const ofTask = typeof task === 'string' && /^tsk_\w+$/.test(task) ? task : null
  const explained = decision === null ? null : `writ explain ${decision}`
  switch (cause.kind) {
    case 'grant': return { say: 'ask for it in the open task', cli: ofTask === null ? null : widening(ofTask, textOf(cause.asked)) }
    case 'budget': return { say: 'open a task with a larger budget', cli: null }
    case 'state': return { say: 'put that in order first', cli: ofTask === null ? null : `writ task show ${ofTask}` }
    case 'error': return { say: 'correct what can not be evaluated, in the question or in the policy', cli: explained }
    case 'policy':
  }
  if (verdict === 'allow') return { say: 'go on', cli: null }
  if (verdict === 'approval_required') return { say: 'a person has to approve exactly this', cli: null }
  return { say: 'change that and ask again, or ask whoever keeps the policies', cli: explained }
}

/** What a shell would take for more than a word between quotes is left to the person, and so is what nobody would type. */
const widening = (task: string, permit: string): string | null =>
  (/^[\w.:?=&-]{1,200}$/.test(permit) ? `writ task widen ${task} --grant '${permit}'` : null)
