import type { EventActor } from '@writ/domain/event'
import type { DecisionId, TaskId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { dueReason, type EndReason, type Task } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import type { OneTimeUse } from '../authenticate/authenticator.ts'
import { takeUses } from '../authenticate/one-time.ts'
import { adviseIn } from '../decide/advise.ts'
import { decideIn, policiesIn, type Policies } from '../decide/decide.ts'
import { BACKEND } from '../decide/question.ts'
import type { Decided } from '../decide/record-decision.ts'
import { failpoint } from '../platform/failpoint.ts'
import { change, type Tx } from '../record/tx.ts'
import { endTaskIn } from '../revoke/end-task.ts'
import { findBackend } from '../store/backends.ts'
import { findIdentity } from '../store/identities.ts'
import { findWorkload, lockTask } from '../store/tasks.ts'
import { findTokenStanding } from '../store/tokens.ts'
import { isNamed, readExact, supposedIn, typeOf, type Asker, type ExactText, type Said } from './supposed.ts'
import { saidIn, useOf } from './use.ts'

/** One question in the caller's words. */
export type Asked = {
  readonly id: DecisionId
  /** The task in which it is about to happen; null for advice. */
  readonly task: TaskId | null
  readonly subject: Said
  readonly action: string
  readonly resource: Said
  readonly arguments: ExactText
  readonly claimed: ExactText
}

/** AuthZEN 1.0, evaluations semantics: which answer, if any, makes the questions after it moot. */
export type StopAt = 'never' | 'deny' | 'allow'

export type EvaluateInput = {
  readonly asked: readonly Asked[]
  readonly stopAt: StopAt
  readonly by: Asker
  readonly uses: readonly OneTimeUse[]
  readonly traceId: string
  readonly now: EpochMs
}

export type EvaluateRefusal =
  | { readonly kind: 'replayed'; readonly of: OneTimeUse['of'] }
  | { readonly kind: 'no_such_task' }
  | { readonly kind: 'token_not_live' }
  /** A task is used by the identity that holds it, and by nobody in its name. */
  | { readonly kind: 'not_the_holder' }
  /** What decides on an attempt is what Writ knows, not what its caller says. */
  | { readonly kind: 'properties_not_yours' }

/** The policies in force in the transaction, and who asks them when. */
type Asking = Omit<EvaluateInput, 'asked' | 'uses'> & { readonly policies: Policies }

/**
 * Answers one question, or several in their order: one trip to the database. What works once is used up, token, task and identity are looked
 * at again, the budget is taken and the answer recorded, together or not at all.
 */
export const evaluate = change('decision.evaluate', async (tx: Tx, input: EvaluateInput) => {
  const [seen, policies] = await Promise.all([takeUses(tx.db, input.uses), policiesIn(tx)])
  if (seen !== undefined) return refuse<EvaluateRefusal>({ kind: 'replayed', of: seen })
  const asking: Asking = { ...input, policies }
  const answers: Decided[] = []
  for (const asked of input.asked) {
    const answered = asked.task === null ? ok(await advise(tx, asked, asking)) : await attempt(tx, { ...asked, task: asked.task }, asking)
    if (!answered.ok) return refuse<EvaluateRefusal>(answered.refusal)
    answers.push(answered.value)
    if (answered.value.answer === input.stopAt) break
  }
  failpoint('decision.made.before_commit')
  return ok(answers)
})

async function advise(tx: Tx, asked: Asked, { policies, by, traceId, now }: Asking): Promise<Decided> {
  const [principal, resource] = await Promise.all([asked.subject, asked.resource].map((said) => supposedIn(tx.db, policies.engine, said, by)))
  return adviseIn(tx, {
    ...saidIn(resource!.uid, asked.action, readExact(asked.arguments)), id: asked.id, principal: principal!, resource: resource!, action: asked.action,
    claimed: readExact(asked.claimed),
    policies, by: actorOf(by), traceId, now,
  })
}

type AskedInTask = Asked & { readonly task: TaskId }

async function attempt(tx: Tx, asked: AskedInTask, asking: Asking): Promise<Outcome<Decided, EvaluateRefusal>> {
  const { by, traceId, now, policies } = asking
  const { engine } = policies
  const task = await lockTask(tx, asked.task)
  if (task === undefined || (by.kind === 'identity' && by.id !== task.identity)) return refuse({ kind: 'no_such_task' })
  const token = by.kind === 'identity' && by.lease !== null ? await findTokenStanding(tx.db, { jti: by.lease, kid: null }, now) : undefined
  if (token?.token && token.token.task !== task.id) return refuse({ kind: 'no_such_task' })
  // INVARIANT: looked at again under the task's lock: it may have been stopped since the door looked. What its task's end did to it, the decision tells.
  if (token?.kind === 'not_live' && token.why !== 'task_over' && token.why !== 'identity_not_active' && task.state === 'open') return refuse({ kind: 'token_not_live' })
  const identity = (await findIdentity(tx.db, task.identity))!
  const refused = refusalOf(asked, identity, asking)
  if (refused !== undefined) return refuse(refused)

  const uid = { type: typeOf(engine, asked.resource), id: asked.resource.id }
  const workload = (by.kind === 'identity' ? by.workload : null) ?? await findWorkload(tx.db, task.id)
  const backend = uid.type === BACKEND ? await findBackend(tx.db, uid.id) : undefined
  // One that is gone is of no kind that a grant could name.
  const kind = backend?.state === 'active' ? backend.kind : ''
  const use = useOf({ uid, type: asked.resource.type, kind }, asked.action, readExact(asked.arguments))
  const said = asked.resource.properties
  const decided = await decideIn(tx, {
    ...use, id: asked.id, task, identity, action: asked.action, resource: uid, calls: 1, claimed: readExact(asked.claimed), ...(said === null ? {} : { said: readExact(said) }),
    authority: token?.token?.authority ?? task.authority, workload, policies, by: actorOf(by), traceId, now,
  })
  await endIfDue(tx, task, decided, now)
  return ok(decided)
}

function refusalOf({ subject, resource }: Asked, identity: Identity, { by, policies: { engine } }: Asking): EvaluateRefusal | undefined {
  if (!isNamed(subject, engine, identity)) return { kind: 'not_the_holder' }
  // Of its own types an operator knows more than Writ does; of an identity, a tool or a back end nobody does.
  const isTheirs = by.kind === 'operator' && !typeOf(engine, resource).startsWith('Writ::')
  return subject.properties !== null || (resource.properties !== null && !isTheirs) ? { kind: 'properties_not_yours' } : undefined
}

async function endIfDue(tx: Tx, task: Task, { cause }: Decided, now: EpochMs): Promise<void> {
  const because: EndReason | undefined = cause === 'budget' ? 'budget_exhausted' : cause === 'state' ? dueReason(task, now) : undefined
  if (because !== undefined) await endTaskIn(tx, task.id, { because, by: { kind: 'writ', id: 'writ' }, now })
}

const actorOf = (by: Asker): EventActor => (by.kind === 'operator' ? { kind: 'operator', id: by.id } : { kind: 'identity', id: by.id })
