import { covers, textOf, type Authority, type Permit } from '@writ/domain/authority'
import { UNTRUSTED, type DecisionCause, type Label, type Mode } from '@writ/domain/decision'
import type { EventActor, PublicValue } from '@writ/domain/event'
import type { ExactRecord } from '@writ/domain/exact'
import type { DecisionId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import { dueReason, type Task } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import type { Engine } from '@writ/policy/engine'
import type { Entity, EntityRef, Question, PolicyAnswer } from '@writ/policy/question'
import type { Tx } from '../record/tx.ts'
import { countDenied } from '../store/decisions.ts'
import { addLabels, listTreeLabels } from '../store/labels.ts'
import { findModes, type StoredMode } from '../store/modes.ts'
import { findPolicyFiles, findVersionInForce } from '../store/policies.ts'
import { touchTask } from '../store/tasks.ts'
import type { Approval } from '../store/approvals.ts'
import { findApproved, takeApproved } from './approved.ts'
import { findContinued, type Continuing } from './continued.ts'
import { questionOf } from './question.ts'
import { recordDecision, type ApprovalAtUse, type Decided } from './record-decision.ts'

/** The policies that are in force in this very transaction. */
export type Policies = { readonly version: number; readonly engine: Engine }

export async function policiesIn(tx: Tx): Promise<Policies> {
  const version = await findVersionInForce(tx.db)
  return { version, engine: await tx.context.engines.engineOf(version, () => findPolicyFiles(tx.db, version)) }
}

/** What else counts at a use, read under the lock of the task's tree. */
export type Around = {
  /** What the tree has seen. */
  readonly labels: readonly Label[]
  /** What is observed, of the identity and of servers that it may be about. */
  readonly modes: readonly StoredMode[]
}

/** One use that is about to happen: what the task wants to do, and which part of its grant that is. */
export type Attempted = {
  readonly id: DecisionId
  /** Locked by the change. */
  readonly task: Task
  readonly identity: Identity
  readonly action: string
  readonly resource: EntityRef
  /** What Writ itself knows of the resource: of an identity. */
  readonly known?: Entity
  /** What whoever answers for the resource says of it: of the operator's own types alone. */
  readonly said?: ExactRecord
  readonly arguments: ExactRecord
  /** Those of the arguments that stand in the record. */
  readonly publicArguments?: { readonly [name: string]: PublicValue }
  readonly claimed: ExactRecord
  /** What Writ knows of this action alone. */
  readonly also?: Question['known']
  /** A person has approved it: set here alone, from an approval of the very same (law 6). */
  readonly approved?: true
  /** What bounds it: the task's, or that of the access token with which it is attempted. */
  readonly authority: Authority
  /** Null where the change looks itself whether the grant covers it. */
  readonly permit: Permit | null
  /** Why it may not be, whatever the policies say. */
  readonly barred?: string
  /** Whoever carries it out runs what was approved, in place of what is attempted: the gateway does. */
  readonly runsApproved?: true
  /** Where it is a call that an approval let through before. */
  readonly continues?: Continuing
  /** How many calls of the budget it takes. */
  readonly calls: 0 | 1
  /** Where the change has them already. */
  readonly policies?: Policies
  readonly around?: Around
  /** Whose mode counts besides the identity's: the server or back end that is asked. */
  readonly server: string
  /** The running workload that acts, where it is known: what it has seen stays with it. */
  readonly workload: string | null
  readonly by: EventActor
  readonly traceId: string
  readonly now: EpochMs
}

/**
 * Decides on one use inside its own transaction: grant covers and policy permits and budget is left and task and identity are in order. The
 * answer, what was asked and the labels that it brings are written there too: what can't be recorded does not happen (law 4). An allowed use
 * has taken its call of the budget.
 */
export async function decideIn(tx: Tx, use: Attempted): Promise<Decided> {
  const { task, identity, now } = use
  const [{ engine, version }, { labels, modes }] = await Promise.all([use.policies ?? policiesIn(tx), use.around ?? lookAround(tx, use)])
  const question = questionOf(engine, use, labels)
  const mode: Mode = modes.some(({ kind, subject }) => subject === (kind === 'identity' ? identity.id : use.server)) ? 'observe' : 'enforce'
  const first: Judging = { use, question, judged: judge(engine, use, question) }
  // Where nobody is asked nothing is looked for.
  const { use: attempted, question: asked, judged, approval } = first.judged.approvable && mode === 'enforce' ? await asApproved(tx, first, { engine, version, labels }) : first
  const wouldDeny = mode === 'observe' && judged.answer === 'deny' && judged.cause === 'policy'
  const decided: Decided = { ...judged, id: use.id, answer: wouldDeny ? 'allow' : judged.answer, wouldDeny, policyVersion: version, ...(approval === undefined ? {} : { approval: approval.told }) }
  await recordDecision(tx, {
    decided, question: asked, mode, task: task.id, identity: identity.id, advisory: false, resource: use.resource, permit: attempted.permit, by: use.by, traceId: use.traceId, now,
    ...(attempted.publicArguments === undefined ? {} : { publicArguments: attempted.publicArguments }),
  })
  if (approval?.taken !== undefined) await takeApproved(tx, { use, approval: approval.taken, now })
  if (decided.answer === 'allow') await take(tx, use, labelsOf(engine, use.resource), labels)
  else await refuseUse(tx, use)
  return decided
}

/** A use as it was judged; `approval`: what answers for it, and that which it takes. */
type Judging = { readonly use: Attempted; readonly question: Question; readonly judged: Judged; readonly approval?: { readonly told: ApprovalAtUse; readonly taken?: Approval } }

/** Asked once more, with what a person has approved in place of what is attempted. Where that is denied too, the approval is not used up. */
async function asApproved(tx: Tx, first: Judging, { engine, version, labels }: Policies & { readonly labels: readonly Label[] }): Promise<Judging> {
  const { continues } = first.use
  const found = continues === undefined ? await findApproved(tx, first.use, { engine, version }) : await findContinued(tx, first.use, continues, { engine, version })
  if (found.kind === 'none') return first
  const { approval } = found
  const told = { id: approval.id, expiresAt: approval.expiresAt, why: approval.why }
  if (found.kind === 'lowered') return { ...first, approval: { told: { ...told, kind: found.kind, arguments: found.text } } }
  if (found.kind === 'not_ready') return { ...first, approval: { told: { ...told, kind: found.why } } }
  const use = withArguments(first.use, found.arguments)
  const question = questionOf(engine, use, labels)
  const judged = judge(engine, use, question)
  if (judged.answer === 'deny') return { use, question, judged: { ...judged, approvable: false }, approval: { told: { ...told, kind: 'denied_still' } } }
  if (continues !== undefined) return { use, question, judged, approval: { told: { ...told, kind: 'goes_on', arguments: found.text, first: continues.first } } }
  return { use, question, judged, approval: { told: { ...told, kind: 'ran', arguments: found.text }, taken: approval } }
}

/** What is shown of arguments follows those that run; of them only whole numbers can differ. */
function withArguments(use: Attempted, args: ExactRecord): Attempted {
  const number = (name: string, otherwise: PublicValue): PublicValue => (typeof args[name] === 'bigint' && typeof otherwise === 'number' ? Number(args[name]) : otherwise)
  const { permit, publicArguments } = use
  return {
    ...use, arguments: args, approved: true,
    permit: permit && { ...permit, limits: Object.fromEntries(Object.entries(permit.limits).map(([name, most]) => [name, number(name, most) as number])) },
    ...(publicArguments === undefined ? {} : { publicArguments: Object.fromEntries(Object.entries(publicArguments).map(([name, value]) => [name, number(name, value)])) }),
  }
}

async function lookAround({ db }: Tx, { task, identity, server, now }: Attempted): Promise<Around> {
  const [labels, modes] = await Promise.all([listTreeLabels(db, task.root), findModes(db, { identity: identity.id, server }, now)])
  return { labels, modes }
}

type Judged = Pick<Decided, 'answer' | 'cause' | 'by' | 'errors' | 'approvable'>

const denied = (cause: DecisionCause, ...errors: readonly string[]): Judged => ({ answer: 'deny', cause, by: [], errors, approvable: false })

/** What no policy can lift comes first, so that its denial says so. */
function judge(engine: Engine, { task, identity, authority, permit, barred, calls, now }: Attempted, question: Question): Judged {
  const over = task.state === 'open' ? dueReason(task, now) : task.endReason ?? task.state
  if (over !== undefined) return denied('state', `the task is over: ${over}`)
  if (identity.state !== 'active') return denied('state', `the identity is ${identity.state}`)
  if (now >= identity.endsAt) return denied('state', 'the identity has come to its end date')
  if (permit !== null && !covers(authority, [permit])) return denied('grant', `the task was not granted \`${textOf(permit)}\``)
  if (barred !== undefined) return denied('state', barred)
  if (task.callsUsed + calls > task.budgetCalls) return denied('budget', `all ${task.budgetCalls} calls are used`)
  return judgedBy(engine.decide(question))
}

export function judgedBy(verdict: PolicyAnswer): Judged {
  return { ...verdict, cause: verdict.errors.length > 0 ? 'error' : 'policy' }
}

/** The call is counted, and what it may bring is known of the whole tree from the attempt on, whether it arrives or not (POL-8). */
async function take(tx: Tx, { task, identity, workload, id, resource, calls, now }: Attempted, brought: readonly Label[], had: readonly Label[]): Promise<void> {
  await touchTask(tx.db, { ...task, callsUsed: task.callsUsed + calls, lastCallAt: calls > 0 ? now : task.lastCallAt, lastHeardAt: now })
  const fresh = brought.filter((label) => !had.includes(label))
  if (brought.length > 0) await addLabels(tx.db, { root: task.root, identity: identity.id, workload, fresh, brought, decision: id, source: resource.id, now })
}

/** What was tried and may not be takes no call, and is counted (POL-10); the holder has been heard of. */
async function refuseUse(tx: Tx, { task, now }: Attempted): Promise<void> {
  await countDenied(tx.db, task.id)
  if (task.state === 'open') await touchTask(tx.db, { ...task, lastHeardAt: now })
}

/** What a use of it brings into its task tree. */
export function labelsOf(engine: Engine, resource: EntityRef): readonly Label[] {
  const { labels, trust } = engine.entity(resource)?.attributes ?? {}
  const own = Array.isArray(labels) ? labels.filter((label) => typeof label === 'string') : []
  return [...new Set(trust === UNTRUSTED ? [...own, UNTRUSTED] : own)]
}
